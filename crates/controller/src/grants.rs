//! What tenants have from the ledger: their users and groups, their SELinux level. And what of a
//! pod the API server keeps, which decides what can be asked of pods.
//!
//! A namespace opens only with what was granted here, and the ledger alone grants. What is
//! remembered is what the ledger said; it takes nothing back from a tenant that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_api::Ranges;
use bulkhead_cluster::{Cluster, ClusterError, EntryRecord, Ledger, Revision};
use bulkhead_isolation::ledger::ids::{self, Pool, Taking};
use bulkhead_model::{Granted, Holder, LedgerEntry, PodField, SelinuxChoice, Tenant, labels};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::context::ReconcileError;

/// How many are asked for one by one before all entries are read.
const TRIES: usize = 16;
/// How long what the API server keeps of a pod counts as known: it changes with its version.
const SERVED: Duration = Duration::from_secs(300);

/// What was granted so far.
pub(crate) struct Grants {
    cluster: Cluster,
    ledger: Ledger,
    /// By pool, the number that each holder has. Read whole from the ledger at the first question.
    ids: Known,
    pairs: Known,
    unserved: tokio::sync::Mutex<Option<(Instant, BTreeSet<PodField>)>>,
}

#[derive(Default)]
struct Known {
    loaded: tokio::sync::OnceCell<()>,
    held: Mutex<BTreeMap<Holder, u32>>,
}

impl Grants {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
            ledger: Ledger::new(cluster),
            ids: Known::default(),
            pairs: Known::default(),
            unserved: tokio::sync::Mutex::default(),
        }
    }

    /// The tenant with everything that it is to have from the ledger, claimed now if need be.
    ///
    /// # Errors
    /// If the API server does not answer, or everything is taken.
    pub(crate) async fn give(&self, tenant: &Tenant) -> Result<Tenant, ReconcileError> {
        let holder = holder(tenant);
        let block = self.own(Pool::Ids, &holder).await?;
        let pair = match tenant.pod_security.selinux {
            SelinuxChoice::PerTenant => Some(self.own(Pool::Pairs, &holder).await?),
            SelinuxChoice::Runtime => None,
        };
        let granted = Granted {
            ids: ids::block(block),
            selinux: pair.and_then(ids::pair),
            unserved: self.unserved().await?,
        };
        Ok(Tenant {
            granted,
            ..tenant.clone()
        })
    }

    /// What is remembered of a tenant's grants, for its status.
    pub(crate) fn ranges(&self, tenant: &Tenant) -> Ranges {
        let holder = holder(tenant);
        let ids = self.ids.get(&holder).and_then(ids::block);
        let ids = ids.map(|range| range.to_string()).unwrap_or_default();
        let pair = match tenant.pod_security.selinux {
            SelinuxChoice::PerTenant => self.pairs.get(&holder).and_then(ids::pair),
            SelinuxChoice::Runtime => None,
        };
        Ranges {
            uid: ids.clone(),
            gid: ids,
            selinux: pair.map(|pair| pair.to_string()).unwrap_or_default(),
        }
    }

    /// All that have, or had, something under a tenant's name and did not give it up.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn holders(&self, tenant: &str) -> Result<BTreeSet<Holder>, ReconcileError> {
        let mut holders = BTreeSet::new();
        for pool in [Pool::Ids, Pool::Pairs] {
            self.load(pool).await?;
            holders.extend(self.known(pool).named(tenant));
        }
        Ok(holders)
    }

    /// Puts everything that a former holder has into quarantine.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn give_up(&self, holder: &Holder) -> Result<(), ReconcileError> {
        for pool in [Pool::Ids, Pool::Pairs] {
            for record in self.ledger.list(Some(pool.kind()), Some(holder)).await? {
                let Some(index) = number(pool, &record) else {
                    continue;
                };
                let rests = self.rest(pool, index, holder).await?;
                tracing::info!(tenant = %holder.tenant, uid = %holder.uid, key = pool.key(index), rests, "in quarantine");
            }
            self.known(pool).forget(holder);
        }
        Ok(())
    }

    async fn rest(&self, pool: Pool, index: u32, holder: &Holder) -> Result<bool, ClusterError> {
        let now = now();
        self.ledger
            .update(pool.kind(), &pool.key(index), |entry| {
                match entry.and_then(|entry| ids::give_up(entry, holder, now)) {
                    Some(resting) => (Revision::Write(resting), true),
                    None => (Revision::Keep, false),
                }
            })
            .await
    }

    /// The number of what a holder has of a pool.
    async fn own(&self, pool: Pool, holder: &Holder) -> Result<u32, ReconcileError> {
        self.load(pool).await?;
        if let Some(index) = self.known(pool).get(holder) {
            return Ok(index);
        }
        // Another controller may have been faster.
        let records = self.ledger.list(Some(pool.kind()), Some(holder)).await?;
        let mut held: BTreeSet<u32> = records
            .iter()
            .filter_map(|record| number(pool, record))
            .collect();
        let index = match held.pop_first() {
            Some(index) => index,
            None => self.take(pool, holder).await?,
        };
        self.known(pool).note(holder, index);
        Ok(index)
    }

    async fn take(&self, pool: Pool, holder: &Holder) -> Result<u32, ReconcileError> {
        for index in pool.order(holder).take(TRIES) {
            if self.ask(pool, index, holder).await? {
                return Ok(index);
            }
        }
        // It is crowded there: look where there is room.
        let now = now();
        let records = self.ledger.list(Some(pool.kind()), None).await?;
        let taken: BTreeSet<u32> = records
            .iter()
            .filter_map(|record| {
                let entry = record.entry.as_ref().ok()?;
                let index = pool.index(entry)?;
                (ids::take(pool, index, Some(entry), holder, now) == Taking::Taken).then_some(index)
            })
            .collect();
        let room = pool.order(holder).filter(|index| !taken.contains(index));
        for index in room.take(TRIES) {
            if self.ask(pool, index, holder).await? {
                return Ok(index);
            }
        }
        Err(ReconcileError::Exhausted(match pool {
            Pool::Ids => "all blocks of users and groups are taken or in quarantine",
            Pool::Pairs => "all SELinux levels for tenants are taken or in quarantine",
        }))
    }

    /// Whether the holder has it now.
    async fn ask(&self, pool: Pool, index: u32, holder: &Holder) -> Result<bool, ClusterError> {
        let now = now();
        let asked = self
            .ledger
            .update(pool.kind(), &pool.key(index), |entry| {
                match ids::take(pool, index, entry, holder, now) {
                    Taking::Ours => (Revision::Keep, true),
                    Taking::Free(entry) => (Revision::Write(entry), true),
                    Taking::Taken => (Revision::Keep, false),
                }
            })
            .await;
        match asked {
            // What cannot be read counts as taken.
            Err(error @ ClusterError::Object { .. }) => {
                tracing::error!(
                    error = error.chain(),
                    "an entry of the ledger is unreadable"
                );
                Ok(false)
            }
            other => other,
        }
    }

    async fn load(&self, pool: Pool) -> Result<(), ClusterError> {
        let known = self.known(pool);
        let load = async || {
            for record in self.ledger.list(Some(pool.kind()), None).await? {
                let holder = record.entry.as_ref().ok().and_then(|e| e.holder.clone());
                if let (Some(index), Some(holder)) = (number(pool, &record), holder) {
                    known.note(&holder, index);
                }
            }
            Ok(())
        };
        known.loaded.get_or_try_init(load).await.map(drop)
    }

    fn known(&self, pool: Pool) -> &Known {
        match pool {
            Pool::Ids => &self.ids,
            Pool::Pairs => &self.pairs,
        }
    }

    /// The fields that the API server drops from pods, tried out on an object that is not stored.
    async fn unserved(&self) -> Result<BTreeSet<PodField>, ClusterError> {
        let mut unserved = self.unserved.lock().await;
        if let Some((since, known)) = unserved.as_ref()
            && since.elapsed() < SERVED
        {
            return Ok(known.clone());
        }
        let kept = self.cluster.create_dry_run(&probe()).await?;
        let found = dropped(&kept);
        tracing::info!(unserved = ?found, "tried what the API server keeps of pods");
        *unserved = Some((Instant::now(), found.clone()));
        Ok(found)
    }
}

