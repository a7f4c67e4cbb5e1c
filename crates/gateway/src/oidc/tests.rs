//! An issuer of the tests' own, on a port of its own, and what its tokens are worth.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_serve::{Limits, Server, TlsFiles, full};
use http::Response;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA512,
    RsaKeyPair,
};
use serde_json::json;

use super::*;

/// Made for these tests: `openssl genpkey -algorithm RSA`.
const RSA: &[u8] = include_bytes!("testdata/rsa.pk8");

const TIMES: Times = Times {
    refresh: Duration::from_secs(3600),
    again: Duration::from_millis(20),
    keep: Duration::from_secs(3600),
};

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key with its name: what signs, and what the issuer shows.
struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        Self { id, pair }
    }

    fn shown(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256",
            "x": base64(&point[1..33]), "y": base64(&point[33..])})
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(
            &json!({"alg": "ES256", "kid": self.id, "typ": "JWT"}),
            claims,
        )
    }

    fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            base64(header.to_string()),
            base64(claims.to_string())
        );
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", base64(signature))
    }
}

struct TestIssuer {
    url: String,
    authority: String,
    keys: Arc<Mutex<Value>>,
    down: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    _files: tempfile::TempDir,
}

impl TestIssuer {
    async fn start(keys: &[Value]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (files.path().join("crt"), files.path().join("key"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let server = Server::bind(bulkhead_serve::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: TlsFiles {
                certificate,
                key,
                client_ca: None,
            },
            limits: Limits::default(),
        })
        .await
        .unwrap();
        let url = format!("https://localhost:{}", server.address().port());
        let issuer = Self {
            keys: Arc::new(Mutex::new(json!({"keys": keys}))),
            down: Arc::default(),
            asked: Arc::default(),
            authority: made.cert.pem(),
            url,
            _files: files,
        };
        let (keys, down, asked) = (
            issuer.keys.clone(),
            issuer.down.clone(),
            issuer.asked.clone(),
        );
        let document = json!({"issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url)});
        tokio::spawn(server.run(
            move |request, _| {
                let mut response = Response::new(full(match request.uri().path() {
                    "/.well-known/openid-configuration" => document.to_string(),
                    _ => keys.lock().unwrap().to_string(),
                }));
                asked.fetch_add(1, Ordering::SeqCst);
                if down.load(Ordering::SeqCst) {
                    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
                }
                std::future::ready(response)
            },
            std::future::pending(),
        ));
        issuer
    }

    fn show(&self, keys: &[Value]) {
        *self.keys.lock().unwrap() = json!({"keys": keys});
    }

    fn issuers(&self, times: Times) -> Issuers {
        let text = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {"url": self.url, "audiences": ["bulkhead"], "certificateAuthority": self.authority},
                "claimMappings": {
                    "username": {"claim": "email", "prefix": ""},
                    "groups": {"claim": "groups", "prefix": ""},
                },
                "claimValidationRules": [{"claim": "hd", "requiredValue": "acme.example"}],
            }],
        });
        Issuers::of(&text.to_string(), times).unwrap()
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.url, "aud": "bulkhead", "exp": now() + 600, "nbf": now() - 5, "iat": now() - 5,
            "email": "alice@acme.example", "email_verified": true, "hd": "acme.example",
            "groups": ["acme-admins", "Équipe"],
        })
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// The user's name, or status and message of the refusal.
async fn ask(issuers: &Issuers, token: &str) -> Result<String, (u16, String)> {
    match issuers.identify(token).await {
        Some(Ok(identity)) => Ok(identity.name()),
        Some(Err(denial)) => Err((denial.status, denial.message)),
        None => Err((0, "of no issuer".into())),
    }
}

#[tokio::test]
async fn a_good_token_names_a_person() {
    let signer = Signer::new("a");
    let issuer = TestIssuer::start(&[signer.shown()]).await;
    let issuers = issuer.issuers(TIMES);
    let claims = issuer.claims();
    let identity = issuers
        .identify(&signer.sign(&claims))
        .await
        .unwrap()
        .unwrap();
    // A group that no Tenant can name is left out.
    let groups = vec!["acme-admins".to_owned()];
    let name = "alice@acme.example".to_owned();
    assert_eq!(identity.who, Who::User { name, groups });
    assert_eq!(identity.ends, instant(claims["exp"].as_f64().unwrap()));
    assert!(identity.is_over(identity.ends.unwrap()) && !identity.is_over(SystemTime::now()));
}

