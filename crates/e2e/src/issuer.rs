//! An OpenID Connect issuer of the trials' own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_sandbox::pki::{Authority, AuthorityName, Subject};
use bulkhead_serve::{Config, Limits, Server, TlsFiles, full};
use http::{Response, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::bed::Bed;

/// It listens until the process ends.
pub(crate) struct Issuer {
    pub(crate) url: String,
    shown: Arc<Mutex<Value>>,
    down: Arc<AtomicBool>,
}

/// A key of an issuer's, or of somebody who would be one.
pub(crate) struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Issuer {
    /// Starts one that shows a key.
    pub(crate) fn start(bed: &Bed, signer: &Signer) -> anyhow::Result<Self> {
        let pki = bed.layout.pki();
        let subject = Subject {
            name: "issuer",
            group: None,
            hosts: &["localhost"],
            ends: None,
        };
        Authority::load(AuthorityName::Servers, &pki)?.issue_to(&subject, &pki, "e2e-issuer")?;
        let server = bed.wait(Server::bind(Config {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: TlsFiles {
                certificate: pki.join("e2e-issuer.crt"),
                key: pki.join("e2e-issuer.key"),
                client_ca: None,
            },
            limits: Limits::default(),
        }))?;
        let issuer = Self {
            url: format!("https://localhost:{}", server.address().port()),
            shown: Arc::default(),
            down: Arc::default(),
        };
        issuer.show(&[signer]);
        let document = json!({"issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url)});
        let (shown, down) = (issuer.shown.clone(), issuer.down.clone());
        let serving = server.run(
            move |request, _| {
                let mut response = Response::new(full(match request.uri().path() {
                    "/.well-known/openid-configuration" => document.to_string(),
                    _ => lock(&shown).to_string(),
                }));
                if down.load(Ordering::SeqCst) {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                std::future::ready(response)
            },
            std::future::pending(),
        );
        bed.wait(async { drop(tokio::spawn(serving)) });
        Ok(issuer)
    }

    /// Shows these keys from now on.
    pub(crate) fn show(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.shown()).collect();
        *lock(&self.shown) = json!({"keys": keys});
    }

    /// Whether it answers nothing but 503.
    pub(crate) fn be_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// The gateway's configuration for it: `email` and `groups`, without prefixes.
    pub(crate) fn configuration(&self, bed: &Bed) -> anyhow::Result<String> {
        let authority = AuthorityName::Servers.certificate(&bed.layout.pki());
        let configuration = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {
                    "url": self.url, "audiences": ["bulkhead"],
                    "certificateAuthority": std::fs::read_to_string(authority)?,
                },
                "claimMappings": {
                    "username": {"claim": "email", "prefix": ""},
                    "groups": {"claim": "groups", "prefix": ""},
                },
            }],
        });
        Ok(configuration.to_string())
    }

    /// Claims of a person in a group, good for ten minutes.
    pub(crate) fn claims(&self, email: &str, group: &str) -> anyhow::Result<Value> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(json!({
            "iss": self.url, "aud": "bulkhead", "iat": now, "exp": now + 600,
            "email": email, "email_verified": true, "groups": [group],
        }))
    }
}

fn lock(shown: &Mutex<Value>) -> std::sync::MutexGuard<'_, Value> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .ok()
            .context("no key")?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random)
            .ok()
            .context("no key")?;
        Ok(Self { id, pair })
    }

    fn shown(&self) -> Value {
        // 4, then the coordinates.
        let point = self.pair.public_key().as_ref();
        let half =
            |from: usize| URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default());
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": half(1), "y": half(33)})
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({"alg": "ES256", "kid": self.id, "typ": "JWT"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.ok().context("no signature")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
