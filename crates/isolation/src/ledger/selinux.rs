//! SELinux levels of single pods: which category pairs a webhook replica may stamp.
//!
//! All pairs are cut into blocks, and each block that was ever lent is an entry. A replica lends
//! a block by writing itself into the entry, says by writing again and again that it still lives,
//! and stamps only pairs of blocks that it has written lately. A block of a replica that is silent
//! goes to another, which first waits until nothing that was under way can still land, and then
//! looks, by one consistent read of all pods, which pairs are in use.
//!
//! A pair is free again only on evidence: it is on no pod in a consistent read that began after
//! whatever was stamped with it could still have landed. Then it rests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bulkhead_model::{ClaimKind, LedgerEntry, McsPair};
use serde_json::{Map, Value, json};

/// Pairs in a block. 1,023 blocks are all pairs exactly.
pub const BLOCK: u32 = 512;
/// The pairs that single tenants have: the first blocks. The others are lent to webhooks.
pub const FOR_TENANTS: u32 = 40 * BLOCK;
/// Blocks that webhooks lend, by number.
pub const BLOCKS: std::ops::Range<u32> = FOR_TENANTS / BLOCK..McsPair::COUNT / BLOCK;

/// How old a stamp may be, in seconds, when a pod is stored with it. What is older is refused by
/// the phase of validation.
pub const FRESH: i64 = 20;
/// How long, in seconds, the API server may take from that phase until the pod is stored.
pub const UNDER_WAY: i64 = 70;
/// After this many seconds without a write a replica counts as dead, and it stamps nothing any
/// more after [`ALIVE`] without one.
pub const SILENT: i64 = 90;
/// How old, in seconds, a replica's last write may be for it to stamp.
pub const ALIVE: i64 = 40;
/// How long a pair rests, in seconds, once no pod has it.
pub const REST: i64 = 600;

/// The key of a block's entry.
#[must_use]
pub fn key(block: u32) -> String {
    format!("block-{block}")
}

/// The block of an entry; none if it is no entry of a block.
#[must_use]
pub fn block(entry: &LedgerEntry) -> Option<u32> {
    let number: u32 = entry.key.strip_prefix("block-")?.parse().ok()?;
    let meant = entry.kind == ClaimKind::SelinuxLevels && key(number) == entry.key;
    (meant && BLOCKS.contains(&number)).then_some(number)
}

/// Which replica has a block: an entry's data.
#[must_use]
pub fn replica(entry: &LedgerEntry) -> Option<&str> {
    entry.data.get(REPLICA).and_then(Value::as_str)
}

/// The entry of a block in a replica's hands. `beat` differs from write to write, so that others
/// see that it lives.
#[must_use]
pub fn lent(block: u32, replica: &str, beat: u64) -> LedgerEntry {
    LedgerEntry {
        kind: ClaimKind::SelinuxLevels,
        key: key(block),
        holder: None,
        data: Map::from_iter([
            (REPLICA.to_owned(), json!(replica)),
            ("beat".to_owned(), json!(beat)),
        ]),
    }
}

const REPLICA: &str = "replica";

/// The pairs of one block, in the hands of a replica. Times are seconds of any clock that never
/// goes back.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// Free, the longest rested first.
    free: VecDeque<u32>,
    /// Stamped, and when.
    out: BTreeMap<u32, i64>,
    /// On no pod any more, and since when.
    resting: BTreeMap<u32, i64>,
}

impl Pairs {
    /// A block that nobody has ever had.
    #[must_use]
    pub fn fresh(block: u32) -> Self {
        let first = block * BLOCK;
        Self {
            free: (first..first + BLOCK).collect(),
            out: BTreeMap::new(),
            resting: BTreeMap::new(),
        }
    }

    /// A block that another replica had: each pair may be on a pod, stamped as late as now.
    #[must_use]
    pub fn inherited(block: u32, now: i64) -> Self {
        let first = block * BLOCK;
        Self {
            free: VecDeque::new(),
            out: (first..first + BLOCK).map(|index| (index, now)).collect(),
            resting: BTreeMap::new(),
        }
    }

    /// Takes a pair for a pod. None if none is free.
    pub fn stamp(&mut self, now: i64) -> Option<McsPair> {
        self.refill(now);
        let index = self.free.pop_front()?;
        self.out.insert(index, now);
        McsPair::nth(index)
    }

    /// How many are free now.
    pub fn free(&mut self, now: i64) -> usize {
        self.refill(now);
        self.free.len()
    }

