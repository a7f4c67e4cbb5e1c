//! The little HTTP that bringing a sandbox up needs: is a server ready, one request to an API
//! server. A connection for each.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto};

use crate::pki::Issued;

/// No server may keep us longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// No answer that we ask for is larger.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Asks one server.
#[derive(Debug, Clone)]
pub struct Client {
    server: Uri,
    tls: Option<Arc<ClientConfig>>,
}

/// A server's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The address is none.
    #[error("`{0}` is not the address of a server: expected `https://HOST:PORT`")]
    Address(String),
    /// A certificate or key cannot be read.
    #[error("cannot use the certificates for `{server}`: {why}")]
    Certificates {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
    /// No connection.
    #[error("cannot reach `{server}`")]
    Connect {
        /// The server.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// No answer.
    #[error("no answer from `{server}`: {why}")]
    NoAnswer {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
}

impl Client {
    /// A client of a server. `authority` (PEM) must vouch for an `https://` server; `identity` shows
    /// who asks.
    ///
    /// # Errors
    /// If the address or a certificate cannot be read.
    pub fn new(
        server: &str,
        authority: Option<&str>,
        identity: Option<&Issued>,
    ) -> Result<Self, HttpsError> {
        let address: Uri = server
            .parse()
            .map_err(|_| HttpsError::Address(server.to_owned()))?;
        if address.host().is_none() || address.port().is_none() {
            return Err(HttpsError::Address(server.to_owned()));
        }
        let tls = match (address.scheme_str(), authority) {
            (Some("http"), None) => None,
            (Some("https"), Some(authority)) => Some(Arc::new(tls(server, authority, identity)?)),
            _ => return Err(HttpsError::Address(server.to_owned())),
        };
        Ok(Self {
            server: address,
            tls,
        })
    }

    /// Whether the server answers 200 at the path of a health address. No answer is a no.
    pub async fn is_ready(&self, path: &str) -> bool {
        let answer = self.send(Method::GET, path, None).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    /// Sends a request, with a JSON body if there is one.
    ///
    /// # Errors
    /// If there is no answer within ten seconds. An answer of any status is none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, HttpsError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(
                header::HOST,
                self.server
                    .authority()
                    .map_or("", |authority| authority.as_str()),
            )
            .header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body
            .map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default();
        let request = request
            .body(Full::new(body))
            .map_err(|error| self.no_answer(error))?;
        match tokio::time::timeout(DEADLINE, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.no_answer("it takes too long")),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, HttpsError> {
        let (host, port) = (
            self.server.host().unwrap_or_default(),
            self.server.port_u16().unwrap_or_default(),
        );
        let connect_error = |source| HttpsError::Connect {
            server: self.server.to_string(),
            source,
        };
        let tcp = TcpStream::connect((host, port))
            .await
            .map_err(connect_error)?;
        let Some(tls) = &self.tls else {
            return self.over(tcp, request).await;
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| self.no_answer(error))?;
        let stream = TlsConnector::from(tls.clone())
            .connect(name, tcp)
            .await
            .map_err(connect_error)?;
        self.over(stream, request).await
    }

    async fn over<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Answer, HttpsError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.no_answer(error))?;
        let exchange = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| self.no_answer(error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
            let body = body.map_err(|error| self.no_answer(error))?.to_bytes();
            Ok(Answer { status, body })
        };
        // The connection moves the bytes of the exchange; when that is done, so is it.
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            _ = connection => exchange.await,
        }
    }

    fn no_answer(&self, why: impl std::fmt::Display) -> HttpsError {
        HttpsError::NoAnswer {
            server: self.server.to_string(),
            why: why.to_string(),
        }
    }
}

impl Answer {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What the server says about a failure: the `message` of a Kubernetes Status, or the body.
    #[must_use]
    pub fn message(&self) -> String {
        match self.json().get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => String::from_utf8_lossy(&self.body).trim().to_owned(),
        }
    }
}

/// Waits until a health address answers 200.
///
/// # Errors
/// If its certificates cannot be read. That it does not answer is no error, but for ever.
pub async fn wait_ready(health: &crate::protocol::Health) -> Result<(), HttpsError> {
    let uri: Uri = health
        .url
        .parse()
        .map_err(|_| HttpsError::Address(health.url.clone()))?;
    let authority = health
        .authority
        .as_deref()
        .map(|file| read_authority(&health.url, file))
        .transpose()?;
    let client = Client::new(&health.url, authority.as_deref(), None)?;
    while !client.is_ready(uri.path()).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn read_authority(server: &str, file: &Path) -> Result<String, HttpsError> {
    std::fs::read_to_string(file).map_err(|error| HttpsError::Certificates {
        server: server.to_owned(),
        why: format!("`{}`: {error}", file.display()),
    })
}

fn tls(
    server: &str,
    authority: &str,
    identity: Option<&Issued>,
) -> Result<ClientConfig, HttpsError> {
    let bad = |why: String| HttpsError::Certificates {
        server: server.to_owned(),
        why,
    };
    let certificates = |pem: &str| -> Result<Vec<CertificateDer<'static>>, HttpsError> {
        CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|e| bad(e.to_string()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots
            .add(certificate)
            .map_err(|error| bad(error.to_string()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(|error| bad(error.to_string()))?
        .with_root_certificates(roots);
    let Some(identity) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let key =
        PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|e| bad(e.to_string()))?;
    builder
        .with_client_auth_cert(certificates(&identity.certificate)?, key)
        .map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_host_port_and_authority() {
        for bad in [
            "https://127.0.0.1",
            "127.0.0.1:1",
            "https://127.0.0.1:1",
            "ftp://127.0.0.1:1",
            "",
        ] {
            assert!(
                matches!(Client::new(bad, None, None), Err(HttpsError::Address(_))),
                "{bad}"
            );
        }
        assert!(Client::new("http://127.0.0.1:1", None, None).is_ok());
    }

    #[tokio::test]
    async fn an_absent_server_is_not_ready() {
        let [port] = crate::ports::free().unwrap();
        let client = Client::new(&format!("http://127.0.0.1:{port}"), None, None).unwrap();
        assert!(!client.is_ready("/readyz").await);
        assert!(matches!(
            client.send(Method::GET, "/", None).await,
            Err(HttpsError::Connect { .. })
        ));
    }
}
