//! Which ids are whose: blocks of users and groups, and pairs of SELinux categories. Each block
//! and each pair is an entry of its own, so that two who want the same one meet at its name, and
//! no two entries overlap.
//!
//! What is given up rests: files that belong to it may lie on volumes that are mounted again
//! tomorrow, so its entry stays, without a holder, until [`QUARANTINE`] is over.

use bulkhead_model::{ClaimKind, Holder, IdRange, LedgerEntry, McsPair};
use serde_json::{Map, Value, json};

/// How long, in seconds, what was given up is nobody's: thirty days.
pub const QUARANTINE: i64 = 30 * 24 * 3600;

/// The first id of the first block.
const FIRST: u32 = 1_000_000_000;
/// How many ids there are in a block.
const BLOCK: u32 = 10_000;
/// How many pairs tenants have among them; far more than a cluster holds tenants.
const PAIRS: u32 = 20_480;

/// Something of which each tenant has one, out of many that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Blocks of users and groups.
    Ids,
    /// Pairs of SELinux categories for [`bulkhead_model::tenant::SelinuxChoice::PerTenant`]: the
    /// first [`Pool::count`] of all.
    Pairs,
}

/// What asking for one that may be free came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Taking {
    /// It is the holder's already.
    Ours,
    /// It is free: this is to be written.
    Free(LedgerEntry),
    /// It is somebody else's, or rests.
    Taken,
}

