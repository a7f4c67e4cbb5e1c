//! What the controls need to know of a tenant, compiled once when the tenant changes.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::classes::ClassList;
use crate::exposure::Exposure;
use crate::host_path::HostPathPrefix;
use crate::identity::ServiceAccounts;
use crate::ids::IdRules;
use crate::image::Images;
use crate::names::{NameError, TenantName, Uid};
use crate::network::Network;
use crate::nodes::Nodes;
use crate::profile::{Profile, StandardsVersion};
use crate::tenant::RuntimeClasses;

/// The tenant's rules as they stand in the guarded annotation [`crate::labels::RULES`] of each
/// of its namespaces. A field that this version does not know makes the whole unreadable, and
/// what is unreadable denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TenantRules {
    /// The tenant that the namespace belongs to.
    pub tenant: TenantName,
    /// The UID of its Tenant object.
    pub uid: Uid,
    /// Which controls apply.
    pub profile: Profile,
    /// Which Pod Security Standards `Restricted` and `Baseline` mean.
    #[serde(default, skip_serializing_if = "StandardsVersion::is_pinned")]
    pub standards: StandardsVersion,
    /// Capabilities that containers may add.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_capabilities: BTreeSet<Capability>,
    /// Where pods run.
    #[serde(default, skip_serializing_if = "Nodes::is_default")]
    pub nodes: Nodes,
    /// PriorityClasses that pods may name.
    #[serde(default, skip_serializing_if = "ClassList::is_empty")]
    pub priority_classes: ClassList,
    /// DeviceClasses that claims may name.
    #[serde(default, skip_serializing_if = "ClassList::is_empty")]
    pub device_classes: ClassList,
    /// RuntimeClasses that pods may name, or must.
    #[serde(default, skip_serializing_if = "RuntimeClasses::is_default")]
    pub runtime_classes: RuntimeClasses,
    /// Which doors and disks of the platform it may name.
    #[serde(default, skip_serializing_if = "Exposure::is_default")]
    pub exposure: Exposure,
    /// What its pods may talk to.
    #[serde(default, skip_serializing_if = "Network::is_default")]
    pub network: Network,
    /// Folders of the node that pods may mount read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_host_paths: Vec<HostPathPrefix>,
    /// Seccomp profiles on the nodes that `Strict` pods may name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_seccomp_profiles: BTreeSet<String>,
    /// Which images pods may run.
    #[serde(default, skip_serializing_if = "Images::is_default")]
    pub images: Images,
    /// Users, groups and SELinux levels.
    #[serde(default, skip_serializing_if = "IdRules::is_unset")]
    pub ids: IdRules,
    /// What ServiceAccounts may be outside the cluster's own API.
    #[serde(default, skip_serializing_if = "ServiceAccounts::is_empty")]
    pub service_accounts: ServiceAccounts,
    /// ClusterRoles of `spec.roles`, which RoleBindings may name beside the built-in ones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cluster_roles: BTreeSet<String>,
    /// Resources of which the LimitRange in the tenant's namespaces gives containers no limit, so
    /// that each must have one of its own: of `cpu`, `memory` and `ephemeral-storage`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without_default_limit: BTreeSet<String>,
    /// Whether the tenant has a quota: then nothing that it counts is let in without being charged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub limited: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field over by reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A Linux capability in the API's canonical form: upper case, without `CAP_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability(String);

impl Capability {
    /// Capabilities that no list may hold (guide, 限制容器特权), and the word for all of them.
    pub const NEVER: [&'static str; 3] = ["SYS_ADMIN", "NET_ADMIN", "ALL"];

    /// What Kubernetes' Pod Security Standards let containers add at `Baseline`.
    pub const BASELINE: [&'static str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];

    /// The canonical form of whatever spelling a manifest has. Runtimes fold case and strip
    /// `CAP_`, so a comparison must as well.
    #[must_use]
    pub fn canonical(written: &str) -> String {
        let upper = written.trim().to_ascii_uppercase();
        upper
            .strip_prefix("CAP_")
            .map_or(upper.clone(), str::to_owned)
    }

    /// Reads a capability that a tenant may be allowed.
    ///
    /// # Errors
    /// If it is not of the form `NET_BIND_SERVICE`, or one of [`Self::NEVER`].
    pub fn parse(input: &str) -> Result<Self, NameError> {
        let well_formed = !input.is_empty()
            && !input.starts_with("CAP_")
            && input
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if well_formed && !Self::NEVER.contains(&input) {
            Ok(Self(input.to_owned()))
        } else {
            Err(NameError {
                input: input.to_owned(),
                what: "capability that a tenant may be allowed",
                expected: "upper case without `CAP_`, such as `NET_BIND_SERVICE`, and none of SYS_ADMIN, NET_ADMIN, ALL",
            })
        }
    }

    /// The canonical name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Capability {
    type Error = NameError;
    fn try_from(input: String) -> Result<Self, NameError> {
        Self::parse(&input)
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_capability_is_one() {
        for spelling in [
            "SYS_ADMIN",
            "sys_admin",
            "CAP_SYS_ADMIN",
            "cap_sys_admin",
            " Sys_Admin ",
        ] {
            assert_eq!(Capability::canonical(spelling), "SYS_ADMIN");
        }
    }

    #[test]
    fn what_the_guide_forbids_is_on_no_list() {
        for bad in ["SYS_ADMIN", "NET_ADMIN", "ALL", "CAP_CHOWN", "chown", ""] {
            assert!(Capability::parse(bad).is_err(), "{bad}");
        }
        assert!(Capability::parse("NET_BIND_SERVICE").is_ok());
    }

    #[test]
    fn rules_with_an_unknown_field_are_unreadable() {
        let json = r#"{"tenant":"acme","uid":"u-1","profile":"Strict","laxer":true}"#;
        assert!(serde_json::from_str::<TenantRules>(json).is_err());
    }
}
