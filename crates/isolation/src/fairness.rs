//! API Priority and Fairness: one tenant's people or ServiceAccounts cannot starve another's, nor
//! Bulkhead itself.
//!
//! Five objects for any number of tenants, because the API server looks at every FlowSchema in
//! turn for each request. Flows are told apart by user, never by namespace: the namespace of a
//! request is whatever its sender writes into the path, and this comes before authorization.
//! Shuffle sharding gives each flow six queues of many, so that whoever fills its own rarely
//! fills another's. A ServiceAccount is a flow of its own: a tenant's share grows with how many it
//! has, which its quota bounds.

use bulkhead_model::labels::{SYSTEM_NAMESPACE, TENANTS_GROUP};
use serde_json::{Value, json};

const FLOW_CONTROL: &str = "flowcontrol.apiserver.k8s.io/v1";
/// The priority level of tenants' people.
const PEOPLE: &str = "bulkhead-tenants";
/// The priority level of ServiceAccounts that no FlowSchema before ours takes.
const ACCOUNTS: &str = "bulkhead-service-accounts";

/// The priority levels and FlowSchemas.
///
/// A guard is not needed: tenants have no rights on these kinds.
pub(crate) fn fairness() -> Vec<Value> {
    let group = |name: &str| json!({"kind": "Group", "group": {"name": name}});
    let own = json!({
        "kind": "ServiceAccount",
        "serviceAccount": {"namespace": SYSTEM_NAMESPACE, "name": "*"},
    });
    vec![
        level(PEOPLE, 30),
        level(ACCOUNTS, 30),
        // Before the levels of the workloads that it watches over, as the controllers of
        // Kubernetes are.
        schema("bulkhead", "workload-high", 850, &own),
        schema(PEOPLE, PEOPLE, 8_500, &group(TENANTS_GROUP)),
        // Kubernetes' own schema for these comes at 9000. Which of them are a tenant's no
        // FlowSchema can say without naming each namespace; platforms' own that need more than
        // a fair share get a FlowSchema before this one.
        schema(ACCOUNTS, ACCOUNTS, 8_600, &group("system:serviceaccounts")),
    ]
}

fn level(name: &str, shares: u32) -> Value {
    json!({
        "apiVersion": FLOW_CONTROL,
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name},
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": shares,
                "lendablePercent": 50,
                "limitResponse": {
                    "type": "Queue",
                    "queuing": {"queues": 256, "handSize": 6, "queueLengthLimit": 50},
                },
            },
        },
    })
}

fn schema(name: &str, level: &str, precedence: u32, subject: &Value) -> Value {
    json!({
        "apiVersion": FLOW_CONTROL,
        "kind": "FlowSchema",
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [subject],
                "resourceRules": [{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                    "namespaces": ["*"], "clusterScope": true,
                }],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            }],
        },
    })
}
