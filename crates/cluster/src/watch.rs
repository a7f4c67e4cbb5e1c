//! Following a kind: list, then watch, for ever. What a follower hears is complete: after each
//! interruption either nothing was missed or everything is listed again.
//!
//! This is our own loop because readiness needs what ready-made watchers do not tell: when the
//! connection was lost, and when it stands again though nothing has changed.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{Request, header};
use kube::api::WatchEvent as Wire;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cluster::{Cluster, typed};
use crate::error::{ClusterError, Failure};
use crate::resource::Kind;
use crate::transport::{transport, with_query};

/// How long the server keeps one watch open. Short, because a connection that has died silently
/// is noticed only after this.
const WATCH: Duration = Duration::from_secs(60);
/// How long the server may take beyond [`WATCH`] to end it.
const MARGIN: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(3);

/// What happened to the objects of a kind, each as a `T`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<T = Value> {
    /// These are all objects; what is not among them is gone.
    Listed(Vec<T>),
    /// An object is new or has changed.
    Applied(T),
    /// An object is gone; its last state.
    Deleted(T),
    /// The watch stands.
    Connected,
    /// The watch is broken and being set up again. Until [`Event::Connected`] or
    /// [`Event::Listed`], what is known may be old. The text says why.
    Lost(String),
}

impl Cluster {
    /// Follows all objects of a kind that have the labels (a label selector; empty: all), in one
    /// namespace or in all. Dropping the receiver ends it.
    #[must_use]
    pub fn watch(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        selector: &str,
    ) -> mpsc::Receiver<Event> {
        self.watch_as(kind, namespace, selector, Some)
    }

    /// [`Self::watch`], each object as what is made of it on arrival: of a long list only one
    /// page at a time is held as it came. Objects of which nothing is made are left out.
    pub(crate) fn watch_as<T: Send + 'static>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        selector: &str,
        make: fn(Value) -> Option<T>,
    ) -> mpsc::Receiver<Event<T>> {
        let (events, receiver) = mpsc::channel(1024);
        let mut follower = Follower {
            cluster: self.clone(),
            kind,
            namespace: namespace.map(str::to_owned),
            selector: selector.to_owned(),
            version: None,
            events,
            make,
        };
        tokio::spawn(async move { follower.run().await });
        receiver
    }
}

struct Follower<T> {
    cluster: Cluster,
    kind: Kind,
    namespace: Option<String>,
    selector: String,
    /// Where a watch may go on; none: list first.
    version: Option<String>,
    events: mpsc::Sender<Event<T>>,
    make: fn(Value) -> Option<T>,
}

/// Why following stops for a while or for good.
enum Break {
    /// Try again, after a list if the version was given up.
    Lost(String),
    /// Nobody listens any more.
    Unheard,
}

