//! Every verb on the victim's objects, through the gateway and with ServiceAccount tokens straight
//! at the API server.

use serde_json::{Value, json};

use super::{APPLY, JSON_PATCH, MERGE, STRATEGIC, good_pod};
use crate::credential::{Account, Credential};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// One request against the victim's namespace.
struct Verb {
    name: &'static str,
    does: &'static str,
    theorem: Theorem,
    /// What RBAC says of it at the API server.
    rbac: &'static str,
    method: &'static str,
    /// `{theirs}` is the victim's namespace.
    target: &'static str,
    media_type: &'static str,
    body: fn(&Field) -> Value,
    /// What must be as it was. Objects that are to be created are looked for by themselves.
    same: &'static str,
}

const SECRET: &str = "/api/v1/namespaces/{theirs}/secrets/attack-victim";
const CONFIG: &str = "/api/v1/namespaces/{theirs}/configmaps/attack-victim";
const CONFIGS: &str = "/api/v1/namespaces/{theirs}/configmaps";
const POD: &str = "/api/v1/namespaces/{theirs}/pods/attack-victim";
const SCALE: &str = "/apis/apps/v1/namespaces/{theirs}/deployments/attack-victim/scale";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/{theirs}/deployments/attack-victim";

fn nothing(_: &Field) -> Value {
    Value::Null
}

fn config(_: &Field) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "attack-victim"}, "data": {"taken": "over"}})
}

fn data(_: &Field) -> Value {
    json!({"data": {"taken": "over"}})
}

const JSON: &str = "application/json";

