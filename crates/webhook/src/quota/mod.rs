//! Tenants' quotas: what a request would bring about is charged before it is let in.
//!
//! A replica leases from the tenant's account in the ledger (one write on condition that the account
//! has not changed), charges in memory what it admits, and settles: what the watches have seen
//! come about is counted as existing and leaves the lease. The arithmetic, and why it never lends too
//! much, is in `bulkhead_isolation::ledger`; here are the clocks and the requests.
//!
//! The times rest on each other. A replica admits only within [`VALID`] of the last write that it
//! began and that succeeded. The API server waits three seconds for an answer ([`ANSWER`]); what was
//! admitted has come about within [`LANDING`] of the answer, or never does. So a lease that has stayed the
//! same for all three together is one of a replica that is gone, and what it admitted is in a count made then.

mod counts;
mod tend;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_cluster::{
    Cluster, Kind, Ledger, LedgerCache, NamespaceCache, NamespaceRecord, Revision,
};
use bulkhead_isolation::ledger::account::{Account, Counted};
use bulkhead_isolation::ledger::book::{Book, Charge, Short};
use bulkhead_isolation::ledger::usage::{growth, usage};
use bulkhead_model::counted::{CountedKind, kind_of};
use bulkhead_model::quantity::{Amount, Amounts};
use bulkhead_model::{AdmissionRequest, ClaimKind, Operation, TenantName, TenantRules, Uid};

use self::counts::{Counts, Sum, Whose};

/// For how long after a write a replica goes on admitting.
pub(crate) const VALID: Duration = Duration::from_secs(5);
/// For how long the API server waits for an answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);
/// For how long after an answer what was admitted may still come about.
pub(crate) const LANDING: Duration = Duration::from_secs(8);
/// For how long a request waits for what others hold unused.
const PATIENCE: Duration = Duration::from_millis(1200);
/// How old the ledger's cache may be.
const STALE: Duration = Duration::from_secs(10);

/// The quotas of all tenants, as one replica keeps them.
pub(crate) struct Quotas {
    cluster: Cluster,
    ledger: Ledger,
    accounts: LedgerCache,
    namespaces: NamespaceCache,
    /// What this replica is called in accounts. A new one for each process.
    me: String,
    /// Accounts that were asked for, read once for each version of their entries.
    read: Mutex<BTreeMap<Uid, (String, Arc<Account>)>>,
    counts: Mutex<BTreeMap<CountedKind, Arc<Counts>>>,
    books: Mutex<BTreeMap<String, Arc<TenantBook>>>,
    moved: Arc<tokio::sync::Notify>,
    /// Something that was admitted has been seen: its book can be settled.
    settleable: tokio::sync::Notify,
}

/// One tenant's book, and what belongs to it.
pub(crate) struct TenantBook {
    rules: TenantRules,
    state: Mutex<BookState>,
    /// Held while the account is being written. What it was after the last time, and when that time
    /// began: whoever waited meanwhile need not read it again.
    gate: tokio::sync::Mutex<Option<(Instant, Account)>>,
}

#[derive(Default)]
struct BookState {
    book: Book,
    /// Until when the lease may be charged.
    until: Option<Instant>,
    /// When something was last charged.
    busy: Option<Instant>,
    /// What is known of the requests that were charged, by request.
    requests: BTreeMap<String, Request>,
}

/// What tells whether a request has come about.
#[derive(Clone)]
struct Request {
    kind: CountedKind,
    namespace: String,
    name: String,
    uid: String,
    /// For a change: the version it was made from, and what the object uses after it.
    change: Option<(u64, Amounts)>,
    answered: Instant,
}

