//! Leader election by a Lease, as client-go does it: whoever holds the Lease renews it, whoever
//! waits takes it once it has not changed for its duration. Clocks of two machines are never
//! compared: only how long ago this process saw a change.
//!
//! No election can promise that there is never a second leader for a moment: a process may sleep
//! through its own deposition. So a leader's writes go through a [`Fence`] that falls by the clock,
//! and each of them is conditional or idempotent, so that one which is late does no harm.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_model::labels;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::cluster::Cluster;
use crate::error::ClusterError;
use crate::resource::{Kind, ObjectRef};

/// The times of an election. Those of client-go's users by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long others wait for a change before they take the Lease. Whole seconds.
    pub duration: Duration,
    /// For how long a leader that cannot renew goes on. Shorter than [`Self::duration`], or two
    /// lead at once.
    pub renew_deadline: Duration,
    /// How long between two tries.
    pub retry: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// Lets writes through while this process leads. It falls by itself: whoever was stopped and
/// wakes up again finds it down before anything is sent.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<Mutex<Option<Instant>>>);

impl Fence {
    /// Whether this process may write now.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    fn until(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// One process's part in an election.
pub struct Election {
    cluster: Cluster,
    lease: ObjectRef,
    identity: String,
    times: LeaseTimes,
    fence: Fence,
    seen: Option<Seen>,
}

/// The Lease as it was last seen.
struct Seen {
    lease: Value,
    /// When this process first saw it so.
    since: Instant,
}

/// What to do about a Lease.
#[derive(Debug, PartialEq)]
enum Move {
    /// Nobody has made it: make it.
    Create,
    /// It is ours: renew it.
    Renew,
    /// Its holder has let go of it, or not renewed it in time: take it.
    Take,
    /// Another's.
    Wait,
}

impl Election {
    /// An election for a Lease in Bulkhead's namespace, as `identity`, which no other process
    /// may have. Nothing is sent yet.
    #[must_use]
    pub fn new(cluster: &Cluster, name: &str, identity: String, times: LeaseTimes) -> Self {
        let kind = Kind::new("coordination.k8s.io/v1", "Lease");
        Self {
            cluster: cluster.clone(),
            lease: ObjectRef::namespaced(kind, labels::SYSTEM_NAMESPACE, name),
            identity,
            times,
            fence: Fence::default(),
            seen: None,
        }
    }

