//! A queue of keys: each key waits at most once and is never worked on twice at a time, keys
//! that fail come back later and later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How work on a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing is left to do.
    Done,
    /// To be looked at again after this time.
    After(Duration),
    /// Try again, with growing delay.
    Failed,
}

/// The queue as workers share it.
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    /// Wakes workers: something is ready, or due earlier than they think.
    news: Notify,
}

impl<K: Ord + Clone> Queue<K> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            news: Notify::new(),
        }
    }

    /// Adds a key to be worked on as soon as a worker is free.
    pub(crate) fn add(&self, key: K) {
        self.lock().add(key);
        self.news.notify_one();
    }

    /// Adds a key to be worked on after a delay.
    pub(crate) fn add_after(&self, key: K, delay: Duration) {
        self.lock().add_at(key, Instant::now() + delay);
        self.news.notify_one();
    }

    /// The next key. The worker owes a call of [`Self::finish`].
    pub(crate) async fn take(&self) -> K {
        loop {
            let due = {
                let mut state = self.lock();
                if let Some(key) = state.take(Instant::now()) {
                    if state.waits() {
                        // One notification may have stood for several keys.
                        self.news.notify_one();
                    }
                    return key;
                }
                state.next_due()
            };
            match due {
                Some(due) => {
                    // Whoever is woken first looks at the clock again.
                    let _ = tokio::time::timeout_at(due.into(), self.news.notified()).await;
                }
                None => self.news.notified().await,
            }
        }
    }

    /// Says how the work on a key ended.
    pub(crate) fn finish(&self, key: K, outcome: Outcome) {
        self.lock().finish(key, outcome, Instant::now());
        self.news.notify_one();
    }

    /// How many keys wait, are worked on, or are to be looked at again.
    pub(crate) fn len(&self) -> usize {
        let state = self.lock();
        state.queued.len() + state.running.len() + state.delayed.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue without its waiting: the clock is an argument.
struct State<K> {
    ready: VecDeque<K>,
    queued: BTreeSet<K>,
    running: BTreeSet<K>,
    /// Added while running: to be worked on once more.
    again: BTreeSet<K>,
    delayed: BTreeMap<K, Instant>,
    failures: BTreeMap<K, u32>,
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            queued: BTreeSet::new(),
            running: BTreeSet::new(),
            again: BTreeSet::new(),
            delayed: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> State<K> {
    fn add(&mut self, key: K) {
        // What was to be done later is done now.
        self.delayed.remove(&key);
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: K, due: Instant) {
        if self.queued.contains(&key) || self.again.contains(&key) {
            return;
        }
        let earliest = self.delayed.entry(key).or_insert(due);
        *earliest = due.min(*earliest);
    }

    fn take(&mut self, now: Instant) -> Option<K> {
        let due: Vec<K> = self
            .delayed
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.add(key);
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    fn waits(&self) -> bool {
        !self.ready.is_empty()
    }

    fn next_due(&self) -> Option<Instant> {
        self.delayed.values().min().copied()
    }

    fn finish(&mut self, key: K, outcome: Outcome, now: Instant) {
        self.running.remove(&key);
        let delay = match outcome {
            Outcome::Done => None,
            Outcome::After(delay) => Some(delay),
            Outcome::Failed => {
                let failures = self.failures.entry(key.clone()).or_default();
                let delay = FIRST_RETRY
                    .saturating_mul(1 << (*failures).min(16))
                    .min(LAST_RETRY);
                *failures += 1;
                Some(delay)
            }
        };
        if outcome != Outcome::Failed {
            self.failures.remove(&key);
        }
        if self.again.remove(&key) {
            self.add(key);
        } else if let Some(delay) = delay {
            self.add_at(key, now + delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_once_and_runs_alone() {
        let now = Instant::now();
        let mut state = State::default();
        state.add("a");
        state.add("a");
        state.add("b");
        assert_eq!(state.take(now), Some("a"));
        state.add("a");
        assert_eq!(state.take(now), Some("b"));
        assert_eq!(state.take(now), None, "`a` is being worked on");
        state.finish("a", Outcome::Done, now);
        assert_eq!(state.take(now), Some("a"), "it was added while it ran");
        state.finish("a", Outcome::Done, now);
        state.finish("b", Outcome::Done, now);
        assert_eq!(state.take(now), None);
        assert_eq!(state.next_due(), None);
    }

    #[test]
    fn failures_come_back_later_and_later() {
        let start = Instant::now();
        let mut now = start;
        let mut state = State::default();
        state.add("a");
        let mut delays = Vec::new();
        for _ in 0..14 {
            assert_eq!(state.take(now), Some("a"));
            state.finish("a", Outcome::Failed, now);
            let due = state.next_due().unwrap();
            assert_eq!(state.take(due - Duration::from_millis(1)), None);
            delays.push(due - now);
            now = due;
        }
        assert_eq!(delays.first(), Some(&FIRST_RETRY));
        assert_eq!(delays.get(1), Some(&(FIRST_RETRY * 2)));
        assert_eq!(delays.last(), Some(&LAST_RETRY));
        assert_eq!(state.take(now), Some("a"));
        state.finish("a", Outcome::Done, now);
        state.add("a");
        assert_eq!(state.take(now), Some("a"));
        state.finish("a", Outcome::Failed, now);
        assert_eq!(
            state.next_due(),
            Some(now + FIRST_RETRY),
            "success forgets failures"
        );
    }

    #[test]
    fn news_goes_before_a_delay() {
        let now = Instant::now();
        let mut state = State::default();
        state.add_at("a", now + Duration::from_secs(60));
        state.add_at("a", now + Duration::from_secs(5));
        assert_eq!(
            state.next_due(),
            Some(now + Duration::from_secs(5)),
            "the earliest counts"
        );
        state.add("a");
        assert_eq!(state.take(now), Some("a"));
        assert_eq!(state.next_due(), None);
    }

    #[tokio::test]
    async fn a_waiting_worker_is_woken() {
        let queue = std::sync::Arc::new(Queue::new());
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.take().await, queue.take().await, queue.take().await) }
        });
        queue.add_after("later", Duration::from_millis(20));
        queue.add("first");
        queue.add("second");
        let taken = tokio::time::timeout(Duration::from_secs(5), worker)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(taken, ("first", "second", "later"));
    }
}
