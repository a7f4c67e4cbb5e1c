//! JSON that borrows from the text that it was read from. An admission request is read, looked at
//! and forgotten, thousands of times a second: a tree that copies each string spends most of its
//! time in the allocator.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Number, Value};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, borrowed where it was written without escapes.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Self>),
    /// An object.
    Object(Object<'a>),
}

/// The fields of an object. No two have one name.
// INVARIANT: more than `FEW` fields are sorted by name, fewer stand in the order of the text.
#[derive(Debug, Clone, Default)]
pub struct Object<'a> {
    /// The bits of all names that are or were here. Most questions are about fields that nobody
    /// has set, and are answered by it without a look at the fields, which are far away.
    names: u64,
    fields: Vec<Field<'a>>,
}

#[derive(Debug, Clone)]
struct Field<'a> {
    /// Tells most names apart without a look at the text, which is far away.
    mark: u32,
    key: Cow<'a, str>,
    value: Json<'a>,
}

impl<'a> Field<'a> {
    fn new(key: Cow<'a, str>, value: Json<'a>) -> Self {
        Self {
            mark: mark(&key),
            key,
            value,
        }
    }
}

/// A number that is the same for the same name, and seldom for others.
#[inline]
pub(super) fn mark(name: &str) -> u32 {
    let byte = |byte: Option<&u8>| byte.map_or(0, |byte| u32::from(*byte));
    let bytes = name.as_bytes();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    byte(bytes.first()) ^ byte(bytes.last()).rotate_left(2) ^ length.rotate_left(3)
}

#[inline]
fn bit(mark: u32) -> u64 {
    1 << (mark % u64::BITS)
}

/// Up to so many fields a look at each is faster than a search. It also bounds what an object
/// with very many fields can cost.
const FEW: usize = 32;

impl<'a> Json<'a> {
    /// A field of an object; none of anything else.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// What stands at a JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer
            .strip_prefix('/')?
            .split('/')
            .try_fold(self, |value, step| {
                let key = step.replace("~1", "/").replace("~0", "~");
                match value {
                    Self::Array(list) => list.get(key.parse::<usize>().ok()?),
                    _ => value.get(&key),
                }
            })
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is one without fraction that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The number, if it is one without sign and fraction that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// The number, if it is one; with the digits that a 64-bit float has.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// Whether it is a number.
    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Number(_))
    }

    /// Whether it is a string.
    #[must_use]
    pub fn is_string(&self) -> bool {
        matches!(self, Self::String(_))
    }

    /// Whether it is a list.
    #[must_use]
    pub fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(list) => Some(list),
            _ => None,
        }
    }

    /// An element of a list, to be changed.
    pub fn element_mut(&mut self, index: usize) -> Option<&mut Self> {
        match self {
            Self::Array(list) => list.get_mut(index),
            _ => None,
        }
    }

    /// The fields, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The fields, to be changed, if it is an object.
    pub fn as_object_mut(&mut self) -> Option<&mut Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The same value, which borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(number) => Json::Number(number),
            Self::String(text) => Json::String(Cow::Owned(text.into_owned())),
            Self::Array(list) => Json::Array(list.into_iter().map(Json::into_owned).collect()),
            Self::Object(object) => Json::Object(Object {
                names: object.names,
                fields: object
                    .fields
                    .into_iter()
                    .map(|Field { mark, key, value }| Field {
                        mark,
                        key: Cow::Owned(key.into_owned()),
                        value: value.into_owned(),
                    })
                    .collect(),
            }),
        }
    }
}

impl<'a> Object<'a> {
    /// Of fields that are in order, each name once.
    fn of(fields: Vec<Field<'a>>) -> Self {
        let names = fields
            .iter()
            .fold(0, |names, field| names | bit(field.mark));
        Self { names, fields }
    }

    /// Takes a field in without looking whether there is one of its name. Call [`Self::close`]
    /// after the last.
    #[inline]
    pub(super) fn push(&mut self, mark: u32, key: Cow<'a, str>, value: Json<'a>) {
        self.names |= bit(mark);
        self.fields.push(Field { mark, key, value });
    }

