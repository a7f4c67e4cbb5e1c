//! What the API server said last, read without waiting for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::objects::{Kept, ObjectCache};
use crate::resource::Kind;
use crate::watch::Event;

/// Records of all objects of a kind by name, kept up to date by a watch that lives as long as
/// the cache. Clones share the records.
///
/// A cache that has lost its watch goes on answering from what it knows. Whoever decides by it
/// asks [`Cache::is_ready`] or [`Cache::stale_for`] how much that is worth.
pub struct Cache<R> {
    shared: Arc<Shared<R>>,
    _watch: Arc<Option<AbortOnDrop>>,
}

impl<R> Clone for Cache<R> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            _watch: self._watch.clone(),
        }
    }
}

/// What a kind of record is made of.
pub(crate) trait Record: Sized + Send + Sync + 'static {
    /// The name and the record. None for objects that cannot be named; they are left out.
    fn parse(object: Value) -> Option<(String, Self)>;
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared<R> {
    state: RwLock<State<R>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<String>>>,
}

struct State<R> {
    records: BTreeMap<String, Arc<R>>,
    listed: bool,
    /// Since when the watch is down; none while it stands.
    lost: Option<Instant>,
}

impl<R> Cache<R> {
    /// The record of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<R>> {
        self.shared.read().records.get(name).cloned()
    }

    /// All records as they are now, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<R>> {
        self.shared.read().records.values().cloned().collect()
    }

    /// The records that a test holds for, by name. It is asked while the cache is locked.
    #[must_use]
    pub fn select(&self, test: impl Fn(&R) -> bool) -> Vec<Arc<R>> {
        let state = self.shared.read();
        let records = state.records.values().filter(|record| test(record));
        records.cloned().collect()
    }

    /// Waits until all objects have been listed once.
    pub async fn ready(&self) {
        let mut changes = self.changes();
        while !self.shared.read().listed {
            changes.next().await;
        }
    }

    /// Whether all objects have been listed and the watch stands.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.shared.read();
        state.listed && state.lost.is_none()
    }

    /// For how long the watch has been down, if it is. What the cache says may be that old.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        self.shared.read().lost.map(|since| since.elapsed())
    }

    /// Notifications of changes from now on, several changes possibly as one.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.shared.changes.subscribe())
    }

    /// The names of all records that there are, then of each one that is new, changed or gone.
    /// No change goes unheard; the record is to be read with [`Cache::get`].
    #[must_use]
    pub fn names(&self) -> mpsc::UnboundedReceiver<String> {
        let (sender, receiver) = mpsc::unbounded_channel();
        // The subscription comes first: a change in between is heard twice rather than never.
        self.shared.subscribers().push(sender.clone());
        for name in self.shared.read().records.keys() {
            // The receiver is in our hand, so it is open.
            let _ = sender.send(name.clone());
        }
        receiver
    }
}

/// Tells of changes to a [`Cache`].
pub struct Changes(watch::Receiver<u64>);

impl Changes {
    /// Waits for a change since the last call, or since this was made. Never returns once the
    /// cache is gone.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[expect(
    private_bounds,
    reason = "the few kinds of records are made here and nowhere else"
)]
impl<R: Record> Cache<R> {
    pub(crate) fn follow(cluster: &Cluster, kind: Kind, selector: &str) -> Self {
        Self::follow_events(cluster.watch_as(kind, None, selector, R::parse))
    }

    /// [`Self::follow`] in one namespace, all objects of the kind.
    pub(crate) fn follow_in(cluster: &Cluster, kind: Kind, namespace: &str) -> Self {
        Self::follow_events(cluster.watch_as(kind, Some(namespace), "", R::parse))
    }

    fn follow_events(mut events: mpsc::Receiver<Event<(String, R)>>) -> Self {
        let shared = Arc::new(Shared::new());
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Some(event) = events.recv().await {
                    shared.hear(event);
                }
            }
        });
        Self {
            shared,
            _watch: Arc::new(Some(AbortOnDrop(task))),
        }
    }

    /// [`Self::follow`], and the objects themselves go into `objects`, so that one watch does
    /// for both. An object is there before its name is heard here.
    pub(crate) fn follow_keeping(
        cluster: &Cluster,
        kind: Kind,
        selector: &str,
        objects: &ObjectCache,
    ) -> Self {
        let shared = Arc::new(Shared::new());
        let mut keeper = objects.keeper(kind.clone(), false);
        let mut events = cluster.watch_as(kind, None, selector, |object| {
            Some((Kept::of(&object), R::parse(object)?))
        });
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Some(event) = events.recv().await {
                    let (kept, event) = unzip(event);
                    keeper.hear(kept);
                    shared.hear(event);
                }
            }
        });
        Self {
            shared,
            _watch: Arc::new(Some(AbortOnDrop(task))),
        }
    }

    /// A cache of these objects that never changes and is always ready, for tests and for
    /// running without a cluster.
    #[must_use]
    pub fn fixed(objects: Vec<Value>) -> Self {
        let shared = Arc::new(Shared::new());
        let records = objects.into_iter().filter_map(R::parse).collect();
        shared.hear(Event::Listed(records));
        Self {
            shared,
            _watch: Arc::new(None),
        }
    }
}

