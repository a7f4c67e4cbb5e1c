//! Types that have a JSON form of their own.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use time::OffsetDateTime;

use crate::error::{At, Problem};
use crate::wire::{Payload, slots};

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(crate) fn bool(payload: Payload<'_>) -> Result<bool, At> {
    match payload.int64()? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(Problem::Number {
            expected: "0 or 1",
            found,
        }
        .into()),
    }
}

/// `{seconds, nanos}` to RFC 3339 in whole seconds: the API server drops the fraction, too.
pub(crate) fn time(message: &[u8]) -> Result<Value, At> {
    let Some((time, _)) = timestamp(message)? else {
        return Ok(Value::Null);
    };
    if time.unix_timestamp() == YEAR_1 {
        return Ok(Value::Null);
    }
    Ok(format!("{}Z", seconds(time)).into())
}

/// `{seconds, nanos}` to RFC 3339 in microseconds, which is all that the API server keeps.
pub(crate) fn micro_time(message: &[u8]) -> Result<Value, At> {
    let Some((time, nanos)) = timestamp(message)? else {
        return Ok(Value::Null);
    };
    let micros = nanos / 1000;
    if time.unix_timestamp() == YEAR_1 && micros == 0 {
        return Ok(Value::Null);
    }
    Ok(format!("{}.{micros:06}Z", seconds(time)).into())
}

/// Go's zero time, which JSON writes as null: 0001-01-01T00:00:00Z.
const YEAR_1: i64 = -62_135_596_800;
const YEAR_9999_END: i64 = 253_402_300_799;

/// The time to the second, and the nanoseconds. An empty message is no time.
fn timestamp(message: &[u8]) -> Result<Option<(OffsetDateTime, i32)>, At> {
    if message.is_empty() {
        return Ok(None);
    }
    let [seconds, nanos] = slots(message)?;
    let seconds = seconds.unwrap_or(Payload::Varint(0)).int64()?;
    let nanos = nanos.unwrap_or(Payload::Varint(0)).int32()?;
    if !(0..1_000_000_000).contains(&nanos) {
        let expected = "nanoseconds from 0 to 999999999";
        return Err(Problem::Number {
            expected,
            found: nanos.into(),
        }
        .into());
    }
    let out_of_range = || Problem::Number {
        expected: "a time from year 1 to 9999",
        found: seconds,
    };
    if !(YEAR_1..=YEAR_9999_END).contains(&seconds) {
        return Err(out_of_range().into());
    }
    let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| out_of_range())?;
    Ok(Some((time, nanos)))
}

fn seconds(time: OffsetDateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
    )
}

/// `{type, intVal, strVal}` to a number or text. What the type does not choose must be zero: the
/// API server would store it unseen.
pub(crate) fn int_or_string(message: &[u8]) -> Result<Value, At> {
    let [kind, number, text] = slots(message)?;
    let number = number.unwrap_or(Payload::Varint(0)).int32()?;
    let text = text.unwrap_or(Payload::EMPTY).text()?;
    match kind.unwrap_or(Payload::Varint(0)).varint()? {
        0 if text.is_empty() => Ok(number.into()),
        1 if number == 0 => Ok(text.into()),
        _ => Err(Problem::IntOrString.into()),
    }
}

/// `{string}` as it was sent, once it is sure that Kubernetes parses it.
pub(crate) fn quantity(message: &[u8]) -> Result<Value, At> {
    let [text] = slots(message)?;
    let Some(text) = text else {
        return Ok("0".into());
    };
    let text = text.text()?;
    if !is_quantity(text) {
        return Err(Problem::Quantity(text.to_owned()).into());
    }
    Ok(text.into())
}

fn is_quantity(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned
        .find(|c: char| c != '.' && !c.is_ascii_digit())
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !digits(fraction) || whole.len() + fraction.len() == 0 {
        return false;
    }
    if let Some(exponent) = suffix
        .strip_prefix(['e', 'E'])
        .filter(|e| !e.is_empty() && *e != "i")
    {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return (1..=2).contains(&exponent.len()) && digits(exponent);
    }
    let suffixes = "n u m k M G T P E Ki Mi Gi Ti Pi Ei";
    suffix.is_empty() || suffixes.split(' ').any(|known| known == suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_what_kubernetes_parses() {
        for good in [
            "0", "1", "-1", "+5", "0.5", ".5", "5.", "100m", "1Gi", "1.5Gi", "3E", "1e3", "1E-6",
            "1Ei", "2e+10",
        ] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in [
            "", ".", "-", "1.2.3", " 1", "1 ", "1ki", "1K", "m", "1mm", "e3", "1e", "1e999", "1e-",
            "1Ki3", "0x1", "١", "1\0", "--1", "NaN",
        ] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
