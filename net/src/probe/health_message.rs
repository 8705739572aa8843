//! The two messages of `grpc.health.v1`, as the few bytes that they are.
//!
//! Both have one field of number 1: `HealthCheckRequest.service` is a string, `HealthCheckResponse.status` an enum.
//! On the wire each stands behind gRPC's prefix: a byte that says whether it is compressed, and its length.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a reply with its prefix. The message takes two; there is room for fields that later versions add.
pub(super) const REPLY_BYTES_MAX: usize = 1_024;

const PREFIX_BYTES: usize = 5;
/// Bits of a byte that count in a varint; the eighth says that more bytes follow.
const VARINT_BITS: u32 = 7;
/// A varint of 64 bits takes no more.
const VARINT_BYTES_MAX: usize = 10;
const FIELD: u64 = 1;
/// The kinds of fields in protobuf.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// Says what a server has to say of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
}

/// The request about this service, ready to be sent.
pub(super) fn request(service: &str) -> Bytes {
    let mut message = BytesMut::with_capacity(service.len() + 1 + VARINT_BYTES_MAX);
    // What is empty is not written.
    if !service.is_empty() {
        put_varint(&mut message, FIELD << 3 | LENGTH_DELIMITED);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    // Names are far shorter than 4 GiB; one that was not would be an error to the server, and no more.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

/// The status in a framed reply; none if it is not exactly one whole, uncompressed message.
pub(super) fn status(framed: &[u8]) -> Option<Health> {
    let (prefix, mut rest) = framed.split_at_checked(PREFIX_BYTES)?;
    let (compressed, length) = prefix.split_first()?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    if *compressed != 0 || length != rest.len() {
        return None;
    }
    // An enum that is not written is its 0; of one that is written twice, the last counts.
    let mut status = 0;
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (0, _) => return None,
            (FIELD, VARINT) => status = take_varint(&mut rest)?,
            (_, VARINT) => drop(take_varint(&mut rest)?),
            (_, FIXED_64) => skip(&mut rest, 8)?,
            (_, FIXED_32) => skip(&mut rest, 4)?,
            (_, LENGTH_DELIMITED) => {
                let length = take_varint(&mut rest)?;
                skip(&mut rest, usize::try_from(length).ok()?)?;
            }
            _ => return None,
        }
    }
    Some(Health::of(status))
}

fn put_varint(message: &mut BytesMut, mut value: u64) {
    while value >= 1 << VARINT_BITS {
        message.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= VARINT_BITS;
    }
    message.put_u8(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..VARINT_BYTES_MAX {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        // Bits beyond the 64th are lost, as in every reader of protobuf.
        value |= u64::from(byte & 0x7f) << (VARINT_BITS * place as u32);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn skip(rest: &mut &[u8], length: usize) -> Option<()> {
    *rest = rest.get(length..)?;
    Some(())
}

// === impl Health ===

impl Health {
    fn of(status: u64) -> Self {
        match status {
            1 => Self::Serving,
            2 => Self::NotServing,
            3 => Self::ServiceUnknown,
            _ => Self::Unknown,
        }
    }
}

/// As gRPC writes it.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_the_known_bytes() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("orders")[..], b"\0\0\0\0\x08\x0a\x06orders");
        let long = request(&"a".repeat(200));
        assert_eq!(&long[..9], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01, b'a']);
        assert_eq!(long.len(), PREFIX_BYTES + 203);
    }

    #[test]
    fn replies_are_read_and_bad_ones_are_none() {
        let table: &[(&[u8], Option<Health>)] = &[
            (&[0, 0, 0, 0, 2, 0x08, 1], Some(Health::Serving)),
            (&[0, 0, 0, 0, 2, 0x08, 2], Some(Health::NotServing)),
            (&[0, 0, 0, 0, 2, 0x08, 3], Some(Health::ServiceUnknown)),
            (&[0, 0, 0, 0, 0], Some(Health::Unknown)),
            (&[0, 0, 0, 0, 2, 0x08, 0], Some(Health::Unknown)),
            (&[0, 0, 0, 0, 2, 0x08, 9], Some(Health::Unknown)),
            // The same number in more bytes than it needs.
            (&[0, 0, 0, 0, 3, 0x08, 0x81, 0], Some(Health::Serving)),
            // A negative enum takes ten bytes.
            (&[0, 0, 0, 0, 11, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], Some(Health::Unknown)),
            // Written twice; with fields of each kind that nobody knows.
            (&[0, 0, 0, 0, 4, 0x08, 2, 0x08, 1], Some(Health::Serving)),
            (&[0, 0, 0, 0, 6, 0x12, 2, 7, 7, 0x08, 1], Some(Health::Serving)),
            (&[0, 0, 0, 0, 4, 0x10, 9, 0x08, 1], Some(Health::Serving)),
            (&[0, 0, 0, 0, 11, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x08, 1], Some(Health::Serving)),
            (&[0, 0, 0, 0, 7, 0x15, 1, 2, 3, 4, 0x08, 1], Some(Health::Serving)),
            // Nothing; half a prefix; cut off; two messages; compressed; cut in a field; field 0; groups.
            (&[], None),
            (&[0, 0, 0], None),
            (&[0, 0, 0, 0, 2, 0x08], None),
            (&[0, 0, 0, 0, 2, 0x08, 1, 0, 0, 0, 0, 0], None),
            (&[1, 0, 0, 0, 2, 0x08, 1], None),
            (&[0, 0, 0, 0, 1, 0x08], None),
            (&[0, 0, 0, 0, 2, 0x12, 9], None),
            (&[0, 0, 0, 0, 2, 0x00, 1], None),
            (&[0, 0, 0, 0, 1, 0x0b], None),
            (&[0, 255, 255, 255, 255, 0x08, 1], None),
        ];
        for (bytes, expected) in table {
            assert_eq!(status(bytes), *expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = status(&bytes);
            let mut framed = vec![0, 0, 0, 0, bytes.len() as u8];
            framed.extend(bytes);
            let _ = status(&framed);
        }

        #[test]
        fn numbers_come_back(value: u64) {
            let mut message = BytesMut::new();
            put_varint(&mut message, value);
            let mut rest = &message[..];
            prop_assert_eq!(take_varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