impl<R> Shared<R> {
    fn new() -> Self {
        let state = State {
            records: BTreeMap::new(),
            listed: false,
            lost: Some(Instant::now()),
        };
        Self {
            state: RwLock::new(state),
            changes: watch::Sender::new(0),
            subscribers: Mutex::default(),
        }
    }

    // A panic while a lock is held cannot leave the records half changed, so poison is no news.
    fn read(&self) -> RwLockReadGuard<'_, State<R>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<R>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::UnboundedSender<String>>> {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One event for each of two listeners.
fn unzip<A, B>(event: Event<(A, B)>) -> (Event<A>, Event<B>) {
    match event {
        Event::Listed(objects) => {
            let (one, other) = objects.into_iter().unzip();
            (Event::Listed(one), Event::Listed(other))
        }
        Event::Applied((one, other)) => (Event::Applied(one), Event::Applied(other)),
        Event::Deleted((one, other)) => (Event::Deleted(one), Event::Deleted(other)),
        Event::Connected => (Event::Connected, Event::Connected),
        Event::Lost(why) => (Event::Lost(why.clone()), Event::Lost(why)),
    }
}

impl<R> Shared<R> {
    fn hear(&self, event: Event<(String, R)>) {
        let names = match event {
            Event::Listed(records) => {
                let records: BTreeMap<String, Arc<R>> = records
                    .into_iter()
                    .map(|(name, record)| (name, Arc::new(record)))
                    .collect();
                let mut state = self.write();
                let mut names: Vec<String> = records.keys().cloned().collect();
                names.extend(
                    state
                        .records
                        .keys()
                        .filter(|name| !records.contains_key(*name))
                        .cloned(),
                );
                state.records = records;
                state.listed = true;
                state.lost = None;
                names
            }
            Event::Applied((name, record)) => {
                let mut state = self.write();
                state.records.insert(name.clone(), Arc::new(record));
                state.lost = None;
                vec![name]
            }
            Event::Deleted((name, _)) => {
                self.write().records.remove(&name);
                vec![name]
            }
            Event::Connected => {
                self.write().lost = None;
                Vec::new()
            }
            Event::Lost(_) => {
                self.write().lost.get_or_insert_with(Instant::now);
                Vec::new()
            }
        };
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
        self.subscribers().retain(|subscriber| {
            names
                .iter()
                .all(|name| subscriber.send(name.clone()).is_ok())
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Plain(i64);

    impl Record for Plain {
        fn parse(object: Value) -> Option<(String, Self)> {
            let name = object.get("name")?.as_str()?.to_owned();
            Some((name, Self(object.get("n")?.as_i64()?)))
        }
    }

    fn object(name: &str, n: i64) -> Value {
        json!({"name": name, "n": n})
    }

    fn plain(name: &str, n: i64) -> (String, Plain) {
        (name.to_owned(), Plain(n))
    }

    fn heard(names: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
        std::iter::from_fn(|| names.try_recv().ok()).collect()
    }

    #[test]
    fn a_list_replaces_everything_and_names_what_went() {
        let cache = Cache::<Plain>::fixed(vec![object("a", 1), object("b", 2), json!({})]);
        let mut names = cache.names();
        assert_eq!(heard(&mut names), ["a", "b"]);
        cache
            .shared
            .hear(Event::Listed(vec![plain("b", 3), plain("c", 4)]));
        assert_eq!(heard(&mut names), ["b", "c", "a"]);
        assert!(cache.get("a").is_none());
        assert_eq!(cache.get("b").map(|plain| plain.0), Some(3));
        assert_eq!(cache.all().len(), 2);
        assert_eq!(cache.select(|plain| plain.0 > 3).len(), 1);
    }

    #[test]
    fn single_changes_are_heard() {
        let cache = Cache::<Plain>::fixed(vec![object("a", 1)]);
        let mut names = cache.names();
        cache.shared.hear(Event::Applied(plain("b", 2)));
        cache.shared.hear(Event::Deleted(plain("a", 1)));
        assert_eq!(heard(&mut names), ["a", "b", "a"]);
        assert!(cache.get("a").is_none() && cache.get("b").is_some());
    }

    #[test]
    fn staleness_shows_and_passes() {
        let shared = Arc::new(Shared::<Plain>::new());
        let cache = Cache {
            shared,
            _watch: Arc::new(None),
        };
        cache.shared.hear(Event::Connected);
        assert!(!cache.is_ready(), "not listed yet");
        cache.shared.hear(Event::Listed(vec![plain("a", 1)]));
        assert!(cache.is_ready() && cache.stale_for().is_none());
        cache.shared.hear(Event::Lost("gone".to_owned()));
        assert!(!cache.is_ready() && cache.stale_for().is_some());
        assert!(cache.get("a").is_some(), "it goes on answering");
        cache.shared.hear(Event::Connected);
        assert!(cache.is_ready());
    }

    #[tokio::test]
    async fn waiting_ends_with_the_list() {
        let shared = Arc::new(Shared::<Plain>::new());
        let cache = Cache {
            shared,
            _watch: Arc::new(None),
        };
        let waiting = tokio::spawn({
            let cache = cache.clone();
            async move { cache.ready().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        cache.shared.hear(Event::Listed(vec![]));
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .unwrap()
            .unwrap();
    }
}