    /// Whether a name is among the fields that were pushed, as long as they are a few.
    #[inline]
    pub(super) fn has_among_few(&self, mark: u32, key: &str) -> bool {
        self.names & bit(mark) != 0 && self.fields.len() <= FEW && self.search(mark, key).is_some()
    }

    /// Brings what was pushed into order.
    ///
    /// # Errors
    /// The name of a field that is there twice, if they are more than a few.
    pub(super) fn close(mut self) -> Result<Self, String> {
        if self.fields.len() <= FEW {
            return Ok(self);
        }
        self.sort();
        let mut pairs = self.fields.iter().zip(self.fields.iter().skip(1));
        let twice = pairs.find(|(a, b)| a.key == b.key);
        match twice.map(|(field, _)| field.key.to_string()) {
            Some(key) => Err(key),
            None => Ok(self),
        }
    }

    fn sort(&mut self) {
        self.fields.sort_by(|a, b| a.key.cmp(&b.key));
    }

    #[inline]
    fn find(&self, key: &str) -> Option<usize> {
        let mark = mark(key);
        if self.names & bit(mark) == 0 {
            return None;
        }
        self.search(mark, key)
    }

    fn search(&self, mark: u32, key: &str) -> Option<usize> {
        if self.fields.len() > FEW {
            self.fields
                .binary_search_by(|field| field.key.as_ref().cmp(key))
                .ok()
        } else {
            self.fields
                .iter()
                .position(|field| field.mark == mark && field.key == key)
        }
    }

    /// A field.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.fields.get(self.find(key)?).map(|field| &field.value)
    }

    /// A field, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json<'a>> {
        let index = self.find(key)?;
        self.fields.get_mut(index).map(|field| &mut field.value)
    }

    /// Whether there is such a field.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.fields
            .iter()
            .map(|field| (field.key.as_ref(), &field.value))
    }

    /// Sets a field, in the place of one of its name.
    pub fn insert(&mut self, key: impl Into<Cow<'a, str>>, value: Json<'a>) {
        let key = key.into();
        if let Some(present) = self.get_mut(&key) {
            *present = value;
            return;
        }
        self.push(mark(&key), key, value);
        if self.fields.len() > FEW {
            self.sort();
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, key: &str) -> Option<Json<'a>> {
        let index = self.find(key)?;
        // What was sorted stays sorted, and a few fields may stand in any order.
        Some(self.fields.remove(index).value)
    }
}

/// Of fields with one name the last counts.
impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(fields: I) -> Self {
        let fields = fields.into_iter();
        let mut fields: Vec<_> = fields.map(|(key, value)| Field::new(key, value)).collect();
        // A stable sort: of one name the last now comes first. A few that are sorted are as good as
        // a few that are not.
        fields.reverse();
        fields.sort_by(|a, b| a.key.cmp(&b.key));
        fields.dedup_by(|later, first| later.key == first.key);
        Self::of(fields)
    }
}

/// Objects are equal whatever the order of their fields.
impl PartialEq for Object<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<'a> From<&'a Value> for Json<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(list) => Self::Array(list.iter().map(Self::from).collect()),
            // The map gives its keys in order, each once.
            Value::Object(map) => Self::Object(Object::of(
                map.iter()
                    .map(|(key, value)| Field::new(Cow::Borrowed(key), Self::from(value)))
                    .collect(),
            )),
        }
    }
}

impl From<Value> for Json<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::String(Cow::Owned(text)),
            Value::Array(list) => Self::Array(list.into_iter().map(Self::from).collect()),
            Value::Object(map) => Self::Object(Object::of(
                map.into_iter()
                    .map(|(key, value)| Field::new(Cow::Owned(key), Self::from(value)))
                    .collect(),
            )),
        }
    }
}

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => Self::Number(number),
            Json::String(text) => Self::String(text.into_owned()),
            Json::Array(list) => Self::Array(list.into_iter().map(Self::from).collect()),
            Json::Object(object) => Self::Object(
                object
                    .fields
                    .into_iter()
                    .map(|field| (field.key.into_owned(), Self::from(field.value)))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

impl From<&Json<'_>> for Value {
    fn from(json: &Json<'_>) -> Self {
        Self::from(json.clone())
    }
}