#[tokio::test]
async fn claims_decide() {
    let signer = Signer::new("a");
    let issuer = TestIssuer::start(&[signer.shown()]).await;
    let issuers = issuer.issuers(TIMES);
    for (claim, value, says) in [
        ("exp", json!(now() - 1), "has expired"),
        ("exp", json!("9999999999"), "`exp` is no time"),
        ("exp", Value::Null, "`exp` is no time"),
        ("nbf", json!(now() + 120), "not valid yet (`nbf`)"),
        ("nbf", json!("soon"), "`nbf` is no time"),
        ("iat", json!(now() + 120), "not valid yet (`iat`)"),
        (
            "aud",
            json!("kubernetes"),
            "for another audience; expected `bulkhead`",
        ),
        ("aud", json!(["a", "bulkhead2"]), "for another audience"),
        ("aud", json!([]), "for another audience"),
        ("aud", json!({"bulkhead": true}), "`aud` is no list"),
        ("aud", json!(["bulkhead", 1]), "`aud` is no list"),
        ("hd", json!("globex.example"), "`hd` must be `acme.example`"),
        ("hd", json!(["acme.example"]), "`hd` must be `acme.example`"),
        (
            "email",
            json!("system:admin"),
            "must not start with `system:`",
        ),
        (
            "email",
            json!("bulkhead:tenant:acme:admin"),
            "must not start with `bulkhead:`",
        ),
        ("email", json!("alice\nx"), "printable ASCII"),
        ("email", json!(""), "`email`, the user's name, is missing"),
        ("email", json!(["alice@acme.example"]), "is missing"),
        ("email_verified", json!(false), "not verified"),
        ("email_verified", json!("true"), "not verified"),
        (
            "groups",
            json!(["system:masters"]),
            "names the group `system:masters`",
        ),
        (
            "groups",
            json!(["ok", "bulkhead:tenants"]),
            "names the group `bulkhead:tenants`",
        ),
        ("groups", json!(["ok", 1]), "no list of groups"),
        ("groups", json!({"a": 1}), "no list of groups"),
    ] {
        let mut claims = issuer.claims();
        claims[claim] = value.clone();
        let (status, message) = ask(&issuers, &signer.sign(&claims)).await.unwrap_err();
        assert!(
            status == 401 && message.contains(says),
            "{claim} {value}: {status} {message}"
        );
    }
    for (claim, value) in [
        ("exp", json!(now() + 60)),
        ("nbf", json!(now() + 30)),
        ("aud", json!(["other", "bulkhead"])),
        ("groups", json!("acme-admins")),
        ("groups", Value::Null),
    ] {
        let mut claims = issuer.claims();
        claims[claim] = value.clone();
        ask(&issuers, &signer.sign(&claims)).await.unwrap();
    }
    for missing in ["exp", "aud", "email", "hd"] {
        let mut claims = issuer.claims();
        claims.as_object_mut().unwrap().remove(missing);
        assert_eq!(
            ask(&issuers, &signer.sign(&claims)).await.unwrap_err().0,
            401,
            "{missing}"
        );
    }
    // Another's tokens are not of ours.
    let mut claims = issuer.claims();
    claims["iss"] = json!(format!("{}/", issuer.url));
    assert_eq!(ask(&issuers, &signer.sign(&claims)).await.unwrap_err().0, 0);
}

