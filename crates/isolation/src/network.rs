//! The NetworkPolicy of a tenant's namespaces.

use bulkhead_model::{NamespaceName, Tenant, labels};
use serde_json::{Map, Value, json};

use crate::labels_of;

/// What the tenant's network allows, and nothing else in the directions that it is about; none if
/// everything is allowed. Policies only add up, so the control `network-policy-widened` keeps
/// those of tenants within this one.
pub(crate) fn isolation(tenant: &Tenant, namespace: &NamespaceName) -> Option<Value> {
    let directions = tenant.network.directions();
    if directions.is_empty() {
        return None;
    }
    let mut spec = Map::new();
    spec.insert("podSelector".to_owned(), json!({}));
    let types = directions.iter().map(|direction| direction.policy_type());
    spec.insert("policyTypes".to_owned(), types.collect());
    for &direction in directions {
        let rules = tenant.network.rules(direction, &tenant.name, &tenant.uid);
        let rules = rules.iter().map(|rule| rule.to_json(direction));
        spec.insert(direction.rules().to_owned(), rules.collect());
    }
    Some(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": format!("{}isolation", labels::OURS),
            "namespace": namespace,
            "labels": labels_of(tenant),
        },
        "spec": spec,
    }))
}
