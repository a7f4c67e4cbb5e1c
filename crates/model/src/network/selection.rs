//! Sets of objects that label selectors describe.

use std::collections::{BTreeMap, BTreeSet};

/// What a label may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Whether it may be missing.
    absent: bool,
    /// Whether `values` are those that it may not have.
    other: bool,
    values: BTreeSet<String>,
}

impl Label {
    /// Anything, and nothing.
    pub const ANY: Self = Self {
        absent: true,
        other: true,
        values: BTreeSet::new(),
    };

    /// One of these values: the operator `In`.
    pub fn one_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        Self {
            absent: false,
            other: false,
            values: values.into_iter().map(Into::into).collect(),
        }
    }

    /// None of these values, or missing: the operator `NotIn`.
    pub fn none_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        Self {
            absent: true,
            other: true,
            values: values.into_iter().map(Into::into).collect(),
        }
    }

    /// Of any value: the operator `Exists`.
    #[must_use]
    pub fn present() -> Self {
        Self {
            absent: false,
            ..Self::ANY
        }
    }

    /// Missing: the operator `DoesNotExist`.
    #[must_use]
    pub fn missing() -> Self {
        Self {
            absent: true,
            other: false,
            values: BTreeSet::new(),
        }
    }

    /// Whether no label fits. Values are strings without number, so all but some is never none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.absent && !self.other && self.values.is_empty()
    }

    /// The values, if the label must be there and these are all that it may have.
    #[must_use]
    pub fn only(&self) -> Option<&BTreeSet<String>> {
        (!self.absent && !self.other).then_some(&self.values)
    }

    fn not(&self) -> Self {
        Self {
            absent: !self.absent,
            other: !self.other,
            values: self.values.clone(),
        }
    }

    fn and(&self, with: &Self) -> Self {
        let (a, b) = (&self.values, &with.values);
        let values = match (self.other, with.other) {
            (false, false) => a.intersection(b).cloned().collect(),
            (false, true) => a.difference(b).cloned().collect(),
            (true, false) => b.difference(a).cloned().collect(),
            (true, true) => a.union(b).cloned().collect(),
        };
        Self {
            absent: self.absent && with.absent,
            other: self.other && with.other,
            values,
        }
    }
}

/// A set of objects, as what each of their labels may be. Labels that are not named may be
/// anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection(BTreeMap<String, Label>);

impl Selection {
    /// Every object.
    pub const ALL: Self = Self(BTreeMap::new());

    /// The objects of this set whose label `key` is as given.
    #[must_use]
    pub fn and(mut self, key: impl Into<String>, label: &Label) -> Self {
        let place = self.0.entry(key.into()).or_insert(Label::ANY);
        *place = place.and(label);
        self
    }

    /// What the label may be.
    #[must_use]
    pub fn label(&self, key: &str) -> &Label {
        static ANY: Label = Label::ANY;
        self.0.get(key).unwrap_or(&ANY)
    }

    /// The labels that are named.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &Label)> {
        self.0.iter().map(|(key, label)| (key.as_str(), label))
    }

    /// Whether no object can be in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.values().any(Label::is_empty)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, with: &Self) -> Self {
        with.0.iter().fold(self.clone(), |all, (key, label)| {
            all.and(key.as_str(), label)
        })
    }

    /// What is here and not there, as sets that do not overlap.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Vec<Self> {
        let mut out = Vec::new();
        let mut shared = self.clone();
        for (key, label) in &other.0 {
            let outside = shared.clone().and(key.as_str(), &label.not());
            if !outside.is_empty() {
                out.push(outside);
            }
            shared = shared.and(key.as_str(), label);
            if shared.is_empty() {
                break;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `z` is named by no selector: it stands for every value that is not.
    const VALUES: [Option<&str>; 4] = [None, Some("x"), Some("y"), Some("z")];

    fn label() -> impl Strategy<Value = Label> {
        (
            0_u8..6,
            prop::collection::vec(prop::sample::select(vec!["x", "y"]), 0..3),
        )
            .prop_map(|(kind, values)| match kind {
                0 => Label::ANY,
                1 => Label::one_of(values),
                2 => Label::none_of(values),
                3 => Label::present(),
                4 => Label::missing(),
                _ => Label::one_of(values).and(&Label::present()),
            })
    }

    fn fits(label: &Label, value: Option<&str>) -> bool {
        value.map_or(label.absent, |value| {
            label.values.contains(value) != label.other
        })
    }

    fn selection() -> impl Strategy<Value = Selection> {
        prop::collection::vec((prop::sample::select(vec!["a", "b"]), label()), 0..4).prop_map(
            |list| {
                list.iter()
                    .fold(Selection::ALL, |all, (key, label)| all.and(*key, label))
            },
        )
    }

    fn members(set: &Selection) -> Vec<(Option<&'static str>, Option<&'static str>)> {
        let all = VALUES
            .into_iter()
            .flat_map(|a| VALUES.into_iter().map(move |b| (a, b)));
        all.filter(|(a, b)| fits(set.label("a"), *a) && fits(set.label("b"), *b))
            .collect()
    }

    proptest! {
        #[test]
        fn selections_are_sets(one in selection(), two in selection()) {
            let (x, y) = (members(&one), members(&two));
            let both: Vec<_> = x.iter().filter(|m| y.contains(m)).copied().collect();
            prop_assert_eq!(members(&one.intersection(&two)), both);
            prop_assert_eq!(one.is_empty(), x.is_empty());
            let mut rest: Vec<_> = one.minus(&two).iter().flat_map(members).collect();
            let count = rest.len();
            rest.sort();
            rest.dedup();
            prop_assert_eq!(rest.len(), count, "the parts overlap");
            let mut expected: Vec<_> = x.iter().filter(|m| !y.contains(m)).copied().collect();
            expected.sort();
            prop_assert_eq!(rest, expected);
        }
    }
}
