//! The bytes of single records.

use std::net::{Ipv4Addr, Ipv6Addr};

use rollcall_catalogue::ServiceKey;

use crate::{Kind, TTL_SECONDS, meaning::ZONE};

/// Bytes of a record with an address, whose owner is a pointer.
pub(crate) const A_BYTES: usize = 16;
pub(crate) const AAAA_BYTES: usize = 28;

/// Points to the name that was asked for: it stands right behind the header, which takes 12 bytes.
pub(crate) const ASKED: [u8; 2] = [0xc0, 0x0c];
/// A pointer has 14 bits: what stands further back cannot be named by one (RFC 1035).
const POINTED_MAX: u16 = 0x3fff;

/// What a zone says of itself: who keeps it and how to reach him (nobody), a serial number, three times for servers
/// that copy it, of which there are none, and the seconds for which it is known that something is not there.
pub(crate) const SOA: &[u8] =
    b"\x09localhost\0\x06nobody\x09localhost\0\0\0\0\x01\0\0\x0e\x10\0\0\x02\x58\0\x01\x51\x80\0\0\0\x01";
pub(crate) const NS: &[u8] = b"\x09localhost\0";
/// What is said to who asks for everything (RFC 8482).
pub(crate) const HINFO: &[u8] = b"\x07RFC8482\0";

/// A pointer to what stands at this place of a message.
pub(crate) fn pointer(at: usize) -> Option<[u8; 2]> {
    let at = u16::try_from(at).ok().filter(|at| *at <= POINTED_MAX)?;
    Some((0xc000 | at).to_be_bytes())
}

/// What stands between the owner of a record and its data: type, class, time to live, and the length of the data.
pub(crate) fn head(kind: Kind, length: usize) -> [u8; 10] {
    let ([k, ind], [t, i, m, e]) = (kind.0.to_be_bytes(), TTL_SECONDS.to_be_bytes());
    let [len, gth] = u16::try_from(length).unwrap_or_default().to_be_bytes();
    [k, ind, 0, 1, t, i, m, e, len, gth]
}

pub(crate) fn a(owner: [u8; 2], address: Ipv4Addr) -> [u8; A_BYTES] {
    joined(owner, head(Kind::A, 4), &address.octets())
}

pub(crate) fn aaaa(owner: [u8; 2], address: Ipv6Addr) -> [u8; AAAA_BYTES] {
    joined(owner, head(Kind::AAAA, 16), &address.octets())
}

fn joined<const N: usize>(owner: [u8; 2], head: [u8; 10], data: &[u8]) -> [u8; N] {
    let mut bytes = owner.iter().chain(&head).chain(data);
    std::array::from_fn(|_| bytes.next().copied().unwrap_or_default())
}

/// How the names of a service's instances end: what stands behind the label of their address.
pub(crate) fn name_end(key: &ServiceKey) -> Vec<u8> {
    let mut name = Vec::new();
    for label in [key.service.as_str(), key.namespace.as_str(), ZONE] {
        put_label(&mut name, label.as_bytes());
    }
    name.push(0);
    name
}

/// Puts a label behind the name: its length, which is 63 at most, and its text.
pub(crate) fn put_label(name: &mut Vec<u8>, label: &[u8]) {
    name.push(u8::try_from(label.len()).unwrap_or_default());
    name.extend_from_slice(label);
}