impl Pool {
    /// The kind of its entries.
    #[must_use]
    pub fn kind(self) -> ClaimKind {
        match self {
            Self::Ids => ClaimKind::IdBlock,
            Self::Pairs => ClaimKind::SelinuxLevels,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        match self {
            Self::Ids => (IdRange::MAX - FIRST + 1) / BLOCK,
            Self::Pairs => PAIRS,
        }
    }

    /// The key of one, by its number.
    #[must_use]
    pub fn key(self, index: u32) -> String {
        match self {
            Self::Ids => format!("{}", u64::from(FIRST) + u64::from(index) * u64::from(BLOCK)),
            Self::Pairs => format!("pair-{index}"),
        }
    }

    /// The number of an entry; none if it is no entry of this pool.
    #[must_use]
    pub fn index(self, entry: &LedgerEntry) -> Option<u32> {
        let number = match self {
            Self::Ids => entry.key.parse::<u32>().ok()?.checked_sub(FIRST)? / BLOCK,
            Self::Pairs => entry.key.strip_prefix("pair-")?.parse().ok()?,
        };
        let meant =
            entry.kind == self.kind() && number < self.count() && self.key(number) == entry.key;
        meant.then_some(number)
    }

    /// In which order a holder asks for them: two who ask for one holder ask for the same first,
    /// and many holders begin in many places.
    pub fn order(self, holder: &Holder) -> impl Iterator<Item = u32> {
        let (count, start) = (self.count(), spread(holder.uid.as_str()));
        let start = u32::try_from(start % u64::from(count)).unwrap_or_default();
        (0..count).map(move |step| (start + step) % count)
    }
}

/// FNV-1a: well spread, and the same for ever.
fn spread(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The ids of a block.
#[must_use]
pub fn block(index: u32) -> Option<IdRange> {
    let first = FIRST.checked_add(index.checked_mul(BLOCK)?)?;
    IdRange::new(first, first.checked_add(BLOCK - 1)?)
}

/// The pair of an entry of [`Pool::Pairs`].
#[must_use]
pub fn pair(index: u32) -> Option<McsPair> {
    (index < Pool::Pairs.count())
        .then(|| McsPair::nth(index))
        .flatten()
}

/// Takes one for a holder, if it is free. `now` is in seconds since 1970.
#[must_use]
pub fn take(
    pool: Pool,
    index: u32,
    entry: Option<&LedgerEntry>,
    holder: &Holder,
    now: i64,
) -> Taking {
    match entry {
        Some(entry) if entry.holder.as_ref() == Some(holder) => Taking::Ours,
        Some(entry) if !has_rested(entry, now) => Taking::Taken,
        _ => Taking::Free(LedgerEntry {
            kind: pool.kind(),
            key: pool.key(index),
            holder: Some(holder.clone()),
            data: Map::new(),
        }),
    }
}

/// The entry once its holder has given it up; none if it is not the holder's.
#[must_use]
pub fn give_up(entry: &LedgerEntry, holder: &Holder, now: i64) -> Option<LedgerEntry> {
    (entry.holder.as_ref() == Some(holder)).then(|| LedgerEntry {
        holder: None,
        data: Map::from_iter([
            (RELEASED.to_owned(), json!(now)),
            (LAST.to_owned(), json!(holder)),
        ]),
        ..entry.clone()
    })
}

/// Whether an entry is nobody's any more. One that does not say since when it rests is somebody's.
fn has_rested(entry: &LedgerEntry, now: i64) -> bool {
    let released = entry.data.get(RELEASED).and_then(Value::as_i64);
    let over = released.and_then(|since| since.checked_add(QUARANTINE));
    entry.holder.is_none() && over.is_some_and(|over| over <= now)
}

/// When it was given up, in seconds since 1970.
const RELEASED: &str = "released";
/// Whose it was.
const LAST: &str = "last";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bulkhead_model::{TenantName, Uid};
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn holder(name: &str) -> Holder {
        Holder {
            tenant: TenantName::parse(name).unwrap(),
            uid: Uid::parse(format!("u-{name}")).unwrap(),
        }
    }

    fn free(taking: Taking) -> LedgerEntry {
        match taking {
            Taking::Free(entry) => entry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn blocks_lie_above_a_billion_and_below_the_greatest_id_and_never_overlap() {
        let count = Pool::Ids.count();
        assert_eq!(count, 114_748);
        let mut last = 999_999_999;
        for index in 0..count {
            let block = block(index).unwrap();
            assert_eq!(block.first(), last + 1);
            last = block.last();
        }
        assert!(last <= IdRange::MAX);
        assert!(block(u32::MAX).is_none());
        assert_eq!(pair(Pool::Pairs.count()), None);
    }

    #[test]
    fn an_entrys_key_says_its_number_in_one_way() {
        for pool in [Pool::Ids, Pool::Pairs] {
            for index in [0, 1, 77, pool.count() - 1] {
                let entry = free(take(pool, index, None, &holder("a"), NOW));
                assert_eq!(pool.index(&entry), Some(index));
                for odd in [
                    "",
                    "1000000001",
                    "pair-01",
                    "pair-",
                    "block-7",
                    "-1",
                    "999999999",
                ] {
                    let odd = LedgerEntry {
                        key: odd.to_owned(),
                        ..entry.clone()
                    };
                    assert_eq!(pool.index(&odd), None, "{odd:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_given_up_rests_before_it_is_taken_again() {
        let (a, b) = (holder("a"), holder("b"));
        let entry = free(take(Pool::Ids, 3, None, &a, NOW));
        let ask =
            |entry: &LedgerEntry, who: &Holder, now| take(Pool::Ids, 3, Some(entry), who, now);
        assert_eq!(ask(&entry, &a, NOW), Taking::Ours);
        assert_eq!(ask(&entry, &b, NOW), Taking::Taken);
        assert_eq!(give_up(&entry, &b, NOW), None);
        let resting = give_up(&entry, &a, NOW).unwrap();
        for (who, seconds, expected) in [
            (&a, 0, true),
            (&b, QUARANTINE - 1, true),
            (&b, QUARANTINE, false),
        ] {
            assert_eq!(ask(&resting, who, NOW + seconds) == Taking::Taken, expected);
        }
        assert_eq!(free(ask(&resting, &b, NOW + QUARANTINE)).holder, Some(b));
        assert_eq!(give_up(&resting, &a, NOW), None);
    }

    #[test]
    fn an_entry_that_does_not_say_since_when_it_rests_is_somebodys() {
        for data in [
            json!({}),
            json!({"released": "x"}),
            json!({"released": i64::MAX}),
        ] {
            let entry = LedgerEntry {
                kind: ClaimKind::IdBlock,
                key: Pool::Ids.key(0),
                holder: None,
                data: data.as_object().unwrap().clone(),
            };
            let taking = take(Pool::Ids, 0, Some(&entry), &holder("a"), i64::MAX);
            assert_eq!(taking, Taking::Taken, "{data}");
        }
    }

    proptest! {
        /// Any number of tenants, in any order, some of which go and come: at no time do two have
        /// the same, and nobody gets what has not rested.
        #[test]
        fn no_two_have_the_same(steps in proptest::collection::vec((0..6usize, any::<bool>(), 0..QUARANTINE), 1..60)) {
            let names = ["a", "b", "c", "d", "e", "f"];
            let mut ledger: BTreeMap<u32, LedgerEntry> = BTreeMap::new();
            let mut now = NOW;
            for (who, takes, passes) in steps {
                now += passes;
                let holder = holder(names[who]);
                if takes {
                    // A small world, so that they do meet.
                    for index in Pool::Ids.order(&holder).map(|index| index % 3).take(3) {
                        let before = ledger.get(&index).cloned();
                        match take(Pool::Ids, index, before.as_ref(), &holder, now) {
                            Taking::Ours => break,
                            Taking::Taken => {}
                            Taking::Free(entry) => {
                                let rested = before.is_none_or(|before| {
                                    before.data.get("released").and_then(Value::as_i64).unwrap() + QUARANTINE <= now
                                });
                                prop_assert!(rested);
                                ledger.insert(index, entry);
                                break;
                            }
                        }
                    }
                } else {
                    for entry in ledger.values_mut() {
                        if let Some(resting) = give_up(entry, &holder, now) {
                            *entry = resting;
                        }
                    }
                }
            }
            let mut ranges: Vec<IdRange> = ledger.keys().filter_map(|index| block(*index)).collect();
            ranges.sort();
            prop_assert!(ranges.windows(2).all(|pair| !pair[0].overlaps(pair[1])));
        }
    }
}
