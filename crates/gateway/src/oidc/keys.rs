//! An issuer's keys: fetched, remembered, fetched again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bulkhead_model::json;
use serde_json::Value;

use super::config::{Issuer, https};
use super::fetch::Fetch;
use super::jwt::{Key, Unverified};

/// The times of an issuer's keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// How often they are fetched: a key that the issuer takes back counts no longer than this.
    pub(crate) refresh: Duration,
    /// How long after one fetch an unknown key may cause the next, for which it waits: whoever
    /// makes tokens up must not load the issuer.
    pub(crate) again: Duration,
    /// How long known keys go on counting while the issuer cannot be reached.
    pub(crate) keep: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(5 * 60),
            again: Duration::from_secs(2),
            keep: Duration::from_secs(60 * 60),
        }
    }
}

/// No issuer has more, and each could be tried for a token that names none.
const MOST_KEYS: usize = 100;

pub(crate) struct Keys {
    fetch: Fetch,
    times: Times,
    state: Mutex<State>,
    /// Held while one fetches; the others wait for what comes of it.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    keys: Arc<Vec<Key>>,
    /// When they were fetched.
    fetched: Option<Instant>,
    /// When that was begun last, and whether it failed.
    tried: Option<(Instant, bool)>,
}

/// Keys for a token, or why there are none.
pub(crate) enum Found {
    Keys(Arc<Vec<Key>>),
    /// The issuer answers, and has no such key.
    Unknown,
    /// The issuer cannot be asked.
    Unreachable,
}

impl Keys {
    pub(crate) fn new(fetch: Fetch, times: Times) -> Self {
        Self {
            fetch,
            times,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The keys that a token may be signed with.
    pub(crate) async fn of(&self, issuer: &Issuer, token: &Unverified<'_>) -> Found {
        if let Some(keys) = self.known(token) {
            return Found::Keys(keys);
        }
        let asked = Instant::now();
        let _turn = self.turn.lock().await;
        let tried = self.state().tried;
        let failed = match tried {
            // Somebody else has fetched meanwhile, with or without luck.
            Some((at, failed)) if at >= asked => failed,
            // A key that is new since the last fetch is waited for rather than refused.
            Some((at, _)) => {
                tokio::time::sleep(self.times.again.saturating_sub(at.elapsed())).await;
                self.fetch(issuer).await
            }
            None => self.fetch(issuer).await,
        };
        match self.known(token) {
            Some(keys) => Found::Keys(keys),
            None if failed => Found::Unreachable,
            None => Found::Unknown,
        }
    }

    /// Fetches the keys again and again, until dropped.
    pub(crate) async fn follow(&self, issuer: &Issuer) {
        loop {
            let failed = {
                let _turn = self.turn.lock().await;
                self.fetch(issuer).await
            };
            // Failures are tried again sooner, but not as fast as those who wait would have it.
            let pause = match failed {
                true => self.times.refresh.min(5 * self.times.again),
                false => self.times.refresh,
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn known(&self, token: &Unverified<'_>) -> Option<Arc<Vec<Key>>> {
        let state = self.state();
        let recent = state.fetched?.elapsed() < self.times.keep;
        let there = state.keys.iter().any(|key| token.may_be_of(key));
        (recent && there).then(|| state.keys.clone())
    }

    /// True: it failed. What was known stays.
    async fn fetch(&self, issuer: &Issuer) -> bool {
        let before = Instant::now();
        let fetched = fetch(&self.fetch, issuer).await;
        let mut state = self.state();
        state.tried = Some((before, fetched.is_err()));
        match fetched {
            Ok(keys) => {
                state.keys = Arc::new(keys);
                state.fetched = Some(before);
                false
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(issuer = %issuer.url, %error, "cannot fetch an issuer's keys");
                true
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(client: &Fetch, issuer: &Issuer) -> anyhow::Result<Vec<Key>> {
    let document = client.get(&issuer.discovery).await?;
    let document = Value::from(json::parse(&document).context("the discovery document")?);
    let says = document.get("issuer").and_then(Value::as_str);
    // Another issuer's document would bring another issuer's keys.
    ensure!(
        says == Some(issuer.url.as_str()),
        "the discovery document is of the issuer `{}`, expected `{}`",
        says.unwrap_or_default(),
        issuer.url
    );
    let keys = document.get("jwks_uri").and_then(Value::as_str);
    let keys = https(keys.context("the discovery document has no `jwks_uri`")?)?;
    let set = client.get(&keys).await?;
    let set = Value::from(json::parse(&set).context("the key set")?);
    let keys = set.get("keys").and_then(Value::as_array);
    let keys = keys.context("the key set has no list `keys`")?;
    ensure!(
        keys.len() <= MOST_KEYS,
        "the key set has {} keys",
        keys.len()
    );
    let keys: Vec<Key> = keys.iter().filter_map(Key::parse).collect();
    ensure!(!keys.is_empty(), "the key set has no key that is taken");
    Ok(keys)
}
