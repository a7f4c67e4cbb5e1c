//! A policy, made ready to be held against many pods.

use std::collections::BTreeSet;

use crate::policy::{GroupRule, IdRange, PodSecurityPolicy, SeLinux, Spec};

/// The annotation that names the seccomp profiles that pods may have.
pub(crate) const SECCOMP_ALLOWED: &str = "seccomp.security.alpha.kubernetes.io/allowedProfileNames";
/// The annotation that names the seccomp profile of pods that have none.
pub(crate) const SECCOMP_DEFAULT: &str = "seccomp.security.alpha.kubernetes.io/defaultProfileName";
/// The annotation that names the AppArmor profiles that containers may have.
pub(crate) const APPARMOR_ALLOWED: &str =
    "apparmor.security.beta.kubernetes.io/allowedProfileNames";
/// The annotation that names the AppArmor profile of containers that have none.
pub(crate) const APPARMOR_DEFAULT: &str = "apparmor.security.beta.kubernetes.io/defaultProfileName";

/// A policy that can be held against pods.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) name: String,
    pub(crate) spec: Spec,
    pub(crate) users: Users,
    pub(crate) run_as_group: Groups,
    pub(crate) supplemental_groups: Groups,
    pub(crate) fs_group: Groups,
    pub(crate) se_linux: Option<SeLinux>,
    pub(crate) seccomp: Profiles,
    pub(crate) app_armor: Profiles,
    pub(crate) escalation: bool,
    pub(crate) all_volumes: bool,
    pub(crate) all_capabilities: bool,
    pub(crate) default_add: Vec<String>,
    pub(crate) required_drop: Vec<String>,
}

/// Which users containers may run as.
#[derive(Debug, Clone)]
pub(crate) enum Users {
    Any,
    NonRoot,
    /// The first range's first is the default. Never empty.
    Within(i64, Vec<IdRange>),
}

/// Which groups pods may have.
#[derive(Debug, Clone)]
pub(crate) enum Groups {
    Any,
    May(Vec<IdRange>),
    /// The first range's first is the default. Never empty.
    Must(i64, Vec<IdRange>),
}

/// Which profiles there may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profiles {
    pub(crate) default: String,
    /// As it was written; none if it was not.
    pub(crate) written: Option<String>,
    pub(crate) allowed: BTreeSet<String>,
    pub(crate) any: bool,
}

impl Rules {
    /// Whether volumes of a kind are allowed, as `volumes` names kinds.
    pub(crate) fn may_mount(&self, kind: &str) -> bool {
        self.all_volumes || self.spec.volumes.iter().any(|one| one == kind)
    }

    /// # Errors
    /// Why the policy cannot be held against pods: the original leaves such policies out.
    pub(crate) fn of(policy: &PodSecurityPolicy) -> Result<Self, Vec<String>> {
        let spec = &policy.spec;
        let mut wrong = Vec::new();
        let users = match (
            spec.run_as_user.rule.as_str(),
            spec.run_as_user.ranges.first(),
        ) {
            ("RunAsAny", _) => Some(Users::Any),
            ("MustRunAsNonRoot", _) => Some(Users::NonRoot),
            ("MustRunAs", Some(first)) => {
                Some(Users::Within(first.min, spec.run_as_user.ranges.clone()))
            }
            ("MustRunAs", None) => {
                wrong.push("MustRunAs requires at least one range".to_owned());
                None
            }
            (other, _) => {
                wrong.push(format!("Unrecognized RunAsUser strategy type {other}"));
                None
            }
        };
        let mut groups = |name: &str, rule: &GroupRule| match Groups::of(name, rule) {
            Ok(groups) => Some(groups),
            Err(message) => {
                wrong.push(message);
                None
            }
        };
        let run_as_group = match &spec.run_as_group {
            Some(rule) => groups("RunAsGroup", rule),
            None => Some(Groups::Any),
        };
        let fs_group = groups("FSGroup", &spec.fs_group);
        let supplemental_groups = groups("SupplementalGroups", &spec.supplemental_groups);
        let se_linux = match (spec.se_linux.rule.as_str(), &spec.se_linux.options) {
            ("RunAsAny", _) => None,
            ("MustRunAs", Some(label)) => Some(label.clone()),
            ("MustRunAs", None) => {
                wrong.push("MustRunAs requires SELinuxOptions".to_owned());
                None
            }
            (other, _) => {
                wrong.push(format!("Unrecognized SELinuxContext strategy type {other}"));
                None
            }
        };
        let (Some(users), Some(run_as_group), Some(fs_group), Some(supplemental_groups), true) = (
            users,
            run_as_group,
            fs_group,
            supplemental_groups,
            wrong.is_empty(),
        ) else {
            return Err(wrong);
        };
        let note = |key: &str| policy.annotations.get(key).map(String::as_str);
        let capabilities = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let allowed_capabilities = spec.allowed_capabilities.iter().flatten();
        Ok(Self {
            name: policy.name.clone(),
            users,
            run_as_group,
            supplemental_groups,
            fs_group,
            se_linux,
            seccomp: Profiles::seccomp(note(SECCOMP_DEFAULT), note(SECCOMP_ALLOWED)),
            app_armor: Profiles::app_armor(note(APPARMOR_DEFAULT), note(APPARMOR_ALLOWED)),
            escalation: spec.allow_privilege_escalation.unwrap_or(true),
            all_volumes: spec.volumes.iter().any(|volume| volume == "*"),
            all_capabilities: allowed_capabilities.into_iter().any(|one| one == "*"),
            default_add: capabilities(&spec.default_add_capabilities),
            required_drop: capabilities(&spec.required_drop_capabilities),
            spec: spec.clone(),
        })
    }
}

impl Groups {
    fn of(name: &str, rule: &GroupRule) -> Result<Self, String> {
        let ranges = rule.ranges.clone().unwrap_or_default();
        match (rule.rule.as_str(), ranges.first()) {
            ("RunAsAny", _) => Ok(Self::Any),
            ("MayRunAs", Some(_)) => Ok(Self::May(ranges)),
            ("MustRunAs", Some(first)) => Ok(Self::Must(first.min, ranges)),
            (rule @ ("MayRunAs" | "MustRunAs"), None) => {
                Err(format!("ranges must be supplied for {rule}"))
            }
            (other, _) => Err(format!("Unrecognized {name} strategy type {other}")),
        }
    }

    /// The group for a pod that has none.
    pub(crate) fn default(&self) -> Option<i64> {
        match self {
            Self::Must(first, _) => Some(*first),
            Self::Any | Self::May(_) => None,
        }
    }
}

impl Profiles {
    fn seccomp(default: Option<&str>, allowed: Option<&str>) -> Self {
        let mut profiles = Self::app_armor(default, allowed);
        profiles.any = profiles.allowed.remove("*");
        // One profile with two names.
        let both = ["docker/default", "runtime/default"];
        if both.iter().any(|name| profiles.allowed.contains(*name)) {
            profiles.allowed.extend(both.map(str::to_owned));
        }
        profiles
    }

    /// Names are not trimmed: a space after the comma belongs to the name.
    fn app_armor(default: Option<&str>, allowed: Option<&str>) -> Self {
        Self {
            default: default.unwrap_or_default().to_owned(),
            written: allowed.map(str::to_owned),
            allowed: allowed
                .into_iter()
                .flat_map(|names| names.split(','))
                .map(str::to_owned)
                .collect(),
            any: false,
        }
    }
}