impl Quotas {
    pub(crate) fn start(cluster: &Cluster, namespaces: NamespaceCache, me: String) -> Arc<Self> {
        let quotas = Arc::new(Self {
            cluster: cluster.clone(),
            ledger: Ledger::new(cluster),
            accounts: LedgerCache::start(cluster, Some(ClaimKind::Quota)),
            namespaces,
            me,
            read: Mutex::default(),
            counts: Mutex::default(),
            books: Mutex::default(),
            moved: Arc::default(),
            settleable: tokio::sync::Notify::new(),
        });
        tokio::spawn(tend::run(Arc::downgrade(&quotas)));
        quotas
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.accounts.is_ready()
    }

    /// Charges what a request would bring about to its tenant.
    ///
    /// # Errors
    /// Why it is not let in.
    pub(crate) async fn charge(
        self: &Arc<Self>,
        request: &AdmissionRequest<'_>,
        rules: &TenantRules,
    ) -> Result<(), String> {
        let Some(wanted) = self.wanted(request)? else {
            return Ok(());
        };
        let account = self.account(rules)?;
        let counts = |resource: &&String| kind_of(resource).is_ok_and(|kind| kind == wanted.0.kind);
        if !account.hard.keys().any(|resource| counts(&resource)) {
            return Ok(());
        }
        if request.dry_run {
            return Ok(());
        }
        let (about, charge) = wanted;
        let counts = self.count(&about.kind)?;
        let deadline = Instant::now() + PATIENCE;
        while !counts.is_ready() {
            if Instant::now() > deadline {
                return Err(format!(
                    "{} are not counted yet, try again shortly",
                    about.kind
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let book = self.book(rules);
        loop {
            match book.charge(&about, &charge) {
                Ok(()) => return Ok(()),
                Err(shorts) => {
                    let wants = Some((about.kind.to_string(), &charge.amounts));
                    let account = self.settle(&book, wants).await?;
                    if book.charge(&about, &charge).is_ok() {
                        return Ok(());
                    }
                    let full = !self.others_have(&account, &shorts);
                    if Instant::now() > deadline || full {
                        let leaving = counts.leaving(|name| {
                            let record = self.namespaces.get(name);
                            record.is_some_and(|it| it.belongs_to(&rules.tenant, &rules.uid))
                        });
                        return Err(refusal(rules, &account, &charge.amounts, &leaving));
                    }
                    let moved = self.moved.notified();
                    let _ = tokio::time::timeout(Duration::from_millis(100), moved).await;
                }
            }
        }
    }

    /// What is to be charged; none if the request brings nothing about that could be limited.
    fn wanted(&self, request: &AdmissionRequest<'_>) -> Result<Option<(Request, Charge)>, String> {
        let sub = request.sub_resource.as_deref().unwrap_or_default();
        let kind = CountedKind::new(&request.resource.group, &request.resource.resource);
        let creates = request.operation == Operation::Create && sub.is_empty();
        let changes = request.operation == Operation::Update
            && (sub.is_empty() || sub == "resize")
            && !kind.is_plain();
        let Some(object) = request.object.as_ref().filter(|_| creates || changes) else {
            return Ok(None);
        };
        let uncounted = |why: String| format!("what it uses cannot be counted: {why}");
        let after = usage(&kind, object).map_err(uncounted)?;
        let metadata = bulkhead_model::view::Fields::of(object.get("metadata"));
        let (amounts, change) = match (&request.old_object, creates) {
            (Some(old), false) => {
                let before = usage(&kind, old).map_err(uncounted)?;
                let version = bulkhead_model::view::Fields::of(old.get("metadata"))
                    .str("resourceVersion")
                    .and_then(|version| version.parse().ok())
                    .unwrap_or_default();
                (growth(&before, &after), Some((version, after)))
            }
            _ => (after, None),
        };
        if amounts.is_empty() {
            return Ok(None);
        }
        let namespace = request.namespace.clone().unwrap_or_default();
        let name = metadata.str("name").unwrap_or(&request.name).to_owned();
        let about = Request {
            kind: kind.clone(),
            namespace: namespace.clone(),
            name: name.clone(),
            uid: metadata.str("uid").unwrap_or_default().to_owned(),
            change,
            answered: Instant::now(),
        };
        let charge = Charge {
            request: request.uid.clone(),
            kind: kind.to_string(),
            key: format!("{namespace}/{name}"),
            amounts,
            creates,
            seen: None,
        };
        Ok(Some((about, charge)))
    }

    fn account(&self, rules: &TenantRules) -> Result<Arc<Account>, String> {
        if self.accounts.stale_for().is_some_and(|age| age > STALE) {
            return Err("the ledger cannot be reached".to_owned());
        }
        let record = self.accounts.entry(ClaimKind::Quota, rules.uid.as_str());
        let Some(record) = record else {
            lock(&self.read).remove(&rules.uid);
            return Err("the tenant's account is not known yet, try again shortly".to_owned());
        };
        if let Some((version, account)) = lock(&self.read).get(&rules.uid)
            && *version == record.version
        {
            return Ok(account.clone());
        }
        let entry = record.entry.as_ref();
        let entry = entry.map_err(|_| "the tenant's account cannot be read")?;
        let account = Account::parse(&entry.data)
            .map_err(|error| format!("the tenant's account cannot be read: {error}"))?;
        let account = Arc::new(account);
        let read = (record.version.clone(), account.clone());
        lock(&self.read).insert(rules.uid.clone(), read);
        Ok(account)
    }

    fn book(&self, rules: &TenantRules) -> Arc<TenantBook> {
        let mut books = lock(&self.books);
        let book = books.entry(rules.uid.to_string()).or_insert_with(|| {
            Arc::new(TenantBook {
                rules: rules.clone(),
                state: Mutex::default(),
                gate: tokio::sync::Mutex::default(),
            })
        });
        book.clone()
    }

    /// Follows a kind from now on.
    fn count(self: &Arc<Self>, counted: &CountedKind) -> Result<Arc<Counts>, String> {
        let mut counts = lock(&self.counts);
        if let Some(followed) = counts.get(counted) {
            return Ok(followed.clone());
        }
        let (version, kind) = counted
            .served()
            .ok_or_else(|| format!("{counted} cannot be counted"))?;
        let kind = Kind::new(&version, kind);
        let (quotas, moved) = (Arc::downgrade(self), self.moved.clone());
        let of = counted.clone();
        let sighted = move |(uid, version, used, point): counts::Sighting<'_>| {
            if let Some(quotas) = quotas.upgrade() {
                quotas.sighted(&of, uid, version, used, point);
            }
        };
        let followed = Counts::follow(&self.cluster, counted, kind, sighted, move || {
            moved.notify_waiters();
        });
        counts.insert(counted.clone(), followed.clone());
        Ok(followed)
    }

    /// Notes in every book what an object that was seen settles.
    fn sighted(
        &self,
        kind: &CountedKind,
        uid: &str,
        version: u64,
        used: Option<&Amounts>,
        point: u64,
    ) {
        let books: Vec<_> = lock(&self.books).values().cloned().collect();
        for book in books {
            let mut state = lock(&book.state);
            let state = &mut *state;
            state.requests.retain(|request, about| {
                let came_about = about.uid == uid
                    && about.kind == *kind
                    && match (&about.change, used) {
                        (None, _) => true,
                        (Some((from, after)), Some(used)) => version > *from && used == after,
                        (Some(_), None) => false,
                    };
                if came_about {
                    state.book.saw(request, point);
                    self.settleable.notify_one();
                }
                !came_about
            });
        }
    }

    /// Settles a book with the tenant's account, and leases what is wanted of a kind, and some more, if it
    /// is free. The result is the account as it is then.
    async fn settle(
        &self,
        book: &TenantBook,
        wants: Option<(String, &Amounts)>,
    ) -> Result<Account, String> {
        let asked = Instant::now();
        let mut last = book.gate.lock().await;
        if let (Some((began, account)), Some((_, amounts))) = (&*last, &wants)
            && *began >= asked
            && !suffices(account, amounts)
        {
            return Ok(account.clone());
        }
        let rules = &book.rules;
        let counted = self.counted(&rules.tenant, &rules.uid).await?;
        let unreadable = "the tenant's account cannot be read";
        let mut began = Instant::now();
        let none = Amounts::new();
        let written = self
            .ledger
            .update(ClaimKind::Quota, book.rules.uid.as_str(), |entry| {
                began = Instant::now();
                let Some(entry) = entry else {
                    return (Revision::Keep, Err("the tenant has no account"));
                };
                let Ok(account) = Account::parse(&entry.data) else {
                    return (Revision::Keep, Err(unreadable));
                };
                // Of what nobody could count yet nothing is known to be free.
                let known = |kind| counted.contains_key(kind) || account.base.contains_key(kind);
                let wanted = match &wants {
                    Some((kind, _)) if !known(kind) => {
                        return (Revision::Keep, Err("what there is cannot be counted"));
                    }
                    Some((_, amounts)) => amounts,
                    None => &none,
                };
                let mut state = lock(&book.state);
                let after =
                    state
                        .book
                        .settle(&self.me, &account, &counted, wanted, wants.is_some());
                state.book.brace(&self.me, &after);
                let same = after == account;
                let revision = match same {
                    true => Revision::Keep,
                    false => Revision::Write(bulkhead_model::LedgerEntry {
                        data: after.data(),
                        ..entry.clone()
                    }),
                };
                (revision, Ok(after))
            })
            .await;
        match written {
            Ok(Ok(after)) => {
                let mut state = lock(&book.state);
                state.book.settled(&self.me, &after);
                state.until = Some(began + VALID);
                *last = Some((began, after.clone()));
                Ok(after)
            }
            Ok(Err(why)) => Err(why.to_owned()),
            Err(error) => {
                tracing::warn!(tenant = %book.rules.tenant, error = error.chain(), "cannot write an account");
                Err("the ledger cannot be written".to_owned())
            }
        }
    }

    /// What exists of each kind that is followed and known, in the tenant's namespaces.
    async fn counted(
        &self,
        tenant: &TenantName,
        uid: &Uid,
    ) -> Result<BTreeMap<String, Counted>, String> {
        let followed: Vec<_> = {
            let counts = lock(&self.counts);
            counts.iter().map(|(k, c)| (k.clone(), c.clone())).collect()
        };
        let mut result = BTreeMap::new();
        // What was looked up because the cache has not heard of it yet; it may be the tenant's.
        let mut asked: BTreeMap<String, Whose> = BTreeMap::new();
        let of = |record: &NamespaceRecord| match record.belongs_to(tenant, uid) {
            true => Whose::Ours,
            false => Whose::Others,
        };
        for (kind, counts) in followed {
            loop {
                let sum = counts.sum(|name| match self.namespaces.get(name) {
                    Some(record) => of(&record),
                    None => asked.get(name).copied().unwrap_or(Whose::Unknown),
                });
                match sum {
                    Sum::Of(at, used) => {
                        result.insert(kind.to_string(), Counted { at, used });
                    }
                    Sum::Uncountable => {}
                    Sum::Strange(names) => {
                        for name in names {
                            let record = self.whose(&name).await?;
                            if record.as_ref().is_none_or(|record| record.tenant.is_none()) {
                                counts.is_foreign(&name);
                            }
                            asked.insert(name, record.as_ref().map_or(Whose::Others, of));
                        }
                        continue;
                    }
                }
                break;
            }
        }
        Ok(result)
    }

    async fn whose(&self, namespace: &str) -> Result<Option<NamespaceRecord>, String> {
        let reference = bulkhead_cluster::ObjectRef::cluster(Kind::namespace(), namespace);
        let live = self.cluster.get(&reference).await;
        let live = live.map_err(|_| format!("the namespace `{namespace}` cannot be looked up"))?;
        Ok(live.as_ref().and_then(NamespaceRecord::of))
    }

    /// Whether other replicas hold what is short; they give back what they do not need.
    fn others_have(&self, account: &Account, shorts: &[Short]) -> bool {
        let others = account.leases.iter().filter(|(name, _)| **name != self.me);
        let mut lent = others.map(|(_, lease)| &lease.lent);
        lent.any(|lent| {
            shorts
                .iter()
                .any(|short| lent.contains_key(&short.resource))
        })
    }
}

impl TenantBook {
    fn charge(&self, about: &Request, charge: &Charge) -> Result<(), Vec<Short>> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if state.until.is_none_or(|until| now >= until) {
            return Err(Vec::new());
        }
        state.busy = Some(now);
        state.book.charge(charge.clone())?;
        let about = Request {
            answered: now,
            ..about.clone()
        };
        state.requests.insert(charge.request.clone(), about);
        Ok(())
    }
}

/// Whether as much is free of everything that is limited.
fn suffices(account: &Account, amounts: &Amounts) -> bool {
    let mut amounts = amounts.iter();
    amounts.all(|(resource, amount)| account.free(resource).is_none_or(|free| *amount <= free))
}

/// What the person reads whose request is more than is left. What is in use, what of that is about to
/// go, and what others are about to take add up to why.
fn refusal(rules: &TenantRules, account: &Account, amounts: &Amounts, leaving: &Amounts) -> String {
    let used = account.used();
    let lines: Vec<String> = amounts
        .iter()
        .filter_map(|(resource, amount)| {
            let (hard, free) = (account.hard.get(resource)?, account.free(resource)?);
            if *amount <= free {
                return None;
            }
            let of = |amounts: &Amounts| amounts.get(resource).copied().unwrap_or_default();
            let (used, leaving) = (of(&used), of(leaving));
            let held = hard.minus(free).minus(used);
            let mut line = format!("{resource}: {amount} asked for, {used} of {hard} in use");
            if leaving > Amount::ZERO {
                line += &format!(" ({leaving} by what is being deleted, until it is gone)");
            }
            if held > Amount::ZERO {
                line += &format!(", {held} held for requests that are under way");
            }
            Some(line)
        })
        .collect();
    let what = match lines.is_empty() {
        true => "what it needs is being counted, try again shortly".to_owned(),
        false => lines.join("; "),
    };
    format!(
        "quota: exceeded quota of the tenant `{}`, over all its namespaces: {what}. Delete what is not needed, \
         or ask the platform's administrators for more (`spec.resources.quota.hard` of the Tenant)",
        rules.tenant
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bulkhead_isolation::ledger::account::Lease;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_adds_up() {
        let pods = |count| Amounts::from([("pods".to_owned(), Amount::whole(count))]);
        let rules = json!({"tenant": "acme", "uid": "u-1", "profile": "Strict"});
        let rules: TenantRules = serde_json::from_value(rules).unwrap();
        let counted = Counted {
            at: 1,
            used: pods(3),
        };
        let lease = Lease {
            beat: 1,
            lent: pods(2),
        };
        let mut account = Account {
            hard: pods(5),
            base: BTreeMap::from([("pods".to_owned(), counted)]),
            leases: BTreeMap::from([("other".to_owned(), lease)]),
        };
        let said =
            |account: &Account, leaving: &Amounts| refusal(&rules, account, &pods(1), leaving);
        let whole = said(&account, &pods(1));
        assert!(
            whole.contains("pods: 1 asked for, 3 of 5 in use (1 by what is being deleted, until it is gone), 2 held for requests that are under way. Delete"),
            "{whole}"
        );
        account.leases.clear();
        account.hard = pods(3);
        let plain = said(&account, &Amounts::new());
        assert!(
            plain.contains(": pods: 1 asked for, 3 of 3 in use. Delete"),
            "{plain}"
        );
        // Lowered under what exists, nothing is held.
        account.hard = pods(2);
        let lowered = said(&account, &Amounts::new());
        assert!(lowered.contains("3 of 2 in use. Delete"), "{lowered}");
    }
}
