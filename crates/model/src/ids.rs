//! Users, groups and SELinux levels that are a tenant's alone.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::NameError;

/// What a tenant's pods are held to as to users, groups and SELinux levels: part of
/// [`crate::TenantRules`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct IdRules {
    /// The users and groups that are the tenant's alone. None until the ledger has granted them,
    /// and then no pod is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<IdRange>,
    /// Whether pods have a user namespace of their own.
    #[serde(skip_serializing_if = "is_default")]
    pub user_namespaces: UserNamespaces,
    /// Who chooses pods' SELinux levels.
    #[serde(skip_serializing_if = "is_default")]
    pub selinux: SelinuxLevel,
    /// Fields of pods that this cluster's API server drops. What it drops cannot be required.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unserved: BTreeSet<PodField>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl IdRules {
    /// Whether nothing is set.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        is_default(self)
    }

    /// Whether the API server keeps a field.
    #[must_use]
    pub fn serves(&self, field: PodField) -> bool {
        !self.unserved.contains(&field)
    }
}

/// A field of pods that not every Kubernetes of ours serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PodField {
    /// `securityContext.supplementalGroupsPolicy`: on by default since 1.33, for good since 1.35.
    SupplementalGroupsPolicy,
    /// `hostUsers`: on by default since 1.33, for good since 1.36.
    HostUsers,
}

/// Whether pods have a user namespace of their own (`hostUsers: false`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UserNamespaces {
    /// As their authors say.
    #[default]
    Optional,
    /// Unless their authors say otherwise, where the cluster serves it.
    Preferred,
    /// Always.
    Required,
}

/// Who chooses the SELinux level of a tenant's pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SelinuxLevel {
    /// The container runtime, a level for each pod, at random.
    #[default]
    Runtime,
    /// All pods of the tenant have this one, and no other tenant's pod has it.
    PerTenant(McsPair),
}

/// Users, and likewise groups, from the first to the last. Written `1000000000-1000009999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdRange {
    first: u32,
    last: u32,
}

impl IdRange {
    /// The greatest id that the API server takes.
    pub const MAX: u32 = 2_147_483_647;
    /// What there is in a user namespace, without root. The kubelet keeps the ids outside apart.
    pub const IN_USER_NAMESPACE: Self = Self {
        first: 1,
        last: 65_535,
    };

    /// A range without 0, or none if the ids are none that Kubernetes takes, or in no order.
    #[must_use]
    pub fn new(first: u32, last: u32) -> Option<Self> {
        (first > 0 && first <= last && last <= Self::MAX).then_some(Self { first, last })
    }

    /// Reads what `Display` writes.
    ///
    /// # Errors
    /// If it is not two ids with a `-` between them, the lower first.
    pub fn parse(input: &str) -> Result<Self, NameError> {
        let number = |text: &str| {
            let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
            plain.then(|| text.parse().ok()).flatten()
        };
        input
            .split_once('-')
            .and_then(|(first, last)| Self::new(number(first)?, number(last)?))
            .ok_or_else(|| NameError {
                input: input.to_owned(),
                what: "range of ids",
                expected: "two numbers from 1 to 2147483647 with `-` between them, such as `1000000000-1000009999`",
            })
    }

    /// The first id, which pods get that name none.
    #[must_use]
    pub fn first(self) -> u32 {
        self.first
    }

    /// The last id.
    #[must_use]
    pub fn last(self) -> u32 {
        self.last
    }

    /// Whether an id is in it.
    #[must_use]
    pub fn contains(self, id: i64) -> bool {
        (i64::from(self.first)..=i64::from(self.last)).contains(&id)
    }

    /// Whether an id is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl TryFrom<String> for IdRange {
    type Error = NameError;
    fn try_from(input: String) -> Result<Self, NameError> {
        Self::parse(&input)
    }
}

impl From<IdRange> for String {
    fn from(range: IdRange) -> Self {
        range.to_string()
    }
}

/// Two SELinux categories, and thereby a level that dominates no other pair's. Written
/// `s0:c3,c7`, the lower first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct McsPair {
    low: u16,
    high: u16,
}

impl McsPair {
    /// Categories of the usual policies: `c0` to `c1023`.
    pub const CATEGORIES: u16 = 1024;
    /// How many pairs there are.
    pub const COUNT: u32 = 523_776;

    /// A pair by its number below [`Self::COUNT`]: ordered by the higher category, then by the
    /// lower.
    #[must_use]
    pub fn nth(index: u32) -> Option<Self> {
        if index >= Self::COUNT {
            return None;
        }
        // Below the higher category `h` there are h(h-1)/2 pairs.
        let mut high = (8 * u64::from(index) + 1).isqrt().div_ceil(2) as u32;
        while high * (high - 1) / 2 > index {
            high -= 1;
        }
        let low = index - high * (high - 1) / 2;
        Some(Self {
            low: u16::try_from(low).ok()?,
            high: u16::try_from(high).ok()?,
        })
    }

    /// The number of the pair: [`Self::nth`] of it is the pair.
    #[must_use]
    pub fn index(self) -> u32 {
        let high = u32::from(self.high);
        high * (high - 1) / 2 + u32::from(self.low)
    }