    /// What stands while this process leads.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until this process leads.
    pub async fn lead(&mut self) {
        let mut holder = String::new();
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) if error.is_conflict() || error.is_already_exists() => {}
                Err(error) => tracing::warn!(error = error.chain(), "cannot ask for the lease"),
            }
            let now = self.holder();
            if now != holder {
                tracing::info!(holder = now, "another leads; standing by");
                holder = now;
            }
            tokio::time::sleep(self.times.retry).await;
        }
    }

    /// Renews the Lease for as long as that goes well. The result says why it does not any more;
    /// the fence is down then.
    pub async fn hold(&mut self) -> String {
        let mut trouble = String::new();
        loop {
            let end = self.fence.until().unwrap_or_else(Instant::now);
            tokio::time::sleep(self.times.retry.min(end - Instant::now())).await;
            if !self.fence.stands() {
                self.fence.set(None);
                return format!(
                    "the lease was not renewed within {} s: {trouble}",
                    self.times.renew_deadline.as_secs()
                );
            }
            match tokio::time::timeout_at(end.into(), self.attempt()).await {
                Ok(Ok(true)) => trouble.clear(),
                Ok(Ok(false)) => {
                    self.fence.set(None);
                    return format!("`{}` has taken the lease", self.holder());
                }
                Ok(Err(error)) => trouble = error.chain(),
                Err(_) => trouble = "no answer".to_owned(),
            }
        }
    }

    /// Lets go of the Lease, so that another need not wait for its end. Call it once nothing
    /// that writes runs any more.
    ///
    /// # Errors
    /// If the API server does not take it; the others wait then.
    pub async fn release(&mut self) -> Result<(), ClusterError> {
        self.fence.set(None);
        let Some(seen) = self
            .seen
            .take()
            .filter(|seen| holder(&seen.lease) == self.identity)
        else {
            return Ok(());
        };
        let now = micro_time();
        let spec = json!({
            "holderIdentity": "", "leaseDurationSeconds": 1,
            "acquireTime": now, "renewTime": now,
        });
        self.write(&seen.lease, spec).await.map(drop)
    }

    /// Looks, and makes, takes or renews the Lease if that is due. True: it is ours.
    async fn attempt(&mut self) -> Result<bool, ClusterError> {
        let asked = Instant::now();
        let found = self.cluster.get(&self.lease).await?;
        let lease = match (self.decide(found.as_ref(), asked), found) {
            (Move::Create, _) | (_, None) => self.create().await?,
            (Move::Wait, Some(lease)) => {
                self.note(lease, asked);
                return Ok(false);
            }
            (Move::Renew, Some(lease)) => {
                self.write(
                    &lease,
                    json!({"renewTime": micro_time(), "leaseDurationSeconds": self.seconds()}),
                )
                .await?
            }
            (Move::Take, Some(lease)) => self.take(&lease).await?,
        };
        // By the time before the request: the server's time of the write can only be later.
        self.fence.set(Some(asked + self.times.renew_deadline));
        self.note(lease, asked);
        Ok(true)
    }

    fn decide(&self, lease: Option<&Value>, now: Instant) -> Move {
        let Some(lease) = lease else {
            return Move::Create;
        };
        let holder = holder(lease);
        if holder == self.identity {
            return Move::Renew;
        }
        let duration = lease
            .pointer("/spec/leaseDurationSeconds")
            .and_then(Value::as_u64);
        let duration = Duration::from_secs(duration.unwrap_or_default());
        let ended = self
            .seen
            .as_ref()
            .is_some_and(|seen| same(&seen.lease, lease) && now >= seen.since + duration);
        if holder.is_empty() || ended {
            Move::Take
        } else {
            Move::Wait
        }
    }

    async fn create(&self) -> Result<Value, ClusterError> {
        let now = micro_time();
        let lease = json!({
            "apiVersion": self.lease.kind.api_version, "kind": self.lease.kind.kind,
            "metadata": {"name": self.lease.name, "namespace": self.lease.namespace},
            "spec": {
                "holderIdentity": self.identity, "leaseDurationSeconds": self.seconds(),
                "acquireTime": now, "renewTime": now, "leaseTransitions": 0,
            },
        });
        self.cluster.create(&lease).await
    }

    async fn take(&self, lease: &Value) -> Result<Value, ClusterError> {
        let now = micro_time();
        let before = lease
            .pointer("/spec/leaseTransitions")
            .and_then(Value::as_u64);
        let spec = json!({
            "holderIdentity": self.identity, "leaseDurationSeconds": self.seconds(),
            "acquireTime": now, "renewTime": now,
            "leaseTransitions": before.unwrap_or_default() + 1,
        });
        self.write(lease, spec).await
    }

    /// Changes the Lease if it still is as it was read.
    async fn write(&self, lease: &Value, spec: Value) -> Result<Value, ClusterError> {
        let patch = json!({
            "metadata": {
                "uid": lease.pointer("/metadata/uid"),
                "resourceVersion": lease.pointer("/metadata/resourceVersion"),
            },
            "spec": spec,
        });
        self.cluster.merge_patch(&self.lease, &patch).await
    }

    fn note(&mut self, lease: Value, now: Instant) {
        if !self
            .seen
            .as_ref()
            .is_some_and(|seen| same(&seen.lease, &lease))
        {
            self.seen = Some(Seen { lease, since: now });
        }
    }

    fn holder(&self) -> String {
        self.seen
            .as_ref()
            .map(|seen| holder(&seen.lease).to_owned())
            .unwrap_or_default()
    }

    fn seconds(&self) -> u64 {
        self.times.duration.as_secs().max(1)
    }
}

fn holder(lease: &Value) -> &str {
    lease
        .pointer("/spec/holderIdentity")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether nobody has touched a Lease in between.
fn same(one: &Value, other: &Value) -> bool {
    one.get("spec") == other.get("spec")
        && one.pointer("/metadata/uid") == other.pointer("/metadata/uid")
}

/// Now, as Leases write times. Read by people alone.
fn micro_time() -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests;
