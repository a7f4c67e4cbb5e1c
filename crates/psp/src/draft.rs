//! Mutation: what a policy sets in a pod that has left it unset. Only what may change is held; the
//! pod itself is not copied.

use std::borrow::Cow;

use crate::pod::{Capabilities, Pod};
use crate::policy::SeLinux;
use crate::rules::{Rules, Users};

/// A pod as a policy has mutated it.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) groups: Option<Cow<'a, [i64]>>,
    pub(crate) fs_group: Option<i64>,
    pub(crate) se_linux: Option<&'a SeLinux>,
    /// The annotation that holds the pod's seccomp profile.
    pub(crate) seccomp: Option<Cow<'a, str>>,
    pub(crate) runtime_class: Option<&'a str>,
    pub(crate) containers: Vec<ContainerDraft<'a>>,
    /// Whether anything differs from the pod.
    pub(crate) mutated: bool,
}

/// A container as a policy has mutated it. What it has of its own, not what it has of its pod.
#[derive(Debug)]
pub(crate) struct ContainerDraft<'a> {
    pub(crate) run_as_user: Option<i64>,
    pub(crate) run_as_group: Option<i64>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) se_linux: Option<&'a SeLinux>,
    pub(crate) apparmor: Option<&'a str>,
    pub(crate) capabilities: Option<Cow<'a, Capabilities<'a>>>,
    pub(crate) read_only_root: Option<bool>,
    pub(crate) escalation: Option<bool>,
}

impl<'a> Draft<'a> {
    /// Mutates.
    pub(crate) fn of(pod: &'a Pod<'a>, rules: &'a Rules) -> Self {
        let mut draft = Self {
            groups: pod.supplemental_groups.as_deref().map(Cow::Borrowed),
            fs_group: pod.fs_group,
            se_linux: pod.se_linux.as_ref(),
            seccomp: pod.seccomp_note().map(Cow::Borrowed),
            runtime_class: pod.runtime_class,
            containers: Vec::with_capacity(pod.containers.len()),
            mutated: false,
        };
        let mutated = &mut draft.mutated;
        let default = rules.supplemental_groups.default();
        set(
            &mut draft.groups,
            default.map(|id| Cow::Owned(vec![id])),
            mutated,
        );
        set(&mut draft.fs_group, rules.fs_group.default(), mutated);
        set(&mut draft.se_linux, rules.se_linux.as_ref(), mutated);
        if draft.seccomp.as_deref().unwrap_or_default().is_empty() {
            let profile = pod.seccomp.as_deref().unwrap_or(&rules.seccomp.default);
            if !profile.is_empty() {
                draft.seccomp = Some(Cow::Borrowed(profile));
                *mutated = true;
            }
        }
        if let Some(classes) = &rules.spec.runtime_class {
            set(
                &mut draft.runtime_class,
                classes.default.as_deref(),
                mutated,
            );
        }
        for index in 0..pod.containers.len() {
            draft.container(pod, index, rules);
        }
        draft
    }

    fn container(&mut self, pod: &'a Pod<'a>, index: usize, rules: &'a Rules) {
        let Some(container) = pod.containers.get(index) else {
            return;
        };
        let mutated = &mut self.mutated;
        let mut own = ContainerDraft {
            run_as_user: container.run_as_user,
            run_as_group: container.run_as_group,
            run_as_non_root: container.run_as_non_root,
            se_linux: container.se_linux.as_ref(),
            apparmor: container.apparmor.as_deref(),
            capabilities: container.capabilities.as_ref().map(Cow::Borrowed),
            read_only_root: container.read_only_root,
            escalation: container.escalation,
        };
        // The pod's value holds for the container, so it is not unset.
        if pod.run_as_user.is_none() {
            let default = match &rules.users {
                Users::Within(first, _) => Some(*first),
                Users::Any | Users::NonRoot => None,
            };
            set(&mut own.run_as_user, default, mutated);
        }
        if pod.run_as_group.is_none() {
            set(&mut own.run_as_group, rules.run_as_group.default(), mutated);
        }
        // No SELinux label: the pod has got one by now, if the policy has one.
        let app_armor = Some(rules.app_armor.default.as_str());
        if own.apparmor.unwrap_or_default().is_empty()
            && app_armor.is_some_and(|default| !default.is_empty())
        {
            own.apparmor = app_armor;
            *mutated = true;
        }
        let user = own.run_as_user.or(pod.run_as_user);
        let non_root = own.run_as_non_root.or(pod.run_as_non_root);
        if matches!(rules.users, Users::NonRoot) && user.is_none() && non_root.is_none() {
            set(&mut own.run_as_non_root, Some(true), mutated);
        }
        if let Some(made) = combined(own.capabilities.as_deref(), rules) {
            own.capabilities = Some(Cow::Owned(made));
            *mutated = true;
        }
        let read_only = rules.spec.read_only_root_filesystem.then_some(true);
        set(&mut own.read_only_root, read_only, mutated);
        set(
            &mut own.escalation,
            rules.spec.default_allow_privilege_escalation,
            mutated,
        );
        set(
            &mut own.escalation,
            (!rules.escalation).then_some(false),
            mutated,
        );
        self.containers.push(own);
    }
}

/// Sets what is unset.
fn set<T>(place: &mut Option<T>, default: Option<T>, mutated: &mut bool) {
    if place.is_none() && default.is_some() {
        *place = default;
        *mutated = true;
    }
}

/// The container's capabilities with the policy's; none if the policy has nothing to add.
fn combined<'a>(own: Option<&Capabilities<'a>>, rules: &'a Rules) -> Option<Capabilities<'a>> {
    let add = own.and_then(|own| own.add.as_deref()).unwrap_or_default();
    let drop = own.and_then(|own| own.drop.as_deref()).unwrap_or_default();
    let lacks = |list: &[&str], one: &String| !list.contains(&one.as_str());
    let mut more = rules
        .default_add
        .iter()
        .filter(|one| lacks(drop, one) && lacks(add, one))
        .peekable();
    let mut less = rules
        .required_drop
        .iter()
        .filter(|one| lacks(drop, one))
        .peekable();
    if more.peek().is_none() && less.peek().is_none() {
        return None;
    }
    Some(Capabilities {
        add: sorted(add, more),
        drop: sorted(drop, less),
    })
}

fn sorted<'a>(own: &[&'a str], more: impl Iterator<Item = &'a String>) -> Option<Vec<&'a str>> {
    let mut all: Vec<&str> = own
        .iter()
        .copied()
        .chain(more.map(String::as_str))
        .collect();
    all.sort_unstable();
    all.dedup();
    (!all.is_empty()).then_some(all)
}
