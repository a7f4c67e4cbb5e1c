//! Scalars as `sigs.k8s.io/yaml` resolves them, which is YAML 1.1 with Go's spelling of numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Number;

use crate::node::Data;

/// A scalar's value, and what a reader of YAML 1.2 takes it for if that is something else.
#[derive(Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) data: Data,
    pub(crate) elsewhere: Option<String>,
}

impl From<Data> for Scalar {
    fn from(data: Data) -> Self {
        Self {
            data,
            elsewhere: None,
        }
    }
}

/// A tag of YAML's own schema, or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag<'a> {
    /// `!!int` and the like, without the marks.
    Core(&'a str),
    /// Any other: Kubernetes' reader takes the scalar for a string.
    Other,
}

/// Resolves a scalar. `plain` says that it stands without quotes and is no block.
///
/// # Errors
/// In words, if the value does not have the type that its tag says, or JSON has no such value.
pub(crate) fn resolve(text: &str, plain: bool, tag: Option<Tag<'_>>) -> Result<Scalar, String> {
    let mismatch = |tag: &str| Err(format!("`{text}` is no `!!{tag}`"));
    match tag {
        None if plain => implicit(text),
        None | Some(Tag::Other | Tag::Core("str")) => Ok(Data::String(text.to_owned()).into()),
        Some(Tag::Core("binary")) => match STANDARD.decode(text.replace([' ', '\n'], "")) {
            Ok(bytes) => Ok(Data::String(String::from_utf8_lossy(&bytes).into_owned()).into()),
            Err(_) => mismatch("binary"),
        },
        Some(Tag::Core("timestamp")) => Ok(Data::String(text.to_owned()).into()),
        Some(Tag::Core(tag)) => {
            let scalar = implicit(text)?;
            match (tag, &scalar.data) {
                ("bool", Data::Bool(_)) | ("null", Data::Null) => Ok(scalar),
                ("int", Data::Number(number)) if !number.is_f64() => Ok(scalar),
                ("float", Data::Number(_)) => Ok(scalar),
                ("bool" | "null" | "int" | "float", _) => mismatch(tag),
                _ => Ok(Data::String(text.to_owned()).into()),
            }
        }
    }
}

fn implicit(text: &str) -> Result<Scalar, String> {
    let data = match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Ok(word(text, true)),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Ok(word(text, false)),
        _ if is_infinite(text) => return Err(format!("`{text}` is no number that JSON has")),
        _ => match text.as_bytes().first() {
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => return Ok(number(text)),
            _ => Data::String(text.to_owned()),
        },
    };
    Ok(data.into())
}

fn word(text: &str, value: bool) -> Scalar {
    Scalar {
        data: Data::Bool(value),
        elsewhere: Some(format!("the string `{text}`")),
    }
}

fn is_infinite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn number(text: &str) -> Scalar {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let Some(number) = integer(&plain).or_else(|| float(&plain)) else {
        return Data::String(text.to_owned()).into();
    };
    let elsewhere = in_yaml_1_2(text);
    let same = matches!(&elsewhere, Some(other) if *other == number);
    let elsewhere = (!same).then(|| match elsewhere {
        Some(other) => format!("the number {other}"),
        None => format!("the string `{text}`"),
    });
    Scalar {
        data: Data::Number(number),
        elsewhere,
    }
}

/// An integer as Go's `strconv.ParseInt(s, 0, 64)` reads it: a leading `0` is octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex, 16)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (octal, 8)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (binary, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (lower.get(1..)?, 8)
    } else {
        (lower.as_str(), 10)
    };
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    if negative {
        let value = i64::from_str_radix(&format!("-{digits}"), radix).ok()?;
        return Some(value.into());
    }
    // A sign makes it too long for the unsigned reading of Go, but not for ours: nothing that big
    // is written with one.
    u64::from_str_radix(digits, radix).ok().map(Number::from)
}

/// A decimal number with point or exponent, as JSON would print it.
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let point = mantissa.contains('.');
    let well_formed = digits(whole)
        && digits(fraction)
        && (!whole.is_empty() || (point && !fraction.is_empty()))
        && exponent.is_none_or(|e| {
            let e = e.strip_prefix(['+', '-']).unwrap_or(e);
            !e.is_empty() && digits(e)
        });
    if !well_formed {
        return None;
    }
    let value: f64 = text.strip_prefix('+').unwrap_or(text).parse().ok()?;
    // JSON knows no difference between 8 and 8.0, and neither does Kubernetes.
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is a whole number below 2^53"
        )]
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

/// The number that the core schema of YAML 1.2 makes of the text.
fn in_yaml_1_2(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Number::from);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        let signed = text.parse::<i64>().ok().map(Number::from);
        let decimal = signed.or_else(|| text.parse::<u64>().ok().map(Number::from));
        return decimal.or_else(|| float(text));
    }
    float(text)
}

/// How Kubernetes' reader spells a key that is no string; none of a key that it refuses.
pub(crate) fn key(data: &Data) -> Option<String> {
    match data {
        Data::String(key) => Some(key.clone()),
        Data::Bool(key) => Some(key.to_string()),
        Data::Number(key) => Some(key.to_string()),
        Data::Null | Data::List(..) | Data::Map(..) => None,
    }
}
