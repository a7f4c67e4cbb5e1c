//! The two servers.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use bulkhead_serve::{Body, full, read_body, text};
use bulkhead_webhook::Webhook;
use http::{Request, Response};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use crate::bench::{self, Running};
use crate::bench_admission::{Kind, review};

/// As much as the webhook takes.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Starts one of them.
pub(super) fn start(kind: Kind, folder: &Path) -> Result<Running> {
    let name = match kind {
        Kind::Webhook => "webhook",
        Kind::Empty => "empty",
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "admission", "--serve", name, "--folder"]);
    Running::start(name, command.arg(folder))
}

/// Is one of them until its input ends.
pub(super) async fn serve(kind: Kind, folder: &Path) -> Result<()> {
    match kind {
        Kind::Webhook => {
            let webhook = Webhook::fixed(vec![review::namespace()], vec![]);
            bench::serve_webhook(folder, webhook).await
        }
        Kind::Empty => bench::serve(folder, empty).await,
    }
}

/// The least that a webhook can do.
async fn empty(request: Request<Incoming>) -> Response<Body> {
    #[derive(Deserialize)]
    struct Review {
        request: Uid,
    }
    #[derive(Deserialize)]
    struct Uid {
        uid: String,
    }
    let body = match read_body(request.into_body(), MAX_BODY).await {
        Ok(body) => body,
        Err(error) => return text(error.status(), error.to_string()),
    };
    let review: Review = match serde_json::from_slice(&body) {
        Ok(review) => review,
        Err(error) => return text(http::StatusCode::BAD_REQUEST, error.to_string()),
    };
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": review.request.uid, "allowed": true},
    });
    let mut response = Response::new(full(answer.to_string()));
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    response
}
