//! How far a tenant's pods may go.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::NameError;

/// The set of controls that a tenant's pods are held to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Profile {
    /// The guide's appendix: the policy for tenants that nobody trusts.
    #[default]
    Strict,
    /// Kubernetes' Pod Security Standard of this name, exactly.
    Restricted,
    /// Kubernetes' Pod Security Standard of this name, exactly.
    Baseline,
    /// No limit on what a pod does to its node. For tenants with a cluster of their own.
    Privileged,
}

impl Profile {
    /// All of them, the strictest first.
    pub const ALL: [Self; 4] = [
        Self::Strict,
        Self::Restricted,
        Self::Baseline,
        Self::Privileged,
    ];

    /// As the Tenant has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Restricted => "Restricted",
            Self::Baseline => "Baseline",
            Self::Privileged => "Privileged",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = NameError;

    /// Exactly as the Tenant spells it.
    fn from_str(input: &str) -> Result<Self, NameError> {
        let found = Self::ALL
            .into_iter()
            .find(|profile| profile.as_str() == input);
        found.ok_or_else(|| NameError {
            input: input.to_owned(),
            what: "profile",
            expected: "one of Strict, Restricted, Baseline, Privileged",
        })
    }
}

/// The minor version of Kubernetes whose Pod Security Standards count, as Pod Security
/// Admission's labels pin it. Prints as `v1.34`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StandardsVersion(u16);

/// The sysctls that the standards allow, and since when.
const SYSCTLS: [(u16, &str); 14] = [
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
    (37, "net.ipv4.tcp_notsent_lowat"),
    (37, "net.ipv4.tcp_slow_start_after_idle"),
];

/// What the standards let containers be to SELinux, and since when.
const SELINUX_TYPES: [(u16, &str); 4] = [
    (0, "container_t"),
    (0, "container_init_t"),
    (0, "container_kvm_t"),
    (31, "container_engine_t"),
];

impl StandardsVersion {
    /// What tenants are held to. 1.34 is the first to refuse probes that name a host; 1.35 lets
    /// pods in user namespaces be root.
    pub const PINNED: Self = Self(34);

    /// Version 1.`minor`.
    #[must_use]
    pub const fn minor(minor: u16) -> Self {
        Self(minor)
    }

    /// Whether the standards of 1.`minor` count already.
    #[must_use]
    pub const fn since(self, minor: u16) -> bool {
        self.0 >= minor
    }

    /// Whether `Baseline` lets pods set a sysctl, by its literal name.
    #[must_use]
    pub fn allow_sysctl(self, name: &str) -> bool {
        self.lists(&SYSCTLS, name)
    }

    /// Whether `Baseline` lets containers be of a type of SELinux.
    #[must_use]
    pub fn allow_selinux_type(self, name: &str) -> bool {
        self.lists(&SELINUX_TYPES, name)
    }

    fn lists(self, list: &[(u16, &str)], name: &str) -> bool {
        list.iter()
            .any(|(since, listed)| *listed == name && self.since(*since))
    }

    /// For serde: whether nothing needs to be said.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        *self == Self::PINNED
    }
}

impl Default for StandardsVersion {
    fn default() -> Self {
        Self::PINNED
    }
}

impl fmt::Display for StandardsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}", self.0)
    }
}

impl FromStr for StandardsVersion {
    type Err = NameError;

    /// `v1.` and a number without leading zeros, as Pod Security Admission reads it; not `latest`,
    /// which means another thing tomorrow.
    fn from_str(input: &str) -> Result<Self, NameError> {
        let minor = input.strip_prefix("v1.").and_then(|minor| {
            let plain = minor.bytes().all(|b| b.is_ascii_digit())
                && (minor == "0" || !minor.starts_with('0'));
            plain.then(|| minor.parse().ok()).flatten()
        });
        minor.map(Self).ok_or_else(|| NameError {
            input: input.to_owned(),
            what: "version of the Pod Security Standards",
            expected: "`v1.` and a number, such as `v1.34`",
        })
    }
}

impl TryFrom<String> for StandardsVersion {
    type Error = NameError;
    fn try_from(input: String) -> Result<Self, NameError> {
        input.parse()
    }
}

impl From<StandardsVersion> for String {
    fn from(version: StandardsVersion) -> Self {
        version.to_string()
    }
}

/// Whose cluster a tenant's pods run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tier {
    /// Many tenants'.
    #[default]
    Pool,
    /// The tenant's own.
    Silo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_versions_read_as_they_print() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
            let json = serde_json::to_string(&profile).unwrap();
            assert_eq!(json, format!("\"{profile}\""));
        }
        for text in ["v1.0", "v1.34", "v1.999"] {
            let version: StandardsVersion = text.parse().unwrap();
            assert_eq!(version.to_string(), text);
        }
        for bad in ["strict", "", "latest", "Strict "] {
            assert!(bad.parse::<Profile>().is_err(), "{bad}");
        }
        for bad in [
            "latest", "1.34", "v1.", "v1.034", "v1.00", "v2.0", "v1.34.1", "v1.-1", "v1.+1",
            "v1.99999",
        ] {
            assert!(bad.parse::<StandardsVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_default_is_the_strictest() {
        assert_eq!(Profile::default(), Profile::Strict);
        assert_eq!(Tier::default(), Tier::Pool);
        assert!(StandardsVersion::default().since(34) && !StandardsVersion::default().since(35));
    }
}
