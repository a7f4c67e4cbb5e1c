//! One request, one answer: JSON in, JSON out, with a deadline.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::error::Failure;

/// The client library sets no deadline of its own for an answer, and a connection that has
/// died silently would hold a caller for ever.
const DEADLINE: Duration = Duration::from_secs(30);

/// The body of a request and the media type that says how to read it.
pub(crate) enum Payload<'a> {
    None,
    Json(&'a Value),
    MergePatch(&'a Value),
    /// JSON is YAML, and this is the media type that every server version takes.
    ApplyPatch(&'a Value),
}

impl Payload<'_> {
    fn encode(&self) -> (Option<&'static str>, Bytes) {
        let (media_type, value) = match self {
            Self::None => return (None, Bytes::new()),
            Self::Json(value) => ("application/json", value),
            Self::MergePatch(value) => ("application/merge-patch+json", value),
            Self::ApplyPatch(value) => ("application/apply-patch+yaml", value),
        };
        (Some(media_type), Bytes::from(value.to_string()))
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn call(
    client: &Client,
    method: Method,
    target: &str,
    payload: Payload<'_>,
) -> Result<Value, Failure> {
    match tokio::time::timeout(DEADLINE, exchange(client, method, target, payload)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Timeout {
            seconds: DEADLINE.as_secs(),
        }),
    }
}

async fn exchange(
    client: &Client,
    method: Method,
    target: &str,
    payload: Payload<'_>,
) -> Result<Value, Failure> {
    let (media_type, bytes) = payload.encode();
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::ACCEPT, "application/json")
        .header(
            header::USER_AGENT,
            concat!("bulkhead/", env!("CARGO_PKG_VERSION")),
        );
    if let Some(media_type) = media_type {
        request = request.header(header::CONTENT_TYPE, media_type);
    }
    let request = request.body(Body::from(bytes)).map_err(transport)?;
    let response = client.send(request).await.map_err(transport)?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(transport)?
        .to_bytes();
    if !status.is_success() {
        return Err(refusal(status.as_u16(), &body));
    }
    serde_json::from_slice(&body).map_err(|error| Failure::Answer {
        problem: error.to_string(),
    })
}

pub(crate) fn transport(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Transport(error.into())
}

/// What the API server said instead of yes. Proxies before it may answer without a Status.
pub(crate) fn refusal(code: u16, body: &[u8]) -> Failure {
    let status: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |field: &str| status.get(field).and_then(Value::as_str).map(str::to_owned);
    let raw = || String::from_utf8_lossy(body).chars().take(200).collect();
    Failure::Status {
        code,
        reason: text("reason").unwrap_or_default(),
        message: text("message").unwrap_or_else(raw),
    }
}

/// Appends query parameters to a path.
pub(crate) fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut target = path.to_owned();
    for (index, (key, value)) in parameters.iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(key);
        target.push('=');
        target.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let selector = "a.dev/b=c,a.dev/d!=e&limit=1";
        assert_eq!(
            with_query(
                "/api/v1/pods",
                &[("labelSelector", selector), ("limit", "5")]
            ),
            "/api/v1/pods?labelSelector=a%2Edev%2Fb%3Dc%2Ca%2Edev%2Fd%21%3De%26limit%3D1&limit=5"
        );
    }

    #[test]
    fn a_refusal_keeps_the_servers_words() {
        let body = br#"{"kind":"Status","reason":"Conflict","message":"changed","code":409}"#;
        assert_eq!(refusal(409, body).to_string(), "changed (409 Conflict)");
        assert_eq!(refusal(502, b"<html>").to_string(), "<html> (502 )");
    }
}
