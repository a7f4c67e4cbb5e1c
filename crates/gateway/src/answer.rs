//! What the client gets: refusals as Kubernetes Statuses, and upstream's answers, filtered.

use std::time::Duration;

use bulkhead_cluster::ForwardedBody;
use bulkhead_model::labels;
use bulkhead_scope::{
    Credential, Denial, Document, Path, ScopedRequest, narrow_document, narrow_rules,
};
use bulkhead_serve::{Body, full, read_body};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::{id, openapi};

/// Upstream's headers that reach the client. Those that a client could mistake for words of ours
/// or that speak of the connection upstream do not.
const PASSED: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::VARY,
    header::WARNING,
    header::RETRY_AFTER,
];

/// The longest Status that is read; a longer one is none.
const LONGEST_STATUS: usize = 1024 * 1024;

/// The longest discovery document that is read. A cluster with a thousand kinds has about 2 MiB.
const LONGEST_DOCUMENT: usize = 32 * 1024 * 1024;

/// The response to a refused request.
pub(crate) fn refused(denial: &Denial) -> Response<Body> {
    let status = StatusCode::from_u16(denial.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = object(status, &denial.to_status());
    if let Some(seconds) = denial.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

/// A response with an object of ours.
pub(crate) fn object(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Upstream's answer for the client.
///
/// # Errors
/// 500 with an incident's id if upstream has refused the gateway rather than the tenant, or
/// answered with what no API server answers.
pub(crate) async fn upstream(
    response: Response<ForwardedBody>,
    scoped: &ScopedRequest,
) -> Result<Response<Body>, Denial> {
    let (parts, body) = response.into_parts();
    let headers = passed(&parts.headers);
    let status = parts.status;
    let body = if status.is_success() && computed(scoped) {
        let bytes = whole(body, LONGEST_DOCUMENT).await?;
        full(narrowed(scoped.request().path(), &headers, &bytes)?)
    } else if status.is_success() {
        body.map_err(Into::into).boxed_unsync()
    } else {
        let bytes = whole(body, LONGEST_STATUS).await?;
        if unjudged(status, &bytes) {
            let upstream = String::from_utf8_lossy(&bytes);
            tracing::error!(%upstream, "the webhook cannot be reached");
            return Err(Denial::unavailable(UNJUDGED, 1));
        }
        if let Some(why) = ours(status, &bytes, scoped.credential()) {
            return Err(incident(&format!(
                "{why}: {}",
                String::from_utf8_lossy(&bytes)
            )));
        }
        full(bytes)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// What the creator of an object is told while the webhook is down; where it is, is the operator's.
const UNJUDGED: &str =
    "the object cannot be judged at the moment, so it is not let in; try again later";

fn unjudged(status: StatusCode, body: &Bytes) -> bool {
    status == StatusCode::INTERNAL_SERVER_ERROR
        && String::from_utf8_lossy(body).contains("failed calling webhook")
}

async fn whole(body: ForwardedBody, longest: usize) -> Result<Bytes, Denial> {
    match tokio::time::timeout(Duration::from_secs(10), read_body(body, longest)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(incident(&format!("the answer cannot be read: {error}"))),
        Err(_) => Err(incident("the answer does not end")),
    }
}

/// Whether the answer says what there is, or what one may do.
fn computed(scoped: &ScopedRequest) -> bool {
    match scoped.request().path() {
        Path::Document(document) => !matches!(document, Document::Version | Document::Health(_)),
        Path::Resource(resource) => resource.resource == "selfsubjectrulesreviews",
    }
}

/// What works here of what there is.
fn narrowed(path: &Path, headers: &HeaderMap, bytes: &Bytes) -> Result<Bytes, Denial> {
    let form = headers.get(header::CONTENT_TYPE);
    let form = form.and_then(|form| form.to_str().ok()).unwrap_or_default();
    if form.contains("protobuf") {
        return openapi::narrow(bytes)
            .map(Bytes::from)
            .ok_or_else(|| incident("the schemas cannot be read"));
    }
    let mut document: Value = serde_json::from_slice(bytes)
        .map_err(|error| incident(&format!("discovery cannot be read: {error}")))?;
    match path {
        Path::Document(path) => narrow_document(path, &mut document),
        Path::Resource(_) => narrow_rules(&mut document),
    }
    Ok(Bytes::from(document.to_string()))
}

/// Logs what went wrong on our side and tells the client an id to ask for it by.
pub(crate) fn incident(why: &str) -> Denial {
    let incident = id::fresh();
    tracing::error!(%incident, %why, "could not serve a request");
    Denial::internal(&incident)
}

fn passed(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in PASSED {
        for value in upstream.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Whether a refusal is about the gateway and none of the tenant's business.
fn ours(status: StatusCode, body: &Bytes, credential: &Credential) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED => Some("the API server does not know the gateway"),
        StatusCode::FORBIDDEN if *credential == Credential::Reader => {
            Some("the API server refuses the gateway's reader")
        }
        StatusCode::FORBIDDEN => {
            let text = String::from_utf8_lossy(body);
            let own = format!("system:serviceaccount:{}:", labels::SYSTEM_NAMESPACE);
            // The words of both ways in which Kubernetes checks impersonation.
            [own.as_str(), "cannot impersonate", "impersonate:user-info"]
                .iter()
                .any(|words| text.contains(words))
                .then_some("the API server refuses the gateway's forwarder")
        }
        status if status.is_client_error() || status.is_server_error() => None,
        _ => Some("the API server answers with neither success nor an error"),
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::SyntheticUser;

    use super::*;

    #[test]
    fn a_webhook_that_is_down_is_told_apart() {
        let body =
            Bytes::from_static(b"Internal error occurred: failed calling webhook \\\"mend\\\"");
        assert!(unjudged(StatusCode::INTERNAL_SERVER_ERROR, &body));
        assert!(!unjudged(StatusCode::FORBIDDEN, &body));
        assert!(!unjudged(
            StatusCode::INTERNAL_SERVER_ERROR,
            &Bytes::from_static(b"no")
        ));
    }

    #[test]
    fn refusals_of_the_gateway_are_not_told() {
        let forwarder = Credential::Forwarder {
            user: SyntheticUser::parse("bulkhead:tenant:acme:admin").unwrap(),
            person: "alice".into(),
        };
        let theirs =
            r#"pods is forbidden: User "bulkhead:tenant:acme:viewer" cannot list resource"#;
        let hidden = r#"users "x" is forbidden: User "system:serviceaccount:bulkhead-system:gateway-forwarder" cannot impersonate resource "users""#;
        for (status, body, credential, ours_it_is) in [
            (403, theirs, &forwarder, false),
            (403, hidden, &forwarder, true),
            (
                403,
                "User \"admin\" cannot impersonate resource",
                &forwarder,
                true,
            ),
            (403, theirs, &Credential::Reader, true),
            (401, "", &forwarder, true),
            (404, "", &forwarder, false),
            (404, "", &Credential::Reader, false),
            (500, "", &forwarder, false),
            (302, "", &forwarder, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let got = ours(status, &Bytes::from(body), credential).is_some();
            assert_eq!(got, ours_it_is, "{status} {body}");
        }
    }

    #[test]
    fn headers_pass_by_a_list() {
        let mut upstream = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("warning", "299 - \"a\""),
            ("warning", "299 - \"b\""),
            ("x-kubernetes-pf-flowschema-uid", "1"),
            ("set-cookie", "a=b"),
            ("location", "https://elsewhere"),
            ("connection", "close"),
        ] {
            upstream.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let names: Vec<String> = passed(&upstream)
            .iter()
            .map(|(n, _)| n.to_string())
            .collect();
        assert_eq!(names, ["content-type", "warning", "warning"]);
    }

    #[test]
    fn a_refusal_is_a_status() {
        let response = refused(&Denial::unavailable("later", 3));
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let response = refused(&Denial::unauthorized("who are you"));
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
