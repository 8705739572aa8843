//! Reading a query: everything that a packet can hold is looked at here, once.

use crate::{
    Carrier, Meaning, UDP_BYTES_MAX, UDP_BYTES_PLAIN,
    reply::{Code, HEADER_BYTES, Reply},
    text::{Text, escaped},
};

/// The class of all that we have.
const INTERNET: u16 = 1;
/// The only version of EDNS.
const EDNS_VERSION: u8 = 0;

/// Says what a packet is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are queries, and none is kept")]
pub enum Read<'a> {
    Query(Query<'a>),
    /// A query that is not answered, whatever its name means.
    Refused(Refusal<'a>),
    /// A reply, or too short for a query: whoever sent it is told nothing, since he might answer.
    Nothing,
}

/// Holds a query with one question, which is well-formed.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    packet: &'a [u8],
    question: &'a [u8],
    text: Text,
    kind: Kind,
    pub(crate) edns: Option<Edns>,
}

/// Holds a query that is not answered, and the code that says why.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// What is repeated.
    asked: &'a [u8],
    edns: Option<Edns>,
    code: Code,
}

/// The type of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u16);

/// Holds what an asker says of himself (RFC 6891).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edns {
    /// Bytes that he takes over UDP.
    bytes: u16,
    version: u8,
    pub(crate) wants_dnssec: bool,
}

/// Reads a packet that came in.
pub fn read(packet: &[u8]) -> Read<'_> {
    let Some((header, body)) = packet.split_first_chunk::<HEADER_BYTES>() else { return Read::Nothing };
    let [_, _, flags, _, counts @ ..] = *header;
    if flags & 0x80 != 0 {
        return Read::Nothing;
    }
    let refused = |length, edns, code| {
        Read::Refused(Refusal { asked: packet.get(..length).unwrap_or_default(), edns, code })
    };
    if flags & 0x78 != 0 {
        return refused(HEADER_BYTES, None, Code::NotDone);
    }
    let malformed = || refused(HEADER_BYTES, None, Code::Malformed);
    let [0, 1, counts @ ..] = counts else { return malformed() };
    let Some((text, rest)) = Text::read(body) else { return malformed() };
    let Some(([k, ind, class @ ..], rest)) = rest.split_first_chunk::<4>() else { return malformed() };
    let (kind, class) = (Kind(u16::from_be_bytes([*k, *ind])), u16::from_be_bytes(*class));
    let length = packet.len() - rest.len();
    if kind == Kind::IXFR {
        // It brings a record along, as no other query does.
        return refused(length, None, Code::Refused);
    }
    let [0, 0, 0, 0, additionals @ ..] = counts else { return malformed() };
    let Some((edns, others)) = additional(rest, u16::from_be_bytes(additionals)) else { return malformed() };
    if edns.is_some_and(|edns| edns.version > EDNS_VERSION) {
        return refused(length, edns, Code::BadVersion);
    }
    // A signature is for who knows the key, and we have none; what else could stand there, nobody asks us.
    if others || class != INTERNET || kind == Kind::AXFR {
        return refused(length, edns, Code::Refused);
    }
    Read::Query(Query { packet, question: packet.get(..length).unwrap_or_default(), text, kind, edns })
}

/// What the records behind the question say of the asker, and whether there are others; none where they cannot be read, or
/// anything stands behind them.
fn additional(mut rest: &[u8], count: u16) -> Option<(Option<Edns>, bool)> {
    let (mut edns, mut others) = (None, false);
    for _ in 0..count {
        let (is_root, behind) = owner(rest)?;
        let (fixed, behind) = behind.split_first_chunk::<10>()?;
        let [k, ind, by, tes, _, version, flags, _, len, gth] = *fixed;
        let (data, behind) = behind.split_at_checked(u16::from_be_bytes([len, gth]).into())?;
        rest = behind;
        if Kind(u16::from_be_bytes([k, ind])) != Kind::OPT {
            others = true;
            continue;
        }
        if edns.is_some() || !is_root || !are_options(data) {
            return None;
        }
        let bytes = u16::from_be_bytes([by, tes]);
        edns = Some(Edns { bytes, version, wants_dnssec: flags & 0x80 != 0 });
    }
    rest.is_empty().then_some((edns, others))
}

/// Whether the name at the beginning of these bytes is the root, and what stands behind it. A pointer ends a name; nobody
/// follows it.
fn owner(mut packet: &[u8]) -> Option<(bool, &[u8])> {
    let mut is_root = true;
    loop {
        let (length, rest) = packet.split_first()?;
        match length {
            0 => return Some((is_root, rest)),
            1..=63 => packet = rest.get(usize::from(*length)..)?,
            192.. => return Some((false, rest.get(1..)?)),
            _ => return None,
        }
        is_root = false;
    }
}

/// Whether these are options, each with its length. What they say is ignored.
fn are_options(mut data: &[u8]) -> bool {
    while !data.is_empty() {
        let Some(([_, _, len, gth], rest)) = data.split_first_chunk::<4>() else { return false };
        let Some(rest) = rest.get(u16::from_be_bytes([*len, *gth]).into()..) else { return false };
        data = rest;
    }
    true
}

// === impl Kind ===

impl Kind {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const SOA: Self = Self(6);
    pub const PTR: Self = Self(12);
    pub const HINFO: Self = Self(13);
    pub const AAAA: Self = Self(28);
    pub const SRV: Self = Self(33);
    pub const OPT: Self = Self(41);
    /// What has changed of a zone.
    pub const IXFR: Self = Self(251);
    /// All of a zone.
    pub const AXFR: Self = Self(252);
    pub const ANY: Self = Self(255);
}

// === impl Query ===

impl<'a> Query<'a> {
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is asked for.
    pub fn meaning(&self) -> Meaning<'_> {
        Meaning::of(self.text())
    }

    /// The name that is asked for, lower case, its labels with dots between, without the last one; other bytes than those of
    /// host names are escaped as `\ddd`.
    pub fn name(&self) -> String {
        escaped(self.question.get(HEADER_BYTES..).unwrap_or_default())
    }

    /// The name as it can be compared.
    pub(crate) fn text(&self) -> &str {
        self.text.as_str()
    }

    /// The packet as it came.
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// Bytes of the header and of the question: what a reply repeats.
    pub fn question(&self) -> &'a [u8] {
        self.question
    }

    /// Bytes that the asker takes over this carrier.
    pub fn room(&self, carrier: Carrier) -> usize {
        match (carrier, self.edns) {
            (Carrier::Tcp, _) => u16::MAX.into(),
            (Carrier::Udp, None) => UDP_BYTES_PLAIN,
            (Carrier::Udp, Some(edns)) => usize::from(edns.bytes).clamp(UDP_BYTES_PLAIN, UDP_BYTES_MAX),
        }
    }
}

// === impl Refusal ===

impl Refusal<'_> {
    /// The code that says why, as it is counted.
    pub fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// Writes what is said to it to `out`, which is cleared before.
    pub fn write(&self, out: &mut Vec<u8>) {
        // A question and what we take of it is less than anyone takes.
        let mut reply = Reply::to(self.asked, self.edns, UDP_BYTES_PLAIN, out);
        reply.code = self.code;
        reply.finish();
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