#[tokio::test]
async fn the_token_chooses_neither_key_nor_algorithm() {
    let signer = Signer::new("a");
    let stranger = Signer::new("a");
    let rsa = RsaKeyPair::from_pkcs8(RSA).unwrap();
    let public: ring::signature::RsaPublicKeyComponents<Vec<u8>> = rsa.public().into();
    let shown = json!({"kty": "RSA", "kid": "r", "n": base64(&public.n), "e": base64(&public.e)});
    let issuer = TestIssuer::start(&[signer.shown(), shown.clone()]).await;
    let issuers = issuer.issuers(TIMES);
    let claims = issuer.claims();
    let part = |value: &Value| base64(value.to_string());
    let hmac = |algorithm: ring::hmac::Algorithm, key: &[u8], header: Value| {
        let signed = format!("{}.{}", part(&header), part(&claims));
        let tag = ring::hmac::sign(&ring::hmac::Key::new(algorithm, key), signed.as_bytes());
        format!("{signed}.{}", base64(tag))
    };
    let by_rsa = |padding: &'static dyn ring::signature::RsaEncoding, header: Value| {
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; rsa.public().modulus_len()];
        rsa.sign(
            padding,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .unwrap();
        format!("{signed}.{}", base64(signature))
    };
    let good = signer.sign(&claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for (why, token) in [
        (
            "none",
            format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims)),
        ),
        (
            "nOnE",
            format!(
                "{}.{}.",
                part(&json!({"alg": "nOnE", "kid": "a"})),
                part(&claims)
            ),
        ),
        // The public key as a secret: HMAC with what everybody knows.
        (
            "HMAC by n",
            hmac(
                ring::hmac::HMAC_SHA256,
                &public.n,
                json!({"alg": "HS256", "kid": "r"}),
            ),
        ),
        (
            "HMAC by JWK",
            hmac(
                ring::hmac::HMAC_SHA256,
                shown.to_string().as_bytes(),
                json!({"alg": "HS256"}),
            ),
        ),
        ("empty signature", format!("{signed}.")),
        ("half a signature", format!("{signed}.{}", base64([1; 32]))),
        ("zero signature", format!("{signed}.{}", base64([0; 64]))),
        ("a stranger's key of the same name", stranger.sign(&claims)),
        (
            "a key of another name",
            signer.sign_as(&json!({"alg": "ES256", "kid": "r"}), &claims),
        ),
        (
            "its own key",
            stranger.sign_as(
                &json!({"alg": "ES256", "kid": "a", "jwk": stranger.shown()}),
                &claims,
            ),
        ),
        (
            "critical extension",
            signer.sign_as(
                &json!({"alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false}),
                &claims,
            ),
        ),
        (
            "another purpose",
            signer.sign_as(
                &json!({"alg": "ES256", "kid": "a", "typ": "logout+jwt"}),
                &claims,
            ),
        ),
        (
            "another algorithm of the same key",
            signer.sign_as(&json!({"alg": "ES384", "kid": "a"}), &claims),
        ),
        (
            "RSA by the EC key's name",
            by_rsa(&RSA_PKCS1_SHA256, json!({"alg": "RS256", "kid": "a"})),
        ),
        (
            "PSS called PKCS1",
            by_rsa(&RSA_PSS_SHA512, json!({"alg": "RS512", "kid": "r"})),
        ),
    ] {
        let (status, message) = ask(&issuers, &token).await.unwrap_err();
        assert_eq!(status, 401, "{why}: {message}");
        assert!(
            message.contains("its signature is not by the key"),
            "{why}: {message}"
        );
    }
    for kid in [
        "",
        "../../dev/null",
        "a' OR '1'='1",
        "https://evil.example/keys",
        "A",
        "a ",
    ] {
        let token = signer.sign_as(&json!({"alg": "ES256", "kid": kid}), &claims);
        let (status, message) = ask(&issuers, &token).await.unwrap_err();
        assert!(
            status == 401 && message.contains("its key is none"),
            "{kid}: {message}"
        );
    }
    // What cannot be read in one way is no token of the issuer's.
    let twice = claims
        .to_string()
        .replacen('{', "{\"aud\":\"kubernetes\",", 1);
    let header = part(&json!({"alg": "ES256", "kid": "a"}));
    for (why, token) in [
        (
            "duplicate claims",
            format!("{header}.{}.{signature}", base64(twice)),
        ),
        ("padding", format!("{good}=")),
        ("four parts", format!("{good}.{signature}")),
        (
            "a kid that is no text",
            signer.sign_as(&json!({"alg": "ES256", "kid": ["a"]}), &claims),
        ),
        (
            "no algorithm",
            signer.sign_as(&json!({"kid": "a"}), &claims),
        ),
    ] {
        assert_eq!(ask(&issuers, &token).await.unwrap_err().0, 0, "{why}");
    }
    for token in [
        good,
        signer.sign_as(&json!({"alg": "ES256"}), &claims),
        by_rsa(&RSA_PKCS1_SHA256, json!({"alg": "RS256", "kid": "r"})),
        by_rsa(
            &RSA_PSS_SHA512,
            json!({"alg": "PS512", "kid": "r", "typ": "at+JWT"}),
        ),
    ] {
        ask(&issuers, &token).await.unwrap();
    }
}

#[tokio::test]
async fn keys_rotate_and_no_token_fails() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = TestIssuer::start(&[old.shown()]).await;
    let issuers = issuer.issuers(TIMES);
    let claims = issuer.claims();
    ask(&issuers, &old.sign(&claims)).await.unwrap();
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2, "document and keys");
    ask(&issuers, &old.sign(&claims)).await.unwrap();
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2, "remembered");
    // The very first token by the new key is good, though the keys were fetched a moment ago.
    issuer.show(&[old.shown(), new.shown()]);
    ask(&issuers, &new.sign(&claims)).await.unwrap();
    ask(&issuers, &old.sign(&claims)).await.unwrap();
    // A key that is taken back counts until the next fetch, and no longer.
    issuer.show(&[new.shown()]);
    ask(&issuers, &Signer::new("made up").sign(&claims))
        .await
        .unwrap_err();
    let (status, message) = ask(&issuers, &old.sign(&claims)).await.unwrap_err();
    assert!(
        status == 401 && message.contains("its key is none"),
        "{message}"
    );
    ask(&issuers, &new.sign(&claims)).await.unwrap();
}

