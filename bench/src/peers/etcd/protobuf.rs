//! The few messages of etcd's API that are needed here, in protobuf's encoding: fields by their numbers, as etcd's
//! `rpc.proto` and `kv.proto` have them.

use bytes::{Buf, Bytes};
use thiserror::Error;

/// Holds a message as it is written, field by field.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// Reads a message's fields in turn; each is a part of what was read, so that nothing is held twice.
#[derive(Clone, Debug)]
pub(super) struct Fields(Bytes);

/// Holds one field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    /// Text, bytes or a message.
    Bytes(Bytes),
    /// Of a kind that no message here has.
    Other,
}

/// Says why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    #[error("a protobuf message ends inside of a field")]
    Short,
    #[error("a protobuf number has more than 64 bits")]
    Number,
    #[error("a protobuf field is of the unknown kind {0}")]
    Kind(u8),
}

/// Kinds of fields on the wire.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const DELIMITED: u8 = 2;
const FIXED32: u8 = 5;

// === impl Message ===

impl Message {
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn key(&mut self, field: u32, kind: u8) {
        self.varint(u64::from(field) << 3 | u64::from(kind));
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

// === impl Fields ===

impl Fields {
    pub(super) fn of(message: Bytes) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Result<(u64, Value), Malformed> {
        let key = self.varint()?;
        let value = match (key & 7) as u8 {
            VARINT => Value::Number(self.varint()?),
            DELIMITED => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Short)?;
                Value::Bytes(self.take(length)?)
            }
            FIXED64 => self.take(8).map(|_| Value::Other)?,
            FIXED32 => self.take(4).map(|_| Value::Other)?,
            kind => return Err(Malformed::Kind(kind)),
        };
        Ok((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.0.len() {
            return Err(Malformed::Short);
        }
        Ok(self.0.split_to(length))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            if !self.0.has_remaining() {
                return Err(Malformed::Short);
            }
            let byte = self.0.get_u8();
            // Of the tenth byte there is room for one bit.
            if shift == 63 && byte > 1 {
                return Err(Malformed::Number);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Number)
    }
}

impl Iterator for Fields {
    type Item = Result<(u64, Value), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // Behind what cannot be read nothing can.
            self.0.clear();
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u64, Value)>, Malformed> {
        Fields::of(Bytes::copy_from_slice(bytes)).collect()
    }

    #[test]
    fn fields_are_written_as_protobuf_has_them() {
        // Those of protobuf's own documentation.
        assert_eq!(Message::default().number(1, 150).as_bytes(), b"\x08\x96\x01");
        assert_eq!(Message::default().bytes(2, b"testing").as_bytes(), b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).as_bytes(), b"\x1a\x03\x08\x96\x01");
    }

    #[test]
    fn what_was_written_is_read() {
        let message = Message::default()
            .number(1, 0)
            .number(2, u64::MAX)
            .bytes(3, b"")
            .bytes(200, &[7; 300])
            .number(16, 1 << 63);
        let expected = vec![
            (1, Value::Number(0)),
            (2, Value::Number(u64::MAX)),
            (3, Value::Bytes(Bytes::new())),
            (200, Value::Bytes(vec![7; 300].into())),
            (16, Value::Number(1 << 63)),
        ];
        assert_eq!(read(message.as_bytes()).unwrap(), expected);
        // Kinds that we have no use for are stepped over.
        assert_eq!(
            read(b"\x09\0\0\0\0\0\0\0\0\x0d\0\0\0\0\x08\x01").unwrap(),
            [(1, Value::Other), (1, Value::Other), (1, Value::Number(1))]
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (bytes, why) in [
            (&b"\x08"[..], Malformed::Short),
            (b"\x08\x96", Malformed::Short),
            (b"\x12\x07test", Malformed::Short),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Malformed::Short),
            (b"\x09\0\0\0", Malformed::Short),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", Malformed::Number),
            (b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", Malformed::Number),
            (b"\x0b", Malformed::Kind(3)),
        ] {
            assert_eq!(read(bytes), Err(why), "{bytes:?}");
        }
    }
}
