//! Which tenants a control holds for. A rule is written once: what it asks under a weaker profile,
//! or of an older version of Kubernetes' standards, the rule itself asks of its
//! [`Context`](crate::Context).

use bulkhead_model::{Profile, TenantRules};

/// The profiles under which a control is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profiles {
    /// All: the control keeps tenants apart, which is no question of what their own pods may do.
    Every,
    /// All but `Privileged`: the control limits pods, by something that Kubernetes' standards do
    /// not know.
    Confined,
    /// `Strict` alone: the control goes beyond Kubernetes' standards.
    Strict,
    /// `Strict`, and in Kubernetes' standards from `Baseline` up since 1.this.
    Baseline(u16),
    /// `Strict`, and in Kubernetes' standards at `Restricted` since 1.this.
    Restricted(u16),
}

impl Profiles {
    /// Whether tenants with these rules are held to the control.
    #[must_use]
    pub fn hold(self, rules: &TenantRules) -> bool {
        match (rules.profile, self) {
            (Profile::Strict, _) | (_, Self::Every) => true,
            (Profile::Privileged, _) | (_, Self::Strict) => false,
            (Profile::Restricted | Profile::Baseline, Self::Confined) => true,
            (Profile::Restricted | Profile::Baseline, Self::Baseline(since))
            | (Profile::Restricted, Self::Restricted(since)) => rules.standards.since(since),
            (Profile::Baseline, Self::Restricted(_)) => false,
        }
    }

    /// Their names, for people, in English and 中文.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Every => ("every one", "全部"),
            Self::Confined => ("every one but Privileged", "Privileged 以外的全部"),
            Self::Strict => ("Strict", "Strict"),
            Self::Baseline(_) => (
                "Strict, Restricted, Baseline",
                "Strict、Restricted、Baseline",
            ),
            Self::Restricted(_) => ("Strict, Restricted", "Strict、Restricted"),
        }
    }

    /// Whether the control is one of Kubernetes' standards, of some level and version.
    #[must_use]
    pub fn is_standard(self) -> bool {
        matches!(self, Self::Baseline(_) | Self::Restricted(_))
    }
}
