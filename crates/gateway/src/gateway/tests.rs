//! Whole requests against fixed tenants. Nobody listens upstream: what would be forwarded ends
//! in 503.

use std::path::Path as FsPath;

use bulkhead_cluster::Cluster;
use bulkhead_model::labels;
use bulkhead_serve::{full, read_body};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::*;

const RULES: &str = r#"{"tenant":"acme","uid":"u-acme","profile":"Strict","ids":{"range":"1000000000-1000009999"}}"#;

fn tenant(name: &str, member: &str) -> Value {
    json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
        "metadata": {"name": name, "uid": format!("u-{name}"), "generation": 1},
        "spec": {
            "namespaceOptions": {"prefix": format!("{name}-")},
            "members": [{"kind": "User", "name": member, "role": "Admin"}],
        },
    })
}

fn namespace(name: &str, tenant: &str, rules: Option<&str>) -> Value {
    json!({"metadata": {
        "name": name, "uid": format!("n-{name}"),
        "labels": {labels::TENANT: tenant, labels::TENANT_UID: format!("u-{tenant}")},
        "annotations": rules.map(|rules| json!({labels::RULES: rules})).unwrap_or_default(),
    }})
}

fn kubeconfig(path: &FsPath) {
    let text = r#"{"apiVersion":"v1","kind":"Config","current-context":"x",
        "clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],
        "users":[{"name":"u","user":{"token":"t"}}],
        "contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}]}"#;
    std::fs::write(path, text).unwrap();
}

async fn gateway() -> Arc<Gateway> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    kubeconfig(&path);
    let gateway = Gateway {
        tenants: TenantCache::fixed(vec![tenant("acme", "alice"), tenant("globex", "gus")]),
        namespaces: NamespaceCache::fixed(vec![
            namespace("acme-app", "acme", Some(RULES)),
            namespace("acme-new", "acme", None),
            namespace("globex-app", "globex", None),
            namespace("acme-handed-over", "globex", None),
        ]),
        revocations: RevocationCache::fixed(vec![json!({
            "metadata": {"name": labels::REVOKED_CERTIFICATES}, "data": {"BAD": ""},
        })]),
        reader: Forwarder::connect(&path).await.unwrap(),
        forwarder: Forwarder::connect(&path).await.unwrap(),
        tokens: Tokens::new(
            Cluster::connect(&path).await.unwrap(),
            crate::token::Accepted {
                audience: "ours".into(),
                issuers: crate::oidc::Issuers::none(),
                iam: false,
            },
        ),
        listed: AtomicBool::new(false),
        books: crate::audit::Books::nowhere(),
        allowances: Allowances::default(),
        carriers: bulkhead_controls::Carriers::default(),
        tenant_limits: Limiter::new(Whose::Tenant),
        person_limits: Limiter::new(Whose::Person),
        seal: Arc::new(Seal::of(b"secret")),
    };
    gateway.open().await;
    Arc::new(gateway)
}

fn peer(user: Option<&str>) -> Peer {
    let certificate = user.map(|user| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, user);
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        CertificateDer::from(signed.der().to_vec())
    });
    Peer {
        address: "192.0.2.1:1".parse().unwrap(),
        certificate,
    }
}

#[derive(Clone)]
struct Asked<'a> {
    user: Option<&'a str>,
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: Vec<u8>,
}

const ASKED: Asked<'static> = Asked {
    user: Some("alice"),
    method: "GET",
    target: "/version",
    headers: &[],
    body: vec![],
};

/// Status and message of the answer.
async fn ask(gateway: &Arc<Gateway>, asked: Asked<'_>) -> (u16, String) {
    let mut request = Request::builder().method(asked.method).uri(asked.target);
    for (name, value) in asked.headers {
        request = request.header(*name, *value);
    }
    let request = request.body(full(asked.body)).unwrap();
    let response = Arc::clone(gateway).serve(request, peer(asked.user)).await;
    let status = response.status().as_u16();
    let bytes = read_body(response.into_body(), 1 << 20).await.unwrap();
    let text = match serde_json::from_slice::<Value>(&bytes) {
        Ok(object) if object["kind"] == "Status" => {
            assert_eq!(object["code"], status);
            object["message"].as_str().unwrap().to_owned()
        }
        Ok(object) => object.to_string(),
        Err(_) => String::from_utf8(bytes.to_vec()).unwrap(),
    };
    (status, text)
}

