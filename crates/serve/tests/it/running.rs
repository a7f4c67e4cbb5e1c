//! A running server and clients for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_serve::{Body, Config, Limits, Peer, Server, full, probe, read_body, text};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pki::{Authority, Files, Leaf};

/// A server of the test handler.
pub struct Running {
    pub address: SocketAddr,
    pub roots: RootCertStore,
    stop: Option<oneshot::Sender<()>>,
    done: JoinHandle<()>,
    _files: Option<Files>,
}

/// `/echo` gives the body back (at most 16 bytes), `/who` the client's certificate's length,
/// `/panic` panics, `/slow` takes 300 ms.
async fn handler(request: Request<Incoming>, peer: Peer) -> Response<Body> {
    if let Some(response) = probe(&request, || false) {
        return response;
    }
    match request.uri().path() {
        "/echo" => match read_body(request.into_body(), 16).await {
            Ok(body) => Response::new(full(body)),
            Err(error) => text(error.status(), error.to_string()),
        },
        "/who" => text(
            StatusCode::OK,
            peer.certificate
                .map_or_else(|| "nobody".into(), |der| format!("{} bytes", der.len())),
        ),
        "/panic" => panic!("on purpose"),
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            text(StatusCode::OK, "late")
        }
        _ => text(StatusCode::NOT_FOUND, "nothing"),
    }
}

impl Running {
    /// A server with a certificate of a new authority.
    pub async fn plain() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let authority = Authority::new();
        let files = Files::new(&authority.server(), None);
        let mut running = Self::of(&files, authority.roots(), limits).await;
        running._files = Some(files);
        running
    }

    pub async fn of(files: &Files, roots: RootCertStore, limits: Limits) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(Config {
            listen,
            tls: files.tls(),
            limits,
        })
        .await
        .unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let done = tokio::spawn(server.run(handler, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            roots,
            stop: Some(stop),
            done,
            _files: None,
        }
    }

    /// Asks the server to stop, and gives what to wait for.
    pub fn stop(mut self) -> JoinHandle<()> {
        drop(self.stop.take());
        self.done
    }

    pub async fn connect(&self, alpn: &[u8], client: Option<&Leaf>) -> io::Result<Client> {
        Ok(Client(
            connect(self.address, self.roots.clone(), alpn, client).await?,
        ))
    }

    /// One request over a connection of its own.
    pub async fn get(&self, path: &str) -> (StatusCode, Bytes) {
        self.connect(b"http/1.1", None)
            .await
            .unwrap()
            .send(path, Bytes::new())
            .await
            .unwrap()
    }
}

async fn connect(
    address: SocketAddr,
    roots: RootCertStore,
    alpn: &[u8],
    client: Option<&Leaf>,
) -> io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        Some(leaf) => builder
            .with_client_auth_cert(vec![leaf.der.clone()], leaf.key.clone_key())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// A connection.
pub struct Client(TlsStream<TcpStream>);

impl Client {
    /// The server's certificate.
    pub fn server_certificate(&self) -> CertificateDer<'static> {
        self.0.get_ref().1.peer_certificates().unwrap()[0]
            .clone()
            .into_owned()
    }

    /// One request by whatever protocol was agreed on.
    pub async fn send(self, path: &str, body: impl Into<Bytes>) -> io::Result<(StatusCode, Bytes)> {
        let h2 = self.0.get_ref().1.alpn_protocol() == Some(b"h2");
        let request = Request::post(format!("https://localhost{path}"))
            .header("host", "localhost")
            .method(if path.ends_with('z') { "GET" } else { "POST" })
            .body(Full::new(body.into()))
            .unwrap();
        let io = TokioIo::new(self.0);
        let response = if h2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                    .await
                    .map_err(io::Error::other)?;
            tokio::spawn(connection);
            sender.send_request(request).await
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
                .await
                .map_err(io::Error::other)?;
            tokio::spawn(connection);
            sender.send_request(request).await
        }
        .map_err(io::Error::other)?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(io::Error::other)?
            .to_bytes();
        Ok((status, body))
    }

    /// Writes bytes as they are, and reads until the server closes.
    pub async fn raw(self, bytes: &[u8]) -> String {
        self.pieces(&[bytes], Duration::ZERO).await
    }

    /// The same piece by piece, with a pause after each.
    pub async fn pieces(mut self, pieces: &[&[u8]], pause: Duration) -> String {
        for piece in pieces {
            // The server may have closed in the middle of it.
            let _ = self.0.write_all(piece).await;
            tokio::time::sleep(pause).await;
        }
        let mut answer = Vec::new();
        let _ = self.0.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}
