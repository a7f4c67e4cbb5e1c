//! Where a policy stands among Kubernetes' Pod Security Standards, and what a Tenant says for it.

use std::collections::BTreeSet;
use std::fmt;

use bulkhead_model::{Capability, HostPathPrefix, StandardsVersion};
use serde_json::{Map, Value, json};

use crate::rules::{Rules, Users};

/// A level of the Pod Security Standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everything.
    Privileged,
    /// Nothing that takes a node over at once.
    Baseline,
    /// What current practice asks of pods.
    Restricted,
}

impl Level {
    /// The profile of a Tenant that means this level.
    #[must_use]
    pub fn profile(self) -> &'static str {
        match self {
            Self::Privileged => "Privileged",
            Self::Baseline => "Baseline",
            Self::Restricted => "Restricted",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// What a level refuses although the policy did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beyond {
    /// Bulkhead's control for it.
    pub control: &'static str,
    /// What, for people.
    pub what: &'static str,
}

const APPARMOR: Beyond = Beyond {
    control: "apparmor-unconfined",
    what: "AppArmor profiles other than the runtime's default and those on the nodes: without a list of profiles the policy allowed `unconfined`",
};
const SELINUX: Beyond = Beyond {
    control: "selinux-label-chosen",
    what: "SELinux users, roles, and types other than those of containers: under `RunAsAny` the policy allowed any",
};
const PROBES: Beyond = Beyond {
    control: "probe-host",
    what: "probes and lifecycle hooks that name a host: policies had no rule for them",
};
const NON_ROOT: Beyond = Beyond {
    control: "runs-as-root",
    what: "containers that name a user that is not root and do not say `runAsNonRoot: true`",
};

/// Where a policy stands.
pub(super) struct Standing {
    pub(super) level: Level,
    pub(super) beyond: Vec<Beyond>,
    /// The level of the Tenant's profile, which may be higher: a Tenant lists exceptions.
    pub(super) tenant: Level,
    pub(super) tenant_beyond: Vec<Beyond>,
    pub(super) pod_security: Value,
}

/// What a Tenant can list.
struct Exceptions {
    capabilities: BTreeSet<String>,
    host_paths: Vec<String>,
}

/// The strictest level that refuses nothing that the policy has a rule for and allows.
pub(crate) fn level_of(rules: &Rules) -> Level {
    let none = Exceptions {
        capabilities: BTreeSet::new(),
        host_paths: Vec::new(),
    };
    level(rules, &none)
}

pub(super) fn standing(rules: &Rules, default_class: Option<&str>) -> Standing {
    let exceptions = exceptions(rules);
    let level = level_of(rules);
    let tenant = self::level(rules, &exceptions);
    Standing {
        level,
        beyond: beyond(rules, level),
        tenant,
        tenant_beyond: beyond(rules, tenant),
        pod_security: pod_security(rules, tenant, &exceptions, default_class),
    }
}

fn level(rules: &Rules, exceptions: &Exceptions) -> Level {
    if !baseline(rules, exceptions) {
        Level::Privileged
    } else if !restricted(rules, exceptions) {
        Level::Baseline
    } else {
        Level::Restricted
    }
}

/// What containers may add.
fn addable(rules: &Rules) -> impl Iterator<Item = &str> {
    let allowed = rules.spec.allowed_capabilities.iter().flatten();
    allowed.chain(&rules.default_add).map(String::as_str)
}

fn exceptions(rules: &Rules) -> Exceptions {
    let spec = &rules.spec;
    let capabilities = addable(rules).filter(|one| Capability::parse(one).is_ok());
    let paths = &spec.allowed_host_paths;
    let readable = |path: &str| HostPathPrefix::parse(path).is_ok();
    let absorbed = !paths.is_empty()
        && paths
            .iter()
            .all(|one| one.read_only && readable(&one.path_prefix));
    Exceptions {
        capabilities: capabilities.map(str::to_owned).collect(),
        host_paths: match absorbed {
            true => paths.iter().map(|one| one.path_prefix.clone()).collect(),
            false => Vec::new(),
        },
    }
}

/// Whether the policy allows nothing that it has a rule for and `baseline` refuses.
fn baseline(rules: &Rules, exceptions: &Exceptions) -> bool {
    let spec = &rules.spec;
    let host = spec.host_network || spec.host_pid || spec.host_ipc;
    let capabilities = !rules.all_capabilities
        && addable(rules).all(|one| {
            Capability::BASELINE.contains(&one) || exceptions.capabilities.contains(one)
        });
    let host_path = rules.may_mount("hostPath") && exceptions.host_paths.is_empty();
    let ports = spec.host_ports.iter().any(|range| range.max > 0);
    let proc_mount = spec
        .allowed_proc_mount_types
        .iter()
        .all(|one| one == "Default");
    let sysctls = spec
        .allowed_unsafe_sysctls
        .iter()
        .all(|one| StandardsVersion::PINNED.allow_sysctl(one));
    let seccomp = !rules.seccomp.any && !rules.seccomp.allowed.contains("unconfined");
    let app_armor =
        rules.app_armor.written.is_none() || !rules.app_armor.allowed.contains("unconfined");
    let label = rules.se_linux.as_ref().is_none_or(|label| {
        label.user.is_empty()
            && label.role.is_empty()
            && (label.kind.is_empty() || StandardsVersion::PINNED.allow_selinux_type(&label.kind))
    });
    !spec.privileged
        && !host
        && capabilities
        && !host_path
        && !ports
        && proc_mount
        && sysctls
        && seccomp
        && app_armor
        && label
}

/// The volumes that `restricted` allows.
const RESTRICTED_VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn restricted(rules: &Rules, exceptions: &Exceptions) -> bool {
    let spec = &rules.spec;
    let volumes = !rules.all_volumes
        && spec.volumes.iter().all(|one| {
            RESTRICTED_VOLUMES.contains(&one.as_str())
                || (one == "hostPath" && !exceptions.host_paths.is_empty())
        });
    let no_root = match &rules.users {
        Users::Any => false,
        Users::NonRoot => true,
        Users::Within(_, ranges) => !ranges.iter().any(|range| range.has(0)),
    };
    // Without a list no pod could have the profile that the level asks for.
    let seccomp = !rules.seccomp.allowed.is_empty() && !rules.seccomp.allowed.contains("");
    let dropped = rules.required_drop.iter().any(|one| one == "ALL");
    let added = addable(rules)
        .all(|one| one == "NET_BIND_SERVICE" || exceptions.capabilities.contains(one));
    volumes && no_root && seccomp && dropped && added && !rules.escalation
}

fn beyond(rules: &Rules, level: Level) -> Vec<Beyond> {
    let mut beyond = Vec::new();
    if level == Level::Privileged {
        return beyond;
    }
    if rules.app_armor.written.is_none() {
        beyond.push(APPARMOR);
    }
    if rules.se_linux.is_none() {
        beyond.push(SELINUX);
    }
    beyond.push(PROBES);
    if level == Level::Restricted {
        beyond.push(NON_ROOT);
    }
    beyond
}

fn pod_security(
    rules: &Rules,
    level: Level,
    exceptions: &Exceptions,
    default_class: Option<&str>,
) -> Value {
    let mut fields = Map::from_iter([("profile".to_owned(), json!(level.profile()))]);
    let of_level = |one: &&String| match level {
        Level::Privileged => true,
        Level::Baseline => Capability::BASELINE.contains(&one.as_str()),
        Level::Restricted => one.as_str() == "NET_BIND_SERVICE",
    };
    let more: Vec<&String> = exceptions
        .capabilities
        .iter()
        .filter(|one| !of_level(one))
        .collect();
    if !more.is_empty() {
        fields.insert("allowedCapabilities".into(), json!(more));
    }
    if level != Level::Privileged && rules.may_mount("hostPath") {
        let paths: Vec<Value> = exceptions
            .host_paths
            .iter()
            .map(|path| json!({"pathPrefix": path}))
            .collect();
        fields.insert("allowedHostPaths".into(), json!(paths));
    }
    let mut classes = runtime_classes(rules);
    if let Some(default) = default_class {
        classes.insert("default".into(), json!(default));
    }
    if !classes.is_empty() {
        fields.insert("runtimeClasses".into(), Value::Object(classes));
    }
    Value::Object(fields)
}

/// Which runtimes pods may name. Without a list a Tenant's pods may name none.
fn runtime_classes(rules: &Rules) -> Map<String, Value> {
    let mut fields = Map::new();
    let listed = rules.spec.runtime_class.as_ref();
    let allowed = listed.map(|classes| classes.allowed.as_deref().unwrap_or_default());
    match allowed {
        Some([]) => {}
        Some(names) if !names.iter().any(|one| one == "*") => {
            fields.insert("allowed".into(), json!(names));
        }
        _ => {
            fields.insert("allowedRegex".into(), json!(".*"));
        }
    }
    fields
}
