//! Hostnames, claimed in the ledger.

use bulkhead_isolation::ledger::hostnames::{self, Collected, Taken};
use bulkhead_model::{ClaimKind, Holder, LedgerEntry};
use serde_json::Map;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::error::ClusterError;
use crate::ledger::{EntryRecord, Ledger, Revision};

impl Ledger {
    /// Claims a hostname, which may be a wildcard, for a holder. The inner error says whose it is,
    /// if that can be read. What was noted before the name was found taken is given back with
    /// whatever else is without use.
    ///
    /// # Errors
    /// As [`Ledger::update`]. Nothing is claimed then, as far as is known.
    pub async fn claim_hostname(
        &self,
        host: &str,
        holder: &Holder,
    ) -> Result<Result<(), Taken>, ClusterError> {
        for (key, part) in hostnames::steps(host) {
            let taken = self
                .update(ClaimKind::Hostname, &key, |entry| {
                    let none = Map::new();
                    let data = entry.map_or(&none, |entry| &entry.data);
                    match hostnames::claim(data, part, holder) {
                        Ok(None) => (Revision::Keep, None),
                        Ok(Some(data)) => (Revision::Write(entry_of(&key, data)), None),
                        Err(taken) => (Revision::Keep, Some(taken)),
                    }
                })
                .await?;
            if let Some(taken) = taken {
                return Ok(Err(taken));
            }
        }
        Ok(Ok(()))
    }

    /// Looks at every hostname of the ledger, as it was listed, and gives back what was found without
    /// use `rest` ago and still is, as it is now. `found` remembers, between calls, what was found
    /// when. `uses` are pairs of a tenant's UID and a name for which an object of it answers, read
    /// after `found` was written last.
    ///
    /// # Errors
    /// As [`Ledger::update`]; what was not reached is looked at by the next call.
    pub async fn collect_hostnames(
        &self,
        listed: Vec<EntryRecord>,
        uses: &BTreeSet<(String, String)>,
        found: &mut BTreeMap<String, Instant>,
        rest: Duration,
    ) -> Result<usize, ClusterError> {
        let mut freed = 0;
        let mut idle = BTreeMap::new();
        for entry in listed.into_iter().filter_map(|record| record.entry.ok()) {
            let since = found.get(&entry.key).copied();
            let old = since.is_some_and(|since| since.elapsed() >= rest);
            let judge =
                |entry: &LedgerEntry| match hostnames::collect(&entry.key, &entry.data, uses) {
                    Collected::Used => (Revision::Keep, Idle::No),
                    Collected::Idle(data) => {
                        (Revision::Write(entry_of(&entry.key, data)), Idle::New)
                    }
                    Collected::Left(_) if !old => (Revision::Keep, Idle::Still),
                    Collected::Left(data) if data.is_empty() => (Revision::Delete, Idle::Freed),
                    Collected::Left(data) => {
                        (Revision::Write(entry_of(&entry.key, data)), Idle::Freed)
                    }
                };
            let what = match judge(&entry) {
                // Nothing is to be written, so it need not be read once more.
                (Revision::Keep, what) => what,
                _ => {
                    self.update(ClaimKind::Hostname, &entry.key, |now| {
                        now.map_or((Revision::Keep, Idle::No), judge)
                    })
                    .await?
                }
            };
            match what {
                Idle::No => {}
                Idle::New => drop(idle.insert(entry.key, Instant::now())),
                Idle::Still => drop(idle.insert(entry.key, since.unwrap_or_else(Instant::now))),
                Idle::Freed => freed += 1,
            }
        }
        *found = idle;
        Ok(freed)
    }
}

enum Idle {
    No,
    New,
    Still,
    Freed,
}

fn entry_of(key: &str, data: Map<String, serde_json::Value>) -> LedgerEntry {
    LedgerEntry {
        kind: ClaimKind::Hostname,
        key: key.to_owned(),
        holder: None,
        data,
    }
}
