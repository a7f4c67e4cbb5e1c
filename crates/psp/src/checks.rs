//! Validation: whether a mutated pod is what a policy asks. What mutation has just set is not asked
//! for again: of the original's messages those are left out that no pod can get.

use std::fmt::Display;

use crate::draft::{ContainerDraft, Draft};
use crate::field::FieldError;
use crate::pod::{APPARMOR, Container, Pod, SECCOMP_CONTAINER, SECCOMP_POD};
use crate::policy::{AllowedHostPath, IdRange, SeLinux};
use crate::quote::{Quoted, ranges};
use crate::rules::{Groups, Profiles, Rules, Users};
use crate::volumes::{CSI, FLEX, HOST_PATH, PROJECTED, Volume};

/// The sysctls that every pod may set.
pub(crate) const SAFE_SYSCTLS: [&str; 5] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
];

/// Whether the pod is what the policy asks.
pub(crate) fn fits(pod: &Pod<'_>, draft: &Draft<'_>, rules: &Rules) -> bool {
    let mut errors = Errors {
        failed: false,
        list: None,
    };
    check(pod, draft, rules, &mut errors);
    !errors.failed
}

/// What of the pod is not what the policy asks.
pub(crate) fn errors(pod: &Pod<'_>, draft: &Draft<'_>, rules: &Rules) -> Vec<FieldError> {
    let mut errors = Errors {
        failed: false,
        list: Some(Vec::new()),
    };
    check(pod, draft, rules, &mut errors);
    errors.list.unwrap_or_default()
}

/// What fails. Words are only made if somebody reads them.
struct Errors {
    failed: bool,
    list: Option<Vec<FieldError>>,
}

impl Errors {
    fn add(&mut self, error: impl FnOnce() -> FieldError) {
        self.failed = true;
        if let Some(list) = &mut self.list {
            list.push(error());
        }
    }

    /// Whether nobody wants to know more.
    fn enough(&self) -> bool {
        self.failed && self.list.is_none()
    }
}

fn check(pod: &Pod<'_>, draft: &Draft<'_>, rules: &Rules, errors: &mut Errors) {
    let fs_group = draft.fs_group.as_ref().map(std::slice::from_ref);
    groups(
        &rules.fs_group,
        fs_group,
        || "spec.securityContext.fsGroup".to_owned(),
        errors,
    );
    groups(
        &rules.supplemental_groups,
        draft.groups.as_deref(),
        || "spec.securityContext.supplementalGroups".to_owned(),
        errors,
    );
    let seccomp = match draft.seccomp.as_deref() {
        None | Some("") => pod.seccomp.as_deref(),
        noted => noted,
    };
    profile(
        &rules.seccomp,
        seccomp.unwrap_or_default(),
        || annotation(SECCOMP_POD, ""),
        errors,
    );
    se_linux(
        rules.se_linux.as_ref(),
        draft.se_linux,
        || "spec.securityContext".to_owned(),
        errors,
    );
    host(pod, rules, errors);
    sysctls(pod, rules, errors);
    if errors.enough() {
        return;
    }
    for (index, volume) in pod.volumes.iter().enumerate() {
        check_volume(pod, rules, (index, volume), errors);
    }
    if let (Some(classes), Some(name)) = (&rules.spec.runtime_class, draft.runtime_class) {
        let mut allowed = classes.allowed.iter().flatten();
        if !allowed.any(|one| one == "*" || one == name) {
            errors.add(|| FieldError::invalid_text("spec.runtimeClassName".to_owned(), name, ""));
        }
    }
    for (container, own) in pod.containers.iter().zip(&draft.containers) {
        if errors.enough() {
            return;
        }
        check_container(pod, draft, rules, (container, own), errors);
    }
}

fn host(pod: &Pod<'_>, rules: &Rules, errors: &mut Errors) {
    for (uses, may, name, words) in [
        (
            pod.host_network,
            rules.spec.host_network,
            "hostNetwork",
            "Host network",
        ),
        (pod.host_pid, rules.spec.host_pid, "hostPID", "Host PID"),
        (pod.host_ipc, rules.spec.host_ipc, "hostIPC", "Host IPC"),
    ] {
        if uses && !may {
            errors.add(|| {
                let detail = format!("{words} is not allowed to be used");
                FieldError::invalid(format!("spec.securityContext.{name}"), true, &detail)
            });
        }
    }
}

