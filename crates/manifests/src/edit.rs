//! Puts fields into a text that has them not, and leaves every other byte as it is.
//!
//! Mends add fields and change no value that somebody has set; `null` and an empty list are none.
//! Whoever applies the edits reads the result again and compares: where a text is too clever for
//! this file, nothing is changed.

use std::collections::BTreeMap;
use std::ops::Range;

use bulkhead_model::{FieldPath, Segment};
use serde_json::{Map, Value};

use crate::node::{Data, Entry, Node, Style};

/// A change of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes that go.
    pub span: Range<usize>,
    /// What comes instead.
    pub text: String,
}

/// The edits that give an object the fields that it lacks. None where a field has a place in
/// another that is written somewhere else, by an alias or a merge key, or that is no map.
#[must_use]
pub fn insertions(text: &str, object: &Node, fills: &[(FieldPath, Value)]) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    for Addition { target, value } in additions(object, fills)? {
        edits.push(match (target, &value) {
            (Target::Null(entry), _) => replace(text, entry, &value)?,
            (Target::Map(node), Value::Object(map)) => match &node.data {
                Data::Map(entries, Style::Block) => in_block(text, entries, map)?,
                Data::Map(entries, Style::Flow) => in_flow(text, node, entries, map)?,
                _ => return None,
            },
            _ => return None,
        });
    }
    Some(edits)
}

/// The text with its edits, which must not overlap.
#[must_use]
pub fn edited(text: &str, edits: &[Edit]) -> String {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let (mut out, mut at) = (String::with_capacity(text.len() + 256), 0);
    for edit in sorted {
        out.push_str(text.get(at..edit.span.start).unwrap_or_default());
        out.push_str(&edit.text);
        at = edit.span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[derive(Clone, Copy)]
enum Target<'a> {
    /// A key whose value is nothing, or an empty list.
    Null(&'a Entry),
    Map(&'a Node),
}

struct Addition<'a> {
    target: Target<'a>,
    value: Value,
}

/// The new fields, together with what is new around them, by the map that is there already.
fn additions<'a>(object: &'a Node, fills: &[(FieldPath, Value)]) -> Option<Vec<Addition<'a>>> {
    let mut found: BTreeMap<(usize, usize), Addition<'a>> = BTreeMap::new();
    for (path, value) in fills {
        let (mut at, mut target) = (object, Target::Map(object));
        let mut steps = path.segments();
        while let Some((step, rest)) = steps.split_first() {
            match step {
                Segment::Index(index) => {
                    at = at.items().get(*index)?;
                    target = Target::Map(at);
                }
                Segment::Key(key) => {
                    let Some(entry) = at.entry(key) else { break };
                    if entry.merged {
                        return None;
                    }
                    at = &entry.value;
                    target = match &at.data {
                        Data::Null => Target::Null(entry),
                        // An empty list is as good as none, and the new one takes its place.
                        Data::List(items, style) if items.is_empty() && rest.is_empty() => {
                            if *style == Style::Shared {
                                return None;
                            }
                            Target::Null(entry)
                        }
                        _ => Target::Map(at),
                    };
                }
            }
            steps = rest;
            if matches!(target, Target::Null(_)) {
                break;
            }
        }
        let id = match target {
            Target::Null(entry) => (entry.key_span.start, 0),
            Target::Map(node) => (node.span.start, 1),
        };
        let addition = found.entry(id).or_insert_with(|| Addition {
            target,
            value: Value::Object(Map::new()),
        });
        if steps.is_empty() {
            addition.value = value.clone();
        } else {
            put(addition.value.as_object_mut()?, steps, value)?;
        }
    }
    // Of two maps that end in one place the inner one starts later, and goes on first.
    Some(found.into_values().rev().collect())
}

fn put(map: &mut Map<String, Value>, steps: &[Segment], value: &Value) -> Option<()> {
    let (Segment::Key(key), rest) = steps.split_first()? else {
        return None;
    };
    if rest.is_empty() {
        map.insert(key.to_string(), value.clone());
        return Some(());
    }
    let inner = map
        .entry(key.to_string())
        .or_insert_with(|| Value::Object(Map::new()));
    put(inner.as_object_mut()?, rest, value)
}

