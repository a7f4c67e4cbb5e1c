//! Where the API server is, and as whom it is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _, TryFutureExt as _};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Empty;
use kube::Config;
use kube::client::ConfigExt as _;
use kube::client::middleware::AuthLayer;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::{Layer as _, ServiceExt as _};

/// How long it may take until a connection stands. A server that is there answers within a second.
const CONNECT: Duration = Duration::from_secs(10);

pub(crate) type Stream = TlsStream<TcpStream>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot reach `{address}`")]
    Tcp {
        address: String,
        source: std::io::Error,
    },
    #[error("cannot make a TLS connection to `{address}`")]
    Tls {
        address: String,
        source: std::io::Error,
    },
    #[error("`{address}` does not answer within {} s", CONNECT.as_secs())]
    TimedOut { address: String },
    #[error("`{address}` does not speak HTTP/2, which API servers do unless told otherwise")]
    Protocol { address: String },
    #[error("cannot begin HTTP/2")]
    Handshake(#[source] h2::Error),
    #[error("the connection ends before it has begun")]
    Ended,
    #[error("cannot get the gateway's own credential")]
    Credential(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the request cannot be addressed")]
    Address(#[source] http::Error),
}

/// An API server and a credential for it.
pub(crate) struct Endpoint {
    authority: Authority,
    /// What comes before each path, without its last `/`.
    prefix: String,
    host: String,
    port: u16,
    name: ServerName<'static>,
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    credential: Credential,
}

enum Credential {
    /// Said by the TLS connection, or none.
    None,
    Fixed(HeaderValue),
    /// Read again as it ages.
    Renewed(Box<AuthLayer>),
}

impl Endpoint {
    /// # Errors
    /// If the configuration's certificates, names or tokens are no use.
    pub(crate) async fn of(
        config: &Config,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let uri = &config.cluster_url;
        let authority = uri.authority().ok_or("`server` has no host")?.clone();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let name = config.tls_server_name.as_ref().unwrap_or(&host);
        let tls = config.rustls_client_config()?;
        let speaking = |protocols: &[&[u8]]| {
            let mut tls = tls.clone();
            tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(tls)
        };
        let user = &config.auth_info;
        let fixed = user.token.is_some() && user.token_file.is_none();
        let credential = match config.auth_layer()? {
            None => Credential::None,
            Some(layer) if fixed => header_of(&layer)
                .await?
                .map_or(Credential::None, Credential::Fixed),
            Some(layer) => Credential::Renewed(Box::new(layer)),
        };
        Ok(Self {
            prefix: uri.path().trim_end_matches('/').to_owned(),
            port: authority.port_u16().unwrap_or(443),
            name: ServerName::try_from(name.clone())?,
            // A server that knows only the older one then says so rather than end the handshake.
            http2: speaking(&[b"h2", b"http/1.1"]),
            http1: speaking(&[b"http/1.1"]),
            authority,
            host,
            credential,
        })
    }

    /// Gives a request its whole URL and the credential.
    pub(super) async fn address(
        &self,
        request: Request<Bytes>,
    ) -> Result<Request<Bytes>, ConnectError> {
        let (mut head, body) = request.into_parts();
        head.uri = self.url(&head.uri).map_err(ConnectError::Address)?;
        // Extensions of the request are the caller's own and no business of the connection's.
        head.extensions = http::Extensions::new();
        if let Some(value) = self.authorization().await? {
            head.headers.insert(header::AUTHORIZATION, value);
        }
        Ok(Request::from_parts(head, body))
    }

    /// The same for HTTP/1.1, which names the host apart.
    pub(crate) async fn address_http1(
        &self,
        request: Request<Bytes>,
    ) -> Result<Request<Empty<Bytes>>, ConnectError> {
        let (mut head, _) = self.address(request).await?.into_parts();
        let target = head.uri.path_and_query().cloned();
        head.uri = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        let host = HeaderValue::from_str(self.authority.as_str())
            .map_err(|error| ConnectError::Address(error.into()))?;
        head.headers.insert(header::HOST, host);
        Ok(Request::from_parts(head, Empty::new()))
    }

    fn url(&self, target: &Uri) -> Result<Uri, http::Error> {
        let path = target.path_and_query().map_or("/", PathAndQuery::as_str);
        let path = match self.prefix.as_str() {
            "" => path.parse::<PathAndQuery>()?,
            prefix => format!("{prefix}{path}").parse()?,
        };
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Ok(Uri::from_parts(parts)?)
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, ConnectError> {
        match &self.credential {
            Credential::None => Ok(None),
            Credential::Fixed(value) => Ok(Some(value.clone())),
            Credential::Renewed(layer) => header_of(layer).await.map_err(ConnectError::Credential),
        }
    }

    /// A new connection for HTTP/2.
    pub(super) async fn http2(&self) -> Result<Stream, ConnectError> {
        let stream = self.connect(&self.http2).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(stream),
            _ => Err(ConnectError::Protocol {
                address: self.authority.to_string(),
            }),
        }
    }

    /// A new connection for HTTP/1.1: only there can a connection change its protocol.
    pub(crate) async fn http1(&self) -> Result<Stream, ConnectError> {
        self.connect(&self.http1).await
    }

    async fn connect(&self, tls: &Arc<ClientConfig>) -> Result<Stream, ConnectError> {
        let address = || self.authority.to_string();
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port))
                .await
                .map_err(|source| ConnectError::Tcp {
                    address: address(),
                    source,
                })?;
            // Requests are small and awaited: none may wait for a fuller packet.
            let _ = stream.set_nodelay(true);
            TlsConnector::from(Arc::clone(tls))
                .connect(self.name.clone(), stream)
                .await
                .map_err(|source| ConnectError::Tls {
                    address: address(),
                    source,
                })
        };
        self.in_time(connecting).await
    }

    /// Waits no longer than it may take until a connection stands.
    pub(super) async fn in_time<T>(
        &self,
        connecting: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let connecting = tokio::time::timeout(CONNECT, connecting);
        connecting.await.unwrap_or_else(|_| {
            let address = self.authority.to_string();
            Err(ConnectError::TimedOut { address })
        })
    }
}

/// The header that the client library would add. It offers no other way to ask for it.
fn header_of(
    layer: &AuthLayer,
) -> BoxFuture<'static, Result<Option<HeaderValue>, tower::BoxError>> {
    let taken = tower::service_fn(|request: Request<Empty<Bytes>>| async move {
        let value = request.headers().get(header::AUTHORIZATION).cloned();
        Ok::<_, tower::BoxError>(http::Response::new(value))
    });
    let asking = layer.layer(taken).oneshot(Request::new(Empty::new()));
    asking.map_ok(http::Response::into_body).boxed()
}
