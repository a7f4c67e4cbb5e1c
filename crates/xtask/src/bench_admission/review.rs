//! What is asked: a ReplicaSet's pod of three containers on its way into a tenant's namespace.

use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use bulkhead_model::{AdmissionRequest, TenantRules, labels};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench_admission::Kind;

/// The pod as the ReplicaSet controller sends it, with the API server's defaults.
const POD: &str = include_str!("pod.json");
const NAMESPACE: &str = "acme-prod";

const TENANT: &str = "acme";
const UID: &str = "6c7f0f0e-3d7f-4c39-9f4e-0a3f6a1f4f55";

fn rules() -> Value {
    json!({
        "tenant": TENANT, "uid": UID, "profile": "Strict",
        "ids": {"range": "1000000000-1000009999"},
    })
}

/// The namespace that the webhook knows.
pub(super) fn namespace() -> Value {
    json!({
        "metadata": {
            "name": NAMESPACE, "uid": "5b0e8a0c-6a0f-4d1c-8a48-1f3a4e5b7c22",
            "labels": {labels::TENANT: TENANT, labels::TENANT_UID: UID},
            "annotations": {labels::RULES: rules().to_string(), labels::ISOLATED: UID},
        },
        "status": {"phase": "Active"},
    })
}

/// The paths, and what is sent to each: the pod as it comes to `/mutate`, and as it is after
/// that to `/validate`.
pub(super) fn reviews() -> Result<&'static [(&'static str, Bytes)]> {
    static REVIEWS: OnceLock<Vec<(&'static str, Bytes)>> = OnceLock::new();
    if let Some(reviews) = REVIEWS.get() {
        return Ok(reviews);
    }
    let pod: Value = serde_json::from_str(POD).context("pod.json")?;
    let rules: TenantRules = serde_json::from_value(rules())?;
    let request: AdmissionRequest<'_> = serde_json::from_value(
        review(pod.clone())
            .pointer_mut("/request")
            .map(Value::take)
            .unwrap_or_default(),
    )?;
    let mended = bulkhead_controls::mend(&request, &rules, bulkhead_controls::Facts::NONE)
        .context("the pod needs no mending")?;
    let body = |pod| Bytes::from(review(pod).to_string());
    Ok(REVIEWS.get_or_init(|| vec![("/mutate", body(pod)), ("/validate", body(mended.into()))]))
}

fn review(pod: Value) -> Value {
    let gvk = json!({"group": "", "version": "v1", "kind": "Pod"});
    let gvr = json!({"group": "", "version": "v1", "resource": "pods"});
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "0d8a3a52-2c1b-4a8e-b4a7-93c1f6a0f1de",
            "kind": gvk, "resource": gvr, "requestKind": gvk, "requestResource": gvr,
            "name": "", "namespace": NAMESPACE, "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "2e5d7a41-88c3-4b0e-9d55-b9a2c61d9f6b",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=5f2f6a62-6e0e-4d7e-8e8e-0c7d7f7b9f10"]},
            },
            "object": pod, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

/// Whether a server does what it is measured for.
///
/// # Errors
/// If not, with its answer.
pub(super) fn check(kind: Kind, path: &str, answer: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(answer);
    let answer: Value = serde_json::from_slice(answer).context("the answer is no JSON")?;
    let response = answer
        .get("response")
        .context("the answer holds no response")?;
    ensure!(
        response.get("allowed") == Some(&Value::Bool(true)),
        "{path} of {kind:?} refused: {text}"
    );
    let mends = kind == Kind::Webhook && path == "/mutate";
    ensure!(
        response.get("patch").is_some() == mends,
        "{path} of {kind:?} answered {text}"
    );
    Ok(())
}
