//! Status and bindings: what only the control plane may write. A status sets labels, addresses and
//! finalizers behind every other check's back; a binding picks the node.

use serde_json::{Value, json};

use super::{APPLY, JSON_PATCH, MERGE};
use crate::credential::{Account, Credential};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// An object of the attacker's whose status is written.
struct Object {
    name: &'static str,
    path: &'static str,
    kind: (&'static str, &'static str),
    theorem: Theorem,
    status: fn() -> Value,
}

/// Stands in each written status, so that one that went through is found.
const MARK: &str = "198.51.100.77";

#[rustfmt::skip]
const OBJECTS: &[Object] = &[
    Object { name: "pods", path: "/api/v1/namespaces/{own}/pods/attack-own", kind: ("v1", "Pod"), theorem: Theorem::T4, status: || json!({"podIP": MARK, "podIPs": [{"ip": MARK}]}) },
    Object { name: "services", path: "/api/v1/namespaces/{own}/services/attack-own", kind: ("v1", "Service"), theorem: Theorem::T4, status: || json!({"conditions": [{"type": "Attack", "status": "True", "reason": "x", "message": MARK, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}) },
    Object { name: "deployments", path: "/apis/apps/v1/namespaces/{own}/deployments/attack-own", kind: ("apps/v1", "Deployment"), theorem: Theorem::T1, status: || json!({"conditions": [{"type": "Progressing", "status": "True", "reason": "x", "message": MARK}]}) },
    Object { name: "namespaces", path: "/api/v1/namespaces/{own}", kind: ("v1", "Namespace"), theorem: Theorem::T4, status: || json!({"phase": "Active", "conditions": [{"type": "x", "status": "True", "reason": "x", "message": MARK}]}) },
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for object in OBJECTS {
        for how in ["merge", "json", "apply", "update"] {
            let plan = move |field: &Field, door, credential| {
                let path = field.fill(object.path);
                Attack::shot(door, credential, request(object, how, &path, field))
                    .truth(Truth::Lacks(path, MARK.into()))
            };
            let technique = |way: &str, who: &str, door, credential: Credential| {
                Technique::new(
                    format!("status-{}-{how}-{way}", object.name),
                    Family::Status,
                    object.theorem,
                    format!(
                        "{who} writes the status of one of its {} (request: {how}).",
                        object.name
                    ),
                    move |field| plan(field, door, credential.clone()),
                )
            };
            let token = technique(
                "token",
                "A ServiceAccount with every right in its namespace",
                Door::ApiServer,
                Credential::Account(Account::Star),
            );
            all.push(token.stopped_by(Expected::new(Layer::Guard, 403, "status-write")));
            if how == "merge" {
                let gateway = technique(
                    "gateway",
                    "A tenant's admin, through the gateway,",
                    Door::Gateway,
                    Credential::Tenant,
                );
                all.push(gateway.stopped_by(Expected::new(Layer::Gateway, 403, "status-write")));
            }
        }
    }
    all.extend(bindings());
    all.push(finalize());
    all
}

/// Takes away what keeps a namespace until its content is deleted: what is left would be nobody's.
fn finalize() -> Technique {
    Technique::new(
        "finalize-namespace-token",
        Family::Status,
        Theorem::T5,
        "A ServiceAccount with every right in its namespace takes away the finalizer of Kubernetes from it.",
        |field| {
            let path = field.fill("/api/v1/namespaces/{own}");
            let mut namespace = field.attacker.object.clone();
            if let Value::Object(map) = &mut namespace {
                map.insert("spec".into(), json!({"finalizers": []}));
            }
            if let Some(Value::Object(metadata)) = namespace.get_mut("metadata") {
                metadata.remove("resourceVersion");
                metadata.remove("managedFields");
            }
            let request = Request::put(format!("{path}/finalize"), &namespace);
            Attack::shot(Door::ApiServer, Credential::Account(Account::Star), request).truth(Truth::Same(path))
        },
    )
    .stopped_by(Expected::new(Layer::Guard, 403, "status-write"))
}

fn request(object: &Object, how: &str, path: &str, field: &Field) -> Request {
    let status = (object.status)();
    let target = format!("{path}/status");
    let name = path.rsplit('/').next().unwrap_or_default();
    let whole = || {
        let (api, kind) = object.kind;
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "status": status})
    };
    match how {
        "merge" => Request::patch(target, MERGE, &json!({"status": status})),
        "json" => Request::patch(
            target,
            JSON_PATCH,
            &json!([{"op": "add", "path": "/status", "value": status}]),
        ),
        "apply" => Request::patch(
            format!("{target}?fieldManager=attack&force=true"),
            APPLY,
            &whole(),
        ),
        // A Namespace without its labels would be refused for that.
        _ if object.name == "namespaces" => {
            let mut namespace = field.attacker.object.clone();
            if let Value::Object(map) = &mut namespace {
                map.insert("status".into(), status.clone());
            }
            if let Some(Value::Object(metadata)) = namespace.get_mut("metadata") {
                metadata.remove("resourceVersion");
                metadata.remove("managedFields");
            }
            Request::put(target, &namespace)
        }
        _ => Request::put(target, &whole()),
    }
}

fn bindings() -> Vec<Technique> {
    let routes = [
        (
            "sub-resource",
            "/api/v1/namespaces/{own}/pods/attack-own/binding",
        ),
        ("collection", "/api/v1/namespaces/{own}/bindings"),
    ];
    let mut all = Vec::new();
    for (route, target) in routes {
        let plan = move |field: &Field, door, credential| {
            let body = json!({
                "apiVersion": "v1", "kind": "Binding",
                "metadata": {"name": "attack-own", "annotations": {"attack-mark": MARK}},
                "target": {"apiVersion": "v1", "kind": "Node", "name": "node-0"},
            });
            let path = field.fill("/api/v1/namespaces/{own}/pods/attack-own");
            Attack::shot(door, credential, Request::post(field.fill(target), &body))
                .truth(Truth::Lacks(path, MARK.into()))
        };
        all.push(
            Technique::new(
                format!("binding-{route}-token"),
                Family::Status,
                Theorem::T2,
                format!("A ServiceAccount with every right in its namespace binds a pod to a node ({route})."),
                move |field| plan(field, Door::ApiServer, Credential::Account(Account::Star)),
            )
            .stopped_by(Expected::new(Layer::Guard, 403, "status-write")),
        );
        all.push(
            Technique::new(
                format!("binding-{route}-gateway"),
                Family::Status,
                Theorem::T2,
                format!("A tenant's admin binds a pod to a node through the gateway ({route})."),
                move |field| plan(field, Door::Gateway, Credential::Tenant),
            )
            .stopped_by(Expected::new(Layer::Gateway, 403, "status-write")),
        );
    }
    all
}
