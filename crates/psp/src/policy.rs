//! A PodSecurityPolicy as a value.

use std::collections::BTreeMap;

use serde_json::Value;

/// A policy, as it was written. It need not be valid: [`crate::complaints`] says what is wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodSecurityPolicy {
    /// `metadata.name`, which people write with capitals and the API server refuses.
    pub name: String,
    /// `metadata.namespace`, which a policy cannot have.
    pub namespace: String,
    /// `metadata.annotations`, where the rules for seccomp and AppArmor stand.
    pub annotations: BTreeMap<String, String>,
    /// What pods must be.
    pub spec: Spec,
    /// `metadata` and `spec` as they were written.
    pub written: Value,
}

/// What pods must be. A list that is unset and one that is empty are told apart, because some
/// messages do.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "so is the original")]
#[expect(missing_docs, reason = "the fields are the original's, by their names")]
pub struct Spec {
    pub privileged: bool,
    pub default_add_capabilities: Option<Vec<String>>,
    pub required_drop_capabilities: Option<Vec<String>>,
    pub allowed_capabilities: Option<Vec<String>>,
    pub volumes: Vec<String>,
    pub host_network: bool,
    pub host_ports: Vec<PortRange>,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub se_linux: SeLinuxRule,
    pub run_as_user: UserRule,
    pub run_as_group: Option<GroupRule>,
    pub supplemental_groups: GroupRule,
    pub fs_group: GroupRule,
    pub read_only_root_filesystem: bool,
    pub default_allow_privilege_escalation: Option<bool>,
    /// Unset counts as `true`, in the original since 1.8.
    pub allow_privilege_escalation: Option<bool>,
    pub allowed_host_paths: Vec<AllowedHostPath>,
    pub allowed_flex_volumes: Vec<String>,
    pub allowed_csi_drivers: Vec<String>,
    pub allowed_unsafe_sysctls: Vec<String>,
    pub forbidden_sysctls: Vec<String>,
    pub allowed_proc_mount_types: Vec<String>,
    pub runtime_class: Option<RuntimeClasses>,
}

/// A rule's name: `RunAsAny`, `MustRunAs`, and so on.
pub type Strategy = String;

/// Ids, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdRange {
    /// The first.
    pub min: i64,
    /// The last.
    pub max: i64,
}

impl IdRange {
    pub(crate) fn has(self, id: i64) -> bool {
        (self.min..=self.max).contains(&id)
    }
}

/// Ports, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub min: i32,
    /// The last.
    pub max: i32,
}

/// Which users containers may run as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserRule {
    /// `RunAsAny`, `MustRunAs` or `MustRunAsNonRoot`.
    pub rule: Strategy,
    /// The users, for `MustRunAs`.
    pub ranges: Vec<IdRange>,
}

/// Which groups pods may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRule {
    /// `RunAsAny`, `MustRunAs` or `MayRunAs`.
    pub rule: Strategy,
    /// The groups; unset and empty are told apart.
    pub ranges: Option<Vec<IdRange>>,
}

/// Which SELinux labels pods may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeLinuxRule {
    /// `RunAsAny` or `MustRunAs`.
    pub rule: Strategy,
    /// The label, for `MustRunAs`.
    pub options: Option<SeLinux>,
}

/// An SELinux label; unset parts are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the original's, by their names")]
pub struct SeLinux {
    pub user: String,
    pub role: String,
    pub kind: String,
    pub level: String,
}

/// A path of the host that may be mounted, and what is under it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHostPath {
    /// The path.
    pub path_prefix: String,
    /// Whether every mount must be read-only.
    pub read_only: bool,
}

/// Which runtime classes pods may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeClasses {
    /// The names, or `*`; unset and empty are told apart.
    pub allowed: Option<Vec<String>>,
    /// The name for pods that have none.
    pub default: Option<String>,
}
