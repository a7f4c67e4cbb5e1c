//! The server: accepts, shakes hands, stops.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::body::Body;
use crate::connection::{self, Peer, Protocol};
use crate::tls::{Chain, Tls, TlsError, TlsFiles};

/// What a server is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Port 0 takes any free port, see [`Server::address`].
    pub listen: SocketAddr,
    /// Certificates.
    pub tls: TlsFiles,
    /// What one client may take.
    pub limits: Limits,
}

/// What clients may take. The defaults fit every server of ours.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; further ones wait unaccepted. 4096.
    pub connections: usize,
    /// How long a TLS handshake may take. 10 s.
    pub handshake_timeout: Duration,
    /// Bytes of a request's line and headers. 32 KiB, at least 8 KiB.
    pub head_bytes: usize,
    /// How long a head may take once it has begun (HTTP/1.1). 10 s.
    pub head_timeout: Duration,
    /// Concurrent requests of one HTTP/2 connection. 100, as the API server has it.
    pub streams: u32,
    /// How long a connection may have nothing to do. 100 s: more than the 90 s after which Go's
    /// client gives an idle connection up, so that the two do not race.
    pub idle: Duration,
    /// How old a connection may become; answers under way are finished. 30 min.
    pub max_age: Duration,
    /// How long answers under way may take after the stop. 10 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake_timeout: Duration::from_secs(10),
            head_bytes: 32 * 1024,
            head_timeout: Duration::from_secs(10),
            streams: 100,
            idle: Duration::from_secs(100),
            max_age: Duration::from_secs(30 * 60),
            drain: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// How often a connection looks at its clocks.
    pub(crate) fn tick(&self) -> Duration {
        (self.idle.min(self.max_age) / 10).clamp(Duration::from_millis(20), Duration::from_secs(5))
    }
}

/// Why a server cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken or not ours.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A TLS server that listens and does not yet accept.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Tls,
    limits: Limits,
}

impl Server {
    /// Reads the certificates and listens.
    ///
    /// # Errors
    /// If the certificates are no use or the address cannot be listened on.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let tls = Tls::load(config.tls).await?;
        let (listener, address) = listen(config.listen).await?;
        Ok(Self {
            listener,
            address,
            tls,
            limits: config.limits,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then ends: no new connections, requests under way are
    /// answered, and after [`Limits::drain`] what is left is cut.
    ///
    /// A handler that panics gives 500 and a line in the log; the server goes on. HTTP/1.1 and
    /// HTTP/2 are told apart by ALPN alone, and what is not strictly HTTP/1.1 is answered 400.
    pub async fn run<H, F>(self, handler: H, stop: impl Future<Output = ()>)
    where
        H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Self {
            listener,
            tls,
            limits,
            ..
        } = self;
        let limits = Arc::new(limits);
        let handler = Arc::new(handler);
        let serve = |stream, peer, permit, stopped| {
            let acceptor = TlsAcceptor::from(tls.current());
            let (handler, limits) = (Arc::clone(&handler), Arc::clone(&limits));
            async move {
                handshake(acceptor, stream, peer, handler, &limits, stopped).await;
                drop::<OwnedSemaphorePermit>(permit);
            }
        };
        tokio::select! {
            () = accept(listener, &limits, serve, stop) => {}
            () = tls.follow() => {}
        }
    }
}

pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Accepts until the stop, each connection in a task of its own, then waits for the tasks.
pub(crate) async fn accept<C, F>(
    listener: TcpListener,
    limits: &Limits,
    serve: C,
    stop: impl Future<Output = ()>,
) where
    C: Fn(TcpStream, SocketAddr, OwnedSemaphorePermit, watch::Receiver<bool>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = stop.as_mut() => break,
            Some(ended) = tasks.join_next() => note(ended),
            (accepted, permit) = next => match (accepted, permit) {
                (Ok((stream, address)), Ok(permit)) => {
                    // Answers are small and awaited: none may wait for a fuller packet.
                    let _ = stream.set_nodelay(true);
                    tasks.spawn(serve(stream, address, permit, stopped.clone()));
                }
                (Err(error), _) => {
                    // Out of file descriptors, or the client has gone: neither is the end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                // The semaphore is never closed.
                (_, Err(_)) => break,
            },
        }
    }
    drop(listener);
    drop(stopped);
    stopping.send_replace(true);
    let drained = async {
        while let Some(ended) = tasks.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!(connections = tasks.len(), "cut what was still under way");
        tasks.shutdown().await;
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

async fn handshake<H, F>(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    handler: Arc<H>,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(limits.handshake_timeout, acceptor.accept(stream)) => shaken,
        // Nobody has asked for anything yet.
        _ = stop.changed() => return,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%address, error = %Chain(&error), "handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%address, "handshake took too long");
            return;
        }
    };
    let (_, session) = stream.get_ref();
    let certificate = session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| certificate.clone().into_owned());
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let peer = Peer {
        address,
        certificate,
    };
    connection::serve(stream, protocol, peer, handler, limits, stop).await;
}
