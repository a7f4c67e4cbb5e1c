//! A replica's own book for one tenant: what it may admit, and what it has admitted that the
//! account does not have yet. Charging is done here, in memory; now and then book and account are
//! settled, in one write on condition that the account has not changed.

use std::collections::BTreeMap;

use bulkhead_model::quantity::{Amount, Amounts, add, raise};

use super::account::{Account, Counted, Lease, Point};

/// What part of what is free a replica takes beyond its need, so that not every admission writes.
const SPARE: u128 = 4;

/// One request that was admitted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Charge {
    /// The request, as the API server names it: asked again, it is charged once.
    pub request: String,
    /// The kind of the object.
    pub kind: String,
    /// Namespace and name of the object.
    pub key: String,
    /// What comes about by it: all of a new object, what is more of a changed one.
    pub amounts: Amounts,
    /// Whether it makes the object. Of those that make an object of one name only one can come
    /// about at a time.
    pub creates: bool,
    /// A point at which it is known to have come about.
    pub seen: Option<Point>,
}

/// A book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Book {
    beat: u64,
    lent: Amounts,
    limited: Amounts,
    charges: Vec<Charge>,
    /// What all charges come to: kept, because every admission asks for it.
    sum: Amounts,
    /// Requests that the account which is being written has in its base: they leave with it, and
    /// none that is seen while it is written.
    leaving: Vec<String>,
}

/// A resource of which there is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    /// Its name.
    pub resource: String,
    /// How much more would be needed than the book has been lent.
    pub lacking: Amount,
}

impl Book {
    /// Charges a request if what is lent suffices for it. Nothing is charged otherwise.
    ///
    /// # Errors
    /// Every resource of which more must be lent first.
    pub fn charge(&mut self, charge: Charge) -> Result<(), Vec<Short>> {
        if self.charges.iter().any(|c| c.request == charge.request) {
            return Ok(());
        }
        // What has been counted meanwhile is not free before it is settled: the account may have it
        // both as existing and as lent.
        let mut after = self.sum.clone();
        add(&mut after, &self.added(&charge));
        let short: Vec<Short> = self.lacking(&after);
        if !short.is_empty() {
            return Err(short);
        }
        self.charges.push(charge);
        self.sum = after;
        Ok(())
    }

    /// What a charge adds to the others: of those that make an object of one name the largest counts.
    fn added(&self, charge: &Charge) -> Amounts {
        let same =
            |other: &&Charge| other.creates && other.key == charge.key && other.kind == charge.kind;
        let mut before = Amounts::new();
        if charge.creates {
            for other in self.charges.iter().filter(same) {
                raise(&mut before, &other.amounts);
            }
        }
        let more = charge.amounts.iter().map(|(resource, amount)| {
            let had = before.get(resource).copied().unwrap_or_default();
            (resource.clone(), amount.minus(had))
        });
        more.collect()
    }

    /// To be called whenever charges have gone.
    fn sum_up(&mut self) {
        self.sum = self.outstanding(&BTreeMap::new());
    }

    fn lacking(&self, outstanding: &Amounts) -> Vec<Short> {
        let limited = |resource: &&String| self.limited.contains_key(*resource);
        outstanding
            .keys()
            .filter(limited)
            .filter_map(|resource| {
                let lent = self.lent.get(resource).copied().unwrap_or_default();
                let lacking = outstanding.get(resource)?.minus(lent);
                (lacking > Amount::ZERO).then(|| Short {
                    resource: resource.clone(),
                    lacking,
                })
            })
            .collect()
    }

    /// What the charges come to that an account at these points does not have.
    fn outstanding(&self, points: &BTreeMap<String, Point>) -> Amounts {
        let mut names: BTreeMap<(&str, &str), Amounts> = BTreeMap::new();
        let mut sum = Amounts::new();
        for charge in &self.charges {
            let point = points.get(&charge.kind).copied().unwrap_or_default();
            if charge.seen.is_some_and(|seen| seen <= point) {
                continue;
            }
            if charge.creates {
                raise(
                    names.entry((&charge.kind, &charge.key)).or_default(),
                    &charge.amounts,
                );
            } else {
                add(&mut sum, &charge.amounts);
            }
        }
        for amounts in names.values() {
            add(&mut sum, amounts);
        }
        sum
    }

    /// Notes that a request has come about, and is in every count of its kind from this point on.
    pub fn saw(&mut self, request: &str, point: Point) {
        for charge in &mut self.charges {
            if charge.request == request && charge.seen.is_none() {
                charge.seen = Some(point);
            }
        }
    }

    /// Forgets a request that has not come about and cannot any more: what it would have made is
    /// not there, at a consistent read later than the request could have been carried out.
    pub fn forget(&mut self, request: &str) {
        self.charges.retain(|charge| charge.request != request);
        self.sum_up();
    }

    /// The charges that nobody has seen come about.
    pub fn open(&self) -> impl Iterator<Item = &Charge> {
        self.charges.iter().filter(|charge| charge.seen.is_none())
    }

