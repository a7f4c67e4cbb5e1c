//! From a message's bytes to the fields of a JSON object.

use serde_json::{Map, Value};

use crate::error::{At, Problem};
use crate::scalar;
use crate::table::{Absence, Field, Kind, Shape, Table};
use crate::wire::{Fields, Payload, slots};

/// How deep messages may be nested.
pub(crate) const MAX_DEPTH: usize = 64;

/// How many values an object may have. Two bytes can stand for a whole container full of zero
/// values, so the body's size does not bound what decoding it takes.
pub(crate) const MAX_VALUES: usize = 250_000;

pub(crate) struct Decoder<'t> {
    table: &'t Table<'t>,
    depth_left: usize,
    values_left: usize,
}

impl<'t> Decoder<'t> {
    pub(crate) fn new(table: &'t Table<'t>) -> Self {
        Self {
            table,
            depth_left: MAX_DEPTH,
            values_left: MAX_VALUES,
        }
    }

    /// Writes a message's fields into an object.
    pub(crate) fn message(
        &mut self,
        bytes: &[u8],
        fields: &'t [Field<'t>],
        out: &mut Map<String, Value>,
    ) -> Result<(), At> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Problem::Depth)?;
        let sent = self.sent(bytes)?;
        let mut rest = sent.as_slice();
        for field in fields {
            let before = rest.partition_point(|(number, _)| *number < field.number);
            let upto = rest.partition_point(|(number, _)| *number <= field.number);
            let known = rest.get(..upto).unwrap_or_default();
            if before > 0 {
                break;
            }
            rest = rest.get(upto..).unwrap_or_default();
            self.field(field, known, out)
                .map_err(|at| match field.absence {
                    Absence::Inline => at,
                    _ => at.under(field.name),
                })?;
        }
        if let Some((number, _)) = rest.first() {
            return Err(Problem::UnknownField(*number).into());
        }
        self.depth_left += 1;
        Ok(())
    }

    /// All fields of a message by number, those of one number in the order of the wire.
    fn sent<'b>(&self, bytes: &'b [u8]) -> Result<Vec<(u32, Payload<'b>)>, At> {
        let mut sent = Vec::new();
        for field in Fields::new(bytes) {
            if sent.len() == self.values_left {
                return Err(Problem::TooLarge.into());
            }
            sent.push(field?);
        }
        sent.sort_by_key(|(number, _)| *number);
        Ok(sent)
    }

    fn field(
        &mut self,
        field: &'t Field<'t>,
        sent: &[(u32, Payload<'_>)],
        out: &mut Map<String, Value>,
    ) -> Result<(), At> {
        if let (Absence::Inline, Kind::Message(name)) = (field.absence, field.kind) {
            let payload = single(sent)?.unwrap_or(Payload::EMPTY);
            let fields = self.table.message(name).ok_or(Problem::UnknownKind)?;
            return self.message(payload.bytes()?, fields, out);
        }
        let value = match field.shape {
            _ if sent.is_empty() => None,
            Shape::One => single(sent)?
                .map(|payload| self.value(field.kind, payload))
                .transpose()?,
            Shape::List => Some(self.list(field.kind, sent)?),
            Shape::Map => Some(self.map(field.kind, sent)?),
        };
        let value = match (field.absence, value) {
            (Absence::Omitempty, Some(value)) if is_zero(&value) => return Ok(()),
            (_, Some(value)) => value,
            (Absence::Omitempty | Absence::Optional, None) => return Ok(()),
            (Absence::Nullable, None) => Value::Null,
            (Absence::Always | Absence::Inline, None) => self.zero(field.kind)?,
        };
        out.insert(field.name.to_owned(), value);
        Ok(())
    }

    fn list(&mut self, kind: Kind<'t>, sent: &[(u32, Payload<'_>)]) -> Result<Value, At> {
        let elements = sent
            .iter()
            .enumerate()
            .map(|(index, (_, payload))| self.value(kind, *payload).map_err(|at| at.index(index)));
        Ok(Value::Array(elements.collect::<Result<_, _>>()?))
    }

    fn map(&mut self, kind: Kind<'t>, sent: &[(u32, Payload<'_>)]) -> Result<Value, At> {
        let mut out = Map::new();
        for (index, (_, entry)) in sent.iter().enumerate() {
            let entry = || {
                let [key, value] = slots(entry.bytes()?)?;
                Ok((key.unwrap_or(Payload::EMPTY).text()?, value))
            };
            let (key, value) = entry().map_err(|at: At| at.index(index))?;
            let value = match value {
                Some(payload) => self.value(kind, payload),
                None => self.zero(kind),
            };
            if out
                .insert(key.to_owned(), value.map_err(|at| at.key(key))?)
                .is_some()
            {
                return Err(At::from(Problem::Duplicate).key(key));
            }
        }
        Ok(Value::Object(out))
    }

    /// The value of a field that is not on the wire: what nothing at all decodes to.
    fn zero(&mut self, kind: Kind<'t>) -> Result<Value, At> {
        let nothing = match kind {
            Kind::Bool | Kind::Int32 | Kind::Int64 => Payload::Varint(0),
            _ => Payload::EMPTY,
        };
        self.value(kind, nothing)
    }

    fn value(&mut self, kind: Kind<'t>, payload: Payload<'_>) -> Result<Value, At> {
        self.charge(1)?;
        match kind {
            Kind::String => Ok(payload.text()?.into()),
            Kind::Bytes => Ok(scalar::base64(payload.bytes()?).into()),
            Kind::Bool => scalar::bool(payload).map(Value::Bool),
            Kind::Int32 => Ok(payload.int32()?.into()),
            Kind::Int64 => Ok(payload.int64()?.into()),
            Kind::Time => scalar::time(payload.bytes()?),
            Kind::MicroTime => scalar::micro_time(payload.bytes()?),
            Kind::Quantity => scalar::quantity(payload.bytes()?),
            Kind::IntOrString => scalar::int_or_string(payload.bytes()?),
            Kind::Json => {
                let [raw] = slots(payload.bytes()?)?;
                let Some(raw) = raw else {
                    return Ok(Value::Null);
                };
                let raw = raw.bytes()?;
                self.charge(raw.len() / 8)?;
                Ok(bulkhead_model::json::parse(raw)?.into())
            }
            Kind::StringList => self.string_list(payload.bytes()?),
            Kind::Message(name) => {
                let fields = self.table.message(name).ok_or(Problem::UnknownKind)?;
                let mut out = Map::new();
                self.message(payload.bytes()?, fields, &mut out)?;
                Ok(Value::Object(out))
            }
        }
    }

    fn string_list(&mut self, bytes: &[u8]) -> Result<Value, At> {
        let sent = self.sent(bytes)?;
        if let Some((number, _)) = sent.iter().find(|(number, _)| *number != 1) {
            return Err(Problem::UnknownField(*number).into());
        }
        self.list(Kind::String, &sent)
    }

    fn charge(&mut self, values: usize) -> Result<(), At> {
        self.values_left = self
            .values_left
            .checked_sub(values)
            .ok_or(Problem::TooLarge)?;
        Ok(())
    }
}