/// Whether the policy refuses the pod whatever it sets in it. Most policies that refuse a pod do, and
/// need not be asked what they would set.
pub(crate) fn refuses_at_once(pod: &Pod<'_>, rules: &Rules) -> bool {
    let mut errors = Errors {
        failed: false,
        list: None,
    };
    host(pod, rules, &mut errors);
    sysctls(pod, rules, &mut errors);
    for (index, volume) in pod.volumes.iter().enumerate() {
        if errors.enough() {
            return true;
        }
        check_volume(pod, rules, (index, volume), &mut errors);
    }
    let mut containers = pod.containers.iter();
    errors.failed
        || containers.any(|container| container.privileged == Some(true) && !rules.spec.privileged)
}

/// The path of an annotation, as the original writes it.
fn annotation(prefix: &str, name: &str) -> String {
    format!("pod.metadata.annotations[{prefix}{name}]")
}

fn within(ranges: &[IdRange], id: i64) -> bool {
    ranges.iter().any(|range| range.has(id))
}

fn groups(rule: &Groups, has: Option<&[i64]>, field: impl Fn() -> String, errors: &mut Errors) {
    let allowed = match rule {
        Groups::Any => return,
        Groups::May(allowed) | Groups::Must(_, allowed) => allowed,
    };
    let listed = || match has {
        None => "[]int64(nil)".to_owned(),
        Some(ids) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            format!("[]int64{{{}}}", ids.join(", "))
        }
    };
    let has_ids = has.unwrap_or_default();
    if matches!(rule, Groups::Must(..)) && has_ids.is_empty() {
        errors.add(|| {
            let detail = "unable to validate empty groups against required ranges";
            FieldError::invalid(field(), listed(), detail)
        });
    }
    for id in has_ids.iter().filter(|id| !within(allowed, **id)) {
        errors.add(|| {
            let detail = format!("group {id} must be in the ranges: {}", ranges(allowed));
            FieldError::invalid(field(), listed(), &detail)
        });
    }
}

fn profile(rule: &Profiles, has: &str, field: impl Fn() -> String, errors: &mut Errors) {
    if rule.any || (rule.allowed.is_empty() && has.is_empty()) {
        return;
    }
    if rule.allowed.is_empty() {
        errors.add(|| FieldError::forbidden(field(), "seccomp may not be set"));
    } else if !rule.allowed.contains(has) {
        let allowed = rule.written.as_deref().unwrap_or_default();
        errors.add(|| {
            let detail =
                format!("{has} is not an allowed seccomp profile. Valid values are {allowed}");
            FieldError::forbidden(field(), &detail)
        });
    }
}

fn se_linux(
    rule: Option<&SeLinux>,
    has: Option<&SeLinux>,
    context: impl Fn() -> String,
    errors: &mut Errors,
) {
    // A policy with a label has given it to every pod that had none.
    let (Some(must), Some(has)) = (rule, has) else {
        return;
    };
    for (part, must, has, same) in [
        (
            "level",
            &must.level,
            &has.level,
            same_level(&must.level, &has.level),
        ),
        ("role", &must.role, &has.role, must.role == has.role),
        ("type", &must.kind, &has.kind, must.kind == has.kind),
        ("user", &must.user, &has.user, must.user == has.user),
    ] {
        if !same {
            errors.add(|| {
                let field = format!("{}.seLinuxOptions.{part}", context());
                FieldError::invalid_text(field, has, &format!("must be {must}"))
            });
        }
    }
}

/// Levels are the same if their categories are, in any order.
fn same_level(a: &str, b: &str) -> bool {
    let sorted = |categories: &str| {
        let mut all: Vec<String> = categories.split(',').map(str::to_owned).collect();
        all.sort_unstable();
        all
    };
    a == b
        || match (a.split_once(':'), b.split_once(':')) {
            (Some((a, of_a)), Some((b, of_b))) => a == b && sorted(of_a) == sorted(of_b),
            _ => false,
        }
}

fn sysctls(pod: &Pod<'_>, rules: &Rules, errors: &mut Errors) {
    let matches = |patterns: &[String], name: &str| {
        patterns
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
    };
    for (index, name) in pod.sysctls.iter().enumerate() {
        let unsafe_word = if matches(&rules.spec.forbidden_sysctls, name) {
            ""
        } else if SAFE_SYSCTLS.contains(name) || matches(&rules.spec.allowed_unsafe_sysctls, name) {
            continue;
        } else {
            "unsafe "
        };
        errors.add(|| {
            let detail = format!("{unsafe_word}sysctl {} is not allowed", Quoted(name));
            FieldError::forbidden(
                format!("pod.spec.securityContext.sysctls[{index}]"),
                &detail,
            )
        });
    }
}

