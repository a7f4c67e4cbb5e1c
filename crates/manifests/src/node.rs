//! The tree of a document, with positions.

use std::borrow::Cow;
use std::ops::Range;

use bulkhead_model::{FieldPath, Json, Segment};
use serde_json::{Map, Number, Value};

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Bytes of the file, from the first to behind the last of the value. Of a block collection,
    /// up to the end of its last element.
    pub span: Range<usize>,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `null`, or nothing at all.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Node>, Style),
    /// A map, whose keys are distinct.
    Map(Vec<Entry>, Style),
}

/// How a collection is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// By indentation.
    Block,
    /// In braces or brackets.
    Flow,
    /// By an alias or a merge key: it stands somewhere else, for others as well.
    Shared,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node,
    /// Whether it came in by a merge key.
    pub merged: bool,
}

/// Where a field stands, or would stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What to mark.
    pub span: Range<usize>,
}

impl Node {
    /// The value without its positions.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(value) => Value::Number(value.clone()),
            Data::String(value) => Value::String(value.clone()),
            Data::List(items, _) => items.iter().map(Self::to_value).collect(),
            Data::Map(entries, _) => {
                let pairs = entries.iter().map(|e| (e.key.clone(), e.value.to_value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// The same, as the rules look at it, without copying its strings.
    #[must_use]
    pub fn to_json(&self) -> Json<'_> {
        match &self.data {
            Data::Null => Json::Null,
            Data::Bool(value) => Json::Bool(*value),
            Data::Number(value) => Json::Number(value.clone()),
            Data::String(value) => Json::String(Cow::Borrowed(value)),
            Data::List(items, _) => Json::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(entries, _) => {
                let fields = entries
                    .iter()
                    .map(|e| (Cow::Borrowed(e.key.as_str()), e.value.to_json()));
                Json::Object(fields.collect())
            }
        }
    }

    /// An entry of a map.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.data {
            Data::Map(entries, _) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(value) => Some(value),
            _ => None,
        }
    }

    /// A list's elements; none of what is no list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items, _) => items,
            _ => &[],
        }
    }

    /// A map's entries; none of what is no map.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Map(entries, _) => entries,
            _ => &[],
        }
    }

    /// Whether it is a map or a list with something in it.
    #[must_use]
    pub fn is_collection(&self) -> bool {
        !self.items().is_empty() || !self.entries().is_empty()
    }

    /// Where a field stands, or the nearest thing around it that does.
    #[must_use]
    pub fn locate(&self, path: &FieldPath) -> Place {
        let mut span = self.start();
        let mut at = self;
        for segment in path.segments() {
            match segment {
                Segment::Key(key) => {
                    let Some(entry) = at.entry(key) else { break };
                    (span, at) = (entry.mark(), &entry.value);
                }
                Segment::Index(index) => {
                    let Some(item) = at.items().get(*index) else {
                        break;
                    };
                    (span, at) = (item.start(), item);
                }
            }
        }
        Place { span }
    }

    /// What to mark of a value that has no key of its own: its first key, or all of it.
    fn start(&self) -> Range<usize> {
        match self.entries().first() {
            Some(entry) => entry.mark(),
            None => self.span.clone(),
        }
    }
}

impl Entry {
    /// What to mark: the key with its value, or the key alone where the value has lines of its own.
    fn mark(&self) -> Range<usize> {
        let value = &self.value;
        let behind = value.span.start >= self.key_span.end;
        if self.merged || value.is_collection() || !behind || value.span.is_empty() {
            return self.key_span.clone();
        }
        self.key_span.start..value.span.end
    }
}
