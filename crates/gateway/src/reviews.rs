//! Reviews of one's own rights over all of one's namespaces.

use bulkhead_scope::{Denial, ScopedRequest};
use bulkhead_serve::{Body, read_body};
use futures::StreamExt as _;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::answer::{self, incident};
use crate::lists::Sender;

/// Reviews that are asked at a time.
const PARALLEL: usize = 8;
const LONGEST: usize = 1024 * 1024;

/// Asks each review until one is allowed. The answer is to the `spec` that the client asked.
///
/// # Errors
/// If the API server cannot be asked.
pub(crate) async fn any(
    sender: &Sender,
    requests: Vec<ScopedRequest>,
    spec: Value,
) -> Result<Response<Body>, Denial> {
    let asking = requests.into_iter().map(|request| {
        let sender = sender.clone();
        async move { sender.send(&request).await }
    });
    let mut answers = futures::stream::iter(asking).buffer_unordered(PARALLEL);
    let mut status = json!({
        "allowed": false,
        "reason": "in none of your namespaces",
    });
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        if !answer.status().is_success() {
            return Ok(answer);
        }
        let bytes = read_body(answer.into_body(), LONGEST)
            .await
            .map_err(|error| incident(&format!("a review cannot be read: {error}")))?;
        let review: Value = serde_json::from_slice(&bytes)
            .map_err(|error| incident(&format!("a review cannot be read: {error}")))?;
        if review.pointer("/status/allowed") == Some(&Value::Bool(true)) {
            status = json!({"allowed": true, "reason": "in namespaces of yours"});
            break;
        }
    }
    let review = json!({
        "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "metadata": {}, "spec": spec, "status": status,
    });
    Ok(answer::object(StatusCode::CREATED, &review))
}
