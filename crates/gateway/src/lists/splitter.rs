//! A list's JSON as it streams by, taken apart: what stands in `items` (of a Table, in `rows`) is
//! passed on as it is, everything else is kept.

use std::fmt;

/// The longest that all fields but the items may be together.
const MOST_KEPT: usize = 1024 * 1024;

/// A list that is being read.
#[derive(Default)]
pub(crate) struct Splitter {
    state: State,
    depth: usize,
    in_string: bool,
    escaped: bool,
    key: Vec<u8>,
    value: Vec<u8>,
    kept: usize,
    fields: Vec<(String, String)>,
    array: Option<String>,
    items: u64,
    /// Whether something has been passed on of the item that is being read.
    within_item: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    #[default]
    Start,
    /// Before a key, or the end of the object.
    Key,
    InKey,
    Colon,
    BeforeValue,
    Value,
    /// Before the array of items, or `null`.
    BeforeItems,
    Items,
    AfterValue,
    End,
}

/// The bytes are not those of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoList(&'static str);

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer is no list: {}", self.0)
    }
}

impl Splitter {
    /// Reads on. Items go into `out` without the brackets around them.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), NoList> {
        let mut rest = bytes;
        while let Some((byte, tail)) = rest.split_first() {
            if self.state == State::Items {
                rest = self.items(rest, out);
                continue;
            }
            rest = tail;
            self.step(*byte)?;
        }
        Ok(())
    }

    /// That was all.
    pub(crate) fn finish(&self) -> Result<(), NoList> {
        match (self.state, &self.array) {
            (State::End, Some(_)) => Ok(()),
            (State::End, None) => Err(NoList("it has neither `items` nor `rows`")),
            _ => Err(NoList("it breaks off")),
        }
    }

    /// The fields so far, but the items: names and JSON, in their order.
    pub(crate) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The JSON of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// How the field with the items is called, once it has been seen.
    pub(crate) fn array(&self) -> Option<&str> {
        self.array.as_deref()
    }

    /// The items so far.
    pub(crate) fn count(&self) -> u64 {
        self.items
    }

    /// Passes items on until the array ends or the bytes do; returns what is left.
    fn items<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b']' if self.depth == 0 => {
                    self.take_items(bytes.get(..at).unwrap_or_default(), out);
                    self.state = State::AfterValue;
                    return bytes.get(at + 1..).unwrap_or_default();
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 0 => {
                    self.within_item = false;
                    continue;
                }
                _ => {}
            }
            if !self.within_item && !byte.is_ascii_whitespace() {
                self.within_item = true;
                self.items += 1;
            }
        }
        self.take_items(bytes, out);
        &[]
    }

    fn take_items(&self, bytes: &[u8], out: &mut Vec<u8>) {
        // Blanks alone are no item: a comma before them would be one too many.
        if self.items > 0 {
            out.extend_from_slice(bytes);
        }
    }

    fn step(&mut self, byte: u8) -> Result<(), NoList> {
        let blank = byte.is_ascii_whitespace();
        match self.state {
            State::Start | State::Key | State::Colon | State::BeforeValue | State::AfterValue
                if blank => {}
            State::BeforeItems if blank && self.value.is_empty() => {}
            State::Start if byte == b'{' => self.state = State::Key,
            State::Key if byte == b'"' => {
                self.key.clear();
                self.state = State::InKey;
            }
            State::Key if byte == b'}' => self.state = State::End,
            State::InKey if byte == b'"' => self.state = State::Colon,
            // No key of a list needs an escape.
            State::InKey if byte == b'\\' || self.key.len() > 64 => {
                return Err(NoList("it has a field with an odd name"));
            }
            State::InKey => self.key.push(byte),
            State::Colon if byte == b':' => {
                self.value.clear();
                let items = matches!(self.key.as_slice(), b"items" | b"rows");
                if items && self.array.is_some() {
                    return Err(NoList("it has its items twice"));
                }
                self.state = match items {
                    true => State::BeforeItems,
                    false => State::BeforeValue,
                };
            }
            State::BeforeItems if byte == b'[' && self.value.is_empty() => {
                self.array = Some(self.key_text()?);
                self.depth = 0;
                self.state = State::Items;
            }
            State::BeforeItems => {
                self.value.push(byte);
                if self.value == b"null" {
                    self.array = Some(self.key_text()?);
                    self.state = State::AfterValue;
                } else if !b"null".starts_with(&self.value) {
                    return Err(NoList("its items are no array"));
                }
            }
            State::BeforeValue => {
                self.state = State::Value;
                self.depth = 0;
                self.value(byte)?;
            }
            State::Value => self.value(byte)?,
            State::AfterValue if byte == b',' => self.state = State::Key,
            State::AfterValue if byte == b'}' => self.state = State::End,
            State::End if blank => {}
            _ => return Err(NoList("it is not JSON as the API server writes it")),
        }
        Ok(())
    }

    fn value(&mut self, byte: u8) -> Result<(), NoList> {
        if self.in_string {
            self.keep(byte)?;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b',' | b'}' if self.depth == 0 => {
                let value = String::from_utf8(std::mem::take(&mut self.value))
                    .map_err(|_| NoList("it is not UTF-8"))?;
                let key = self.key_text()?;
                self.fields.push((key, value.trim_end().to_owned()));
                self.state = State::AfterValue;
                return self.step(byte);
            }
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self
                    .depth
                    .checked_sub(1)
                    .ok_or(NoList("its brackets do not match"))?;
            }
            _ => {}
        }
        self.keep(byte)
    }

    fn keep(&mut self, byte: u8) -> Result<(), NoList> {
        self.kept += 1;
        if self.kept > MOST_KEPT {
            return Err(NoList("its head is too long"));
        }
        self.value.push(byte);
        Ok(())
    }

    fn key_text(&self) -> Result<String, NoList> {
        String::from_utf8(self.key.clone()).map_err(|_| NoList("it is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items, their count, and the other fields.
    type Parts = (String, u64, Vec<(String, String)>);

    /// The parts of a list that is read in pieces of this length.
    fn split(text: &str, piece: usize) -> Result<Parts, NoList> {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        for chunk in text.as_bytes().chunks(piece) {
            splitter.push(chunk, &mut out)?;
        }
        splitter.finish()?;
        Ok((
            String::from_utf8(out).unwrap(),
            splitter.count(),
            splitter.fields().to_vec(),
        ))
    }

    #[test]
    fn items_pass_and_the_rest_is_kept_however_the_bytes_come() {
        let field = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for (text, items, count, fields) in [
            (
                r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"a":"]}\"\\"},{"b":[1,{"c":","}]}]}"#,
                r#"{"a":"]}\"\\"},{"b":[1,{"c":","}]}"#,
                2,
                vec![
                    field("kind", "\"PodList\""),
                    field("apiVersion", "\"v1\""),
                    field("metadata", r#"{"resourceVersion":"7"}"#),
                ],
            ),
            (
                "{ \"items\" : [ ] , \"n\" : -1 ,\"s\":\"}\\\"\" }\n",
                "",
                0,
                vec![field("n", "-1"), field("s", r#""}\"""#)],
            ),
            (r#"{"rows":null,"x":null}"#, "", 0, vec![field("x", "null")]),
            (r#"{"items":[1, "2" ,[3]]}"#, r#"1, "2" ,[3]"#, 3, vec![]),
        ] {
            for piece in 1..=text.len() {
                assert_eq!(
                    split(text, piece),
                    Ok((items.to_owned(), count, fields.clone())),
                    "{text} by {piece}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_list_is_told() {
        for text in [
            "",
            "[]",
            "{}",
            "{\"kind\":\"Pod\"}",
            "{\"items\":{}}",
            "{\"items\":nul}",
            "{\"items\":[1]",
            "{\"items\":[1]}x",
            "{\"items\":[],\"items\":[]}",
            "{\"items\":[],\"rows\":[]}",
            "{\"it\\u0065ms\":[]}",
            "{\"a\":]}",
            "{\"a\" 1}",
            "null",
        ] {
            assert!(split(text, 1).is_err(), "{text}");
            assert!(split(text, 99).is_err(), "{text}");
        }
        let long = format!(r#"{{"a":"{}","items":[]}}"#, "x".repeat(MOST_KEPT));
        assert!(split(&long, 4096).is_err());
    }
}
