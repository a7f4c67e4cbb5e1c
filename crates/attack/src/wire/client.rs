//! A server and one way to sign in there.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncWriteExt as _, split};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Request, Response, read};
use crate::kubeconfig::Server;

/// Every exchange ends within this time.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no response. None of these counts as a refusal, but for [`WireError::alert`].
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No connection.
    #[error("cannot connect to `{address}`")]
    Connect {
        /// Where to.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke, or TLS failed.
    #[error("the connection failed: {0}")]
    Io(#[source] io::Error),
    /// Not `host:port`.
    #[error("`{0}` is not an address: expected `host:port`")]
    Address(String),
    /// The certificate or key is of no use to TLS.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Not HTTP/1.1.
    #[error("the answer is not HTTP/1.1: {0}")]
    Head(#[source] httparse::Error),
    /// Broken chunks.
    #[error("the answer's chunks are malformed")]
    Chunk,
    /// An answer without end.
    #[error("the answer is too long")]
    TooLong,
    /// The connection was closed in the middle of an answer, or without one.
    #[error("the connection was closed before the answer's end")]
    Closed,
    /// No answer in time.
    #[error("no answer within {} seconds", DEADLINE.as_secs())]
    Deadline,
}

impl WireError {
    /// The TLS alert by which the server refused the client's certificate, if it did so.
    #[must_use]
    pub fn alert(&self) -> Option<String> {
        let Self::Io(error) = self else { return None };
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::AlertReceived(alert) => Some(format!("{alert:?}")),
            _ => None,
        }
    }
}

/// A server and one way to sign in there. Cheap to clone; clones share idle connections.
#[derive(Clone)]
pub struct Client {
    server: Arc<Server>,
    config: Arc<ClientConfig>,
    bearer: Option<Arc<str>>,
    idle: Arc<Mutex<Vec<TlsStream<TcpStream>>>>,
}

impl Client {
    /// A client without credential of the server at `host:port`, which must show a certificate of
    /// one of these authorities (PEM).
    ///
    /// # Errors
    /// If the authorities or the address are of no use.
    pub fn anonymous(address: &str, authorities: &[u8]) -> Result<Self, WireError> {
        Self::new(Arc::new(Server::new(address, authorities)?), None)
    }

    /// A client that shows a certificate, or none.
    ///
    /// # Errors
    /// If the key does not fit the certificate.
    pub(crate) fn new(
        server: Arc<Server>,
        identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, WireError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(server.roots.clone());
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            server,
            config: Arc::new(config),
            bearer: None,
            idle: Arc::default(),
        })
    }

    /// The same, with a bearer token in each request.
    #[must_use]
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            bearer: Some(token.into()),
            ..self.clone()
        }
    }

    /// Sends a request on a connection of its own and reads the answer.
    ///
    /// # Errors
    /// If no whole answer came in time. A body that goes on past the deadline (a watch) is returned
    /// as unfinished instead.
    pub async fn send(&self, request: &Request) -> Result<Response, WireError> {
        let deadline = Instant::now() + DEADLINE;
        let mut stream = self.connect(deadline).await?;
        Ok(self
            .exchange(&mut stream, request, false, deadline)
            .await?
            .0)
    }

    /// The same as [`Self::send`], on a connection that is used again if the request is one that HTTP
    /// knows, and has left it in order.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_again(&self, request: &Request) -> Result<Response, WireError> {
        if !request.is_orderly() {
            return self.send(request).await;
        }
        let deadline = Instant::now() + DEADLINE;
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let was_idle = idle.is_some();
        let mut stream = match idle {
            Some(stream) => stream,
            None => self.connect(deadline).await?,
        };
        let (response, reusable) = match self.exchange(&mut stream, request, true, deadline).await {
            // The server may have closed the idle connection: once more on a new one.
            Err(WireError::Io(_) | WireError::Closed) if was_idle => {
                stream = self.connect(deadline).await?;
                self.exchange(&mut stream, request, true, deadline).await?
            }
            other => other?,
        };
        if reusable && let Ok(mut idle) = self.idle.lock() {
            idle.push(stream);
        }
        Ok(response)
    }

    async fn connect(&self, deadline: Instant) -> Result<TlsStream<TcpStream>, WireError> {
        let address = &self.server.address;
        let connecting = async {
            let tcp = TcpStream::connect(address)
                .await
                .map_err(|source| WireError::Connect {
                    address: address.clone(),
                    source,
                })?;
            tcp.set_nodelay(true).map_err(WireError::Io)?;
            let name: ServerName<'static> = self.server.name.clone();
            TlsConnector::from(self.config.clone())
                .connect(name, tcp)
                .await
                .map_err(WireError::Io)
        };
        timeout_at(deadline, connecting)
            .await
            .map_err(|_| WireError::Deadline)?
    }

    async fn exchange(
        &self,
        stream: &mut TlsStream<TcpStream>,
        request: &Request,
        keep: bool,
        deadline: Instant,
    ) -> Result<(Response, bool), WireError> {
        let bytes = request.encode(&self.server.address, self.bearer.as_deref(), keep);
        let (mut reader, mut writer) = split(stream);
        let mut writing = pin!(async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        });
        let mut reading = pin!(read::response(&mut reader, request.is_head(), deadline));
        // A server may answer, and close, before it has taken the whole body: so both at once. A
        // write that fails says nothing yet, the answer may lie in the buffer.
        let mut written = None;
        loop {
            tokio::select! {
                answer = &mut reading => {
                    let (response, reusable) = answer?;
                    let whole = matches!(written, Some(Ok(())));
                    return Ok((response, reusable && whole && keep && request.is_orderly()));
                }
                result = &mut writing, if written.is_none() => written = Some(result),
            }
        }
    }
}
