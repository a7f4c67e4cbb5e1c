//! The tenants' namespaces of a cluster.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{NamespaceName, TenantName, TenantRules, Uid, labels};
use serde_json::Value;

use crate::cache::{Cache, Record};
use crate::cluster::Cluster;
use crate::objects::ObjectCache;
use crate::resource::Kind;

/// All namespaces that carry the label [`labels::TENANT`], by name. A namespace that is not
/// here is no tenant's.
pub type NamespaceCache = Cache<NamespaceRecord>;

/// One namespace, parsed where it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRecord {
    /// Its name.
    pub name: NamespaceName,
    /// Its UID.
    pub uid: String,
    /// The tenant that its label names; none if the label is no tenant's name.
    pub tenant: Option<TenantName>,
    /// The tenant's UID as its label says; none if it is missing or no UID.
    pub tenant_uid: Option<Uid>,
    /// The rules of its annotation, or why there are none to go by. Never a default.
    pub rules: Result<Arc<TenantRules>, String>,
    /// The value of [`labels::ISOLATED`].
    pub isolated: Option<String>,
    /// Whether it carries [`labels::CORDONED`].
    pub cordoned: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `status.phase`: `Active` or `Terminating`.
    pub phase: String,
}

impl NamespaceCache {
    /// Follows the tenants' namespaces of a cluster. Starts a task; needs a tokio runtime.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        Self::follow(cluster, Kind::namespace(), labels::TENANT)
    }

    /// [`Self::start`], and the Namespace objects themselves go into `objects`.
    #[must_use]
    pub fn start_keeping(cluster: &Cluster, objects: &ObjectCache) -> Self {
        Self::follow_keeping(cluster, Kind::namespace(), labels::TENANT, objects)
    }

    /// The namespaces that carry the name and the UID of a tenant, by name.
    #[must_use]
    pub fn of_tenant(&self, name: &TenantName, uid: &Uid) -> Vec<Arc<NamespaceRecord>> {
        let mut records = self.all();
        records.retain(|record| record.belongs_to(name, uid));
        records
    }

    /// Waits until a namespace takes pods. False if it does not in time.
    pub async fn wait_isolated(&self, name: &NamespaceName, timeout: Duration) -> bool {
        let mut changes = self.changes();
        let open = async {
            while !self
                .get(name.as_str())
                .is_some_and(|record| record.is_isolated())
            {
                changes.next().await;
            }
        };
        tokio::time::timeout(timeout, open).await.is_ok()
    }
}

impl NamespaceRecord {
    /// Reads a Namespace object. None if it has not even a name and a UID.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let text = |field: &str| metadata.get(field).and_then(Value::as_str);
        let entry = |map: &str, key: &str| metadata.get(map)?.get(key)?.as_str();
        let tenant = entry("labels", labels::TENANT).and_then(|name| TenantName::parse(name).ok());
        let tenant_uid = entry("labels", labels::TENANT_UID).and_then(|uid| Uid::parse(uid).ok());
        Some(Self {
            name: NamespaceName::parse(text("name")?).ok()?,
            uid: text("uid")?.to_owned(),
            rules: rules(
                entry("annotations", labels::RULES),
                tenant.as_ref(),
                tenant_uid.as_ref(),
            ),
            tenant,
            tenant_uid,
            isolated: entry("annotations", labels::ISOLATED).map(str::to_owned),
            cordoned: entry("annotations", labels::CORDONED).is_some(),
            deleting: text("deletionTimestamp").is_some(),
            phase: object
                .pointer("/status/phase")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// Whether the namespace is the tenant's: by name and UID.
    #[must_use]
    pub fn belongs_to(&self, name: &TenantName, uid: &Uid) -> bool {
        self.tenant.as_ref() == Some(name) && self.tenant_uid.as_ref() == Some(uid)
    }

    /// Whether all that isolates it has been read back, for the tenant that it is labelled with.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        self.tenant.is_some()
            && self
                .tenant_uid
                .as_ref()
                .is_some_and(|uid| self.isolated.as_deref() == Some(uid.as_str()))
    }
}

/// Rules count only if they are those of the tenant that the labels name.
fn rules(
    annotation: Option<&str>,
    tenant: Option<&TenantName>,
    uid: Option<&Uid>,
) -> Result<Arc<TenantRules>, String> {
    let key = labels::RULES;
    let text = annotation.ok_or_else(|| format!("annotation `{key}` is missing"))?;
    let rules: TenantRules = serde_json::from_str(text)
        .map_err(|error| format!("annotation `{key}` cannot be read: {error}"))?;
    if tenant == Some(&rules.tenant) && uid == Some(&rules.uid) {
        Ok(Arc::new(rules))
    } else {
        Err(format!(
            "annotation `{key}` is of another tenant than the labels"
        ))
    }
}

impl Record for NamespaceRecord {
    fn parse(object: Value) -> Option<(String, Self)> {
        let record = Self::of(&object)?;
        Some((record.name.to_string(), record))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: &str = r#"{"tenant":"acme","uid":"u-1","profile":"Strict"}"#;

    fn namespace(label: &str, uid: &str, rules: Option<&str>, isolated: &str) -> Value {
        let mut annotations = json!({labels::ISOLATED: isolated});
        if let Some(rules) = rules {
            annotations[labels::RULES] = json!(rules);
        }
        json!({"metadata": {"name": "acme-dev", "uid": "n-1", "annotations": annotations,
                            "labels": {labels::TENANT: label, labels::TENANT_UID: uid}}})
    }

    #[test]
    fn rules_are_those_of_the_labels_or_none() {
        let unknown = r#"{"tenant":"acme","uid":"u-1","profile":"Strict","lax":true}"#;
        for (label, uid, rules, expected) in [
            ("acme", "u-1", Some(RULES), Ok("acme")),
            ("acme", "u-2", Some(RULES), Err("of another tenant")),
            ("globex", "u-1", Some(RULES), Err("of another tenant")),
            ("acme", "u-1", Some(unknown), Err("cannot be read")),
            ("acme", "u-1", Some("{"), Err("cannot be read")),
            ("acme", "u-1", None, Err("is missing")),
            ("", "u-1", Some(RULES), Err("of another tenant")),
        ] {
            let record = NamespaceRecord::of(&namespace(label, uid, rules, "u-1")).unwrap();
            match (record.rules, expected) {
                (Ok(rules), Ok(tenant)) => assert_eq!(rules.tenant.as_str(), tenant),
                (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
                (got, expected) => panic!("{got:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn isolated_means_for_this_very_tenant() {
        let isolated = |label, uid, annotation| {
            NamespaceRecord::of(&namespace(label, uid, None, annotation))
                .unwrap()
                .is_isolated()
        };
        assert!(isolated("acme", "u-1", "u-1"));
        assert!(!isolated("acme", "u-1", "u-2"));
        assert!(!isolated("acme", "", ""));
        assert!(!isolated("", "u-1", "u-1"));
        let bare = json!({"metadata": {"name": "x", "uid": "n"}});
        assert!(!NamespaceRecord::of(&bare).unwrap().is_isolated());
    }

    #[tokio::test]
    async fn waiting_for_a_namespace_has_an_end() {
        let name = NamespaceName::parse("acme-dev").unwrap();
        let open = NamespaceCache::fixed(vec![namespace("acme", "u-1", None, "u-1")]);
        assert!(open.wait_isolated(&name, Duration::from_millis(1)).await);
        let closed = NamespaceCache::fixed(vec![namespace("acme", "u-1", None, "u-0")]);
        assert!(!closed.wait_isolated(&name, Duration::from_millis(1)).await);
    }
}