const UPSTREAM: (u16, &str) = (503, "the API server cannot be reached");

#[tokio::test]
async fn people_get_as_far_as_they_may() {
    let gateway = gateway().await;
    let app = "/api/v1/namespaces/acme-app/pods";
    for (asked, (status, says)) in [
        (
            Asked {
                target: app,
                ..ASKED
            },
            UPSTREAM,
        ),
        (
            Asked {
                target: "/api/v1/namespaces",
                ..ASKED
            },
            UPSTREAM,
        ),
        (
            Asked {
                user: Some("gus"),
                target: "/api/v1/namespaces/globex-app/pods",
                ..ASKED
            },
            UPSTREAM,
        ),
        (
            Asked {
                user: None,
                target: app,
                ..ASKED
            },
            (401, "give a client certificate"),
        ),
        (
            Asked {
                user: None,
                target: "/healthz",
                ..ASKED
            },
            (200, "ok"),
        ),
        (
            Asked {
                user: None,
                target: "/readyz",
                ..ASKED
            },
            (200, "ok"),
        ),
        (
            Asked {
                user: None,
                target: "/livez",
                ..ASKED
            },
            (401, "give a client certificate"),
        ),
        (
            Asked {
                headers: &[("authorization", "Bearer a.b.c")],
                ..ASKED
            },
            (401, "not both"),
        ),
        (
            Asked {
                user: None,
                headers: &[("authorization", "Basic x")],
                ..ASKED
            },
            (401, "Bearer TOKEN"),
        ),
        (
            Asked {
                user: None,
                headers: &[("authorization", "Bearer x")],
                ..ASKED
            },
            (503, "cannot be checked now"),
        ),
        (
            Asked {
                user: Some("system:admin"),
                ..ASKED
            },
            (401, "`system:`"),
        ),
        (
            Asked {
                user: Some("mallory"),
                ..ASKED
            },
            (403, "a member of no tenant"),
        ),
        (
            Asked {
                target: "/api/v1/namespaces/globex-app/pods",
                ..ASKED
            },
            (404, "namespaces \"globex-app\" not found"),
        ),
        (
            Asked {
                target: "/api/v1/namespaces/acme-handed-over/pods",
                ..ASKED
            },
            (404, "namespaces \"acme-handed-over\" not found"),
        ),
        (
            Asked {
                user: Some("gus"),
                target: "/api/v1/namespaces/acme-handed-over/pods",
                ..ASKED
            },
            // Guarded labels say whose it is, the name does not.
            (503, "cannot be reached"),
        ),
        (
            Asked {
                headers: &[("impersonate-user", "system:admin")],
                ..ASKED
            },
            (403, "`--as`"),
        ),
        (
            Asked {
                headers: &[
                    ("connection", "impersonate-user"),
                    ("impersonate-user", "x"),
                ],
                ..ASKED
            },
            (403, "`--as`"),
        ),
        (
            Asked {
                target: "https://else.where/version",
                ..ASKED
            },
            (400, "absolute URLs"),
        ),
        (
            Asked {
                target: "/api/v1/namespaces//pods",
                ..ASKED
            },
            (400, "empty segment"),
        ),
        (
            Asked {
                target: "/api/v1/namespaces/acme-app%2fpods",
                ..ASKED
            },
            (400, "without escapes"),
        ),
        (
            Asked {
                target: "/api/v1/namespaces/acme-app/pods?limit=1&limit=2",
                ..ASKED
            },
            (400, "given twice"),
        ),
        (
            Asked {
                target: app,
                headers: &[("accept", "application/yaml")],
                ..ASKED
            },
            (406, "application/json"),
        ),
        (
            Asked {
                target: app,
                headers: &[("upgrade", "websocket")],
                ..ASKED
            },
            (501, "`Upgrade`"),
        ),
        (
            Asked {
                target: "/api/v1/namespaces/acme-app/pods/x/exec?",
                headers: &[("upgrade", "websocket")],
                ..ASKED
            },
            (400, "the `Connection` header"),
        ),
    ] {
        let what = format!("{:?} {} {:?}", asked.user, asked.target, asked.headers);
        let (got, message) = ask(&gateway, asked).await;
        assert_eq!(got, status, "{what}: {message}");
        assert!(message.contains(says), "{what}: {message}");
    }
}

