//! Reading a query: everything that a packet can hold is looked at here, once.

use crate::{Answer, Carrier, Meaning};

/// Says what a packet is.
#[derive(Debug)]
pub enum Read<'a> {
    Query(Query<'a>),
    /// A query that is not answered, whatever its name means.
    Refused(Refusal<'a>),
    /// A reply, or too short for a query: whoever sent it is told nothing, since he might answer.
    Nothing,
}

/// Holds a query with one question, which is well-formed.
#[derive(Debug)]
pub struct Query<'a> {
    packet: &'a [u8],
}

/// Holds a query that is not answered, and the code that says why.
#[derive(Debug)]
pub struct Refusal<'a> {
    packet: &'a [u8],
}

/// The type of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u16);

/// Reads a packet that came in.
pub fn read(packet: &[u8]) -> Read<'_> {
    let _ = packet;
    todo!()
}

// === impl Kind ===

impl Kind {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const SOA: Self = Self(6);
    pub const PTR: Self = Self(12);
    pub const AAAA: Self = Self(28);
    pub const SRV: Self = Self(33);
    pub const ANY: Self = Self(255);
}

// === impl Query ===

impl<'a> Query<'a> {
    pub fn kind(&self) -> Kind {
        todo!()
    }

    /// What is asked for.
    pub fn meaning(&self) -> Meaning<'_> {
        todo!()
    }

    /// The name that is asked for, lower case, its labels with dots between, without the last one; other bytes than those of
    /// host names are escaped as `\ddd`.
    pub fn name(&self) -> String {
        todo!()
    }

    /// The packet as it came.
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// Bytes of the header and of the question: what a reply repeats.
    pub fn question(&self) -> &'a [u8] {
        todo!()
    }

    /// Bytes that the asker takes over this carrier.
    pub fn room(&self, carrier: Carrier) -> usize {
        let _ = carrier;
        todo!()
    }

    /// Writes the reply to `out`, which is cleared before. `recursive` says whether other zones are asked for the caller.
    pub fn answer(&self, answer: &Answer<'_>, carrier: Carrier, recursive: bool, out: &mut Vec<u8>) {
        let _ = (answer, carrier, recursive, out);
        todo!()
    }
}

// === impl Refusal ===

impl Refusal<'_> {
    /// The code that says why, as it is counted.
    pub fn code(&self) -> &'static str {
        let _ = self.packet;
        todo!()
    }

    /// Writes what is said to it to `out`, which is cleared before.
    pub fn write(&self, out: &mut Vec<u8>) {
        let _ = out;
        todo!()
    }
}
