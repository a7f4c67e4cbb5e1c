//! One connection: who is on it, whether it lives, and its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong};
use tokio::sync::oneshot;

use super::endpoint::{ConnectError, Endpoint, Stream};

/// How much of an answer may come before the client has taken what came earlier.
pub(super) const WINDOW: u32 = 128 * 1024;
/// The same for all streams of a connection: so much that no client which takes nothing holds up
/// others.
const WINDOW_OF_ALL: u32 = WINDOW * 101;
/// How often the other side is asked whether it is there, and how long it may take to say so.
const ASK: Duration = Duration::from_secs(20);
const SAY: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    sender: Mutex<SendRequest<Bytes>>,
    taken: AtomicUsize,
    open: Arc<AtomicBool>,
    idle_since: Mutex<Instant>,
    /// Dropped with the connection, which ends then.
    _end: oneshot::Sender<()>,
}

/// A stream's place on a connection, until dropped.
pub(super) struct Place(Arc<Connection>);

impl Connection {
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Arc<Self>, ConnectError> {
        let stream = endpoint.http2().await?;
        let (sender, mut driver) = endpoint.in_time(begin(stream)).await?;
        let (end, ended) = oneshot::channel();
        let open = Arc::new(AtomicBool::new(true));
        let (still_open, pings) = (Arc::clone(&open), driver.ping_pong());
        tokio::spawn(async move {
            drive(driver, pings, ended).await;
            still_open.store(false, Ordering::Release);
        });
        Ok(Arc::new(Self {
            sender: Mutex::new(sender),
            taken: AtomicUsize::new(0),
            open,
            idle_since: Mutex::new(Instant::now()),
            _end: end,
        }))
    }

    /// Whether requests can still be sent.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    pub(super) fn is_idle_for(&self, time: Duration) -> bool {
        let since = *self
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.taken() == 0 && since.elapsed() > time
    }

    /// How many streams there are.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// How many the other side takes.
    pub(super) fn most(&self) -> usize {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.current_max_send_streams()
    }

    pub(super) fn take(connection: &Arc<Self>) -> Place {
        connection.taken.fetch_add(1, Ordering::AcqRel);
        Place(Arc::clone(connection))
    }
}

impl Place {
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        let sender = self.0.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.clone()
    }

    /// No request may be sent on this connection any more; those under way go on.
    pub(super) fn close(&self) {
        self.0.close();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = Instant::now();
        *self
            .0
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Begins HTTP/2 and waits until the other side has said how many streams it takes. Streams beyond
/// that would wait for others to end, which watches never do.
async fn begin(
    stream: Stream,
) -> Result<(SendRequest<Bytes>, h2::client::Connection<Stream, Bytes>), ConnectError> {
    let (sender, mut driver) = h2::client::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW_OF_ALL)
        .max_header_list_size(64 * 1024)
        // Until it has spoken.
        .initial_max_send_streams(0)
        .enable_push(false)
        .handshake(stream)
        .await
        .map_err(ConnectError::Handshake)?;
    std::future::poll_fn(|context| match Pin::new(&mut driver).poll(context) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(ConnectError::Ended)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(ConnectError::Handshake(error))),
        Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((sender, driver))
}

/// Works until the connection is over: by the other side, because it does not answer, or because
/// nobody holds it.
async fn drive(
    driver: h2::client::Connection<Stream, Bytes>,
    pings: Option<PingPong>,
    ended: oneshot::Receiver<()>,
) {
    let mut driver = std::pin::pin!(driver);
    let mut asking = std::pin::pin!(ask(pings));
    let mut ended = std::pin::pin!(ended);
    tokio::select! {
        biased;
        result = driver.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection to the API server ends");
            }
        }
        () = asking.as_mut() => tracing::warn!("a connection to the API server is dead"),
        // All places hold the connection: there is no stream left.
        _ = ended.as_mut() => {}
    }
}

/// Returns if the other side does not answer.
async fn ask(pings: Option<PingPong>) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(ASK).await;
        match tokio::time::timeout(SAY, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection says why.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}
