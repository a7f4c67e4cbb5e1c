//! JSON from untrusted hands. A duplicate key is refused: the API server merges such objects,
//! other parsers take the last, and what two readers read differently cannot be judged. So is a
//! number that would lose digits, because it would be forwarded without them.

mod read;
mod tree;

use serde::de::DeserializeSeed;
use serde_json::de::Read;

pub use tree::{Json, Object};

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
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, JsonError> {
    // Text that is known to be text is read faster; what is none gets the parser's own words.
    match std::str::from_utf8(bytes) {
        Ok(text) => whole(serde_json::Deserializer::from_str(text)),
        Err(_) => whole(serde_json::Deserializer::from_slice(bytes)),
    }
}

fn whole<'a, R: Read<'a>>(mut text: serde_json::Deserializer<R>) -> Result<Json<'a>, JsonError> {
    let value = read::Reader.deserialize(&mut text)?;
    text.end()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn duplicate_keys_are_refused_at_any_depth_and_spelling() {
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"spec":{"x":[{"b":1,"b":1}]}}"#,
            r#"{"spec":1,"sp\u0065c":2}"#,
            &format!(
                "{{{}\"7\":0}}",
                (0..40).map(|i| format!("\"{i}\":1,")).collect::<String>()
            ),
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
                Value::from(parse(good.as_bytes()).unwrap()),
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
            prop_assert_eq!(Value::from(parse(value.to_string().as_bytes()).unwrap()), value);
        }
    }
}