/// After the last line of a map that is written by indentation.
fn in_block(text: &str, entries: &[Entry], map: &Map<String, Value>) -> Option<Edit> {
    let own = || entries.iter().filter(|entry| !entry.merged);
    let column = column(text, own().next()?.key_span.start);
    let last = own()
        .map(|entry| entry.value.span.end.max(entry.key_span.end))
        .max()?;
    let filled = text.get(..last)?.trim_end().len();
    let end = text
        .get(filled..)?
        .find(['\n', '\r'])
        .map_or(text.len(), |at| filled + at);
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines = Vec::new();
    block(map, column, &mut lines);
    let added = lines
        .iter()
        .map(|line| format!("{newline}{line}"))
        .collect();
    Some(Edit {
        span: end..end,
        text: added,
    })
}

/// Before the closing brace.
fn in_flow(text: &str, node: &Node, entries: &[Entry], map: &Map<String, Value>) -> Option<Edit> {
    let own = || entries.iter().filter(|entry| !entry.merged);
    let quoted = match own().next() {
        Some(entry) => text.get(entry.key_span.clone())?.starts_with('"'),
        None => text.trim_start().starts_with(['{', '[']),
    };
    let Some(last) = own().next_back() else {
        let inside: Vec<String> = pairs(map, quoted).collect();
        return Some(Edit {
            span: node.span.clone(),
            text: format!("{{{}}}", inside.join(", ")),
        });
    };
    let end = last.value.span.end.max(last.key_span.end);
    let start = last.key_span.start;
    let line = text.get(..start)?.rsplit('\n').next()?;
    // One entry a line stays one entry a line.
    let own_line = line.trim().is_empty()
        && !line.is_empty()
        && text.get(node.span.start..start)?.contains('\n');
    let between = if own_line {
        format!(",\n{line}")
    } else {
        ", ".to_owned()
    };
    let added = pairs(map, quoted)
        .map(|pair| format!("{between}{pair}"))
        .collect();
    Some(Edit {
        span: end..end,
        text: added,
    })
}

fn replace(text: &str, entry: &Entry, value: &Value) -> Option<Edit> {
    let quoted = text.get(entry.key_span.clone())?.starts_with('"');
    let value = flow(value, quoted);
    let written = entry.value.span.clone();
    if !written.is_empty() {
        return Some(Edit {
            span: written,
            text: value,
        });
    }
    let colon = entry.key_span.end + text.get(entry.key_span.end..)?.find(':')? + 1;
    Some(Edit {
        span: colon..colon,
        text: format!(" {value}"),
    })
}

/// Characters between the line's start and a place in it.
fn column(text: &str, at: usize) -> usize {
    let line = text.get(..at).and_then(|before| before.rsplit('\n').next());
    line.map_or(0, |line| line.chars().count())
}

fn block(map: &Map<String, Value>, indent: usize, lines: &mut Vec<String>) {
    for (key, value) in map {
        let key = scalar(&Value::String(key.clone()));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                lines.push(format!("{:indent$}{key}:", ""));
                block(inner, indent + 2, lines);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                lines.push(format!("{:indent$}{key}:", ""));
                for item in items {
                    let first = lines.len();
                    match item {
                        Value::Object(inner) if !inner.is_empty() => {
                            block(inner, indent + 4, lines)
                        }
                        other => {
                            lines.push(format!("{:1$}{2}", "", indent + 4, flow(other, false)))
                        }
                    }
                    if let Some(line) = lines.get_mut(first) {
                        line.replace_range(indent + 2..indent + 4, "- ");
                    }
                }
            }
            other => lines.push(format!("{:indent$}{key}: {}", "", flow(other, false))),
        }
    }
}

fn pairs(map: &Map<String, Value>, quoted: bool) -> impl Iterator<Item = String> {
    map.iter().map(move |(key, value)| {
        let key = Value::String(key.clone());
        let key = if quoted {
            key.to_string()
        } else {
            scalar(&key)
        };
        format!("{key}: {}", flow(value, quoted))
    })
}

fn flow(value: &Value, quoted: bool) -> String {
    match value {
        Value::Object(map) => format!("{{{}}}", pairs(map, quoted).collect::<Vec<_>>().join(", ")),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, quoted)).collect();
            format!("[{}]", items.join(", "))
        }
        other if quoted => other.to_string(),
        other => scalar(other),
    }
}

/// Without quotes where nobody can take it for anything but a string.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if plain(text) => text.clone(),
        other => other.to_string(),
    }
}

fn plain(text: &str) -> bool {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    let read = crate::scalar::resolve(text, true, None);
    word && read.is_ok_and(|scalar| matches!(scalar.data, Data::String(_)))
}
