//! What is done between requests: leases are trimmed and renewed, requests that never came about are
//! looked for, and what dead replicas held is taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bulkhead_cluster::{Kind, NamespaceRecord, ObjectRef, Revision};
use bulkhead_isolation::ledger::account::{Account, Counted};
use bulkhead_isolation::ledger::usage::usage;
use bulkhead_model::counted::{CountedKind, kind_of};
use bulkhead_model::quantity::{Amount, Amounts, add};
use bulkhead_model::{ClaimKind, Holder, LedgerEntry, TenantName, Uid, labels};
use futures::stream::{self, StreamExt as _};

use super::{ANSWER, LANDING, Quotas, TenantBook, VALID, lock};

/// How often it is looked after, if nothing asks for it earlier.
const TICK: Duration = Duration::from_millis(200);
/// How long there is between two times at least, so that one write settles much.
const PAUSE: Duration = Duration::from_millis(40);
/// How often dead replicas are looked for, and what has changed without anybody asking.
const ROUND: Duration = Duration::from_secs(1);
/// For how long what is lent beyond the need is kept though nobody asks.
const IDLE: Duration = Duration::from_secs(1);
/// How old an account is before somebody brings it up to date only because less exists now.
const OLD: Duration = Duration::from_secs(3);
/// How many books are settled at a time.
const AT_ONCE: usize = 8;

/// What is remembered of an account between two looks at it.
struct Seen {
    /// The version of its object; what follows is not read again while that stays.
    version: String,
    since: Instant,
    kinds: BTreeSet<CountedKind>,
    /// Whose it is, if one of the kinds has never been counted.
    uncounted: Option<Holder>,
    /// Each replica's beat, and since when it is that.
    leases: BTreeMap<String, (u64, Instant)>,
}

/// Accounts by key.
type Ledger = BTreeMap<String, Seen>;

pub(super) async fn run(quotas: Weak<Quotas>) {
    let (mut seen, mut stirred) = (Ledger::new(), BTreeSet::new());
    let mut round = Instant::now();
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(quotas) = quotas.upgrade() else {
            return;
        };
        let asked = quotas.settleable.notified();
        let _ = tokio::time::timeout(TICK.saturating_sub(PAUSE), asked).await;
        let books: Vec<Arc<TenantBook>> = lock(&quotas.books).values().cloned().collect();
        let mut tending = Vec::new();
        for book in &books {
            if book.is_busy() {
                tending.push(quotas.tend(book));
            }
        }
        let mut tending = stream::iter(tending).buffer_unordered(AT_ONCE);
        while tending.next().await.is_some() {}
        if round.elapsed() >= ROUND {
            round = Instant::now();
            quotas.look(&mut seen);
            quotas.bury_the_dead(&seen).await;
            quotas.bring_up_to_date(&seen, &mut stirred).await;
        }
    }
}

impl TenantBook {
    /// Whether there is anything in it to look after.
    fn is_busy(&self) -> bool {
        let state = lock(&self.state);
        !state.book.is_empty() || !state.requests.is_empty()
    }
}