#[tokio::test]
async fn bodies_are_read_and_judged_first() {
    let gateway = gateway().await;
    let pod = |privileged: bool| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{
            "name": "c", "image": "i", "securityContext": {"privileged": privileged, "runAsUser": 1_000_000_000},
        }]}})
    };
    let text = |value: Value| value.to_string().into_bytes();
    let json = &[("content-type", "application/json")][..];
    let (app, fresh) = (
        "/api/v1/namespaces/acme-app/pods",
        "/api/v1/namespaces/acme-new/pods",
    );
    for (target, headers, body, (status, says)) in [
        (app, json, text(pod(false)), UPSTREAM),
        (app, json, text(pod(true)), (403, "privileged-container")),
        (
            app,
            json,
            text(pod(true)),
            (403, "pods \"p\" is forbidden: the gateway: "),
        ),
        (fresh, json, text(pod(false)), (403, "not ready")),
        (
            "/api/v1/namespaces/acme-new/configmaps",
            json,
            text(json!({"metadata": {}})),
            UPSTREAM,
        ),
        (
            app,
            json,
            text(json!({"kind": "Pod", "spec": {"containers": "x"}})),
            (400, "`spec.containers` must be"),
        ),
        (
            app,
            json,
            br#"{"spec":{},"spec":{}}"#.to_vec(),
            (400, "line 1, column 17: duplicate key `spec`"),
        ),
        (app, json, br#"{"spec":"#.to_vec(), (400, "line 1")),
        (
            app,
            json,
            vec![b' '; body::MAX_BODY + 1],
            (413, "larger than 3145728 bytes"),
        ),
        (
            app,
            &[("content-type", "application/yaml")],
            b"a: y".to_vec(),
            (400, "line 1: "),
        ),
        (
            app,
            &[("content-encoding", "gzip")],
            b"x".to_vec(),
            (415, "uncompressed"),
        ),
        (
            app,
            &[("content-type", "a/b"), ("content-type", "a/b")],
            b"x".to_vec(),
            (400, "more than once"),
        ),
        (app, json, vec![], (400, "takes an object")),
    ] {
        let what = format!(
            "{target} {headers:?} {}",
            String::from_utf8_lossy(body.get(..99).unwrap_or(&body))
        );
        let asked = Asked {
            method: "POST",
            target,
            headers,
            body,
            ..ASKED
        };
        let (got, message) = ask(&gateway, asked).await;
        assert_eq!(got, status, "{what}: {message}");
        assert!(message.contains(says), "{what}: {message}");
    }
}

