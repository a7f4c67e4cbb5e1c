//! What is done between requests: leases are trimmed and renewed, requests that never came about are
//! looked for, and what dead replicas held is taken back.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bulkhead_cluster::{Kind, NamespaceRecord, ObjectRef, Revision};
use bulkhead_isolation::ledger::account::{Account, Counted};
use bulkhead_isolation::ledger::usage::usage;
use bulkhead_model::counted::{CountedKind, kind_of};
use bulkhead_model::quantity::{Amounts, add};
use bulkhead_model::{ClaimKind, LedgerEntry, labels};

use super::{ANSWER, LANDING, Quotas, TenantBook, VALID, lock};

/// How often it is looked after.
const TICK: Duration = Duration::from_millis(200);
/// For how long what is lent beyond the need is kept though nobody asks.
const IDLE: Duration = Duration::from_secs(1);

/// Leases as they were last seen: of which account, whose, their beat, and since when.
type Pulse = BTreeMap<(String, String), (u64, Instant)>;

pub(super) async fn run(quotas: Weak<Quotas>) {
    let mut pulse = Pulse::new();
    loop {
        tokio::time::sleep(TICK).await;
        let Some(quotas) = quotas.upgrade() else {
            return;
        };
        let books: Vec<Arc<TenantBook>> = lock(&quotas.books).values().cloned().collect();
        for book in books {
            quotas.tend(&book).await;
        }
        quotas.bury_the_dead(&mut pulse).await;
    }
}

impl Quotas {
    async fn tend(self: &Arc<Self>, book: &TenantBook) {
        self.resolve(book).await;
        let scarce = self.account(&book.rules).is_ok_and(|account| {
            account
                .hard
                .keys()
                .any(|r| account.free(r) == Some(Default::default()))
        });
        let due = {
            let state = lock(&book.state);
            let now = Instant::now();
            let idle = state.busy.is_none_or(|busy| now > busy + IDLE);
            let ends = state.until.is_some_and(|until| now + VALID / 2 > until);
            !state.book.is_empty()
                && (ends || (state.book.has_spare() && (idle || scarce)) || state.book.has_seen())
        };
        if due && let Err(why) = self.settle(book, &Amounts::new(), false).await {
            tracing::warn!(tenant = %book.rules.tenant, why, "cannot settle");
        }
    }

    /// Looks for what was admitted long ago and nobody has seen.
    async fn resolve(&self, book: &TenantBook) {
        let late: Vec<(String, super::Request)> = {
            let state = lock(&book.state);
            let late = state.requests.iter();
            late.filter(|(_, about)| about.answered.elapsed() > LANDING)
                .map(|(request, about)| (request.clone(), about.clone()))
                .collect()
        };
        for (request, about) in late {
            let Some(kind) = self.api_kind(&about.kind) else {
                continue;
            };
            let reference = ObjectRef::namespaced(kind, &about.namespace, &about.name);
            let Ok(live) = self.cluster.get(&reference).await else {
                continue;
            };
            let text = |field: &str| {
                let live = live.as_ref()?.get("metadata")?.get(field)?.as_str()?;
                Some(live.to_owned())
            };
            let version = text("resourceVersion").and_then(|version| version.parse::<u64>().ok());
            let mut state = lock(&book.state);
            match version {
                Some(version) if text("uid").as_ref() == Some(&about.uid) => {
                    state.book.saw(&request, version);
                }
                _ => state.book.forget(&request),
            }
            state.requests.remove(&request);
        }
    }

    /// Takes back the leases that have stayed the same for as long as no living replica leaves them.
    async fn bury_the_dead(self: &Arc<Self>, pulse: &mut Pulse) {
        let mut seen = Pulse::new();
        let now = Instant::now();
        let mut dead = Vec::new();
        for record in self.accounts.all() {
            let Ok(entry) = &record.entry else { continue };
            let Ok(account) = Account::parse(&entry.data) else {
                continue;
            };
            for (name, lease) in account.leases.iter().filter(|(name, _)| **name != self.me) {
                let key = (entry.key.clone(), name.clone());
                let since = match pulse.get(&key) {
                    Some((beat, since)) if *beat == lease.beat => *since,
                    _ => now,
                };
                if now.duration_since(since) > VALID + ANSWER + LANDING {
                    dead.push((entry.clone(), account.clone(), name.clone(), lease.beat));
                }
                seen.insert(key, (lease.beat, since));
            }
        }
        *pulse = seen;
        for (entry, account, name, beat) in dead {
            match self.bury(&entry, &account, &name, beat).await {
                Ok(()) => tracing::info!(
                    account = entry.key,
                    replica = name,
                    "took a lease back: its replica is gone"
                ),
                Err(why) => tracing::warn!(
                    account = entry.key,
                    replica = name,
                    why,
                    "cannot take a lease back"
                ),
            }
        }
    }

    async fn bury(
        &self,
        entry: &LedgerEntry,
        account: &Account,
        name: &str,
        beat: u64,
    ) -> Result<(), String> {
        let holder = entry.holder.as_ref().ok_or("the account has no holder")?;
        let selector = format!(
            "{}={},{}={}",
            labels::TENANT,
            holder.tenant,
            labels::TENANT_UID,
            holder.uid
        );
        let failed = |error: bulkhead_cluster::ClusterError| error.chain();
        let namespaces = self
            .cluster
            .list(&Kind::namespace(), None, &selector)
            .await
            .map_err(failed)?;
        let namespaces: Vec<_> = namespaces.iter().filter_map(NamespaceRecord::of).collect();
        let mut kinds: Vec<CountedKind> = account
            .hard
            .keys()
            .filter_map(|r| kind_of(r).ok())
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds.retain(|kind| account.base.contains_key(&kind.to_string()));
        let mut recount = BTreeMap::new();
        for counted in kinds {
            let kind = self.api_kind(&counted).ok_or("a kind is not known yet")?;
            // What came about before the youngest object that is left is in every count from then on.
            let (mut used, mut at) = (Amounts::new(), 0);
            for namespace in &namespaces {
                let name = namespace.name.as_str();
                for object in &self
                    .cluster
                    .list(&kind, Some(name), "")
                    .await
                    .map_err(failed)?
                {
                    at = at.max(super::counts::version(object).unwrap_or_default());
                    add(&mut used, &usage(&counted, object)?);
                }
            }
            recount.insert(counted.to_string(), Counted { at, used });
        }
        self.ledger
            .update(ClaimKind::Quota, &entry.key, |entry| {
                let found =
                    entry.and_then(|entry| Some((entry, Account::parse(&entry.data).ok()?)));
                match found {
                    Some((entry, mut account))
                        if account
                            .leases
                            .get(name)
                            .is_some_and(|lease| lease.beat == beat) =>
                    {
                        account.bury(name, &recount);
                        let data = account.data();
                        (
                            Revision::Write(LedgerEntry {
                                data,
                                ..entry.clone()
                            }),
                            (),
                        )
                    }
                    _ => (Revision::Keep, ()),
                }
            })
            .await
            .map_err(failed)
    }

    /// How the API server calls a kind that is counted; none if it has not been met yet.
    fn api_kind(&self, counted: &CountedKind) -> Option<Kind> {
        lock(&self.counts)
            .get(counted)
            .map(|counts| counts.kind().clone())
    }
}