impl<T: Send + 'static> Follower<T> {
    async fn run(&mut self) {
        let mut delay = FIRST_DELAY;
        loop {
            let started = Instant::now();
            let outcome = self.follow().await;
            match outcome {
                Err(Break::Unheard) => return,
                Err(Break::Lost(why)) => {
                    tracing::warn!(kind = %self.kind, why, "watch lost");
                    if self.send(Event::Lost(why)).await.is_err() {
                        return;
                    }
                }
                // The server ends every watch after a while; that is no loss. Only a server that
                // ends them at once is held back.
                Ok(()) if started.elapsed() > Duration::from_secs(1) => {
                    delay = FIRST_DELAY;
                    continue;
                }
                Ok(()) => {}
            }
            if started.elapsed() > LONGEST_DELAY {
                delay = FIRST_DELAY;
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(delay)) => {}
                () = self.events.closed() => return,
            }
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    /// One list if need be, and one watch to its end.
    async fn follow(&mut self) -> Result<(), Break> {
        let version = match self.version.clone() {
            Some(version) => version,
            None => self.list().await?,
        };
        let seconds = WATCH.as_secs().to_string();
        let mut query = vec![
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", seconds.as_str()),
            ("resourceVersion", version.as_str()),
        ];
        if !self.selector.is_empty() {
            query.push(("labelSelector", self.selector.as_str()));
        }
        let path = self.path().await?;
        let request = Request::get(with_query(&path, &query))
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|error| Break::Lost(error.to_string()))?;
        let events = self.cluster.client.request_events::<Value>(request);
        let events = match tokio::time::timeout(MARGIN * 2, events).await {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => return Err(self.broken(error)),
            Err(_) => return Err(Break::Lost("no answer to the watch".to_owned())),
        };
        let mut events: BoxStream<'static, kube::Result<Wire<Value>>> = events.boxed();
        self.send(Event::Connected).await?;
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(WATCH + MARGIN, events.next()) => next,
                () = self.events.closed() => return Err(Break::Unheard),
            };
            match next {
                Err(_) => return Err(Break::Lost("the watch has gone silent".to_owned())),
                Ok(None) => return Ok(()),
                Ok(Some(Err(error))) => return Err(self.broken(error)),
                Ok(Some(Ok(event))) => self.hear(event).await?,
            }
        }
    }

    async fn hear(&mut self, event: Wire<Value>) -> Result<(), Break> {
        match event {
            Wire::Added(object) | Wire::Modified(object) => {
                self.advance(version_of(&object));
                match self.make(object) {
                    Some(object) => self.send(Event::Applied(object)).await,
                    None => Ok(()),
                }
            }
            Wire::Deleted(object) => {
                self.advance(version_of(&object));
                match self.make(object) {
                    Some(object) => self.send(Event::Deleted(object)).await,
                    None => Ok(()),
                }
            }
            Wire::Bookmark(bookmark) => {
                self.advance(Some(bookmark.metadata.resource_version));
                Ok(())
            }
            Wire::Error(status) => {
                self.version = None;
                Err(Break::Lost(status.message))
            }
        }
    }

    async fn list(&mut self) -> Result<String, Break> {
        let listed = self
            .cluster
            .list_page_by_page(
                &self.kind,
                self.namespace.as_deref(),
                &self.selector,
                self.make,
            )
            .await;
        let (objects, version) = listed.map_err(|error| Break::Lost(error.chain()))?;
        self.version = Some(version.clone());
        self.send(Event::Listed(objects)).await?;
        Ok(version)
    }

    async fn path(&self) -> Result<String, Break> {
        let lost = |error: ClusterError| Break::Lost(error.chain());
        let resource = self.cluster.resource(&self.kind).await.map_err(lost)?;
        resource
            .collection_path(&self.kind, self.namespace.as_deref())
            .map_err(lost)
    }

    /// An answer of the server (410, say) means that it cannot go on from our version. Without
    /// an answer the version is still good.
    fn broken(&mut self, error: kube::Error) -> Break {
        Break::Lost(match error {
            kube::Error::Api(status) => {
                self.version = None;
                format!("{} ({} {})", status.message, status.code, status.reason)
            }
            kube::Error::SerdeError(error) => {
                self.version = None;
                format!("an event cannot be read: {error}")
            }
            other => {
                let error = ClusterError::List {
                    kind: self.kind.to_string(),
                    source: transport(other),
                };
                error.chain()
            }
        })
    }

    fn advance(&mut self, version: Option<String>) {
        if version.is_some() {
            self.version = version;
        }
    }

    fn make(&self, object: Value) -> Option<T> {
        (self.make)(typed(object, &self.kind))
    }

    async fn send(&self, event: Event<T>) -> Result<(), Break> {
        self.events.send(event).await.map_err(|_| Break::Unheard)
    }
}

fn version_of(object: &Value) -> Option<String> {
    object
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// Half to all of a delay, so that many followers do not return in step.
fn jittered(delay: Duration) -> Duration {
    let share = u32::try_from(RandomState::new().hash_one(delay) % 512).unwrap_or_default();
    delay * (512 + share) / 1024
}

/// [`Failure`] for lists whose version is missing.
pub(crate) fn no_version() -> Failure {
    Failure::Answer {
        problem: "`metadata.resourceVersion` is missing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_the_delay() {
        let delay = Duration::from_secs(8);
        for _ in 0..200 {
            let jittered = jittered(delay);
            assert!(jittered >= delay / 2 && jittered < delay, "{jittered:?}");
        }
    }
}
