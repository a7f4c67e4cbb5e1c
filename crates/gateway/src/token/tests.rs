//! Tokens at an API server of the tests' own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bulkhead_serve::{Limits, Server, TlsFiles, full, read_body};
use http::Response;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::*;

#[test]
fn a_token_is_known_for_a_moment_and_no_other_token_is() {
    let known = Known::default();
    let identity = Identity {
        who: Who::ServiceAccount(ServiceAccountRef::parse("acme-ci/deployer").unwrap()),
        ends: None,
        serial: None,
    };
    let now = Instant::now();
    let remember =
        |token: &str, now| known.remember(token, identity.clone(), now, now + REMEMBERED);
    remember("a.b.c", now);
    assert_eq!(known.get("a.b.c", now), Some(identity.clone()));
    assert_eq!(known.get("a.b.d", now), None);
    assert_eq!(known.get("a.b.c", now + REMEMBERED), None);
    for n in 0..MOST {
        remember(&n.to_string(), now);
    }
    assert_eq!(known.get(&(MOST - 1).to_string(), now), None, "full");
    remember("later", now + REMEMBERED);
    assert_eq!(known.get("later", now + REMEMBERED), Some(identity.clone()));
}

/// Answers every TokenReview with a status, and keeps what it was asked.
struct Reviewer {
    tokens: Tokens,
    asked: Arc<Mutex<Vec<Value>>>,
    status: Arc<Mutex<Value>>,
    _files: tempfile::TempDir,
}

impl Reviewer {
    async fn start(iam: bool) -> Self {
        let files = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let path = |name: &str| files.path().join(name);
        std::fs::write(path("crt"), made.cert.pem()).unwrap();
        std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
        let server = Server::bind(bulkhead_serve::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: TlsFiles {
                certificate: path("crt"),
                key: path("key"),
                client_ca: None,
            },
            limits: Limits::default(),
        })
        .await
        .unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": {
                "server": format!("https://localhost:{}", server.address().port()),
                "certificate-authority-data": STANDARD.encode(made.cert.pem()),
            }}],
            "users": [{"name": "u", "user": {"token": "reader"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(path("kubeconfig"), kubeconfig.to_string()).unwrap();
        let (asked, status): (Arc<Mutex<Vec<Value>>>, Arc<Mutex<Value>>) = Default::default();
        let (kept, told) = (asked.clone(), status.clone());
        tokio::spawn(server.run(
            move |request, _| {
                let (kept, told) = (kept.clone(), told.clone());
                async move {
                    let body = read_body(request.into_body(), 1 << 16).await.unwrap();
                    kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
                    let status = told.lock().unwrap().clone();
                    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status});
                    let mut response = Response::new(full(review.to_string()));
                    *response.status_mut() = http::StatusCode::CREATED;
                    let json = http::HeaderValue::from_static("application/json");
                    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
                    response
                }
            },
            std::future::pending(),
        ));
        let accepted = Accepted {
            audience: "ours".into(),
            issuers: Issuers::none(),
            iam,
        };
        let cluster = Cluster::connect(&path("kubeconfig")).await.unwrap();
        Self {
            tokens: Tokens::new(cluster, accepted),
            asked,
            status,
            _files: files,
        }
    }

    async fn ask(&self, token: &str, status: Value) -> Result<Who, (u16, String)> {
        *self.status.lock().unwrap() = status;
        let identity = self.tokens.identify(token).await;
        identity
            .map(|identity| identity.who)
            .map_err(|denial| (denial.status, denial.message))
    }
}

/// A token of now, each one another.
fn iam_token() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = OffsetDateTime::now_utc().format(form).unwrap();
    let (day, number) = (&date[..8], NUMBER.fetch_add(1, Ordering::Relaxed));
    let url = format!(
        "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F{day}%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date={date}&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature={number:064x}"
    );
    format!("{}{}", iam::PREFIX, URL_SAFE_NO_PAD.encode(url))
}

#[tokio::test]
async fn iam_tokens_are_reviewed_if_they_have_the_form() {
    let reviewer = Reviewer::start(true).await;
    let user = |name: &str, groups: &[&str]| json!({"authenticated": true, "user": {"username": name, "groups": groups}});
    let token = iam_token();
    let alice = user(
        "alice@acme.example",
        &["acme-admins", "system:authenticated"],
    );
    let expected = Who::User {
        name: "alice@acme.example".into(),
        groups: vec!["acme-admins".into()],
    };
    for _ in 0..3 {
        assert_eq!(
            reviewer.ask(&token, alice.clone()).await,
            Ok(expected.clone())
        );
    }
    let asked = reviewer.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "remembered");
    assert_eq!(
        asked[0]["spec"],
        json!({"token": token}),
        "for the API server's own audience"
    );
    for (status, says) in [
        (json!({"authenticated": false}), "does not know it"),
        (json!({"user": {"username": "alice"}}), "does not know it"),
        (
            user("system:node:ip-10-0-0-1", &[]),
            "must not start with `system:`",
        ),
        (
            user("alice", &["system:masters", "system:authenticated"]),
            "a group's name must not start with `system:`",
        ),
        (
            user("bulkhead:tenant:acme:admin", &[]),
            "must not start with `bulkhead:`",
        ),
    ] {
        let (code, message) = reviewer.ask(&iam_token(), status).await.unwrap_err();
        assert!(code == 401 && message.contains(says), "{message}");
    }
    // What has not the form is never sent on.
    let before = reviewer.asked.lock().unwrap().len();
    let evil = URL_SAFE_NO_PAD.encode("https://evil.example/?Action=GetCallerIdentity");
    let (code, message) = reviewer
        .ask(&format!("k8s-aws-v1.{evil}"), alice.clone())
        .await
        .unwrap_err();
    assert!(
        code == 401 && message.contains("a host of STS"),
        "{message}"
    );
    assert_eq!(reviewer.asked.lock().unwrap().len(), before);
    let none = Reviewer::start(false).await;
    let (code, message) = none.ask(&iam_token(), alice).await.unwrap_err();
    assert!(code == 401 && message.contains("takes none"), "{message}");
    assert!(none.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn accounts_tokens_are_reviewed_for_our_audience() {
    let reviewer = Reviewer::start(true).await;
    let status = |name: &str, audience: &str| json!({"authenticated": true, "audiences": [audience], "user": {"username": name}});
    let good = status("system:serviceaccount:acme-ci:deployer", "ours");
    let account = ServiceAccountRef::parse("acme-ci/deployer").unwrap();
    for _ in 0..3 {
        assert_eq!(
            reviewer.ask("a.b.c", good.clone()).await,
            Ok(Who::ServiceAccount(account.clone()))
        );
    }
    let asked = reviewer.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "remembered");
    assert_eq!(
        asked[0]["spec"],
        json!({"token": "a.b.c", "audiences": ["ours"]})
    );
    for (number, bad) in [
        status("system:serviceaccount:acme-ci:deployer", "theirs"),
        // An IAM user, or an administrator, is no ServiceAccount.
        status("alice", "ours"),
        status("system:admin", "ours"),
        json!({"authenticated": false}),
    ]
    .into_iter()
    .enumerate()
    {
        let (code, message) = reviewer
            .ask(&format!("bad.{number}.x"), bad)
            .await
            .unwrap_err();
        assert!(
            code == 401 && message.contains("audience `ours`"),
            "{message}"
        );
    }
}