    /// Notes a consistent read of all pods that began at `began`: the pairs that they have.
    pub fn recount(&mut self, used: &BTreeSet<u32>, began: i64, now: i64) {
        let gone: Vec<u32> = self
            .out
            .iter()
            .filter(|(index, at)| **at + FRESH + UNDER_WAY <= began && !used.contains(index))
            .map(|(index, _)| *index)
            .collect();
        for index in gone {
            self.out.remove(&index);
            self.resting.insert(index, now);
        }
        // Somebody who is nobody's tenant has put it on a pod.
        for index in used {
            let known = self.resting.remove(index).is_some() || {
                let at = self.free.iter().position(|free| free == index);
                at.and_then(|at| self.free.remove(at)).is_some()
            };
            if known {
                self.out.insert(*index, now);
            }
        }
    }

    /// Whether a recount could free anything.
    #[must_use]
    pub fn is_worth_a_recount(&self, now: i64) -> bool {
        self.out.values().any(|at| *at + FRESH + UNDER_WAY <= now)
    }

    fn refill(&mut self, now: i64) {
        let rested: Vec<u32> = self
            .resting
            .iter()
            .filter(|(_, since)| **since + REST <= now)
            .map(|(index, _)| *index)
            .collect();
        for index in rested {
            self.resting.remove(&index);
            self.free.push_back(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_all_pairs_and_none_is_a_tenants() {
        assert_eq!(BLOCKS.end * BLOCK, McsPair::COUNT);
        assert_eq!(BLOCKS.start * BLOCK, FOR_TENANTS);
        let entry = lent(BLOCKS.start, "r", 1);
        assert_eq!(block(&entry), Some(BLOCKS.start));
        assert_eq!(replica(&entry), Some("r"));
        for odd in ["block-0", "block-1023", "block-040", "pair-40", "block-"] {
            let odd = LedgerEntry {
                key: odd.to_owned(),
                ..entry.clone()
            };
            assert_eq!(block(&odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_block_ends_without_a_loop() {
        let mut pairs = Pairs::fresh(BLOCKS.start);
        let stamped: BTreeSet<McsPair> = (0..BLOCK).filter_map(|_| pairs.stamp(0)).collect();
        assert_eq!(stamped.len(), 512);
        assert_eq!(pairs.stamp(0), None);
    }

    #[test]
    fn a_pair_comes_back_on_evidence_and_after_a_rest() {
        let mut pairs = Pairs::fresh(BLOCKS.start);
        for _ in 0..BLOCK {
            pairs.stamp(0);
        }
        let none = BTreeSet::new();
        pairs.recount(&none, FRESH + UNDER_WAY - 1, 100);
        assert_eq!(pairs.stamp(10_000), None, "it could still have landed");
        let one = BTreeSet::from([FOR_TENANTS]);
        pairs.recount(&one, FRESH + UNDER_WAY, 100);
        assert_eq!(pairs.free(100 + REST - 1), 0, "they rest");
        assert_eq!(pairs.free(100 + REST), 511);
        let again: BTreeSet<u32> = std::iter::from_fn(|| pairs.stamp(100 + REST))
            .map(McsPair::index)
            .collect();
        assert!(!again.contains(&FOR_TENANTS), "a pod has it");
    }

    #[test]
    fn what_another_replica_had_is_used_only_after_a_recount() {
        let mut pairs = Pairs::inherited(BLOCKS.start, 1000);
        assert_eq!(pairs.stamp(1_000_000), None);
        assert!(!pairs.is_worth_a_recount(1000) && pairs.is_worth_a_recount(2000));
        pairs.recount(&BTreeSet::new(), 2000, 2000);
        assert_eq!(pairs.free(2000 + REST), 512);
    }

    proptest! {
        /// Pods come, land late, and go, recounts come at any time: no two living pods have one pair.
        #[test]
        fn no_two_living_pods_have_one_pair(steps in proptest::collection::vec((0..4u8, 0..200i64), 1..300)) {
            let mut pairs = Pairs::fresh(BLOCKS.start);
            // Only a few, so that they come round.
            pairs.free.truncate(4);
            let mut now = 0;
            let mut under_way: Vec<(u32, i64)> = Vec::new();
            let mut living: BTreeSet<u32> = BTreeSet::new();
            for (what, passes) in steps {
                now += passes;
                // What was not stored in time never is.
                under_way.retain(|(_, at)| at + FRESH + UNDER_WAY > now);
                match what {
                    0 => {
                        if let Some(pair) = pairs.stamp(now) {
                            let index = pair.index();
                            prop_assert!(!living.contains(&index));
                            prop_assert!(under_way.iter().all(|(other, _)| *other != index));
                            under_way.push((index, now));
                        }
                    }
                    1 => {
                        if let Some((index, _)) = under_way.pop() {
                            prop_assert!(living.insert(index));
                        }
                    }
                    2 => {
                        living.pop_first();
                    }
                    _ => pairs.recount(&living, now, now),
                }
            }
        }
    }
}