    /// Whether the book holds nothing that the account could want back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.charges.is_empty() && self.lent.values().all(|lent| *lent == Amount::ZERO)
    }

    /// Whether it has charges that were seen come about: settled, they leave it.
    #[must_use]
    pub fn has_seen(&self) -> bool {
        self.charges.iter().any(|charge| charge.seen.is_some())
    }

    /// Whether it has been lent more than it needs.
    #[must_use]
    pub fn has_spare(&self) -> bool {
        self.lent
            .iter()
            .any(|(resource, lent)| *lent > self.sum.get(resource).copied().unwrap_or_default())
    }

    /// What the account becomes when this replica settles: it takes what the replica has counted
    /// and lends it what its charges need, and more if it `wants` more and that is free. To be
    /// written on condition that the account is still the one that was read; if it was, the book
    /// is told so by [`Self::settled`].
    ///
    /// `spare`: whether to take some beyond the need.
    #[must_use]
    pub fn settle(
        &self,
        me: &str,
        account: &Account,
        counted: &BTreeMap<String, Counted>,
        wants: &Amounts,
        spare: bool,
    ) -> Account {
        let mut after = account.clone();
        after.advance(counted);
        let points: BTreeMap<String, Point> = after
            .base
            .iter()
            .map(|(kind, counted)| (kind.clone(), counted.at))
            .collect();
        // What was admitted is owed whatever the limit is now.
        let mut lent = self.outstanding(&points);
        lent.retain(|resource, _| after.hard.contains_key(resource));
        let beat = self.beat.max(account.leases.get(me).map_or(0, |l| l.beat)) + 1;
        after.leases.insert(
            me.to_owned(),
            Lease {
                beat,
                lent: lent.clone(),
            },
        );
        let enough = wants
            .iter()
            .all(|(resource, want)| after.free(resource).is_none_or(|free| *want <= free));
        if enough {
            for resource in after.hard.keys() {
                let free = after.free(resource).unwrap_or_default();
                let want = wants.get(resource).copied().unwrap_or_default();
                let more = if spare && want > Amount::ZERO {
                    free.minus(want).part(SPARE)
                } else {
                    Amount::ZERO
                };
                let sum = want.plus(more);
                if sum > Amount::ZERO {
                    let lent = lent.entry(resource.clone()).or_default();
                    *lent = lent.plus(sum);
                }
            }
        }
        lent.retain(|_, amount| *amount > Amount::ZERO);
        if lent.is_empty() {
            after.leases.remove(me);
        } else {
            after.leases.insert(me.to_owned(), Lease { beat, lent });
        }
        after
    }

    /// To be called before an account from [`Self::settle`] is sent: until it is known whether it was
    /// written, the book charges no more than is lent in both. What is charged meanwhile is not in
    /// it.
    pub fn brace(&mut self, me: &str, after: &Account) {
        let none = Amounts::new();
        let then = after.leases.get(me).map_or(&none, |lease| &lease.lent);
        let counted = |charge: &&Charge| {
            charge
                .seen
                .is_some_and(|seen| seen <= after.point(&charge.kind))
        };
        let leaving = self.charges.iter().filter(counted);
        self.leaving = leaving.map(|charge| charge.request.clone()).collect();
        for (resource, lent) in &mut self.lent {
            *lent = (*lent).min(then.get(resource).copied().unwrap_or_default());
        }
    }

    /// Takes over an account that this replica has written.
    pub fn settled(&mut self, me: &str, account: &Account) {
        let lease = account.leases.get(me);
        self.lent = lease.map(|lease| lease.lent.clone()).unwrap_or_default();
        self.beat = self.beat.max(lease.map_or(0, |lease| lease.beat));
        self.limited = account.hard.clone();
        let leaving = std::mem::take(&mut self.leaving);
        self.charges
            .retain(|charge| !leaving.contains(&charge.request));
        self.sum_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are few, so that they meet; amounts differ, so that the largest is not always the last.
    #[test]
    fn the_sum_that_is_kept_is_that_of_the_charges() {
        let mut book = Book::default();
        let mut draw = 7_u64;
        let mut next = |below: u64| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (draw >> 33) % below
        };
        for number in 0..2_000 {
            match next(4) {
                0 => book.forget(&next(number + 1).to_string()),
                1 => {
                    let request = next(number + 1).to_string();
                    book.saw(&request, 5);
                    book.brace(
                        "me",
                        &Account {
                            base: BTreeMap::from([(
                                "pods".to_owned(),
                                Counted {
                                    at: 5,
                                    used: Amounts::new(),
                                },
                            )]),
                            ..Account::default()
                        },
                    );
                    book.settled("me", &Account::default());
                }
                _ => {
                    let amount = Amount::whole(next(4));
                    let charged = book.charge(Charge {
                        request: number.to_string(),
                        kind: "pods".to_owned(),
                        key: next(5).to_string(),
                        amounts: Amounts::from([(format!("r{}", next(2)), amount)]),
                        creates: next(3) > 0,
                        seen: None,
                    });
                    assert_eq!(charged, Ok(()));
                }
            }
            assert_eq!(book.sum, book.outstanding(&BTreeMap::new()));
        }
        assert!(!book.charges.is_empty());
    }
}