/// The value of a field that may be there once. Protobuf merges two, or takes the last.
fn single<'b>(sent: &[(u32, Payload<'b>)]) -> Result<Option<Payload<'b>>, At> {
    match sent {
        [] => Ok(None),
        [(_, payload)] => Ok(Some(*payload)),
        _ => Err(Problem::Duplicate.into()),
    }
}

/// What `omitempty` leaves out. An empty list or map is not on the wire at all.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_nested_so_deep_and_no_deeper() {
        let table =
            r#"{"kinds":{},"types":{"n":[[1,"in","n","optional"],[2,"list","[]n","omitempty"]]}}"#;
        let table = Table::parse(table).unwrap();
        let decode = |levels: usize| {
            // A sibling gives back the level that it took.
            let outer = |inner: Vec<u8>, _| {
                let [low, high] =
                    [inner.len() & 0x7f, inner.len() >> 7].map(|b| b.to_le_bytes()[0]);
                let length: &[u8] = if high == 0 {
                    &[low]
                } else {
                    &[low | 0x80, high]
                };
                [&[0x12, 0, 0x0a], length, &inner].concat()
            };
            let body = (1..levels).fold(Vec::new(), outer);
            Decoder::new(&table).message(&body, table.message("n").unwrap(), &mut Map::new())
        };
        assert!(decode(MAX_DEPTH).is_ok());
        let error = decode(MAX_DEPTH + 1).unwrap_err().into_error(None);
        assert!(matches!(error.problem, Problem::Depth), "{error}");
        assert!(error.path.ends_with("in.in"), "{error}");
    }
}
