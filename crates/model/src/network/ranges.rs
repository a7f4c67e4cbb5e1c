//! Sets of numbers: addresses of one family, or ports of all protocols.

/// A set of numbers, as ranges that are inclusive, in order, and neither touch nor overlap: two
/// sets are equal if and only if they hold the same numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// No number.
    pub const NONE: Self = Self(Vec::new());

    /// The numbers from `low` to `high`, both included; none if `low` is greater.
    #[must_use]
    pub fn of(low: u128, high: u128) -> Self {
        if low <= high {
            Self(vec![(low, high)])
        } else {
            Self::NONE
        }
    }

    /// Whether there is no number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[(u128, u128)] {
        &self.0
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all: Vec<_> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut out: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (low, high) in all {
            match out.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => out.push((low, high)),
            }
        }
        Self(out)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        for &(low, high) in &self.0 {
            for &(from, to) in &other.0 {
                let (low, high) = (low.max(from), high.min(to));
                if low <= high {
                    out.push((low, high));
                }
            }
        }
        // Ranges of one set do not touch, so neither do those that two sets share.
        out.sort_unstable();
        Self(out)
    }

    /// What is here and not there.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for &(from, to) in &other.0 {
            left = left
                .into_iter()
                .flat_map(|(low, high)| {
                    let below = from
                        .checked_sub(1)
                        .filter(|_| low < from)
                        .map(|end| (low, end.min(high)));
                    let above = to
                        .checked_add(1)
                        .filter(|_| high > to)
                        .map(|start| (start.max(low), high));
                    [below, above].into_iter().flatten()
                })
                .collect();
        }
        Self(left)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set() -> impl Strategy<Value = Ranges> {
        prop::collection::vec((0_u128..16, 0_u128..16), 0..5).prop_map(|list| {
            list.into_iter().fold(Ranges::NONE, |all, (low, high)| {
                all.union(&Ranges::of(low, high))
            })
        })
    }

    fn members(set: &Ranges) -> BTreeSet<u128> {
        set.as_slice()
            .iter()
            .flat_map(|&(low, high)| low..=high)
            .collect()
    }

    proptest! {
        #[test]
        fn sets_of_ranges_are_sets(a in set(), b in set()) {
            let (x, y) = (members(&a), members(&b));
            prop_assert_eq!(members(&a.union(&b)), x.union(&y).copied().collect());
            prop_assert_eq!(members(&a.intersection(&b)), x.intersection(&y).copied().collect());
            prop_assert_eq!(members(&a.minus(&b)), x.difference(&y).copied().collect());
            prop_assert_eq!(a == b, x == y);
            for set in [a.union(&b), a.intersection(&b), a.minus(&b)] {
                let apart = set.as_slice().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0);
                prop_assert!(apart, "{:?}", set);
            }
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_numbers() {
        let all = Ranges::of(0, u128::MAX);
        let last = Ranges::of(u128::MAX, u128::MAX);
        assert_eq!(all.minus(&Ranges::of(0, u128::MAX - 1)), last);
        assert_eq!(all.minus(&last), Ranges::of(0, u128::MAX - 1));
        assert_eq!(all.minus(&all), Ranges::NONE);
        assert_eq!(last.union(&all), all);
    }
}
