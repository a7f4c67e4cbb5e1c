//! JSON from untrusted hands. A duplicate key is refused: the API server merges such objects,
//! other parsers take the last, and what two readers read differently cannot be judged. So is a
//! number that would lose digits, because it would be forwarded without them.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// Why bytes are not JSON that we take.
#[derive(Debug, thiserror::Error)]
#[error("line {}, column {}: {}", .0.line(), .0.column(), message(.0))]
pub struct JsonError(#[from] serde_json::Error);

/// serde_json ends its messages with the position, which ours begin with.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

/// Parses one JSON value and nothing after it. Nesting is limited to 128 levels.
///
/// # Errors
/// If the bytes are not JSON, an object has a key twice, nesting is too deep, or something
/// follows the value.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose numbers fit 64 bits")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        // An integer beyond 64 bits arrives here as well, and has lost its last digits.
        let exact = v.fract() != 0.0 || v.abs() < 9_007_199_254_740_992.0;
        Number::from_f64(v)
            .filter(|_| exact)
            .map(Value::Number)
            .ok_or_else(|| E::invalid_value(Unexpected::Float(v), &self))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(value) = seq.next_element_seed(Self)? {
            out.push(value);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            match out.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(map.next_value_seed(Self)?);
                }
                Entry::Occupied(entry) => {
                    let key = entry.key();
                    return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
                }
            }
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn duplicate_keys_are_refused_at_any_depth_and_spelling() {
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"spec":{"x":[{"b":1,"b":1}]}}"#,
            r#"{"spec":1,"sp\u0065c":2}"#,
        ] {
            let error = parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("duplicate key"), "{error}");
            assert!(error.starts_with("line 1, column "), "{error}");
        }
        assert!(parse(br#"{"a":{"b":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn numbers_that_would_lose_digits_are_refused() {
        for bad in [
            "123456789012345678901234567890",
            "-123456789012345678901",
            "1e400",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for good in [
            "18446744073709551615",
            "-9223372036854775808",
            "-1.5",
            "1e3",
        ] {
            assert_eq!(
                parse(good.as_bytes()).unwrap(),
                serde_json::from_str::<Value>(good).unwrap()
            );
        }
    }

    #[test]
    fn truncated_trailing_and_deep_input_is_refused() {
        for bad in [r#"{"a":"#, "{} {}", "", "nul", "\u{feff}{}", "{'a':1}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_we_write_we_read(keys in proptest::collection::btree_set("[a-z~/.\"]{0,6}", 0..8)) {
            let value: Value = keys.into_iter().map(|k| (k.clone(), Value::from(k))).collect::<Map<_, _>>().into();
            prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
        }
    }
}
