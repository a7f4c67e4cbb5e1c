//! One connection: its requests reach the handler, its limits are kept, and it ends in time.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::body::{Body, BoxError, text};
use crate::server::Limits;
use crate::strict::Strict;
use crate::tls::Chain;

/// How long a connection that was asked to end may still take once it has nothing to do.
const GOODBYE: Duration = Duration::from_secs(5);

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The client's certificate, if it gave one. It is of one of the server's client
    /// authorities, was valid at the handshake, and its key was shown; a connection may outlive
    /// it by [`Limits::max_age`] at most, so what must end sooner is checked per request.
    pub certificate: Option<CertificateDer<'static>>,
}

/// How the bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Serves one connection until it ends.
pub(crate) async fn serve<S, H, F>(
    stream: S,
    protocol: Protocol,
    peer: Peer,
    handler: Arc<H>,
    limits: &Limits,
    stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let activity = Activity::new();
    let address = peer.address;
    let service = {
        let activity = Arc::clone(&activity);
        service_fn(move |request: Request<Incoming>| {
            let busy = activity.begin();
            let answer = answer(request, peer.clone(), Arc::clone(&handler));
            async move {
                let response = answer.await;
                Ok::<_, Infallible>(
                    response.map(|body| Tracked { body, _busy: busy }.boxed_unsync()),
                )
            }
        })
    };
    match protocol {
        Protocol::Http1 => {
            let stream = Strict::new(stream, limits.head_bytes, limits.head_timeout);
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                // The parser's timer also runs between two requests, where it would race with
                // a client that reuses the connection; the gate times the head itself.
                .header_read_timeout(limits.idle)
                .max_header_size(limits.head_bytes)
                // The least that the parser takes; a head of the limit must fit.
                .max_buf_size(limits.head_bytes.max(8 * 1024) + 1)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            drive(
                connection,
                |c| c.graceful_shutdown(),
                address,
                &activity,
                limits,
                stop,
            )
            .await;
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
                .max_concurrent_streams(limits.streams)
                .keep_alive_interval(Duration::from_secs(30))
                .keep_alive_timeout(Duration::from_secs(20))
                .serve_connection(TokioIo::new(stream), service);
            drive(
                connection,
                |c| c.graceful_shutdown(),
                address,
                &activity,
                limits,
                stop,
            )
            .await;
        }
    }
}

/// Polls a connection to its end, and asks it to end when the time has come.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    shut_down: impl Fn(Pin<&mut C>),
    address: SocketAddr,
    activity: &Activity,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    let began = Instant::now();
    let mut ending_since: Option<Instant> = None;
    let mut tick = tokio::time::interval(limits.tick());
    loop {
        let end = tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%address, error = %Chain(&error), "connection failed");
                }
                return;
            }
            // A dropped sender means that the server is gone, which is a stop too.
            _ = stop.changed(), if ending_since.is_none() => true,
            _ = tick.tick() => {
                let idle = activity.idle();
                let over = |since: Instant, idle: Duration| since.elapsed().min(idle) > GOODBYE;
                // A peer that takes no leave is left.
                if ending_since.zip(idle).is_some_and(|(since, idle)| over(since, idle)) {
                    return;
                }
                began.elapsed() > limits.max_age || idle.is_some_and(|idle| idle > limits.idle)
            }
        };
        if end && ending_since.is_none() {
            ending_since = Some(Instant::now());
            shut_down(connection.as_mut());
        }
    }
}

async fn answer<H, F>(request: Request<Incoming>, peer: Peer, handler: Arc<H>) -> Response<Body>
where
    H: Fn(Request<Incoming>, Peer) -> F,
    F: Future<Output = Response<Body>>,
{
    if request.method() == Method::CONNECT {
        return text(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served\n");
    }
    let wants_upgrade = request.headers().contains_key(header::UPGRADE);
    let what = format!("{} {}", request.method(), request.uri().path());
    let address = peer.address;
    // The handler's own values die with the panic; nothing is shared that it could leave half
    // done but what it locks, and locks are taken by their own rules on poisoning.
    let guarded = AssertUnwindSafe(async move { handler(request, peer).await }).catch_unwind();
    let mut response = guarded.await.unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<&str>()
            .map(|reason| (*reason).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(request = %what, %address, %reason, "the handler panicked");
        text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
    });
    if wants_upgrade && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // INVARIANT: the gate looks at nothing after a request to change the protocol, so no
        // further request may be read.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// How many answers are under way, and since when there is none.
struct Activity {
    busy: AtomicUsize,
    idle_since: Mutex<Instant>,
}

impl Activity {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            busy: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
        })
    }

    fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// How long there has been nothing to do; none while there is.
    fn idle(&self) -> Option<Duration> {
        (self.busy.load(Ordering::Relaxed) == 0).then(|| {
            self.idle_since
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .elapsed()
        })
    }
}

/// An answer under way, until dropped.
struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        *self
            .0
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response's body that counts as work until it is sent or given up.
struct Tracked {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
