//! A reply that is being written, within the room that there is for it.

use std::net::IpAddr;

use crate::{Kind, UDP_BYTES_MAX, query::Edns, record};

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 12;
/// Bytes of the record in which both sides say what they take (RFC 6891).
const OPT_BYTES: usize = 11;

/// Says what became of a query, by the protocol's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Fine = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    NotDone = 4,
    Refused = 5,
    /// The only one that the header has no room for.
    BadVersion = 16,
}

/// Says which part of a reply a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// Holds a reply that is being written: what was asked is repeated, and records are put behind it.
#[derive(Debug)]
pub(crate) struct Reply<'o> {
    out: &'o mut Vec<u8>,
    /// Bytes that the reply may have.
    room: usize,
    edns: Option<Edns>,
    questions: u16,
    answers: u16,
    authorities: u16,
    additionals: u16,
    pub(crate) code: Code,
    pub(crate) authoritative: bool,
    pub(crate) recursive: bool,
    truncated: bool,
}

// === impl Code ===

impl Code {
    /// As everyone calls it, and as it is counted.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "NOERROR",
            Self::Malformed => "FORMERR",
            Self::Failed => "SERVFAIL",
            Self::NoSuchName => "NXDOMAIN",
            Self::NotDone => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::BadVersion => "BADVERS",
        }
    }
}

// === impl Reply ===

impl<'o> Reply<'o> {
    /// A reply to what begins with these bytes: its header and its question, or its header alone where the question is not to
    /// be repeated.
    pub(crate) fn to(asked: &[u8], edns: Option<Edns>, room: usize, out: &'o mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(asked);
        Self {
            out,
            room: room.saturating_sub(if edns.is_some() { OPT_BYTES } else { 0 }),
            edns,
            questions: u16::from(asked.len() > HEADER_BYTES),
            answers: 0,
            authorities: 0,
            additionals: 0,
            code: Code::Fine,
            authoritative: false,
            recursive: false,
            truncated: false,
        }
    }

    /// Puts a record of these parts where there is room for it; whether there was.
    pub(crate) fn put(&mut self, section: Section, parts: &[&[u8]]) -> bool {
        if parts.iter().map(|part| part.len()).sum::<usize>() > self.space() {
            // Who asked is told only of answers that are missing (RFC 2181): the rest is a gift.
            self.truncated |= section == Section::Answer;
            return false;
        }
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
        match section {
            Section::Answer => self.answers += 1,
            Section::Authority => self.authorities += 1,
            Section::Additional => self.additionals += 1,
        }
        true
    }

    /// Puts as many of these answers as there is room for.
    pub(crate) fn put_all<const N: usize>(&mut self, pieces: [&[[u8; N]]; 2]) {
        for piece in pieces {
            let fitting = piece.len().min(self.space() / N);
            self.truncated |= fitting < piece.len();
            self.out.extend_from_slice(piece.get(..fitting).unwrap_or_default().as_flattened());
            // No more than a message has bytes.
            self.answers += u16::try_from(fitting).unwrap_or_default();
        }
    }

    /// Puts a record of the name that was asked for.
    pub(crate) fn put_answer(&mut self, kind: Kind, data: &[u8]) -> bool {
        self.put(Section::Answer, &[&record::ASKED, &record::head(kind, data.len()), data])
    }

    /// Puts a record with the address, of the name to which the pointer points.
    pub(crate) fn put_address(&mut self, section: Section, owner: [u8; 2], address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.put(section, &[&record::a(owner, address)]),
            IpAddr::V6(address) => self.put(section, &[&record::aaaa(owner, address)]),
        }
    }

    /// Where the next record will stand.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Bytes that records may still take.
    pub(crate) fn space(&self) -> usize {
        self.room.saturating_sub(self.out.len())
    }

    pub(crate) fn has_answers(&self) -> bool {
        self.answers > 0
    }

    /// Writes what stands before and behind the records.
    pub(crate) fn finish(self) {
        let Self { out, edns, questions, answers, authorities, mut additionals, code, .. } = self;
        let code = code as u8;
        if let Some(edns) = edns {
            let [room, byte] = u16::try_from(UDP_BYTES_MAX).unwrap_or_default().to_be_bytes();
            let dnssec = if edns.wants_dnssec { 0x80 } else { 0 };
            out.extend_from_slice(&[0, 0, 41, room, byte, code >> 4, 0, dnssec, 0, 0, 0]);
            additionals += 1;
        }
        let Some((header, _)) = out.split_first_chunk_mut::<HEADER_BYTES>() else { return };
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        // Of what was asked, the opcode is repeated, and whether recursion is desired.
        let [_, _, asked, ..] = *header;
        let first = 0x80 | asked & 0x79 | flag(self.authoritative, 0x04) | flag(self.truncated, 0x02);
        let second = flag(self.recursive, 0x80) | code & 0x0f;
        let counts = [questions, answers, authorities, additionals].map(u16::to_be_bytes);
        let written = [first, second].into_iter().chain(counts.into_iter().flatten());
        header.iter_mut().skip(2).zip(written).for_each(|(place, byte)| *place = byte);
    }
}