impl PartialEq<str> for Json<'_> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for Json<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<bool> for Json<'_> {
    fn eq(&self, other: &bool) -> bool {
        self.as_bool() == Some(*other)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Self::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                for (key, value) in object.iter() {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// As JSON text, without spaces.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// Of values that are no text, whose strings cannot be borrowed for long enough.
impl<'de> Deserialize<'de> for Json<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::parse;
    use super::*;

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let text = br#"{"plain": "text", "esc\u0061ped": "a\nb"}"#;
        let json = parse(text).unwrap();
        let fields: Vec<(&Cow<'_, str>, &Json<'_>)> = match &json {
            Json::Object(object) => object.fields.iter().map(|f| (&f.key, &f.value)).collect(),
            _ => panic!(),
        };
        assert!(matches!(fields[0].0, Cow::Borrowed("plain")));
        assert!(matches!(fields[0].1, Json::String(Cow::Borrowed("text"))));
        assert_eq!(fields[1].0, "escaped");
        assert_eq!(fields[1].1.as_str(), Some("a\nb"));
    }

    #[test]
    fn of_fields_with_one_name_the_last_counts() {
        for count in [4, 40] {
            let field = |n: usize| {
                (
                    Cow::from(format!("k{}", n % (count / 2))),
                    Json::from(json!(n)),
                )
            };
            let object: Object<'_> = (0..count).map(field).collect();
            assert_eq!(object.len(), count / 2);
            assert_eq!(object.get("k1"), Some(&Json::from(json!(count / 2 + 1))));
        }
    }

    #[test]
    fn pointers_go_through_lists_and_escapes() {
        let value = json!({"a/b": [{"~": 1}], "": 2});
        let json = Json::from(&value);
        for pointer in ["", "/a~1b/0/~0", "/", "/a~1b/1", "/x", "a"] {
            assert_eq!(
                json.pointer(pointer).map(Value::from).as_ref(),
                value.pointer(pointer),
                "{pointer}"
            );
        }
    }

    /// Values with objects on both sides of `FEW`.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[a-c\"\\\\\u{1}é]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 64, 24, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z~/\"]{0,3}", inner, 0..24)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_holds_what_the_text_says(value in value()) {
            let text = value.to_string();
            let json = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&json, &Json::from(&value));
            prop_assert_eq!(&json.clone().into_owned(), &json);
            prop_assert_eq!(Value::from(&json), value.clone());
            let written = json.to_string();
            prop_assert_eq!(parse(written.as_bytes()).unwrap(), json);
            prop_assert_eq!(Value::from(Json::from(value.clone())), value);
        }

        #[test]
        fn it_changes_as_a_map_does(
            steps in prop::collection::vec(("[a-z]", prop::option::of(any::<u8>())), 0..80),
        ) {
            let mut object = Object::default();
            let mut map = Map::new();
            for (key, value) in steps {
                match value {
                    Some(value) => {
                        object.insert(key.clone(), Json::from(json!(value)));
                        map.insert(key, json!(value));
                    }
                    None => {
                        let taken = object.remove(&key).map(Value::from);
                        prop_assert_eq!(taken, map.remove(&key));
                    }
                }
                prop_assert_eq!(object.len(), map.len());
                for key in "abcdefghijklmnopqrstuvwxyz".chars().map(String::from) {
                    prop_assert_eq!(object.get(&key).map(Value::from), map.get(&key).cloned());
                    prop_assert_eq!(object.contains_key(&key), map.contains_key(&key));
                }
            }
            prop_assert_eq!(Value::from(Json::Object(object)), Value::Object(map));
        }
    }
}
