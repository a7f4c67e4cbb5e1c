//! The wire format: tags, varints and lengths, read in one way only.

use crate::error::{At, Problem};

const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;

/// What a field holds on the wire. Kubernetes uses two of the six wire types.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    pub(crate) const EMPTY: Self = Self::Bytes(&[]);

    pub(crate) fn varint(self) -> Result<u64, At> {
        match self {
            Self::Varint(value) => Ok(value),
            Self::Bytes(_) => Err(Problem::WireType {
                expected: "a varint",
                found: 2,
            }
            .into()),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], At> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) => Err(Problem::WireType {
                expected: "a length and bytes",
                found: 0,
            }
            .into()),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, At> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Problem::Utf8.into())
    }

    /// A signed integer, which is sent as the 64 bits of its two's complement.
    pub(crate) fn int64(self) -> Result<i64, At> {
        Ok(self.varint()?.cast_signed())
    }

    /// An integer that must fit 32 bits: the API server would cut the others off.
    pub(crate) fn int32(self) -> Result<i32, At> {
        let found = self.int64()?;
        i32::try_from(found).map_err(|_| {
            Problem::Number {
                expected: "an integer of 32 bits",
                found,
            }
            .into()
        })
    }
}

/// The fields of one message, in the order of the wire.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Result<u64, Problem> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte().ok_or(Problem::Varint)?;
            let bits = u64::from(byte & 0x7f);
            let padded = byte == 0 && shift > 0;
            // Only one bit is left for the tenth byte.
            if padded || (shift == 63 && bits > 1) {
                return Err(Problem::Varint);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Problem::Varint)
    }

    fn field(&mut self) -> Result<(u32, Payload<'a>), Problem> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if !(1..=MAX_FIELD_NUMBER).contains(&number) {
            return Err(Problem::FieldNumber(number));
        }
        let number = u32::try_from(number).map_err(|_| Problem::FieldNumber(number))?;
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            2 => {
                let length = self.varint()?;
                let (bytes, rest) = usize::try_from(length)
                    .ok()
                    .and_then(|length| self.rest.split_at_checked(length))
                    .ok_or(Problem::Truncated {
                        expected: length,
                        found: self.rest.len(),
                    })?;
                self.rest = rest;
                Payload::Bytes(bytes)
            }
            found => {
                let expected = "a varint or a length and bytes";
                return Err(Problem::WireType { expected, found });
            }
        };
        Ok((number, payload))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Payload<'a>), Problem>;

    /// After an error comes nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Reads a message that has just the singular fields 1 to `N`.
pub(crate) fn slots<const N: usize>(message: &[u8]) -> Result<[Option<Payload<'_>>; N], At> {
    let mut slots = [None; N];
    for field in Fields::new(message) {
        let (number, payload) = field?;
        let slot = usize::try_from(number)
            .ok()
            .and_then(|n| slots.get_mut(n.checked_sub(1)?));
        let slot = slot.ok_or(Problem::UnknownField(number))?;
        if slot.replace(payload).is_some() {
            return Err(At::from(Problem::Duplicate).under(&number.to_string()));
        }
    }
    Ok(slots)
}
