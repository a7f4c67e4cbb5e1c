//! Kubernetes quantities, as far as comparing and adding them needs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An exact amount of something: billionths, never negative.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(u128);

/// Amounts by the name of the resource.
pub type Amounts = BTreeMap<String, Amount>;

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many whole ones.
    #[must_use]
    pub const fn whole(count: u64) -> Self {
        Self(count as u128 * NANO)
    }

    /// Reads a quantity as Kubernetes writes them. None: not a quantity, negative, or too large to
    /// be meant.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        nanos(value).map(Self)
    }

    /// The sum; the largest amount there is if it is beyond that.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left; nothing if the other is more.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// A whole part of it, rounded down to whole ones if it is made of such.
    #[must_use]
    pub const fn part(self, of: u128) -> Self {
        let part = self.0 / of;
        if self.0.is_multiple_of(NANO) {
            Self(part - part % NANO)
        } else {
            Self(part)
        }
    }
}

/// Adds amounts to others, resource by resource.
pub fn add(to: &mut Amounts, amounts: &Amounts) {
    for (resource, amount) in amounts {
        let sum = to.entry(resource.clone()).or_default();
        *sum = sum.plus(*amount);
    }
}

/// The larger of each.
pub fn raise(to: &mut Amounts, amounts: &Amounts) {
    for (resource, amount) in amounts {
        let most = to.entry(resource.clone()).or_default();
        *most = (*most).max(*amount);
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MILLI: u128 = NANO / 1000;
        match self.0 {
            n if n.is_multiple_of(NANO) => write!(f, "{}", n / NANO),
            n if n.is_multiple_of(MILLI) => write!(f, "{}m", n / MILLI),
            n => write!(f, "{n}n"),
        }
    }
}

impl TryFrom<String> for Amount {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        parse(&text)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a quantity"))
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

/// Whether two values are one quantity, however they are written: the API server stores `1` for
/// `1000m`. Values that are no quantities are never the same.
#[must_use]
pub fn same_quantity(a: &Value, b: &Value) -> bool {
    nanos(a).is_some_and(|a| nanos(b) == Some(a))
}

/// How much one quantity is of another, in whole percent. None: one of them is no quantity, or
/// the whole is nothing.
#[must_use]
pub fn percent(part: &Value, whole: &Value) -> Option<u128> {
    nanos(part)?.checked_mul(100)?.checked_div(nanos(whole)?)
}

/// The value in billionths. None: not a quantity, negative, or too large to be meant.
#[must_use]
pub fn nanos(value: &Value) -> Option<u128> {
    match value {
        Value::Number(number) => number.as_u64().map(|n| u128::from(n) * NANO),
        Value::String(text) => parse(text),
        _ => None,
    }
}

const NANO: u128 = 1_000_000_000;

fn parse(text: &str) -> Option<u128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.is_empty() || digits == "." || fraction.contains('.') || digits.len() > 28 {
        return None;
    }
    let mantissa: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (factor, exponent) = scale(suffix)?;
    let exponent = 9 + exponent - i32::try_from(fraction.len()).ok()?;
    let scaled = mantissa.checked_mul(factor)?;
    let power = 10u128.checked_pow(exponent.unsigned_abs())?;
    // What is smaller than a billionth is rounded up, as the API server does.
    if exponent < 0 {
        Some(scaled.div_ceil(power))
    } else {
        scaled.checked_mul(power)
    }
}

/// A suffix as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(u128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            (1, exponent.parse().ok().filter(|e| (-18..=18).contains(e))?)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_are_whole_percents() {
        for (part, whole, expected) in [
            ("1500m", "2", Some(75)),
            ("0", "10", Some(0)),
            ("3Gi", "2Gi", Some(150)),
            ("1", "0", None),
            ("x", "1", None),
        ] {
            assert_eq!(
                percent(&json!(part), &json!(whole)),
                expected,
                "{part}/{whole}"
            );
        }
    }

    #[test]
    fn spellings_of_one_quantity_are_equal() {
        for (a, b) in [
            (json!("1"), json!(1)),
            (json!("100m"), json!("0.1")),
            (json!("1Ki"), json!("1024")),
            (json!("1e3"), json!("1k")),
            (json!("1.5Gi"), json!("1536Mi")),
            (json!("1E"), json!("1e18")),
            (json!("0.1n"), json!("1n")),
            (json!(".5"), json!("500m")),
        ] {
            assert!(nanos(&a).is_some(), "{a}");
            assert!(same_quantity(&a, &b), "{a} {b}");
        }
        assert!(nanos(&json!("1Mi")) > nanos(&json!("1M")));
        assert!(!same_quantity(&json!("1Mi"), &json!("1M")));
        assert!(!same_quantity(&json!("x"), &json!("x")));
    }

    #[test]
    fn anything_else_is_none() {
        for bad in [
            "", ".", "-1", "+", "1 Gi", "1gi", "1KI", "1.2.3", "one", "1e", "1e99", "٣",
        ] {
            assert_eq!(nanos(&json!(bad)), None, "{bad}");
        }
        for bad in [json!(-1), json!(1.5), json!(null), json!([1]), json!(true)] {
            assert_eq!(nanos(&bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_is_read_as_it_is_written(n in 0..10_000_000_000_000_000_000u128) {
            let amount = Amount(n);
            prop_assert_eq!(Amount::try_from(amount.to_string()), Ok(amount));
        }

        #[test]
        fn any_text_gives_an_answer(text in ".{0,40}", numbers in "[0-9.]{0,20}[eEinumkKMGTP]{0,2}[-+0-9]{0,12}") {
            let _ = parse(&text);
            let _ = parse(&numbers);
        }
    }
}