#[tokio::test]
async fn many_unknown_keys_cause_few_fetches() {
    let signer = Signer::new("a");
    let issuer = TestIssuer::start(&[signer.shown()]).await;
    let times = Times {
        again: Duration::from_millis(300),
        ..TIMES
    };
    let issuers = issuer.issuers(times);
    let tokens: Vec<String> = (0..50)
        .map(|n| {
            signer.sign_as(
                &json!({"alg": "ES256", "kid": format!("{n}")}),
                &issuer.claims(),
            )
        })
        .collect();
    let answers = futures::future::join_all(tokens.iter().map(|token| ask(&issuers, token))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_err_and(|(status, _)| *status == 401))
    );
    let asked = issuer.asked.load(Ordering::SeqCst);
    assert!(asked <= 4, "fetched {asked} documents");
}

#[tokio::test]
async fn an_issuer_that_is_down_is_lived_without_for_a_while() {
    let signer = Signer::new("a");
    let issuer = TestIssuer::start(&[signer.shown()]).await;
    let times = Times {
        keep: Duration::from_millis(1500),
        ..TIMES
    };
    let (issuers, never) = (issuer.issuers(times), issuer.issuers(times));
    let claims = issuer.claims();
    ask(&issuers, &signer.sign(&claims)).await.unwrap();
    issuer.down.store(true, Ordering::SeqCst);
    // Nothing is known: that is no verdict on the token.
    let (status, message) = ask(&never, &signer.sign(&claims)).await.unwrap_err();
    assert!(
        status == 503 && message.contains("cannot be fetched"),
        "{message}"
    );
    // Known keys stay, unknown ones are let in by nobody.
    let unknown = Signer::new("b").sign(&claims);
    assert_eq!(ask(&issuers, &unknown).await.unwrap_err().0, 503);
    ask(&issuers, &signer.sign(&claims)).await.unwrap();
    tokio::time::sleep(times.keep).await;
    assert_eq!(
        ask(&issuers, &signer.sign(&claims)).await.unwrap_err().0,
        503
    );
    issuer.down.store(false, Ordering::SeqCst);
    ask(&issuers, &signer.sign(&claims)).await.unwrap();
}

#[tokio::test]
async fn keys_are_followed() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = TestIssuer::start(&[old.shown()]).await;
    let times = Times {
        refresh: Duration::from_millis(20),
        ..TIMES
    };
    let issuers = issuer.issuers(times);
    let claims = issuer.claims();
    let followed = async {
        ask(&issuers, &old.sign(&claims)).await.unwrap();
        issuer.show(&[new.shown()]);
        // Nobody has shown a token by the new key, and yet the old one goes.
        let mut tries = 0;
        while ask(&issuers, &old.sign(&claims)).await.is_ok() {
            tries += 1;
            assert!(tries < 500, "the old key stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = issuers.follow() => {}
        () = followed => {}
    }
}

#[tokio::test]
async fn another_issuers_document_and_server_are_not_believed() {
    let signer = Signer::new("a");
    let issuer = TestIssuer::start(&[signer.shown()]).await;
    let other = TestIssuer::start(&[signer.shown()]).await;
    let claims = issuer.claims();
    // A document that names another issuer.
    let mut document: Value = serde_json::from_str(&config(&issuer)).unwrap();
    document["jwt"][0]["issuer"]["discoveryURL"] =
        json!(format!("{}/.well-known/openid-configuration", other.url));
    document["jwt"][0]["issuer"]["certificateAuthority"] = json!(other.authority);
    let issuers = Issuers::of(&document.to_string(), TIMES).unwrap();
    assert_eq!(
        ask(&issuers, &signer.sign(&claims)).await.unwrap_err().0,
        503
    );
    // A server that another authority vouches for.
    document["jwt"][0]["issuer"]
        .as_object_mut()
        .unwrap()
        .remove("discoveryURL");
    let issuers = Issuers::of(&document.to_string(), TIMES).unwrap();
    assert_eq!(
        ask(&issuers, &signer.sign(&claims)).await.unwrap_err().0,
        503
    );
    // Text that is no certificate is noticed at once.
    document["jwt"][0]["issuer"]["certificateAuthority"] = json!("-----");
    assert!(Issuers::of(&document.to_string(), TIMES).is_err());
}

fn config(issuer: &TestIssuer) -> String {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {"url": issuer.url, "audiences": ["bulkhead"]},
            "claimMappings": {"username": {"claim": "email", "prefix": ""}},
        }],
    })
    .to_string()
}

#[test]
fn keys_of_other_uses_are_none() {
    let good = Signer::new("a").shown();
    assert!(jwt::Key::parse(&good).is_some());
    for (field, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("kty", json!("oct")),
        ("crv", json!("P-521")),
        ("x", json!("AA")),
        ("alg", json!("HS256")),
        ("alg", json!("none")),
    ] {
        let mut key = good.clone();
        key[field] = value.clone();
        assert!(jwt::Key::parse(&key).is_none(), "{field} {value}");
    }
}
