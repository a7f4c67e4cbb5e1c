//! Kubernetes protobuf bodies to JSON, by a table generated from the Go types. Pure.
//!
//! kubectl and client-go send typed objects in protobuf. What is judged and forwarded is JSON, so
//! a body becomes here the JSON that the API server's own serializer would write of what it read:
//! zero values left out or written as Go's `omitempty` says, `null` where Go has a nil list.
//!
//! The decoder is stricter than the API server, which skips what it does not know and lets the
//! last of two values win. Whatever could be read in two ways, or would be lost, is refused:
//! unknown kinds and fields, a singular field or map key twice, values that do not fit their type,
//! padded varints, text that is not UTF-8, embedded JSON with a duplicate key. One thing
//! goes the server's way: it keeps no fraction of a second in a `Time`, nor does this. A quantity
//! stays as it was sent: `1e4` is not respelt to `10e3`, as Go does; its clients have done so.
//!
//! `table.json` and `tests/fixtures.jsonl` are generated. After a change of the Kubernetes version
//! in `generate/go.mod`, or of the generator, run in that folder:
//!
//! ```text
//! go run . > ../src/table.json
//! go run . fixtures > ../tests/fixtures.jsonl
//! ```
//!
//! The fixtures hold every kind; many more random objects, or damaged ones, are compared by
//!
//! ```text
//! go run . fuzz 1 100 | cargo run -p bulkhead-protobuf --example compare
//! go run . mutants 1 1000 | cargo run -p bulkhead-protobuf --example compare
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod error;
mod object;
mod scalar;
mod table;
mod wire;

pub use error::{ObjectKind, Problem, ProtobufError};

use serde_json::{Map, Value};

use crate::error::At;
use crate::object::Decoder;
use crate::table::TABLE;
use crate::wire::{Payload, slots};

/// What every Kubernetes protobuf body starts with.
const MAGIC: &[u8] = b"k8s\0";

/// Decodes a Kubernetes protobuf body to the JSON that the API server would have understood.
///
/// # Errors
/// If the body is not a whole object of a known kind that can be read in one way only. The error
/// names the kind, the field, and what was expected there.
pub fn to_json(body: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = body
        .strip_prefix(MAGIC)
        .ok_or(Problem::Magic.at_envelope())?;
    let (object, raw) = open(envelope).map_err(|at| at.into_error(None))?;
    let decode = || {
        let kind = TABLE
            .kind(&object.api_version, &object.kind)
            .ok_or(Problem::UnknownKind)?;
        let mut out = Map::new();
        Decoder::new(&TABLE).message(raw, kind, &mut out)?;
        Ok(out)
    };
    let mut out = decode().map_err(|at: At| at.into_error(Some(object.clone())))?;
    out.insert("apiVersion".to_owned(), object.api_version.into());
    out.insert("kind".to_owned(), object.kind.into());
    Ok(Value::Object(out))
}

/// Takes the envelope apart: `runtime.Unknown { typeMeta, raw, contentEncoding, contentType }`.
fn open(envelope: &[u8]) -> Result<(ObjectKind, &[u8]), At> {
    let [type_meta, raw, encoding, content_type] = slots(envelope)?;
    for (slot, name) in [(encoding, "contentEncoding"), (content_type, "contentType")] {
        let text = slot
            .unwrap_or(Payload::EMPTY)
            .text()
            .map_err(|at| at.under(name))?;
        if !text.is_empty() {
            return Err(At::from(Problem::NotPlain(text.to_owned())).under(name));
        }
    }
    let type_meta = type_meta.ok_or(At::from(Problem::Missing).under("typeMeta"))?;
    let raw = raw.ok_or(At::from(Problem::Missing).under("raw"))?;
    let object = object_kind(type_meta).map_err(|at| at.under("typeMeta"))?;
    Ok((object, raw.bytes().map_err(|at| at.under("raw"))?))
}

fn object_kind(type_meta: Payload<'_>) -> Result<ObjectKind, At> {
    let [api_version, kind] = slots(type_meta.bytes()?)?;
    let text = |slot: Option<Payload<'_>>, name| {
        let text = slot
            .unwrap_or(Payload::EMPTY)
            .text()
            .map_err(|at| at.under(name))?;
        if text.is_empty() {
            return Err(At::from(Problem::Missing).under(name));
        }
        Ok(text.to_owned())
    };
    Ok(ObjectKind {
        api_version: text(api_version, "apiVersion")?,
        kind: text(kind, "kind")?,
    })
}
