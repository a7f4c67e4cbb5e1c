//! The Tenants of a cluster.

use std::sync::Arc;

use bulkhead_api::{FieldError, parse_tenant};
use bulkhead_model::Tenant;
use serde_json::Value;

use crate::cache::{Cache, Record};
use crate::cluster::Cluster;
use crate::resource::Kind;

/// All Tenants by name.
pub type TenantCache = Cache<TenantRecord>;

/// One Tenant object, parsed where it came in.
#[derive(Debug, Clone)]
pub struct TenantRecord {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.creationTimestamp`, RFC 3339 in UTC: its order as text is that of time.
    pub created: String,
    /// Whether the object is being deleted.
    pub deleting: bool,
    /// The tenant, or what is wrong with the object. A tenant that cannot be read has no rights.
    pub tenant: Result<Arc<Tenant>, Vec<FieldError>>,
    /// The object without its `managedFields`.
    pub object: Value,
}

impl TenantCache {
    /// Follows the Tenants of a cluster. Starts a task; needs a tokio runtime.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        Self::follow(cluster, Kind::tenant(), "")
    }

    /// The tenants that can be read, by name.
    #[must_use]
    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        self.all()
            .iter()
            .filter_map(|record| record.tenant.as_ref().ok().cloned())
            .collect()
    }
}

impl TenantRecord {
    /// Reads a Tenant object. None if it has not even a name and a UID.
    #[must_use]
    pub fn of(mut object: Value) -> Option<Self> {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let metadata = object.get("metadata")?;
        let text = |field: &str| {
            metadata
                .get(field)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Some(Self {
            name: text("name")?,
            uid: text("uid")?,
            generation: metadata
                .get("generation")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            created: text("creationTimestamp").unwrap_or_default(),
            deleting: text("deletionTimestamp").is_some(),
            tenant: parse_tenant(&object).map(Arc::new),
            object,
        })
    }
}

impl Record for TenantRecord {
    fn parse(object: Value) -> Option<(String, Self)> {
        let record = Self::of(object)?;
        Some((record.name.clone(), record))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unreadable_tenant_is_kept_as_its_errors() {
        let tenant = |name: &str, spec: Value| {
            json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "spec": spec,
                   "metadata": {"name": name, "uid": format!("u-{name}"), "generation": 2}})
        };
        let cache = TenantCache::fixed(vec![
            tenant("acme", json!({"namespaceOptions": {"prefix": "acme-"}})),
            tenant("bad", json!({"namespaceOptions": {"prefix": "NO"}})),
        ]);
        let names: Vec<String> = cache.tenants().iter().map(|t| t.name.to_string()).collect();
        assert_eq!(names, ["acme"]);
        let errors = cache.get("bad").unwrap().tenant.clone().unwrap_err();
        assert_eq!(errors[0].path.to_string(), "spec.namespaceOptions.prefix");
        assert_eq!(cache.get("bad").unwrap().uid, "u-bad");
    }
}
