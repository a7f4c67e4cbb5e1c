//! Schemas of the second version of OpenAPI as protobuf, which some clients ask for and take in no
//! other form (helm, kubectl before 1.27). What does not work here is cut out; all else stays byte
//! by byte.

use bulkhead_scope::{operation_works, schema_is_hidden};

/// `Document`: the field with the paths, and that with the definitions.
const PATHS: u64 = 8;
const DEFINITIONS: u64 = 9;
/// `Paths`, `Definitions`: their entries.
const PATH_ENTRY: u64 = 2;
const SCHEMA_ENTRY: u64 = 1;
/// `NamedPathItem`, `NamedSchema`.
const NAME: u64 = 1;
const ITEM: u64 = 2;
/// `PathItem`: the operations by their fields.
const METHODS: [(u64, &str); 7] = [
    (2, "get"),
    (3, "put"),
    (4, "post"),
    (5, "delete"),
    (6, "options"),
    (7, "head"),
    (8, "patch"),
];

/// A document without what does not work; none if it cannot be read.
pub(crate) fn narrow(document: &[u8]) -> Option<Vec<u8>> {
    rewrite(document, |field, content| {
        Some(match field {
            PATHS => Kept::As(rewrite(content, |field, content| {
                Some(match field {
                    PATH_ENTRY => match path(content)? {
                        Some(entry) => Kept::As(entry),
                        None => Kept::Not,
                    },
                    _ => Kept::AsItIs,
                })
            })?),
            DEFINITIONS => Kept::As(rewrite(content, |field, content| {
                let hidden = field == SCHEMA_ENTRY && schema_is_hidden(&name(content)?);
                Some(if hidden { Kept::Not } else { Kept::AsItIs })
            })?),
            _ => Kept::AsItIs,
        })
    })
}

/// What becomes of a field that holds a message or a text.
enum Kept {
    AsItIs,
    As(Vec<u8>),
    Not,
}

/// A path with the operations that work; none within if none does.
fn path(entry: &[u8]) -> Option<Option<Vec<u8>>> {
    let path = name(entry)?;
    let mut any = false;
    let entry = rewrite(entry, |field, content| {
        if field != ITEM {
            return Some(Kept::AsItIs);
        }
        let item = rewrite(content, |field, _| {
            let method = METHODS.iter().find(|(number, _)| *number == field);
            let works = method.is_none_or(|(_, method)| operation_works(&path, method));
            any |= works && method.is_some();
            Some(if works { Kept::AsItIs } else { Kept::Not })
        })?;
        Some(Kept::As(item))
    })?;
    Some(any.then_some(entry))
}

fn name(entry: &[u8]) -> Option<String> {
    let mut name = None;
    rewrite(entry, |field, content| {
        if field == NAME {
            name = Some(String::from_utf8(content.to_vec()).ok()?);
        }
        Some(Kept::AsItIs)
    })?;
    name
}

/// Copies a message, asking of each field with a length what becomes of it. None if the message
/// cannot be read.
fn rewrite(
    mut message: &[u8],
    mut keep: impl FnMut(u64, &[u8]) -> Option<Kept>,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len());
    while !message.is_empty() {
        let whole = message;
        let tag = varint(&mut message)?;
        let (field, kind) = (tag >> 3, tag & 7);
        let length = match kind {
            0 => {
                varint(&mut message)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (content, rest) = message.split_at_checked(length)?;
        let kept = match kind {
            2 => keep(field, content)?,
            _ => Kept::AsItIs,
        };
        match kept {
            Kept::AsItIs => out.extend_from_slice(whole.get(..whole.len() - rest.len())?),
            Kept::As(content) => {
                put(&mut out, tag);
                put(&mut out, u64::try_from(content.len()).ok()?);
                out.extend_from_slice(&content);
            }
            Kept::Not => {}
        }
        message = rest;
    }
    Some(out)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, number << 3 | 2);
        put(&mut out, content.len() as u64);
        [out, content.to_vec()].concat()
    }

    fn named(path: &str, methods: &[u64]) -> Vec<u8> {
        let item: Vec<u8> = methods
            .iter()
            .flat_map(|method| field(*method, b"\x0a\x01x"))
            .collect();
        [field(NAME, path.as_bytes()), field(ITEM, &item)].concat()
    }

    fn document(paths: &[(&str, &[u64])], schemas: &[&str]) -> Vec<u8> {
        let paths: Vec<u8> = paths
            .iter()
            .flat_map(|(path, methods)| field(PATH_ENTRY, &named(path, methods)))
            .collect();
        let schemas: Vec<u8> = schemas
            .iter()
            .flat_map(|name| field(SCHEMA_ENTRY, &field(NAME, name.as_bytes())))
            .collect();
        [
            field(1, b"2.0"),
            b"\x78\x05".to_vec(),
            field(PATHS, &paths),
            field(DEFINITIONS, &schemas),
        ]
        .concat()
    }

    #[test]
    fn what_does_not_work_is_cut_out() {
        let long = format!(
            "/apis/apps/v1/namespaces/{{namespace}}/{}/{{name}}",
            "x".repeat(60)
        );
        let given = document(
            &[
                ("/api/v1/pods", &[2, 9]),
                ("/api/v1/nodes", &[2, 4]),
                ("/api/v1/persistentvolumes", &[2, 4, 9]),
                (&long, &[2, 3, 5, 8]),
                ("/api/v1/watch/pods", &[2]),
            ],
            &["io.k8s.api.core.v1.Pod", "dev.bulkhead.v1alpha1.Tenant"],
        );
        let left = document(
            &[
                ("/api/v1/pods", &[2, 9]),
                ("/api/v1/nodes", &[2]),
                (&long, &[2, 3, 5, 8]),
            ],
            &["io.k8s.api.core.v1.Pod"],
        );
        assert_eq!(narrow(&given), Some(left.clone()));
        assert_eq!(narrow(&left), Some(left));
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_on() {
        for bad in [
            &b"\x0a\x05x"[..],
            b"\x42\x03\x12\x7fx",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0b",
            b"\x42\x04\x12\x02\x12\x00",
        ] {
            assert_eq!(narrow(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = narrow(&bytes);
        }
    }
}
