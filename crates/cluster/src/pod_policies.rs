//! The PodSecurityPolicies of a cluster, of Bulkhead's own group.

use serde_json::Value;

use crate::cache::{Cache, Record};
use crate::cluster::Cluster;
use crate::resource::Kind;

/// All PodSecurityPolicies by name.
pub type PodPolicyCache = Cache<PodPolicyRecord>;

/// One policy, as it came: who evaluates policies reads it.
#[derive(Debug, Clone)]
pub struct PodPolicyRecord {
    /// `metadata.name`.
    pub name: String,
    /// The object.
    pub object: Value,
}

impl PodPolicyCache {
    /// Follows the policies of a cluster. Starts a task; needs a tokio runtime.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        Self::follow(cluster, Kind::pod_security_policy(), "")
    }
}

impl Record for PodPolicyRecord {
    fn parse(object: Value) -> Option<(String, Self)> {
        let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
        Some((name.clone(), Self { name, object }))
    }
}
