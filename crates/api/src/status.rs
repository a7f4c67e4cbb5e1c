//! What the controller reports on a Tenant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `status` of a Tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TenantStatus {
    /// The `metadata.generation` that this status speaks of.
    pub observed_generation: i64,
    /// One per type.
    pub conditions: Vec<Condition>,
    /// The tenant's namespaces, by name.
    pub namespaces: Vec<NamespaceStatus>,
    /// What is the tenant's alone, as the ledger has it.
    #[serde(skip_serializing_if = "Ranges::is_empty")]
    pub ranges: Ranges,
    /// What of each limit is in use, over all namespaces, by resource: a copy of the ledger, which
    /// follows within seconds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, Usage>,
    /// The nodes that are the tenant's, or that it selects, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeStatus>,
}

/// What of one limit is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// How much there is. None while nobody has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// The limit.
    pub hard: String,
}

/// What is a tenant's alone: a copy of the ledger, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ranges {
    /// Users, as `first-last`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Groups, as `first-last`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gid: String,
    /// The SELinux level.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selinux: String,
}

impl Ranges {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How one node of the tenant stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Whether it is the tenant's alone: marked, and without pods of others.
    pub ready: bool,
    /// What is missing, if anything is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A condition as Kubernetes has them (`meta/v1`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about, such as [`Condition::READY`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word in CamelCase, for machines.
    pub reason: String,
    /// A sentence, for people.
    pub message: String,
    /// When `status` last changed, as RFC 3339.
    pub last_transition_time: String,
    /// The `metadata.generation` that it speaks of.
    #[serde(default)]
    pub observed_generation: i64,
}

impl Condition {
    /// Everything that the tenant asks for is in place, in each of its namespaces.
    pub const READY: &'static str = "Ready";
    /// Nothing may be changed in any of its namespaces. Only on a tenant that is cordoned, or
    /// still is somewhere.
    pub const CORDONED: &'static str = "Cordoned";
    /// No more exists than the limits say. Only on a tenant whose limits were lowered under what it
    /// had.
    pub const WITHIN_LIMITS: &'static str = "WithinLimits";
    /// Every node that the tenant selects is the tenant's alone. Only on tenants with nodes of
    /// their own.
    pub const NODES_READY: &'static str = "NodesReady";
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

/// How one namespace of the tenant stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceStatus {
    /// Its name.
    pub name: String,
    /// Whether all that isolates it was read back, so that it takes pods.
    pub isolated: bool,
    /// What is missing, if anything is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
