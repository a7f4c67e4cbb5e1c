//! What tenants' roles may do inside their namespaces. Own roles without aggregation: those of
//! Kubernetes hold `impersonate` and RoleBindings to anybody, and any chart may widen them.
//!
//! Administrators hand these rights on, by Roles and RoleBindings: Kubernetes lets nobody grant what
//! they do not have, and the control `rbac-beyond-tenant` says to whom. So whoever may have a
//! right here may give it to any ServiceAccount of the tenant's.
//!
//! Absent for ever: Endpoints, statuses, proxies, `impersonate`, `bind`, `escalate`.

use serde_json::{Value, json};

use crate::{RBAC, RBAC_V1};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// Group, resources.
type Table = &'static [(&'static str, &'static [&'static str])];

/// What developers change and everybody reads.
const WORKLOADS: Table = &[
    (
        "",
        &[
            "configmaps",
            "persistentvolumeclaims",
            "pods",
            "replicationcontrollers",
            "serviceaccounts",
            "services",
        ],
    ),
    (
        "apps",
        &["daemonsets", "deployments", "replicasets", "statefulsets"],
    ),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("coordination.k8s.io", &["leases"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    (
        "gateway.networking.k8s.io",
        &[
            "gateways",
            "grpcroutes",
            "httproutes",
            "listenersets",
            "referencegrants",
            "tcproutes",
            "tlsroutes",
            "udproutes",
        ],
    ),
    ("policy", &["poddisruptionbudgets"]),
    (
        "resource.k8s.io",
        &["resourceclaims", "resourceclaimtemplates"],
    ),
];

/// What everybody reads.
const READABLE: Table = &[
    (
        "",
        &["endpoints", "events", "limitranges", "resourcequotas"],
    ),
    ("apps", &["controllerrevisions"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("events.k8s.io", &["events"]),
];

/// What administrators change and everybody reads.
const GRANTS: Table = &[(RBAC, &["rolebindings", "roles"])];

/// What everybody reads one at a time. The Namespace is the one in which the role is bound.
const GETTABLE: Table = &[
    (
        "",
        &["namespaces", "pods/log", "replicationcontrollers/scale"],
    ),
    (
        "apps",
        &[
            "deployments/scale",
            "replicasets/scale",
            "statefulsets/scale",
        ],
    ),
];

const SCALES: Table = &[
    ("", &["replicationcontrollers/scale"]),
    (
        "apps",
        &[
            "deployments/scale",
            "replicasets/scale",
            "statefulsets/scale",
        ],
    ),
];

/// The ClusterRoles that the built-in roles are bound to.
pub(crate) fn tenant_roles() -> Vec<Value> {
    let viewer: Vec<Value> = [
        rules(WORKLOADS, READ),
        rules(READABLE, READ),
        rules(GRANTS, READ),
        rules(GETTABLE, &["get"]),
    ]
    .concat();
    let developer = [
        viewer.clone(),
        rules(WORKLOADS, WRITE),
        rules(&[("", &["secrets"])], READ),
        rules(&[("", &["secrets"])], WRITE),
        rules(SCALES, &["patch", "update"]),
        rules(
            &[("", &["pods/ephemeralcontainers", "pods/resize"])],
            &["get", "patch", "update"],
        ),
        rules(
            &[("", &["pods/eviction", "serviceaccounts/token"])],
            &["create"],
        ),
        // A WebSocket asks for `get`, and since 1.35 for `create` too.
        rules(
            &[("", &["pods/attach", "pods/exec", "pods/portforward"])],
            &["create", "get"],
        ),
    ]
    .concat();
    let admin = [
        developer.clone(),
        rules(GRANTS, WRITE),
        rules(&[("", &["namespaces"])], &["delete", "patch", "update"]),
    ]
    .concat();
    vec![
        role("bulkhead-tenant-admin", admin),
        role("bulkhead-tenant-developer", developer),
        role("bulkhead-tenant-viewer", viewer),
    ]
}

fn rules(table: Table, verbs: &[&str]) -> Vec<Value> {
    table
        .iter()
        .map(|(group, resources)| {
            json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
        })
        .collect()
}

pub(crate) fn role(name: &str, rules: Vec<Value>) -> Value {
    json!({
        "apiVersion": RBAC_V1,
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    })
}