#[tokio::test]
async fn access_reviews_for_others_namespaces_are_answered_here() {
    let review = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "globex-app"}}});
    let asked = Asked {
        method: "POST",
        target: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body: review.to_string().into_bytes(),
        ..ASKED
    };
    let (status, text) = ask(&gateway().await, asked).await;
    assert_eq!(status, 201);
    assert!(text.contains(r#""allowed":false"#), "{text}");
}

#[tokio::test]
async fn nobody_is_let_in_before_the_tenants_are_known() {
    let gateway = gateway().await;
    gateway.listed.store(false, Ordering::Release);
    assert_eq!(ask(&gateway, ASKED).await.0, 503);
    let probe = Asked {
        user: None,
        target: "/readyz",
        ..ASKED
    };
    assert_eq!(ask(&gateway, probe).await.0, 503);
}

#[tokio::test]
async fn a_certificate_that_was_taken_back_lets_nobody_in() {
    let gateway = gateway().await;
    for (serial, expected) in [(0x0bad_u64, 401), (0x0bae, 503)] {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.serial_number = Some(rcgen::SerialNumber::from(serial));
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut peer = peer(None);
        peer.certificate = Some(CertificateDer::from(signed.der().to_vec()));
        let target = "/api/v1/namespaces/acme-app/pods";
        let request = Request::get(target).body(full("")).unwrap();
        let response = Arc::clone(&gateway).serve(request, peer).await;
        assert_eq!(response.status().as_u16(), expected, "{serial:x}");
        let bytes = read_body(response.into_body(), 1 << 20).await.unwrap();
        let revoked = String::from_utf8_lossy(&bytes).contains("it has been revoked");
        assert_eq!(revoked, expected == 401, "{serial:x}");
    }
}

#[tokio::test]
async fn who_takes_too_much_is_told_when_to_come_again() {
    let few = |requests| Allowance {
        requests_per_second: 1,
        burst: requests,
        ..Allowances::default().person
    };
    for (tenant, person, says) in [
        (few(2), few(9), "for the tenant `acme`"),
        (few(9), few(2), "for the person `alice`"),
    ] {
        let mut gateway = Arc::into_inner(gateway().await).unwrap();
        gateway.allowances = Allowances { tenant, person };
        let gateway = Arc::new(gateway);
        let pods = Asked {
            target: "/api/v1/namespaces/acme-app/pods",
            ..ASKED
        };
        for _ in 0..2 {
            assert_eq!(ask(&gateway, pods.clone()).await.0, 503);
        }
        let (status, message) = ask(&gateway, pods.clone()).await;
        assert!(status == 429 && message.contains(says), "{message}");
        // Others have their own.
        let other = Asked {
            user: Some("gus"),
            target: "/api/v1/namespaces/globex-app/pods",
            ..ASKED
        };
        assert_eq!(ask(&gateway, other).await.0, 503);
        // The header, which clients obey.
        let request = Request::get(pods.target).body(full("")).unwrap();
        let response = Arc::clone(&gateway)
            .serve(request, peer(Some("alice")))
            .await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let counted = gateway.books.metrics.text();
        let whose = if says.contains("tenant") {
            "tenant"
        } else {
            "person"
        };
        let line = format!("bulkhead_gateway_limited_total{{whose=\"{whose}\",sort=\"call\"}} 2\n");
        assert!(counted.contains(&line), "{counted}");
    }
}

#[tokio::test]
async fn a_stream_holds_as_long_as_its_right() {
    let gateway = gateway().await;
    let identity = |name: &str| Identity {
        who: crate::authn::Who::User {
            name: name.into(),
            groups: vec![],
        },
        ends: None,
        serial: None,
    };
    let alice = identity("alice");
    let caller = gateway.caller(&alice);
    let watch = |target: &str| {
        let asked = parse("GET", target).unwrap();
        match scope(asked, &caller, bulkhead_scope::Body::Empty) {
            Ok(Outcome::Forward(scoped)) => *scoped,
            other => panic!("{other:?}"),
        }
    };
    let pods = watch("/api/v1/namespaces/acme-app/pods?watch=true");
    let list = watch("/api/v1/namespaces?watch=true");
    for scoped in [&pods, &list] {
        assert!(streams(scoped));
        assert!(gateway.still_holds(&alice, &caller, scoped));
        assert!(
            !gateway.still_holds(&identity("mallory"), &caller, scoped),
            "no member any more"
        );
        let mut other = caller.clone();
        other.memberships[0].uid = bulkhead_model::Uid::parse("u-0").unwrap();
        assert!(
            !gateway.still_holds(&alice, &other, scoped),
            "another tenant of the name"
        );
        let over = Identity {
            ends: Some(SystemTime::now()),
            ..alice.clone()
        };
        assert!(!gateway.still_holds(&over, &caller, scoped), "expired");
        let taken_back = Identity {
            serial: Some(bulkhead_model::Serial::parse("bad").unwrap()),
            ..alice.clone()
        };
        assert!(
            !gateway.still_holds(&taken_back, &caller, scoped),
            "revoked"
        );
    }
    assert!(!streams(&watch("/api/v1/namespaces/acme-app/pods")));
    assert!(streams(&watch(
        "/api/v1/namespaces/acme-app/pods/x/log?follow=true"
    )));
}
