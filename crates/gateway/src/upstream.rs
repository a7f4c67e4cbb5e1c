//! A scoped request as HTTP. Everything in it was printed from values of ours.

use std::net::IpAddr;

use bulkhead_scope::ScopedRequest;
use bytes::Bytes;
use http::{HeaderValue, Request, header};

/// What goes along beside the scoped request.
pub(crate) struct Envelope<'a> {
    /// The forms of the answer.
    pub(crate) accept: &'a str,
    /// The client's software, for the API server's audit log.
    pub(crate) user_agent: &'a str,
    /// The id of the API server's audit events. A client's own would be taken, too.
    pub(crate) audit_id: &'a str,
    /// Where the client is, for the API server's audit log. Without it, one of the client's
    /// making could stand there.
    pub(crate) client: IpAddr,
}

/// Prints the request.
///
/// # Errors
/// If a value cannot stand in HTTP; they are all checked where they are made.
pub(crate) fn request(
    scoped: &ScopedRequest,
    envelope: &Envelope<'_>,
) -> Result<Request<Bytes>, http::Error> {
    let mut request = Request::builder()
        .method(scoped.method())
        .uri(scoped.target())
        .header(header::ACCEPT, envelope.accept)
        // Answers are looked at, and the client may not have asked for compression.
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::USER_AGENT, envelope.user_agent)
        .header("audit-id", envelope.audit_id)
        .header("x-forwarded-for", envelope.client.to_string());
    for (name, value) in scoped.credential().headers() {
        request = request.header(name, value);
    }
    let body = match (scoped.body().value(), scoped.body().media_type()) {
        (Some(value), Some(media)) => {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(media));
            Bytes::from(value.to_string())
        }
        _ => Bytes::new(),
    };
    request.body(body)
}

#[cfg(test)]
mod tests {
    use bulkhead_model::{NamespaceName, Prefix, SyntheticUser, TenantName, Uid};
    use bulkhead_scope::{Body, Caller, Membership, Outcome, parse, scope};
    use serde_json::json;

    use super::*;

    #[test]
    fn only_our_headers_travel() {
        let caller = Caller {
            person: "alice".into(),
            memberships: vec![Membership {
                tenant: TenantName::parse("acme").unwrap(),
                uid: Uid::parse("u-1").unwrap(),
                user: SyntheticUser::parse("bulkhead:tenant:acme:admin").unwrap(),
                prefix: Prefix::parse("acme-").unwrap(),
                cordoned: false,
                usable: bulkhead_scope::Usable::default(),
                namespaces: [NamespaceName::parse("acme-app").unwrap()].into(),
            }],
        };
        let asked = parse("POST", "/api/v1/namespaces/acme-app/configmaps?dryRun=All").unwrap();
        let Ok(Outcome::Forward(scoped)) = scope(asked, &caller, Body::Object(json!({}))) else {
            panic!("not forwarded");
        };
        let client = "192.0.2.1".parse().unwrap();
        let envelope = Envelope {
            accept: "application/json",
            user_agent: "kubectl",
            audit_id: "1",
            client,
        };
        let sent = request(&scoped, &envelope).unwrap();
        let headers: Vec<String> = sent
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(
            headers,
            [
                "accept: application/json",
                "accept-encoding: identity",
                "user-agent: kubectl",
                "audit-id: 1",
                "x-forwarded-for: 192.0.2.1",
                "impersonate-user: bulkhead:tenant:acme:admin",
                "impersonate-group: bulkhead:tenants",
                "impersonate-extra-bulkhead.dev%2fuser: alice",
                "content-type: application/json",
            ]
        );
        assert_eq!(
            sent.uri(),
            "/api/v1/namespaces/acme-app/configmaps?dryRun=All"
        );
        assert_eq!(
            sent.body(),
            r#"{"metadata":{"labels":{"bulkhead.dev/tenant":"acme"}}}"#
        );
    }
}
