//! A policy's rules in CEL, as a ValidatingAdmissionPolicy has them: one expression and one message
//! for each thing that it asks. They hold for pods as they are stored; nothing is set.

use crate::checks::SAFE_SYSCTLS;
use crate::policy::{AllowedHostPath, IdRange, SeLinux};
use crate::rules::{Groups, Profiles, Rules, Users};
use crate::volumes::{CSI, FLEX, HOST_PATH, PROJECTED, fields_of, kinds};

/// Names that the expressions use, and what they stand for.
pub(super) const VARIABLES: [(&str, &str); 3] = [
    ("context", "object.spec.?securityContext.orValue({})"),
    (
        "containers",
        "object.spec.?initContainers.orValue([]) + object.spec.containers \
         + object.spec.?ephemeralContainers.orValue([])",
    ),
    ("volumes", "object.spec.?volumes.orValue([])"),
];

/// False for an update that the original looked away from as well: one that leaves the pod's spec
/// and what people wrote about it alone.
pub(super) const CHANGES: &str = "request.operation != 'UPDATE' || object.spec != oldObject.spec \
     || object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({}) \
     || object.metadata.?annotations.orValue({}) != oldObject.metadata.?annotations.orValue({})";

/// What is asked, and what is said where it is not given.
pub(super) struct Asked {
    pub(super) expression: String,
    pub(super) message: String,
}

/// Everything that the policy asks.
pub(super) fn asked(rules: &Rules) -> Vec<Asked> {
    let mut all = Writer(Vec::new());
    host(rules, &mut all);
    volumes(rules, &mut all);
    of_pod(rules, &mut all);
    of_containers(rules, &mut all);
    all.0
}

struct Writer(Vec<Asked>);

impl Writer {
    fn ask(&mut self, expression: String, message: impl Into<String>) {
        self.0.push(Asked {
            expression,
            message: message.into(),
        });
    }

    /// Of every container `c`.
    fn each(&mut self, expression: &str, message: impl Into<String>) {
        self.ask(
            format!("variables.containers.all(c, {expression})"),
            message,
        );
    }
}