impl Known {
    fn get(&self, holder: &Holder) -> Option<u32> {
        self.held(|held| held.get(holder).copied())
    }

    /// Of several, the lowest counts, for every controller alike.
    fn note(&self, holder: &Holder, index: u32) {
        self.held(|held| {
            let known = held.entry(holder.clone()).or_insert(index);
            *known = index.min(*known);
        });
    }

    fn forget(&self, holder: &Holder) {
        self.held(|held| held.remove(holder));
    }

    fn named(&self, tenant: &str) -> Vec<Holder> {
        self.held(|held| {
            let named = held
                .keys()
                .filter(|holder| holder.tenant.as_str() == tenant);
            named.cloned().collect()
        })
    }

    fn held<T>(&self, with: impl FnOnce(&mut BTreeMap<Holder, u32>) -> T) -> T {
        with(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn holder(tenant: &Tenant) -> Holder {
    Holder {
        tenant: tenant.name.clone(),
        uid: tenant.uid.clone(),
    }
}

fn number(pool: Pool, record: &EntryRecord) -> Option<u32> {
    let entry: &LedgerEntry = record.entry.as_ref().ok()?;
    pool.index(entry)
}

/// Holds each field that some API servers drop. A template, because a pod that names a
/// ServiceAccount needs more rights to be tried.
fn probe() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "bulkhead-probe", "namespace": labels::SYSTEM_NAMESPACE},
        "template": {"spec": {
            "hostUsers": false,
            "securityContext": {"supplementalGroupsPolicy": "Strict"},
            "containers": [{"name": "probe", "image": "probe"}],
        }},
    })
}

fn dropped(kept: &Value) -> BTreeSet<PodField> {
    [
        (
            PodField::SupplementalGroupsPolicy,
            "/template/spec/securityContext/supplementalGroupsPolicy",
        ),
        (PodField::HostUsers, "/template/spec/hostUsers"),
    ]
    .into_iter()
    .filter(|(_, pointer)| kept.pointer(pointer) != probe().pointer(pointer))
    .map(|(field, _)| field)
    .collect()
}

/// Seconds since 1970.
fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_drops_is_known() {
        assert_eq!(dropped(&probe()), BTreeSet::new());
        let mut kept = probe();
        kept["template"]["spec"]["securityContext"] = json!({});
        assert_eq!(
            dropped(&kept),
            BTreeSet::from([PodField::SupplementalGroupsPolicy])
        );
        assert_eq!(dropped(&json!({})).len(), 2);
    }

    #[test]
    fn of_several_the_lowest_counts() {
        let known = Known::default();
        let holder = |uid: &str| -> Holder {
            serde_json::from_value(json!({"tenant": "acme", "uid": uid})).unwrap()
        };
        for index in [7, 3, 9] {
            known.note(&holder("u-1"), index);
        }
        assert_eq!(known.get(&holder("u-1")), Some(3));
        assert_eq!(known.get(&holder("u-2")), None);
        assert_eq!(known.named("acme"), [holder("u-1")]);
        known.forget(&holder("u-1"));
        assert!(known.named("acme").is_empty());
    }
}
