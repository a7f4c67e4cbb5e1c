//! Whether one policy admits as they are all pods that another admits as they are. Where it is not
//! plain the answer is no.

use std::collections::BTreeSet;

use crate::policy::{IdRange, Spec};
use crate::rules::{Groups, Profiles, Rules, Users};

/// Whether `wide` does.
pub(super) fn covers(wide: &Rules, narrow: &Rules) -> bool {
    let (a, b) = (&wide.spec, &narrow.spec);
    let flags = [
        (a.privileged, b.privileged),
        (a.host_network, b.host_network),
        (a.host_pid, b.host_pid),
        (a.host_ipc, b.host_ipc),
        (wide.escalation, narrow.escalation),
        (!a.read_only_root_filesystem, !b.read_only_root_filesystem),
    ];
    flags.into_iter().all(|(wide, narrow)| wide || !narrow)
        && (a.default_allow_privilege_escalation.is_none() || !narrow.escalation)
        && capabilities(wide, narrow)
        && volumes(wide, narrow)
        && ids(wide, narrow)
        && (wide.se_linux.is_none() || wide.se_linux == narrow.se_linux)
        && seccomp(&wide.seccomp, &narrow.seccomp)
        && app_armor(&wide.app_armor, &narrow.app_armor)
        && b.host_ports.iter().all(|narrow| {
            let mut ranges = a.host_ports.iter();
            ranges.any(|wide| wide.min <= narrow.min && narrow.max <= wide.max)
        })
        && subset(&a.forbidden_sysctls, &b.forbidden_sysctls)
        && (subset(&b.allowed_unsafe_sysctls, &a.allowed_unsafe_sysctls)
            || a.allowed_unsafe_sysctls.iter().any(|one| one == "*"))
        && proc_mounts(b).is_subset(&proc_mounts(a))
        && runtime_classes(a, b)
}

fn subset(narrow: &[String], wide: &[String]) -> bool {
    narrow.iter().all(|one| wide.contains(one))
}

fn capabilities(wide: &Rules, narrow: &Rules) -> bool {
    let addable = |rules: &Rules| -> BTreeSet<String> {
        let allowed = rules.spec.allowed_capabilities.iter().flatten();
        allowed.chain(&rules.default_add).cloned().collect()
    };
    let adds = wide.all_capabilities
        || !narrow.all_capabilities && addable(narrow).is_subset(&addable(wide));
    adds && subset(&wide.required_drop, &narrow.required_drop) && wide.default_add.is_empty()
}

fn volumes(wide: &Rules, narrow: &Rules) -> bool {
    let (a, b) = (&wide.spec, &narrow.spec);
    let some = |wide: &[String], narrow: &[String]| {
        wide.is_empty() || (!narrow.is_empty() && subset(narrow, wide))
    };
    (wide.all_volumes || !narrow.all_volumes && subset(&b.volumes, &a.volumes))
        && (a.allowed_host_paths.is_empty() || a.allowed_host_paths == b.allowed_host_paths)
        && some(&a.allowed_flex_volumes, &b.allowed_flex_volumes)
        && some(&a.allowed_csi_drivers, &b.allowed_csi_drivers)
}

fn within(narrow: &[IdRange], wide: &[IdRange]) -> bool {
    let inside = |one: &IdRange| {
        let mut ranges = wide.iter();
        ranges.any(|range| range.min <= one.min && one.max <= range.max)
    };
    narrow.iter().all(inside)
}

fn ids(wide: &Rules, narrow: &Rules) -> bool {
    let users = match (&wide.users, &narrow.users) {
        (Users::Any, _) | (Users::NonRoot, Users::NonRoot) => true,
        (Users::Within(_, wide), Users::Within(_, narrow)) => within(narrow, wide),
        _ => false,
    };
    let groups = |wide: &Groups, narrow: &Groups| match (wide, narrow) {
        (Groups::Any, _) => true,
        (Groups::May(wide), Groups::May(narrow) | Groups::Must(_, narrow))
        | (Groups::Must(_, wide), Groups::Must(_, narrow)) => within(narrow, wide),
        _ => false,
    };
    users
        && groups(&wide.run_as_group, &narrow.run_as_group)
        && groups(&wide.fs_group, &narrow.fs_group)
        && groups(&wide.supplemental_groups, &narrow.supplemental_groups)
}

fn seccomp(wide: &Profiles, narrow: &Profiles) -> bool {
    // What is unset must stay unset, where the narrow policy lets it be.
    let kept = wide.default.is_empty()
        || (!narrow.any && !narrow.allowed.is_empty() && !narrow.allowed.contains(""));
    let allowed = wide.any
        || !narrow.any
            && wide.allowed.is_empty() == narrow.allowed.is_empty()
            && narrow.allowed.is_subset(&wide.allowed);
    kept && allowed
}

fn app_armor(wide: &Profiles, narrow: &Profiles) -> bool {
    let kept = wide.default.is_empty() || narrow.written.is_some();
    let allowed = wide.written.is_none()
        || (narrow.written.is_some() && narrow.allowed.is_subset(&wide.allowed));
    kept && allowed
}

fn proc_mounts(spec: &Spec) -> BTreeSet<&str> {
    match spec.allowed_proc_mount_types.as_slice() {
        [] => BTreeSet::from(["Default"]),
        some => some.iter().map(String::as_str).collect(),
    }
}

fn runtime_classes(wide: &Spec, narrow: &Spec) -> bool {
    let Some(wide) = &wide.runtime_class else {
        return true;
    };
    let allowed = wide.allowed.as_deref().unwrap_or_default();
    let listed = || {
        let narrow = narrow.runtime_class.as_ref()?;
        Some(subset(
            narrow.allowed.as_deref().unwrap_or_default(),
            allowed,
        ))
    };
    wide.default.is_none() && (allowed.iter().any(|one| one == "*") || listed().unwrap_or_default())
}