    /// Reads what `Display` writes, and nothing else: other spellings of a level are other texts
    /// for the same right.
    ///
    /// # Errors
    /// If it is no `s0` with two different categories, the lower first.
    pub fn parse(input: &str) -> Result<Self, NameError> {
        let number = |text: &str| {
            let digits = text.strip_prefix('c')?;
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let canonical = plain && (digits == "0" || !digits.starts_with('0'));
            let number: u16 = canonical.then(|| digits.parse().ok()).flatten()?;
            (number < Self::CATEGORIES).then_some(number)
        };
        let pair = || {
            let (low, high) = input.strip_prefix("s0:")?.split_once(',')?;
            let (low, high) = (number(low)?, number(high)?);
            (low < high).then_some(Self { low, high })
        };
        pair().ok_or_else(|| NameError {
            input: input.to_owned(),
            what: "SELinux level of two categories",
            expected: "`s0:c` and two different numbers below 1024, the lower first, such as `s0:c3,c7`",
        })
    }

    /// The pair that a level in any spelling means, or none if it means something else. Categories
    /// may come in either order; the kernel reads both alike.
    #[must_use]
    pub fn meant(level: &str) -> Option<Self> {
        let level = level.trim();
        if let Ok(pair) = Self::parse(level) {
            return Some(pair);
        }
        let (high, low) = level.strip_prefix("s0:")?.split_once(',')?;
        Self::parse(&format!("s0:{low},{high}")).ok()
    }
}

impl fmt::Display for McsPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s0:c{},c{}", self.low, self.high)
    }
}

impl TryFrom<String> for McsPair {
    type Error = NameError;
    fn try_from(input: String) -> Result<Self, NameError> {
        Self::parse(&input)
    }
}

impl From<McsPair> for String {
    fn from(pair: McsPair) -> Self {
        pair.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_range_reads_what_it_writes_and_nothing_else() {
        let range = IdRange::parse("1000000000-1000009999").unwrap();
        assert_eq!(range.to_string(), "1000000000-1000009999");
        assert!(range.contains(1_000_000_000) && range.contains(1_000_009_999));
        for outside in [999_999_999, 1_000_010_000, 0, -1, i64::MAX, i64::MIN] {
            assert!(!range.contains(outside), "{outside}");
        }
        for bad in [
            "",
            "1",
            "-",
            "1-",
            "-1-2",
            "2-1",
            "0-5",
            "+1-2",
            "01-2",
            "1 - 2",
            "1-2147483648",
            "1-99999999999999999999",
        ] {
            assert!(IdRange::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_pair_has_one_number() {
        let mut seen = BTreeSet::new();
        for index in 0..McsPair::COUNT {
            let pair = McsPair::nth(index).unwrap();
            assert!(pair.low < pair.high && pair.high < McsPair::CATEGORIES);
            assert_eq!(pair.index(), index);
            assert!(seen.insert((pair.low, pair.high)));
        }
        assert_eq!(McsPair::nth(McsPair::COUNT), None);
        assert_eq!(McsPair::nth(u32::MAX), None);
    }

    #[test]
    fn a_level_in_another_spelling_means_the_same_pair() {
        let pair = McsPair::parse("s0:c3,c7").unwrap();
        assert_eq!(McsPair::meant("s0:c7,c3"), Some(pair));
        for bad in [
            "",
            "s0",
            "s0:c3",
            "s1:c3,c7",
            "s0:c3,c3",
            "s0:c7,c3",
            "s0:c3.c7",
            "s0:c03,c7",
            "s0:c3,c1024",
            "s0:c3,c7,c9",
            "s0:c3,c7 ",
            "s0-s0:c3,c7",
            "s0:c,c1",
            "s0:c+3,c7",
        ] {
            assert!(McsPair::parse(bad).is_err(), "{bad}");
        }
        for other in ["s0", "s0:c3.c7", "s0:c1,c2,c3", "s0:c0.c1023"] {
            assert_eq!(McsPair::meant(other), None, "{other}");
        }
    }

    #[test]
    fn rules_without_a_word_are_the_defaults_and_unknown_words_are_refused() {
        let read = |value| serde_json::from_value::<IdRules>(value);
        assert_eq!(read(json!({})).unwrap(), IdRules::default());
        assert_eq!(json!(IdRules::default()), json!({}));
        let rules = json!({
            "range": "1000000000-1000009999", "userNamespaces": "Required",
            "selinux": {"PerTenant": "s0:c1,c2"}, "unserved": ["HostUsers"],
        });
        assert_eq!(json!(read(rules.clone()).unwrap()), rules);
        for bad in [
            json!({"lax": 1}),
            json!({"range": "0-9"}),
            json!({"selinux": "PerTenant"}),
            json!({"selinux": {"PerTenant": "s0:c2,c1"}}),
            json!({"unserved": ["Name"]}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,24}") {
            if let Ok(range) = IdRange::parse(&text) {
                prop_assert_eq!(range.to_string(), text.as_str());
            }
            if let Ok(pair) = McsPair::parse(&text) {
                prop_assert_eq!(pair.to_string(), text.as_str());
            }
        }
    }
}
