//! Tokens. Those of issuers that the operator names are verified here; ServiceAccounts' and IAM's
//! are reviewed by the API server and remembered for a moment.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bulkhead_cluster::{Cluster, TokenUser};
use bulkhead_model::ServiceAccountRef;
use bulkhead_scope::Denial;
use tokio::sync::Semaphore;

use crate::authn::{Identity, Who, check_name};
use crate::iam;
use crate::oidc::{self, Issuers};

/// How long a token that was found good stays so: a deleted ServiceAccount works no longer
/// than this.
const REMEMBERED: Duration = Duration::from_secs(10);
/// The same for IAM tokens, each review of which is a call to STS.
const IAM_REMEMBERED: Duration = Duration::from_secs(60);
/// Tokens remembered at a time.
const MOST: usize = 10_000;
/// Reviews under way at a time: whoever sends bad tokens must not load the API server.
const REVIEWS: usize = 32;

/// Which tokens are taken.
pub(crate) struct Accepted {
    /// The audience of ServiceAccounts' tokens.
    pub(crate) audience: String,
    pub(crate) issuers: Issuers,
    /// Whether IAM tokens of EKS are.
    pub(crate) iam: bool,
}

pub(crate) struct Tokens {
    reader: Cluster,
    pub(crate) accepted: Accepted,
    known: Known,
    reviews: Semaphore,
}

impl Tokens {
    pub(crate) fn new(reader: Cluster, accepted: Accepted) -> Self {
        Self {
            reader,
            accepted,
            known: Known::default(),
            reviews: Semaphore::new(REVIEWS),
        }
    }

    /// Whom a token stands for.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, Denial> {
        if token.starts_with(iam::PREFIX) {
            return self.by_iam(token, SystemTime::now()).await;
        }
        // A token that names an issuer of ours is its or nobody's: no second opinion is asked for.
        if let Some(identity) = self.accepted.issuers.identify(token).await {
            return identity;
        }
        self.reviewed(token, REMEMBERED, |user| {
            let account = ServiceAccountRef::from_username(&user?.username)?;
            Some(Identity {
                who: Who::ServiceAccount(account),
                ends: oidc::ends(token),
                serial: None,
            })
        })
        .await?
        .ok_or_else(|| {
            Denial::unauthorized(format!(
                "the token is refused: expected a valid ServiceAccount token for the audience `{}`",
                self.accepted.audience
            ))
        })
    }

    async fn by_iam(&self, token: &str, now: SystemTime) -> Result<Identity, Denial> {
        let refused = |why: &str| Denial::unauthorized(format!("the IAM token is refused: {why}"));
        if !self.accepted.iam {
            return Err(refused("this gateway takes none"));
        }
        let form = iam::read(token, now).map_err(|error| refused(&error.to_string()))?;
        let left = form.ends.duration_since(now).unwrap_or_default();
        let mut why = None;
        let identity = self
            .reviewed(token, IAM_REMEMBERED.min(left), |user| {
                let who = iam_person(user?).map_err(|error| why = Some(error)).ok()?;
                let ends = Some(form.ends);
                Some(Identity {
                    who,
                    ends,
                    serial: None,
                })
            })
            .await?;
        let unknown = "AWS or the cluster does not know it";
        identity.ok_or_else(|| refused(why.as_deref().unwrap_or(unknown)))
    }

    /// What a review makes of a token; a good outcome is remembered.
    async fn reviewed(
        &self,
        token: &str,
        remembered: Duration,
        read: impl FnOnce(Option<TokenUser>) -> Option<Identity>,
    ) -> Result<Option<Identity>, Denial> {
        if let Some(identity) = self.known.get(token, Instant::now()) {
            return Ok(Some(identity));
        }
        let busy = || Denial::unavailable("the token cannot be checked now", 1);
        let permit = tokio::time::timeout(Duration::from_secs(5), self.reviews.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(busy());
        };
        let before = Instant::now();
        let review = match token.starts_with(iam::PREFIX) {
            true => self.reader.review_token_without_audience(token).await,
            false => {
                self.reader
                    .review_token(token, &self.accepted.audience)
                    .await
            }
        };
        let user = review.map_err(|error| {
            tracing::warn!(error = %error.chain(), "cannot have a token reviewed");
            busy()
        })?;
        let identity = read(user);
        if let Some(identity) = &identity {
            self.known
                .remember(token, identity.clone(), before, before + remembered);
        }
        Ok(identity)
    }
}

/// Who the cluster's access entries make of an IAM principal. Unlike our other credentials, an IAM
/// token is good at the API server, too; who means something there is nobody here.
fn iam_person(user: TokenUser) -> Result<Who, String> {
    check_name(&user.username).map_err(|why| format!("the user's name {why}"))?;
    let mut groups = user.groups;
    // The API server adds it to everybody.
    groups.retain(|group| group != "system:authenticated");
    for group in &groups {
        check_name(group).map_err(|why| format!("a group's name {why}"))?;
    }
    Ok(Who::User {
        name: user.username,
        groups,
    })
}

/// Tokens found good, by keyed hashes: the memory of this process holds no token longer than
/// its request.
#[derive(Default)]
struct Known {
    keys: [RandomState; 2],
    identities: Mutex<HashMap<[u64; 2], (Identity, Instant)>>,
}

impl Known {
    fn hash(&self, token: &str) -> [u64; 2] {
        self.keys.each_ref().map(|key| key.hash_one(token))
    }

    fn get(&self, token: &str, now: Instant) -> Option<Identity> {
        let identities = self
            .identities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (identity, until) = identities.get(&self.hash(token))?;
        (now < *until).then(|| identity.clone())
    }

    fn remember(&self, token: &str, identity: Identity, now: Instant, until: Instant) {
        let mut identities = self
            .identities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if identities.len() >= MOST {
            identities.retain(|_, (_, until)| now < *until);
        }
        // Full of fresh ones: those without a place are reviewed each time.
        if identities.len() < MOST {
            identities.insert(self.hash(token), (identity, until));
        }
    }
}

#[cfg(test)]
mod tests;
