//! The connections by which requests are sent on: HTTP/2, few, shared.
//!
//! An API server takes a hundred streams on a connection and lets more wait. A watch holds its stream
//! for minutes, so watches have connections apart from calls, and neither ever waits behind the
//! other: where no connection has room, another is opened.

mod connection;
mod endpoint;
mod exchange;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::Request;

use self::connection::{Connection, Place};
pub(crate) use self::endpoint::Endpoint;
use self::exchange::Lost;
pub(crate) use self::exchange::{Answer, AnswerBody};

/// Streams that calls share a connection with. One connection is one task, which encrypts on one
/// core; more than this at a time are better shared between two.
const CALLS: usize = 32;
/// The most that any API server takes by default; one that says less is believed.
const STREAMS: usize = 100;
/// How long a connection without a stream is kept: less than the time after which load balancers cut.
const IDLE: Duration = Duration::from_secs(60);
/// How often a request whose connection was lost is sent again, where that cannot do harm.
const AGAIN: u32 = 2;

/// How long a request's stream is expected to be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Until its answer is whole.
    Call,
    /// Until somebody ends it: a watch, a followed log.
    Watch,
}

/// Why no answer came. What several requests wait for fails for each of them.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Failed(Arc<dyn std::error::Error + Send + Sync>);

impl Failed {
    fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

/// Connections to one API server under one credential.
pub(crate) struct Upstream {
    endpoint: Arc<Endpoint>,
    calls: Pool,
    watches: Pool,
}

impl Upstream {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint: Arc::new(endpoint),
            calls: Pool::new(CALLS),
            watches: Pool::new(STREAMS),
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request. It goes out again, on another connection, if it is certain that the API
    /// server has not acted on it, or that to act twice is as to act once.
    pub(crate) async fn send(&self, request: Request<Bytes>, lane: Lane) -> Result<Answer, Failed> {
        let request = self.endpoint.address(request).await.map_err(Failed::new)?;
        let harmless = request.method().is_safe();
        let mut attempt = 0;
        loop {
            let place = self.place(lane).await?;
            match exchange::exchange(place, &request, lane).await {
                Ok(answer) => return Ok(answer),
                Err(Lost { error, unprocessed })
                    if attempt < AGAIN && (unprocessed || harmless) =>
                {
                    attempt += 1;
                    tracing::debug!(%error, attempt, "a request is sent again");
                }
                Err(Lost { error, .. }) => return Err(Failed::new(error)),
            }
        }
    }

    async fn place(&self, lane: Lane) -> Result<Place, Failed> {
        let pool = match lane {
            Lane::Call => &self.calls,
            Lane::Watch => &self.watches,
        };
        loop {
            let opening = match pool.place(&self.endpoint) {
                Ok(place) => return Ok(place),
                Err(opening) => opening,
            };
            opening.await?;
        }
    }
}

type Opening = Shared<BoxFuture<'static, Result<(), Failed>>>;

struct Pool {
    /// Streams that are given to a connection.
    most: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    connections: Vec<Arc<Connection>>,
    /// One at a time, which all wait for who find no room.
    opening: Option<Opening>,
}

impl Pool {
    fn new(most: usize) -> Self {
        Self {
            most,
            state: Arc::default(),
        }
    }

    /// A place on a connection, or what brings one.
    fn place(&self, endpoint: &Arc<Endpoint>) -> Result<Place, Opening> {
        let mut state = lock(&self.state);
        state
            .connections
            .retain(|connection| connection.is_open() && !connection.is_idle_for(IDLE));
        // The fullest that has room, so that those which are needed no more run empty.
        let fullest = state
            .connections
            .iter()
            .filter(|connection| connection.taken() < self.most.min(connection.most()))
            .max_by_key(|connection| connection.taken());
        if let Some(connection) = fullest {
            return Ok(Connection::take(connection));
        }
        if let Some(opening) = state.opening.clone() {
            return Err(opening);
        }
        let opening = open(Arc::clone(endpoint), Arc::clone(&self.state))
            .boxed()
            .shared();
        state.opening = Some(opening.clone());
        // Those who wait may all give up; then nobody would drive it, and it would stay.
        tokio::spawn(opening.clone());
        Err(opening)
    }
}

async fn open(endpoint: Arc<Endpoint>, state: Arc<Mutex<State>>) -> Result<(), Failed> {
    let opened = Connection::open(&endpoint).await;
    let mut state = lock(&state);
    state.opening = None;
    match opened {
        Ok(connection) => {
            state.connections.push(connection);
            Ok(())
        }
        Err(error) => Err(Failed::new(error)),
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
