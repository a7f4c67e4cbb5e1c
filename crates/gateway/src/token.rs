//! Tokens. Those of issuers that the operator names are verified here; the others are
//! ServiceAccounts', reviewed by the API server and remembered for a moment.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_cluster::Cluster;
use bulkhead_model::ServiceAccountRef;
use bulkhead_scope::Denial;
use tokio::sync::Semaphore;

use crate::authn::{Identity, Who};
use crate::oidc::{self, Issuers};

/// How long a token that was found good stays so: a deleted ServiceAccount works no longer
/// than this.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Tokens remembered at a time.
const MOST: usize = 10_000;
/// Reviews under way at a time: whoever sends bad tokens must not load the API server.
const REVIEWS: usize = 32;

pub(crate) struct Tokens {
    reader: Cluster,
    audience: String,
    pub(crate) issuers: Issuers,
    known: Known,
    reviews: Semaphore,
}

impl Tokens {
    pub(crate) fn new(reader: Cluster, audience: String, issuers: Issuers) -> Self {
        Self {
            reader,
            audience,
            issuers,
            known: Known::default(),
            reviews: Semaphore::new(REVIEWS),
        }
    }

    /// Whom a token stands for.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, Denial> {
        // A token that names an issuer of ours is its or nobody's: no second opinion is asked for.
        if let Some(identity) = self.issuers.identify(token).await {
            return identity;
        }
        let account = self.reviewed(token).await?;
        Ok(Identity {
            who: Who::ServiceAccount(account),
            ends: oidc::ends(token),
        })
    }

    async fn reviewed(&self, token: &str) -> Result<ServiceAccountRef, Denial> {
        if let Some(account) = self.known.get(token, Instant::now()) {
            return Ok(account);
        }
        let busy = || Denial::unavailable("the token cannot be checked now", 1);
        let permit = tokio::time::timeout(Duration::from_secs(5), self.reviews.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(busy());
        };
        let before = Instant::now();
        let review = self.reader.review_token(token, &self.audience).await;
        let user = review.map_err(|error| {
            tracing::warn!(error = %error.chain(), "cannot have a token reviewed");
            busy()
        })?;
        let refused = || {
            Denial::unauthorized(format!(
                "the token is refused: expected a valid ServiceAccount token for the audience `{}`",
                self.audience
            ))
        };
        let user = user.ok_or_else(refused)?;
        let account = ServiceAccountRef::from_username(&user.username).ok_or_else(refused)?;
        self.known.remember(token, account.clone(), before);
        Ok(account)
    }
}

/// Tokens found good, by keyed hashes: the memory of this process holds no token longer than
/// its request.
#[derive(Default)]
struct Known {
    keys: [RandomState; 2],
    accounts: Mutex<HashMap<[u64; 2], (ServiceAccountRef, Instant)>>,
}

impl Known {
    fn hash(&self, token: &str) -> [u64; 2] {
        self.keys.each_ref().map(|key| key.hash_one(token))
    }

    fn get(&self, token: &str, now: Instant) -> Option<ServiceAccountRef> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let (account, since) = accounts.get(&self.hash(token))?;
        (now.saturating_duration_since(*since) < REMEMBERED).then(|| account.clone())
    }

    fn remember(&self, token: &str, account: ServiceAccountRef, now: Instant) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= MOST {
            accounts.retain(|_, (_, since)| now.saturating_duration_since(*since) < REMEMBERED);
        }
        // Full of fresh ones: those without a place are reviewed each time.
        if accounts.len() < MOST {
            accounts.insert(self.hash(token), (account, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_for_a_moment_and_no_other_token_is() {
        let known = Known::default();
        let account = ServiceAccountRef::parse("acme-ci/deployer").unwrap();
        let now = Instant::now();
        known.remember("a.b.c", account.clone(), now);
        assert_eq!(known.get("a.b.c", now), Some(account.clone()));
        assert_eq!(known.get("a.b.d", now), None);
        assert_eq!(known.get("a.b.c", now + REMEMBERED), None);
        for n in 0..MOST {
            known.remember(&n.to_string(), account.clone(), now);
        }
        assert_eq!(known.get(&(MOST - 1).to_string(), now), None, "full");
        known.remember("later", account.clone(), now + REMEMBERED);
        assert_eq!(known.get("later", now + REMEMBERED), Some(account));
    }
}
