//! What is no request of the API server, or none that can be answered.

use bulkhead_serve::{BoxError, full};
use bytes::Bytes;
use futures::stream;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;

use crate::reviews::{ask, good_pod, refusal, review, send, webhook};

const PATHS: [&str; 3] = ["/mutate", "/validate", "/tenants"];

#[tokio::test]
async fn what_is_no_review_gets_400_and_a_reason() {
    let twice = review(good_pod()).to_string().replacen(
        r#""securityContext":"#,
        r#""securityContext":{"privileged":true},"securityContext":"#,
        1,
    );
    let cut = review(good_pod()).to_string();
    let mut beta = review(good_pod());
    beta["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let mut nobody = review(good_pod());
    nobody["request"]["uid"] = json!("");
    for path in PATHS {
        for (body, reason) in [
            ("", "line 1, column 0"),
            ("{}", "`apiVersion` and `kind`"),
            ("[[[", "line 1"),
            (&twice, "duplicate key `securityContext`"),
            (&cut[..cut.len() / 2], "line 1"),
            (&beta.to_string(), "`apiVersion` and `kind`"),
            (&nobody.to_string(), "`request.uid` is empty"),
            (&"[".repeat(200_000), "line 1"),
        ] {
            let (status, answer) = send(path, full(body.to_owned())).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert_eq!(status, 400, "{path}: {answer}");
            assert!(answer.contains(reason), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_is_too_large_or_breaks_off_is_not_looked_at() {
    let (status, _) = send("/validate", full(vec![b' '; 8 * 1024 * 1024 + 1])).await;
    assert_eq!(status, 413);
    // Four mebibytes fit, as the API server sends an object twice, and are judged.
    let mut large = review(good_pod());
    large["request"]["object"]["metadata"]["annotations"] = json!({"a": "x".repeat(4 << 20)});
    assert_eq!(ask("/validate", &large).await["allowed"], true);

    let whole = review(good_pod()).to_string();
    let frames: [Result<Frame<Bytes>, BoxError>; 2] = [
        Ok(Frame::data(Bytes::from(whole))),
        Err("the connection was reset".into()),
    ];
    let body = StreamBody::new(stream::iter(frames));
    assert_eq!(send("/validate", body).await.0, 400);
}

#[tokio::test]
async fn only_reviews_by_post_are_served() {
    let respond = async |method: &str, path: &str, content_type: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(full(review(good_pod()).to_string()))
            .unwrap();
        webhook().respond(request).await.status().as_u16()
    };
    for (method, path, content_type, expected) in [
        ("POST", "/validate", "application/json", 200),
        ("POST", "/validate", "application/json; charset=utf-8", 200),
        ("POST", "/validate", "application/yaml", 415),
        ("POST", "/validate", "", 415),
        ("GET", "/validate", "application/json", 405),
        ("PUT", "/mutate", "application/json", 405),
        ("POST", "/", "application/json", 404),
        ("POST", "/validate/", "application/json", 404),
        ("POST", "//validate", "application/json", 404),
        ("GET", "/healthz", "", 200),
        ("GET", "/readyz", "", 200),
        ("POST", "/healthz", "application/json", 404),
    ] {
        assert_eq!(
            respond(method, path, content_type).await,
            expected,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn what_no_rule_covers_is_refused() {
    for (field, value, reason) in [
        (
            "kind",
            json!({"group": "x.io", "version": "v1", "kind": "Pod"}),
            "no rule covers Pod",
        ),
        (
            "resource",
            json!({"group": "", "version": "v1", "resource": "podz"}),
            "no rule covers",
        ),
        (
            "subResource",
            json!("status"),
            "no rule covers Pod of `v1`, subresource `status`",
        ),
        ("operation", json!("DELETE"), "only CREATE and UPDATE"),
        ("operation", json!("CONNECT"), "only CREATE and UPDATE"),
        ("object", json!(null), "carries no object"),
        (
            "object",
            json!({"spec": []}),
            "`spec` must be of type object",
        ),
        ("object", json!("pod"), "must be of type object"),
    ] {
        let mut odd = review(good_pod());
        odd["request"][field] = value;
        for path in ["/mutate", "/validate"] {
            let response = ask(path, &odd).await;
            assert!(refusal(&response).contains(reason), "{response}");
            assert_eq!(response["status"]["code"], 403);
            assert_eq!(response["status"]["reason"], "Forbidden");
        }
    }
}

#[tokio::test]
async fn without_rules_nothing_is_let_in() {
    for (namespace, reason) in [
        (
            json!("acme-new"),
            "`acme-new`: annotation `bulkhead.dev/rules` is missing",
        ),
        (
            json!("acme-odd"),
            "annotation `bulkhead.dev/rules` cannot be read",
        ),
        (
            json!("elsewhere"),
            "not known to have the label `bulkhead.dev/tenant`",
        ),
        (json!(""), "has no namespace"),
        (json!(null), "has no namespace"),
    ] {
        let mut pod = review(good_pod());
        pod["request"]["namespace"] = namespace;
        // What the object says of itself counts for nothing.
        pod["request"]["object"]["metadata"]["labels"] = json!({"bulkhead.dev/tenant": "acme"});
        for path in ["/mutate", "/validate"] {
            let response = ask(path, &pod).await;
            assert!(refusal(&response).contains(reason), "{response}");
            assert_eq!(response["status"]["code"], 403);
        }
    }
}
