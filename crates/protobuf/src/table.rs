//! The generated table: which kinds there are, and what their fields are called and hold.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The table of the Kubernetes version that this was built for.
#[expect(
    clippy::expect_used,
    reason = "the table is part of the program, and a test reads it"
)]
pub(crate) static TABLE: LazyLock<Table<'static>> =
    LazyLock::new(|| Table::parse(include_str!("table.json")).expect("the table to be readable"));

pub(crate) struct Table<'a> {
    kinds: BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
    types: BTreeMap<&'a str, Vec<Field<'a>>>,
}

/// A field of a message, with all that is to know of it.
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) name: &'a str,
    pub(crate) shape: Shape,
    pub(crate) kind: Kind<'a>,
    pub(crate) absence: Absence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    List,
    /// From text to the kind.
    Map,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    String,
    Bytes,
    Bool,
    Int32,
    Int64,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON in bytes: `RawExtension` and `FieldsV1`.
    Json,
    /// A message that is nothing but a list of text, and is that list in JSON.
    StringList,
    /// Another type of the table.
    Message(&'a str),
}

/// What becomes of a field that is not on the wire, or zero there.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Absence {
    /// Its zero value is written.
    Always,
    /// Absent is written as null.
    Nullable,
    /// Absent and zero are left out.
    Omitempty,
    /// Absent is left out, zero is written.
    Optional,
    /// It has no name: its fields are written into the message that holds it.
    Inline,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    kinds: BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
    types: BTreeMap<&'a str, Vec<(u32, &'a str, &'a str, Absence)>>,
}

impl<'a> Table<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        let File { kinds, types } = serde_json::from_str(text)?;
        let row = |(number, name, kind, absence)| {
            let (shape, kind) = shape(kind);
            Field {
                number,
                name,
                shape,
                kind,
                absence,
            }
        };
        let types = types
            .into_iter()
            .map(|(name, rows)| {
                let mut fields: Vec<_> = rows.into_iter().map(row).collect();
                fields.sort_by_key(|field| field.number);
                (name, fields)
            })
            .collect();
        Ok(Self { kinds, types })
    }

    /// The fields of a kind, by number.
    pub(crate) fn kind(&self, api_version: &str, kind: &str) -> Option<&[Field<'a>]> {
        self.message(self.kinds.get(api_version)?.get(kind)?)
    }

    /// The fields of a type, by number.
    pub(crate) fn message(&self, name: &str) -> Option<&[Field<'a>]> {
        self.types.get(name).map(Vec::as_slice)
    }
}

fn shape(text: &str) -> (Shape, Kind<'_>) {
    if let Some(element) = text.strip_prefix("[]") {
        return (Shape::List, kind(element));
    }
    if let Some(value) = text.strip_prefix("map ") {
        return (Shape::Map, kind(value));
    }
    (Shape::One, kind(text))
}

fn kind(text: &str) -> Kind<'_> {
    match text {
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "bool" => Kind::Bool,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "time" => Kind::Time,
        "microTime" => Kind::MicroTime,
        "quantity" => Kind::Quantity,
        "intOrString" => Kind::IntOrString,
        "json" => Kind::Json,
        "stringList" => Kind::StringList,
        message => Kind::Message(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_field_names_is_there_and_every_type_is_used() {
        let mut used: Vec<&str> = TABLE
            .kinds
            .values()
            .flat_map(BTreeMap::values)
            .copied()
            .collect();
        for (name, fields) in &TABLE.types {
            for field in fields {
                if let Kind::Message(message) = field.kind {
                    assert!(
                        TABLE.message(message).is_some(),
                        "{name}.{}: {message}",
                        field.name
                    );
                    used.push(message);
                }
            }
        }
        for name in TABLE.types.keys() {
            assert!(used.contains(name), "{name}");
        }
    }

    #[test]
    fn inlined_fields_are_single_messages_and_the_others_have_names() {
        for (name, fields) in &TABLE.types {
            for field in fields {
                let message = matches!(field.kind, Kind::Message(_)) && field.shape == Shape::One;
                let inline = field.absence == Absence::Inline;
                assert!(
                    if inline {
                        message
                    } else {
                        !field.name.is_empty()
                    },
                    "{name}"
                );
                // Without a value on the wire there is none to write.
                let list = field.shape != Shape::One;
                assert!(
                    !(list && field.absence == Absence::Always),
                    "{name}.{}",
                    field.name
                );
            }
        }
    }

    #[test]
    fn no_kind_has_fields_that_the_envelope_sets() {
        for (version, kinds) in &TABLE.kinds {
            for (kind, name) in kinds {
                for field in TABLE.message(name).unwrap() {
                    assert!(
                        !["kind", "apiVersion"].contains(&field.name),
                        "{version} {kind}"
                    );
                    assert!(field.absence != Absence::Inline, "{version} {kind}");
                }
            }
        }
    }
}