fn check_volume(
    pod: &Pod<'_>,
    rules: &Rules,
    (index, volume): (usize, &Volume<'_>),
    errors: &mut Errors,
) {
    let at = |below: &str| format!("spec.volumes[{index}]{below}");
    let Some(kind) = volume.kind else {
        // The original had no name for it either, and refused it whatever the policy said.
        let detail = format!("unknown volume type for volume: {}", Quoted(volume.name));
        errors.add(|| FieldError::invalid_text(at(""), "", &detail));
        return;
    };
    let token = kind == PROJECTED && volume.only_token && rules.may_mount("secret");
    if !(rules.may_mount(kind) || token) {
        let detail = format!("{kind} volumes are not allowed to be used");
        errors.add(|| FieldError::invalid_text(at(""), kind, &detail));
        return;
    }
    let spec = &rules.spec;
    let one_of = |drivers: &[String]| {
        drivers.is_empty() || drivers.iter().any(|driver| driver == volume.detail)
    };
    match kind {
        HOST_PATH => match host_path(&spec.allowed_host_paths, volume.detail) {
            Mount::Any => {}
            Mount::No => errors.add(|| {
                let field = at(".hostPath.pathPrefix");
                FieldError::invalid_text(field, volume.detail, "is not allowed to be used")
            }),
            Mount::ReadOnly => read_only(pod, volume.name, errors),
        },
        FLEX if !one_of(&spec.allowed_flex_volumes) => errors.add(|| {
            let detail = "Flexvolume driver is not allowed to be used";
            FieldError::invalid_text(at(".driver"), volume.detail, detail)
        }),
        CSI if !one_of(&spec.allowed_csi_drivers) => errors.add(|| {
            let detail = "Inline CSI driver is not allowed to be used";
            FieldError::invalid_text(at(".csi.driver"), volume.detail, detail)
        }),
        _ => {}
    }
}

enum Mount {
    Any,
    ReadOnly,
    No,
}

/// How a path may be mounted. One match that is writable outweighs all that are read-only.
fn host_path(allowed: &[AllowedHostPath], path: &str) -> Mount {
    let matches: Vec<_> = allowed
        .iter()
        .filter(|one| under(path, &one.path_prefix))
        .collect();
    if allowed.is_empty() || matches.iter().any(|one| !one.read_only) {
        Mount::Any
    } else if matches.is_empty() {
        Mount::No
    } else {
        Mount::ReadOnly
    }
}

fn under(path: &str, prefix: &str) -> bool {
    let trimmed = |path| -> &str { str::strip_suffix(path, "/").unwrap_or(path) };
    let rest = trimmed(path).strip_prefix(trimmed(prefix));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn read_only(pod: &Pod<'_>, volume: &str, errors: &mut Errors) {
    for container in &pod.containers {
        for (index, (name, read_only)) in container.mounts.iter().enumerate() {
            if *name == volume && !read_only {
                errors.add(|| {
                    let field = format!("{}.volumeMounts[{index}].readOnly", container.path());
                    FieldError::invalid(field, false, "must be read-only")
                });
            }
        }
    }
}

fn check_container(
    pod: &Pod<'_>,
    draft: &Draft<'_>,
    rules: &Rules,
    (container, own): (&Container<'_>, &ContainerDraft<'_>),
    errors: &mut Errors,
) {
    let context = || format!("{}.securityContext", container.path());
    user(pod, rules, own, context, errors);
    let group = own.run_as_group.or(pod.run_as_group);
    groups(
        &rules.run_as_group,
        group.as_ref().map(std::slice::from_ref),
        context,
        errors,
    );
    se_linux(
        rules.se_linux.as_ref(),
        own.se_linux.or(draft.se_linux),
        context,
        errors,
    );
    app_armor(rules, container, own, errors);
    let seccomp = container
        .seccomp
        .as_deref()
        .or(container.seccomp_note)
        .or(pod.seccomp.as_deref())
        .or(draft.seccomp.as_deref());
    profile(
        &rules.seccomp,
        seccomp.unwrap_or_default(),
        || annotation(SECCOMP_CONTAINER, container.name),
        errors,
    );
    let mut wrong = |field: &str, value: &dyn Display, detail: &str| {
        errors.add(|| FieldError::invalid(format!("{}.{field}", context()), value, detail));
    };
    if container.privileged == Some(true) && !rules.spec.privileged {
        wrong("privileged", &true, "Privileged containers are not allowed");
    }
    let proc_mounts = &rules.spec.allowed_proc_mount_types;
    let listed = proc_mounts.iter().any(|one| one == container.proc_mount);
    if !(listed || proc_mounts.is_empty() && container.proc_mount == "Default") {
        wrong(
            "procMount",
            &Quoted(container.proc_mount),
            "ProcMountType is not allowed",
        );
    }
    let added = own
        .capabilities
        .iter()
        .flat_map(|own| own.add.iter().flatten());
    for added in added.filter(|_| !rules.all_capabilities) {
        let allowed = rules.spec.allowed_capabilities.iter().flatten();
        let mut may = rules.default_add.iter().chain(allowed);
        if !may.any(|one| one == added) {
            wrong(
                "capabilities.add",
                &Quoted(added),
                "capability may not be added",
            );
        }
    }
    for port in &container.host_ports {
        let port = *port;
        let mut allowed = rules.spec.host_ports.iter();
        if port > 0 && !allowed.any(|range| (range.min.into()..=range.max.into()).contains(&port)) {
            errors.add(|| host_port(rules, container, port));
        }
    }
    let mut wrong = |field: &str, value: bool, detail: &str| {
        errors.add(|| FieldError::invalid(format!("{}.{field}", context()), value, detail));
    };
    if rules.spec.read_only_root_filesystem && own.read_only_root == Some(false) {
        let detail = "ReadOnlyRootFilesystem must be set to true";
        wrong("readOnlyRootFilesystem", false, detail);
    }
    if !rules.escalation && own.escalation == Some(true) {
        let detail = "Allowing privilege escalation for containers is not allowed";
        wrong("allowPrivilegeEscalation", true, detail);
    }
}

fn user(
    pod: &Pod<'_>,
    rules: &Rules,
    own: &ContainerDraft<'_>,
    context: impl Fn() -> String,
    errors: &mut Errors,
) {
    let user = own.run_as_user.or(pod.run_as_user);
    let non_root = own.run_as_non_root.or(pod.run_as_non_root);
    match &rules.users {
        Users::Any => {}
        Users::NonRoot if non_root == Some(false) => errors.add(|| {
            let field = format!("{}.runAsNonRoot", context());
            FieldError::invalid(field, false, "must be true")
        }),
        Users::NonRoot if user == Some(0) => errors.add(|| {
            let field = format!("{}.runAsUser", context());
            FieldError::invalid(field, 0, "running with the root UID is forbidden")
        }),
        Users::NonRoot => {}
        Users::Within(_, allowed) => {
            if let Some(id) = user.filter(|id| !within(allowed, *id)) {
                errors.add(|| {
                    let detail = format!("must be in the ranges: {}", ranges(allowed));
                    FieldError::invalid(format!("{}.runAsUser", context()), id, &detail)
                });
            }
        }
    }
}

fn app_armor(
    rules: &Rules,
    container: &Container<'_>,
    own: &ContainerDraft<'_>,
    errors: &mut Errors,
) {
    // Where seccomp takes no list for "none", AppArmor takes it for "any".
    let Some(written) = &rules.app_armor.written else {
        return;
    };
    let field = || annotation(APPARMOR, container.name);
    match own.apparmor.unwrap_or_default() {
        "" => errors.add(|| FieldError::forbidden(field(), "AppArmor profile must be set")),
        profile if rules.app_armor.allowed.contains(profile) => {}
        profile => errors.add(|| {
            let allowed = Quoted(written);
            let detail = format!("{profile} is not an allowed profile. Allowed values: {allowed}");
            FieldError::forbidden(field(), &detail)
        }),
    }
}

fn host_port(rules: &Rules, container: &Container<'_>, port: i64) -> FieldError {
    let allowed = rules.spec.host_ports.iter().map(|range| {
        if range.min == range.max {
            range.min.to_string()
        } else {
            format!("{}-{}", range.min, range.max)
        }
    });
    let allowed: Vec<String> = allowed.collect();
    let allowed = allowed.join(",");
    let detail = format!("Host port {port} is not allowed to be used. Allowed ports: [{allowed}]");
    FieldError::invalid(format!("{}.hostPort", container.path()), port, &detail)
}