#[rustfmt::skip]
const VERBS: &[Verb] = &[
    Verb { name: "get", does: "reads a Secret", theorem: Theorem::T3, rbac: "cannot get resource \"secrets\"", method: "GET", target: SECRET, media_type: "", body: nothing, same: SECRET },
    Verb { name: "list", does: "lists Secrets", theorem: Theorem::T3, rbac: "cannot list resource \"secrets\"", method: "GET", target: "/api/v1/namespaces/{theirs}/secrets", media_type: "", body: nothing, same: SECRET },
    Verb { name: "list-table", does: "lists pods as a table", theorem: Theorem::T1, rbac: "cannot list resource \"pods\"", method: "GET", target: "/api/v1/namespaces/{theirs}/pods?limit=500", media_type: "", body: nothing, same: POD },
    Verb { name: "watch", does: "watches Secrets", theorem: Theorem::T3, rbac: "cannot watch resource \"secrets\"", method: "GET", target: "/api/v1/namespaces/{theirs}/secrets?watch=true", media_type: "", body: nothing, same: SECRET },
    Verb { name: "create", does: "creates a ConfigMap", theorem: Theorem::T1, rbac: "cannot create resource \"configmaps\"", method: "POST", target: CONFIGS, media_type: JSON, body: |_| json!({"metadata": {"name": "attack-cross-create"}}), same: "/api/v1/namespaces/{theirs}/configmaps/attack-cross-create" },
    Verb { name: "create-pod", does: "creates a pod", theorem: Theorem::T2, rbac: "cannot create resource \"pods\"", method: "POST", target: "/api/v1/namespaces/{theirs}/pods", media_type: JSON, body: |_| json!({"metadata": {"name": "attack-cross-pod"}, "spec": good_pod()}), same: "/api/v1/namespaces/{theirs}/pods/attack-cross-pod" },
    Verb { name: "update", does: "replaces a ConfigMap", theorem: Theorem::T1, rbac: "cannot update resource \"configmaps\"", method: "PUT", target: CONFIG, media_type: JSON, body: config, same: CONFIG },
    Verb { name: "patch-merge", does: "merges into a ConfigMap", theorem: Theorem::T1, rbac: "cannot patch resource \"configmaps\"", method: "PATCH", target: CONFIG, media_type: MERGE, body: data, same: CONFIG },
    Verb { name: "patch-strategic", does: "merges strategically into a ConfigMap", theorem: Theorem::T1, rbac: "cannot patch resource \"configmaps\"", method: "PATCH", target: CONFIG, media_type: STRATEGIC, body: data, same: CONFIG },
    Verb { name: "patch-json", does: "patches a ConfigMap with a JSON patch", theorem: Theorem::T1, rbac: "cannot patch resource \"configmaps\"", method: "PATCH", target: CONFIG, media_type: JSON_PATCH, body: |_| json!([{"op": "add", "path": "/data/taken", "value": "over"}]), same: CONFIG },
    Verb { name: "apply", does: "applies a ConfigMap server-side", theorem: Theorem::T1, rbac: "cannot patch resource \"configmaps\"", method: "PATCH", target: "/api/v1/namespaces/{theirs}/configmaps/attack-victim?fieldManager=attack&force=true", media_type: APPLY, body: config, same: CONFIG },
    Verb { name: "delete", does: "deletes a Secret", theorem: Theorem::T1, rbac: "cannot delete resource \"secrets\"", method: "DELETE", target: SECRET, media_type: "", body: nothing, same: SECRET },
    Verb { name: "delete-pod", does: "deletes a pod at once", theorem: Theorem::T2, rbac: "cannot delete resource \"pods\"", method: "DELETE", target: "/api/v1/namespaces/{theirs}/pods/attack-victim?gracePeriodSeconds=0", media_type: "", body: nothing, same: POD },
    Verb { name: "deletecollection", does: "deletes all ConfigMaps", theorem: Theorem::T1, rbac: "cannot deletecollection resource \"configmaps\"", method: "DELETE", target: CONFIGS, media_type: "", body: nothing, same: CONFIGS },
    Verb { name: "log", does: "reads a pod's log", theorem: Theorem::T2, rbac: "cannot get resource \"pods/log\"", method: "GET", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/log", media_type: "", body: nothing, same: POD },
    Verb { name: "log-follow", does: "follows a pod's log", theorem: Theorem::T2, rbac: "cannot get resource \"pods/log\"", method: "GET", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/log?follow=true", media_type: "", body: nothing, same: POD },
    Verb { name: "exec", does: "runs a command in a pod", theorem: Theorem::T2, rbac: "cannot get resource \"pods/exec\"", method: "GET", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/exec", media_type: "", body: nothing, same: POD },
    Verb { name: "attach", does: "attaches to a pod", theorem: Theorem::T2, rbac: "cannot get resource \"pods/attach\"", method: "GET", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/attach", media_type: "", body: nothing, same: POD },
    Verb { name: "portforward", does: "forwards a pod's port", theorem: Theorem::T2, rbac: "cannot get resource \"pods/portforward\"", method: "GET", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/portforward", media_type: "", body: nothing, same: POD },
    Verb { name: "exec-spdy", does: "runs a command in a pod over SPDY", theorem: Theorem::T2, rbac: "cannot create resource \"pods/exec\"", method: "POST", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/exec?command=sh&stdin=true", media_type: "", body: nothing, same: POD },
    Verb { name: "portforward-spdy", does: "forwards a pod's port over SPDY", theorem: Theorem::T2, rbac: "cannot create resource \"pods/portforward\"", method: "POST", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/portforward", media_type: "", body: nothing, same: POD },
    Verb { name: "pod-proxy", does: "speaks to a pod through the API server's proxy", theorem: Theorem::T2, rbac: "cannot get resource \"pods/proxy\"", method: "GET", target: "/api/v1/namespaces/{theirs}/pods/attack-victim:80/proxy", media_type: "", body: nothing, same: POD },
    Verb { name: "service-proxy", does: "speaks to a Service through the API server's proxy", theorem: Theorem::T2, rbac: "cannot get resource \"services/proxy\"", method: "GET", target: "/api/v1/namespaces/{theirs}/services/attack-victim:80/proxy", media_type: "", body: nothing, same: POD },
    Verb { name: "scale", does: "scales a Deployment", theorem: Theorem::T2, rbac: "cannot patch resource \"deployments/scale\"", method: "PATCH", target: SCALE, media_type: MERGE, body: |_| json!({"spec": {"replicas": 7}}), same: DEPLOYMENT },
    Verb { name: "ephemeralcontainers", does: "puts an ephemeral container into a pod", theorem: Theorem::T2, rbac: "cannot patch resource \"pods/ephemeralcontainers\"", method: "PATCH", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/ephemeralcontainers", media_type: STRATEGIC, body: |_| json!({"spec": {"ephemeralContainers": [{"name": "spy", "image": "registry.example/spy:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}), same: POD },
    Verb { name: "resize", does: "resizes a pod", theorem: Theorem::T5, rbac: "cannot patch resource \"pods/resize\"", method: "PATCH", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/resize", media_type: STRATEGIC, body: |_| json!({"spec": {"containers": [{"name": "main", "resources": {"limits": {"cpu": "1m"}}}]}}), same: POD },
    Verb { name: "eviction", does: "evicts a pod", theorem: Theorem::T2, rbac: "cannot create resource \"pods/eviction\"", method: "POST", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/eviction", media_type: JSON, body: |_| json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "attack-victim"}}), same: POD },
    Verb { name: "token-request", does: "mints a token for a ServiceAccount", theorem: Theorem::T3, rbac: "cannot create resource \"serviceaccounts/token\"", method: "POST", target: "/api/v1/namespaces/{theirs}/serviceaccounts/default/token", media_type: JSON, body: |_| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}), same: SECRET },
    Verb { name: "rolebinding", does: "binds a role to itself", theorem: Theorem::T4, rbac: "cannot create resource \"rolebindings\"", method: "POST", target: "/apis/rbac.authorization.k8s.io/v1/namespaces/{theirs}/rolebindings", media_type: JSON, body: binding, same: "/apis/rbac.authorization.k8s.io/v1/namespaces/{theirs}/rolebindings/attack-cross-binding" },
    Verb { name: "networkpolicy", does: "opens the network of a namespace", theorem: Theorem::T2, rbac: "cannot create resource \"networkpolicies\"", method: "POST", target: "/apis/networking.k8s.io/v1/namespaces/{theirs}/networkpolicies", media_type: JSON, body: |_| json!({"metadata": {"name": "attack-cross-open"}, "spec": {"podSelector": {}, "ingress": [{}]}}), same: "/apis/networking.k8s.io/v1/namespaces/{theirs}/networkpolicies/attack-cross-open" },
    Verb { name: "get-namespace", does: "reads the Namespace", theorem: Theorem::T1, rbac: "cannot get resource \"namespaces\"", method: "GET", target: "/api/v1/namespaces/{theirs}", media_type: "", body: nothing, same: SECRET },
    Verb { name: "patch-namespace", does: "annotates the Namespace", theorem: Theorem::T1, rbac: "cannot patch resource \"namespaces\"", method: "PATCH", target: "/api/v1/namespaces/{theirs}", media_type: MERGE, body: |_| json!({"metadata": {"annotations": {"taken": "over"}}}), same: "/api/v1/namespaces/{theirs}" },
    Verb { name: "delete-namespace", does: "deletes the Namespace", theorem: Theorem::T1, rbac: "cannot delete resource \"namespaces\"", method: "DELETE", target: "/api/v1/namespaces/{theirs}?dryRun=All", media_type: "", body: nothing, same: "/api/v1/namespaces/{theirs}" },
    Verb { name: "access-review", does: "asks what others may do", theorem: Theorem::T1, rbac: "cannot create resource \"localsubjectaccessreviews\"", method: "POST", target: "/apis/authorization.k8s.io/v1/namespaces/{theirs}/localsubjectaccessreviews", media_type: JSON, body: |field| json!({"metadata": {"namespace": field.victim.namespace}, "spec": {"user": "x", "resourceAttributes": {"namespace": field.victim.namespace, "verb": "get", "resource": "pods"}}}), same: SECRET },
];

/// Questions about others' namespaces, which only the gateway answers otherwise than the API server.
fn questions() -> Vec<Technique> {
    let ask = |name: &str,
               does: &str,
               kind: &'static str,
               spec: fn(&Field) -> Value,
               expected: Expected| {
        Technique::new(name, Family::CrossTenant, Theorem::T1, does, move |field| {
            let body =
                json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec(field)});
            let target = format!(
                "/apis/authorization.k8s.io/v1/{}s",
                kind.to_ascii_lowercase()
            );
            Attack::shot(
                Door::Gateway,
                Credential::Tenant,
                Request::post(target, &body),
            )
        })
        .stopped_by(expected)
    };
    vec![
        ask(
            "cross-own-rules-review-gateway",
            "A tenant's admin asks for its rights in another tenant's namespace, to learn whether there is one.",
            "SelfSubjectRulesReview",
            |field| json!({"namespace": field.victim.namespace}),
            Expected::new(Layer::Gateway, 404, "namespaces \"{theirs}\" not found"),
        ),
        ask(
            "cross-own-access-review-gateway",
            "A tenant's admin asks whether it may read another tenant's Secrets.",
            "SelfSubjectAccessReview",
            |field| json!({"resourceAttributes": {"namespace": field.victim.namespace, "verb": "get", "resource": "secrets"}}),
            Expected::new(Layer::Harmless, 201, "\"allowed\":false").lacking("\"allowed\":true"),
        ),
    ]
}

fn binding(field: &Field) -> Value {
    json!({
        "metadata": {"name": "attack-cross-binding"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bulkhead-tenant-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": Account::Star.name(), "namespace": field.attacker.namespace}],
    })
}

/// The headers by which a verb changes the protocol.
fn upgrade(verb: &str) -> &'static [(&'static str, &'static str)] {
    match verb {
        "exec" | "attach" => &[
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
        ],
        "portforward" => &[
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io"),
        ],
        "exec-spdy" => &[
            ("Connection", "Upgrade"),
            ("Upgrade", "SPDY/3.1"),
            ("X-Stream-Protocol-Version", "v4.channel.k8s.io"),
        ],
        "portforward-spdy" => &[
            ("Connection", "Upgrade"),
            ("Upgrade", "SPDY/3.1"),
            ("X-Stream-Protocol-Version", "portforward.k8s.io"),
        ],
        _ => &[],
    }
}

fn attack(verb: &Verb, field: &Field, door: Door, credential: Credential) -> Attack {
    let target = field.fill(verb.target);
    let mut request = Request::new(verb.method, target);
    if verb.name == "list-table" {
        request = request.header(
            "Accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        );
    }
    for (name, value) in upgrade(verb.name) {
        request = request.header(name, *value);
    }
    if !verb.media_type.is_empty() {
        request = request.body(verb.media_type, (verb.body)(field).to_string());
    }
    Attack::shot(door, credential, request).truth(Truth::Same(field.fill(verb.same)))
}

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = questions();
    for verb in VERBS {
        let (name, does) = (verb.name, verb.does);
        all.push(
            Technique::new(
                format!("cross-{name}-gateway"),
                Family::CrossTenant,
                verb.theorem,
                format!(
                    "A tenant's admin {does} in another tenant's namespace through the gateway."
                ),
                |field| attack(verb, field, Door::Gateway, Credential::Tenant),
            )
            .stopped_by(Expected::new(
                Layer::Gateway,
                404,
                "namespaces \"{theirs}\" not found",
            )),
        );
        for account in [Account::Admin, Account::Star] {
            all.push(
                Technique::new(
                    format!("cross-{name}-{}", account.name().trim_start_matches("attack-")),
                    Family::CrossTenant,
                    verb.theorem,
                    format!(
                        "A ServiceAccount with {} {does} in another tenant's namespace at the API server.",
                        if account == Account::Star { "every right in its own namespace" } else { "a tenant admin's rights" }
                    ),
                    move |field| attack(verb, field, Door::ApiServer, Credential::Account(account)),
                )
                .stopped_by(Expected::new(Layer::Rbac, 403, verb.rbac)),
            );
        }
    }
    all
}