/// A string as CEL reads it.
fn text(value: &str) -> String {
    let mut quoted = String::from("'");
    for character in value.chars() {
        match character {
            '\'' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.into_iter().map(text).collect();
    format!("[{}]", values.join(", "))
}

/// Joined by `||`; `false` if there is none.
fn any(parts: &[String]) -> String {
    match parts {
        [] => "false".to_owned(),
        [one] => format!("({one})"),
        more => format!("({})", more.join(" || ")),
    }
}

fn within(value: &str, ranges: &[IdRange]) -> String {
    let each: Vec<String> = ranges
        .iter()
        .map(|range| format!("({value} >= {} && {value} <= {})", range.min, range.max))
        .collect();
    any(&each)
}

fn shown(ranges: &[IdRange]) -> String {
    let each: Vec<String> = ranges
        .iter()
        .map(|range| format!("{}-{}", range.min, range.max))
        .collect();
    each.join(", ")
}

fn host(rules: &Rules, all: &mut Writer) {
    let spec = &rules.spec;
    for (may, field, words) in [
        (spec.host_network, "hostNetwork", "network"),
        (spec.host_pid, "hostPID", "processes"),
        (spec.host_ipc, "hostIPC", "IPC"),
    ] {
        if !may {
            all.ask(
                format!("!object.spec.?{field}.orValue(false)"),
                format!("the host's {words} may not be used"),
            );
        }
    }
    let ranges: Vec<IdRange> = spec
        .host_ports
        .iter()
        .map(|range| IdRange {
            min: range.min.into(),
            max: range.max.into(),
        })
        .collect();
    let port = "p.?hostPort.orValue(0)";
    let (allowed, message) = match ranges.as_slice() {
        [] => (
            String::new(),
            "ports of the host may not be used".to_owned(),
        ),
        some => (
            format!(" || {}", within(port, some)),
            format!("ports of the host must be within {}", shown(some)),
        ),
    };
    all.each(
        &format!("c.?ports.orValue([]).all(p, {port} <= 0{allowed})"),
        message,
    );
}

fn volumes(rules: &Rules, all: &mut Writer) {
    let spec = &rules.spec;
    let mut may: Vec<String> = kinds()
        .into_iter()
        .filter(|kind| rules.may_mount(kind))
        .flat_map(fields_of)
        .map(|field| format!("has(v.{field})"))
        .collect();
    if rules.may_mount("secret") && !rules.may_mount(PROJECTED) {
        may.push(format!("(has(v.projected) && {ONLY_TOKEN})"));
    }
    let names = if rules.all_volumes {
        "those that PodSecurityPolicies could name".to_owned()
    } else {
        format!("[{}]", spec.volumes.join(", "))
    };
    all.ask(
        format!("variables.volumes.all(v, {})", any(&may)),
        format!("volumes are allowed of these kinds only: {names}"),
    );
    if rules.may_mount(HOST_PATH) && !spec.allowed_host_paths.is_empty() {
        host_paths(&spec.allowed_host_paths, all);
    }
    for (kind, field, drivers) in [
        (FLEX, "flexVolume", &spec.allowed_flex_volumes),
        (CSI, "csi", &spec.allowed_csi_drivers),
    ] {
        if rules.may_mount(kind) && !drivers.is_empty() {
            let drivers = list(drivers.iter().map(String::as_str));
            all.ask(
                format!(
                    "variables.volumes.all(v, !has(v.{field}) || v.{field}.driver in {drivers})"
                ),
                format!("drivers of {field} volumes are allowed from {drivers} only"),
            );
        }
    }
}

/// What a ServiceAccount's token comes with, and nothing else.
const ONLY_TOKEN: &str = "v.projected.?sources.orValue([]).all(s, \
     (has(s.serviceAccountToken) || has(s.configMap) || has(s.downwardAPI)) \
     && (!has(s.serviceAccountToken) || (s.serviceAccountToken.path == 'token' \
     && s.serviceAccountToken.?audience.orValue('') == '')) \
     && (!has(s.configMap) || s.configMap.?name.orValue('') == 'kube-root-ca.crt') \
     && (!has(s.downwardAPI) || s.downwardAPI.?items.orValue([]).all(i, i.path == 'namespace' \
     && i.?fieldRef.?apiVersion.orValue('') == 'v1' \
     && i.?fieldRef.?fieldPath.orValue('') == 'metadata.namespace')))";

fn host_paths(allowed: &[AllowedHostPath], all: &mut Writer) {
    let under = |read_only: bool| {
        let prefixes = allowed.iter().filter(|one| one.read_only == read_only);
        let each: Vec<String> = prefixes
            .map(|one| {
                let prefix = &one.path_prefix;
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                let below = text(&format!("{prefix}/"));
                format!(
                    "v.hostPath.path == {} || v.hostPath.path.startsWith({below})",
                    text(prefix)
                )
            })
            .collect();
        any(&each)
    };
    all.ask(
        format!(
            "variables.volumes.all(v, !has(v.hostPath) || {} || ({} && variables.containers.all(c, \
             c.?volumeMounts.orValue([]).all(m, m.name != v.name || m.?readOnly.orValue(false)))))",
            under(false),
            under(true)
        ),
        "paths of the host are allowed from a list only, some of them read-only",
    );
}

fn of_pod(rules: &Rules, all: &mut Writer) {
    let pod = "variables.context.?";
    match &rules.fs_group {
        Groups::Any => {}
        Groups::May(ranges) => all.ask(
            format!(
                "!{pod}fsGroup.hasValue() || {}",
                within("variables.context.fsGroup", ranges)
            ),
            format!("fsGroup must be within {}", shown(ranges)),
        ),
        Groups::Must(_, ranges) => all.ask(
            within(&format!("{pod}fsGroup.orValue(-1)"), ranges),
            format!("fsGroup must be set, within {}", shown(ranges)),
        ),
    }
    let groups = format!("{pod}supplementalGroups.orValue([])");
    match &rules.supplemental_groups {
        Groups::Any => {}
        Groups::May(ranges) => all.ask(
            format!("{groups}.all(g, {})", within("g", ranges)),
            format!("supplementalGroups must be within {}", shown(ranges)),
        ),
        Groups::Must(_, ranges) => all.ask(
            format!(
                "{groups}.size() > 0 && {groups}.all(g, {})",
                within("g", ranges)
            ),
            format!("supplementalGroups must be set, within {}", shown(ranges)),
        ),
    }
    sysctls(rules, all);
    if let Some(classes) = &rules.spec.runtime_class {
        let allowed: Vec<&str> = classes
            .allowed
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if !allowed.contains(&"*") {
            all.ask(
                format!(
                    "!has(object.spec.runtimeClassName) || object.spec.runtimeClassName in {}",
                    list(allowed.iter().copied())
                ),
                format!(
                    "runtimeClassName must be unset or one of [{}]",
                    allowed.join(", ")
                ),
            );
        }
    }
}

fn sysctls(rules: &Rules, all: &mut Writer) {
    let matches = |patterns: &[String]| {
        let each: Vec<String> = patterns
            .iter()
            .map(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => format!("s.name.startsWith({})", text(prefix)),
                None => format!("s.name == {}", text(pattern)),
            })
            .collect();
        any(&each)
    };
    let forbidden = match rules.spec.forbidden_sysctls.as_slice() {
        [] => String::new(),
        some => format!("!{} && ", matches(some)),
    };
    let allowed = match rules.spec.allowed_unsafe_sysctls.as_slice() {
        [] => String::new(),
        some => format!(" || {}", matches(some)),
    };
    let safe = list(SAFE_SYSCTLS);
    all.ask(
        format!(
            "variables.context.?sysctls.orValue([]).all(s, {forbidden}(s.name in {safe}{allowed}))"
        ),
        "a sysctl is not allowed",
    );
}

/// A field of the container's own security context, else of its pod's.
fn effective(field: &str) -> String {
    format!("c.?securityContext.?{field}.or(variables.context.?{field})")
}

fn of_containers(rules: &Rules, all: &mut Writer) {
    let spec = &rules.spec;
    users(rules, all);
    let group = effective("runAsGroup");
    match &rules.run_as_group {
        Groups::Any => {}
        Groups::May(ranges) => all.each(
            &format!(
                "!{group}.hasValue() || {}",
                within(&format!("{group}.value()"), ranges)
            ),
            format!("runAsGroup must be within {}", shown(ranges)),
        ),
        Groups::Must(_, ranges) => all.each(
            &within(&format!("{group}.orValue(-1)"), ranges),
            format!("runAsGroup must be set, within {}", shown(ranges)),
        ),
    }
    if let Some(label) = &rules.se_linux {
        se_linux(label, all);
    }
    app_armor(&rules.app_armor, all);
    seccomp(&rules.seccomp, all);
    if !spec.privileged {
        all.each(
            "!c.?securityContext.?privileged.orValue(false)",
            "privileged containers are not allowed",
        );
    }
    let proc_mounts: Vec<&str> = match spec.allowed_proc_mount_types.as_slice() {
        [] => vec!["Default"],
        some => some.iter().map(String::as_str).collect(),
    };
    all.each(
        &format!(
            "c.?securityContext.?procMount.orValue('Default') in {}",
            list(proc_mounts.iter().copied())
        ),
        format!("procMount must be one of [{}]", proc_mounts.join(", ")),
    );
    capabilities(rules, all);
    if spec.read_only_root_filesystem {
        all.each(
            "c.?securityContext.?readOnlyRootFilesystem.orValue(false)",
            "readOnlyRootFilesystem must be true",
        );
    }
    if !rules.escalation {
        all.each(
            "!c.?securityContext.?allowPrivilegeEscalation.orValue(true)",
            "allowPrivilegeEscalation must be false",
        );
    }
}

fn users(rules: &Rules, all: &mut Writer) {
    let user = effective("runAsUser");
    match &rules.users {
        Users::Any => {}
        Users::NonRoot => {
            let non_root = effective("runAsNonRoot");
            all.each(
                &format!(
                    "{non_root}.orValue(true) && {user}.orValue({non_root}.hasValue() ? 1 : 0) != 0"
                ),
                "runAsNonRoot must be true, or runAsUser a user that is not root",
            );
        }
        Users::Within(_, ranges) => all.each(
            &within(&format!("{user}.orValue(-1)"), ranges),
            format!("runAsUser must be set, within {}", shown(ranges)),
        ),
    }
}

fn se_linux(must: &SeLinux, all: &mut Writer) {
    let part = |key: &str| format!("l.?{key}.orValue('')");
    let level = part("level");
    let mut same = format!("{level} == {}", text(&must.level));
    if let Some((sensitivity, categories)) = must.level.split_once(':') {
        // The categories may stand in any order.
        let head = format!("{sensitivity}:");
        let rest = format!("{level}.substring({}).split(',')", head.chars().count());
        let categories: Vec<&str> = categories.split(',').collect();
        let mut each: Vec<String> = Vec::new();
        for category in &categories {
            let count = categories.iter().filter(|one| *one == category).count();
            let wanted = text(category);
            let counted = format!("{rest}.filter(x, x == {wanted}).size() == {count}");
            if !each.contains(&counted) {
                each.push(counted);
            }
        }
        same = format!(
            "({same} || ({level}.startsWith({}) && {rest}.size() == {} && {}))",
            text(&head),
            categories.len(),
            each.join(" && ")
        );
    }
    let rest = [
        ("user", &must.user),
        ("role", &must.role),
        ("type", &must.kind),
    ];
    let rest = rest.map(|(key, value)| format!("{} == {}", part(key), text(value)));
    let label = format!("l, {same} && {}", rest.join(" && "));
    // What is not set at all is no label, and the policy would have set one.
    all.ask(
        format!(
            "variables.context.?seLinuxOptions.hasValue() && [variables.context.seLinuxOptions].all({label}) \
             && variables.containers.all(c, !c.?securityContext.?seLinuxOptions.hasValue() \
             || [c.securityContext.seLinuxOptions].all({label}))"
        ),
        "seLinuxOptions must be set, to the policy's label",
    );
}

/// A profile of the field, as annotations said it.
const PROFILE: &str = "p.type == 'Unconfined' ? 'unconfined' : p.type == 'RuntimeDefault' ? 'runtime/default' \
     : p.type == 'Localhost' ? 'localhost/' + p.?localhostProfile.orValue('') : ''";

fn profile_in(optional: &str, unset: bool, allowed: &str) -> String {
    format!(
        "({optional}.hasValue() ? [{optional}.value()].all(p, ({PROFILE}) in {allowed}) : {unset})"
    )
}

fn app_armor(rule: &Profiles, all: &mut Writer) {
    if rule.written.is_none() {
        return;
    }
    let named = rule.allowed.iter().filter(|name| !name.is_empty());
    let allowed = list(named.map(String::as_str));
    all.each(
        &profile_in(&effective("appArmorProfile"), false, &allowed),
        format!("an AppArmor profile must be set, one of {allowed}"),
    );
}

fn seccomp(rule: &Profiles, all: &mut Writer) {
    if rule.any {
        return;
    }
    let pod = "variables.context.?seccompProfile";
    let own = effective("seccompProfile");
    if rule.allowed.is_empty() {
        // A profile that cannot be said counted as none.
        let none = list([""]);
        all.ask(
            format!(
                "{} && variables.containers.all(c, {})",
                profile_in(pod, true, &none),
                profile_in(&own, true, &none)
            ),
            "a seccomp profile may not be set",
        );
        return;
    }
    let allowed = list(rule.allowed.iter().map(String::as_str));
    let unset = rule.allowed.contains("");
    all.ask(
        format!(
            "{} && variables.containers.all(c, {})",
            profile_in(pod, unset, &allowed),
            profile_in(&own, unset, &allowed)
        ),
        format!(
            "a seccomp profile must be set for the pod and in its containers, one of {allowed}"
        ),
    );
}

fn capabilities(rules: &Rules, all: &mut Writer) {
    let has = |key: &str| format!("c.?securityContext.?capabilities.?{key}.orValue([])");
    if !rules.all_capabilities {
        let allowed = rules.spec.allowed_capabilities.iter().flatten();
        let allowed: Vec<&str> = allowed
            .chain(&rules.default_add)
            .map(String::as_str)
            .collect();
        all.each(
            &format!(
                "{}.all(x, x in {})",
                has("add"),
                list(allowed.iter().copied())
            ),
            format!(
                "capabilities may be added from [{}] only",
                allowed.join(", ")
            ),
        );
    }
    if !rules.required_drop.is_empty() {
        let dropped: Vec<String> = rules
            .required_drop
            .iter()
            .map(|one| format!("{} in {}", text(one), has("drop")))
            .collect();
        all.each(
            &dropped.join(" && "),
            format!(
                "capabilities must be dropped: {}",
                rules.required_drop.join(", ")
            ),
        );
    }
}
