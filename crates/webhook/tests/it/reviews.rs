//! Reviews, and how they are sent.

use bulkhead_serve::{BoxError, full, read_body};
use bulkhead_webhook::Webhook;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};

/// The namespace `acme-dev` of acme, `acme-new` without rules, `acme-odd` with rules that cannot
/// be read, and the Tenant globex.
pub fn webhook() -> Webhook {
    let rules = json!({
        "tenant": "acme", "uid": "u-1", "profile": "Strict",
        "ids": {"range": "1000000000-1000009999"},
    })
    .to_string();
    Webhook::fixed(
        vec![
            namespace("acme-dev", json!({"bulkhead.dev/rules": rules})),
            namespace("acme-new", json!({})),
            namespace(
                "acme-odd",
                json!({"bulkhead.dev/rules": "{\"laxer\":true}"}),
            ),
        ],
        vec![tenant(
            "globex",
            json!({"namespaceOptions": {"prefix": "globex-"}}),
        )],
    )
}

fn namespace(name: &str, annotations: Value) -> Value {
    json!({
        "metadata": {
            "name": name, "uid": format!("n-{name}"), "annotations": annotations,
            "labels": {"bulkhead.dev/tenant": "acme", "bulkhead.dev/tenant-uid": "u-1"},
        },
        "status": {"phase": "Active"},
    })
}

pub fn tenant(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "spec": spec,
        "metadata": {"name": name, "uid": format!("u-{name}")},
    })
}

/// A pod that needs no mending and breaks no rule.
pub fn good_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "acme-dev"},
        "spec": {
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1_000_000_000, "runAsGroup": 1_000_000_000,
                "fsGroup": 1_000_000_000, "supplementalGroups": [1_000_000_000],
                "supplementalGroupsPolicy": "Strict",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "web", "image": "nginx",
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

pub fn review(object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "7d9b", "operation": "CREATE", "name": "web", "namespace": "acme-dev",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "bulkhead:tenant:acme:developer"},
            "object": object, "oldObject": null,
        },
    })
}

/// Sends a body and gives status and body of the answer.
pub async fn send<B>(path: &str, body: B) -> (StatusCode, Bytes)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let request = Request::post(format!("https://127.0.0.1{path}?timeout=3s"))
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let response = webhook().respond(request).await;
    let status = response.status();
    (
        status,
        read_body(response.into_body(), 1 << 20).await.unwrap(),
    )
}

/// Sends a review and gives the `response` of the answer.
pub async fn ask(path: &str, review: &Value) -> Value {
    let (status, body) = send(path, full(review.to_string())).await;
    assert_eq!(status, 200, "{body:?}");
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    answer["response"].clone()
}

/// The message of a refusal.
pub fn refusal(response: &Value) -> &str {
    assert_eq!(response["allowed"], false, "{response}");
    response["status"]["message"].as_str().unwrap()
}