impl Quotas {
    async fn tend(&self, book: &TenantBook) {
        self.resolve(book).await;
        let (due, spare) = {
            let state = lock(&book.state);
            let now = Instant::now();
            let idle = state.busy.is_none_or(|busy| now > busy + IDLE);
            let ends = state.until.is_some_and(|until| now + VALID / 2 > until);
            let spare = state.book.has_spare();
            (ends || (spare && idle) || state.book.has_seen(), spare)
        };
        // Somebody else may lack what this replica does not need.
        let scarce = |account: Arc<Account>| {
            let mut limited = account.hard.keys();
            limited.any(|resource| account.free(resource) == Some(Amount::ZERO))
        };
        let due = due || (spare && self.account(&book.rules).is_ok_and(scarce));
        if due && let Err(why) = self.settle(book, None).await {
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

    /// Looks at the accounts that have changed.
    fn look(self: &Arc<Self>, seen: &mut Ledger) {
        let (mut before, now) = (std::mem::take(seen), Instant::now());
        for record in self.accounts.all() {
            let Ok(entry) = &record.entry else { continue };
            let known = match before.remove(&entry.key) {
                Some(known) if known.version == record.version => {
                    seen.insert(entry.key.clone(), known);
                    continue;
                }
                known => known,
            };
            let Ok(account) = Account::parse(&entry.data) else {
                continue;
            };
            let beats = known.map(|known| known.leases).unwrap_or_default();
            let leases = account.leases.iter().map(|(name, lease)| {
                let same = beats.get(name).filter(|(beat, _)| *beat == lease.beat);
                (name.clone(), *same.unwrap_or(&(lease.beat, now)))
            });
            let kinds: BTreeSet<_> = account
                .hard
                .keys()
                .filter_map(|r| kind_of(r).ok())
                .collect();
            for kind in &kinds {
                // From here on: the first request need not wait, and what goes is noticed.
                let _ = self.count(kind);
            }
            let mut names = kinds.iter().map(ToString::to_string);
            let uncounted = names.any(|kind| !account.base.contains_key(&kind));
            let looked_at = Seen {
                uncounted: entry.holder.clone().filter(|_| uncounted),
                version: record.version.clone(),
                since: now,
                leases: leases.collect(),
                kinds,
            };
            seen.insert(entry.key.clone(), looked_at);
        }
    }

    /// Settles the accounts of tenants that have more or less than the account says, though nobody asked
    /// for anything: people read it.
    async fn bring_up_to_date(&self, seen: &Ledger, stirred: &mut BTreeSet<String>) {
        let counts: Vec<_> = lock(&self.counts).values().cloned().collect();
        stirred.extend(counts.iter().flat_map(|counts| counts.stirred()));
        for account in seen.values() {
            let Some(holder) = &account.uncounted else {
                continue;
            };
            if account.since.elapsed() > OLD
                && let Err(why) = self
                    .recount(&holder.tenant, &holder.uid, &account.kinds)
                    .await
            {
                tracing::debug!(%holder, why, "cannot count for the first time");
            }
        }
        let mut later = BTreeSet::new();
        for namespace in std::mem::take(stirred) {
            let Some(record) = self.namespaces.get(&namespace) else {
                continue;
            };
            let (Some(tenant), Some(uid)) = (&record.tenant, &record.tenant_uid) else {
                continue;
            };
            match seen.get(uid.as_str()) {
                // Who asks settles, and so does each replica for what it let in.
                Some(account) if account.since.elapsed() < OLD => drop(later.insert(namespace)),
                Some(account) => {
                    if let Err(why) = self.recount(tenant, uid, &account.kinds).await {
                        tracing::debug!(%tenant, why, "cannot bring an account up to date");
                        later.insert(namespace);
                    }
                }
                None => {}
            }
        }
        *stirred = later;
    }

    async fn recount(
        &self,
        tenant: &TenantName,
        uid: &Uid,
        kinds: &BTreeSet<CountedKind>,
    ) -> Result<(), String> {
        let mut counted = self.counted(tenant, uid).await?;
        counted.retain(|kind, _| kinds.iter().any(|counted| counted.to_string() == *kind));
        let written = self.ledger.update(ClaimKind::Quota, uid.as_str(), |entry| {
            let found = entry.and_then(|entry| Some((entry, Account::parse(&entry.data).ok()?)));
            let Some((entry, account)) = found else {
                return (Revision::Keep, ());
            };
            let mut after = account.clone();
            after.advance(&counted);
            // Points alone are no news.
            let same = after.base.len() == account.base.len();
            if same && after.used() == account.used() {
                return (Revision::Keep, ());
            }
            let data = after.data();
            (
                Revision::Write(LedgerEntry {
                    data,
                    ..entry.clone()
                }),
                (),
            )
        });
        written.await.map_err(|error| error.chain())
    }

    /// Takes back the leases that have stayed the same for as long as no living replica leaves them.
    async fn bury_the_dead(&self, seen: &Ledger) {
        for (key, account) in seen {
            for (name, (beat, since)) in &account.leases {
                if *name == self.me || since.elapsed() <= VALID + ANSWER + LANDING {
                    continue;
                }
                match self.bury(key, name, *beat).await {
                    Ok(()) => tracing::info!(
                        account = key,
                        replica = name,
                        "took a lease back: its replica is gone"
                    ),
                    Err(why) => tracing::warn!(
                        account = key,
                        replica = name,
                        why,
                        "cannot take a lease back"
                    ),
                }
            }
        }
    }

    async fn bury(&self, key: &str, name: &str, beat: u64) -> Result<(), String> {
        let failed = |error: bulkhead_cluster::ClusterError| error.chain();
        let record = self
            .ledger
            .read(ClaimKind::Quota, key)
            .await
            .map_err(failed)?;
        let Some(entry) = record.and_then(|record| record.entry.ok()) else {
            return Err("the account cannot be read".to_owned());
        };
        let account = Account::parse(&entry.data)?;
        if account
            .leases
            .get(name)
            .is_none_or(|lease| lease.beat != beat)
        {
            return Ok(());
        }
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
            // Each namespace's list is of a moment of its own: all that came about up to the first of
            // them is in there. What came later may be, but is still lent to whoever let it in.
            let (mut used, mut at) = (Amounts::new(), None);
            for namespace in &namespaces {
                let name = namespace.name.as_str();
                let listed = self.cluster.list_at(&kind, Some(name)).await;
                let (objects, version) = listed.map_err(failed)?;
                let version: u64 = version.parse().map_err(|_| "a list has no version")?;
                at = Some(at.unwrap_or(version).min(version));
                for object in &objects {
                    add(&mut used, &usage(&counted, object)?);
                }
            }
            let Some(at) = at else { continue };
            recount.insert(counted.to_string(), Counted { at, used });
        }
        self.ledger
            .update(ClaimKind::Quota, key, |entry| {
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
