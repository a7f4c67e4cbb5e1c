//! A tenant's account: its limits, what exists, and what is lent out.
//!
//! `hard` is the limit of each resource. `base` says, kind by kind, what existed at one point of
//! that kind's history. `leases` say what each webhook replica may still admit, or has admitted and
//! nobody has seen come about at that point.
//!
//! INVARIANT: at every instant, what exists is at most what `base` says plus what the leases hold:
//! whatever comes about after `base`'s point was charged to a lease, and leaves it no earlier than a
//! later `base` has it. More is lent only while the sum of all this is within `hard`. So what exists
//! is never more than `hard`, unless `hard` was lowered under what exists; then nothing is lent.
//!
//! A point in history is a resource version. Those of one kind can be compared, so each kind has a
//! point of its own. `base` need not be fresh to be right: an older one only frees less.

use std::collections::BTreeMap;

use bulkhead_model::counted::kind_of;
use bulkhead_model::quantity::{Amount, Amounts, add};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A point in the history of a kind: a resource version.
pub type Point = u64;

/// What the ledger has of a tenant's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The limits.
    #[serde(default)]
    pub hard: Amounts,
    /// What existed, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub base: BTreeMap<String, Counted>,
    /// What is lent, by replica.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leases: BTreeMap<String, Lease>,
}

/// What of a kind existed at a point.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// The point.
    pub at: Point,
    /// What existed.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub used: Amounts,
}

/// What one replica of the webhook has been lent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// How often the replica has written this. One that stays the same for long is of a replica
    /// that is gone.
    pub beat: u64,
    /// How much.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub lent: Amounts,
}

impl Account {
    /// Reads an entry's data.
    ///
    /// # Errors
    /// What is wrong with them. An account that cannot be read lends nothing.
    pub fn parse(data: &Map<String, Value>) -> Result<Self, String> {
        serde_json::from_value(Value::Object(data.clone())).map_err(|error| error.to_string())
    }

    /// The entry's data.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(data)) => data,
            // INVARIANT: strings, numbers and maps of them; there is nothing that could fail.
            _ => Map::new(),
        }
    }

    /// What exists as far as is known, and is limited.
    #[must_use]
    pub fn used(&self) -> Amounts {
        let mut used = Amounts::new();
        for counted in self.base.values() {
            add(&mut used, &counted.used);
        }
        used.retain(|resource, _| self.hard.contains_key(resource));
        used
    }

    /// What of a limited resource exists as far as is known; none if nobody has counted its kind yet.
    #[must_use]
    pub fn used_of(&self, resource: &str) -> Option<Amount> {
        let kind = kind_of(resource).ok()?.to_string();
        let counted = self.base.get(&kind)?;
        Some(counted.used.get(resource).copied().unwrap_or_default())
    }

    /// What can still be lent of a resource; none if it is not limited.
    #[must_use]
    pub fn free(&self, resource: &str) -> Option<Amount> {
        let taken = |amounts: &Amounts| amounts.get(resource).copied().unwrap_or_default();
        let used = self.base.values().map(|counted| taken(&counted.used));
        let lent = self.leases.values().map(|lease| taken(&lease.lent));
        let sum = used.chain(lent).fold(Amount::ZERO, Amount::plus);
        self.hard.get(resource).map(|hard| hard.minus(sum))
    }

    /// The kind's point; the beginning of time if nobody has counted it yet.
    #[must_use]
    pub fn point(&self, kind: &str) -> Point {
        self.base.get(kind).map_or(0, |counted| counted.at)
    }

    /// Takes what somebody has counted, kind by kind, where it is from a later point.
    pub fn advance(&mut self, counted: &BTreeMap<String, Counted>) {
        for (kind, counted) in counted {
            if !self.base.contains_key(kind) || counted.at > self.point(kind) {
                self.base.insert(kind.clone(), counted.clone());
            }
        }
    }

    /// Takes back what was lent to a replica that is gone.
    ///
    /// Right only if the replica admits nothing any more, nothing that it has admitted can still
    /// come about, and after both `recount` was read consistently, all kinds of it: what it has
    /// admitted is in there.
    pub fn bury(&mut self, replica: &str, recount: &BTreeMap<String, Counted>) {
        self.advance(recount);
        self.leases.remove(replica);
    }
}
