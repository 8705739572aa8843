//! A question for addresses, and what comes back: as much of DNS as that needs, and nothing that a hostile answer could make
//! it read twice.

use std::net::IpAddr;

/// Bytes of a header: an id, flags, and four counts.
const HEADER_BYTES: usize = 12;
/// Asks for somebody who asks others.
const RECURSION_DESIRED: u16 = 0x0100;
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const CODE: u16 = 0x000F;
const NO_ERROR: u16 = 0;
const NO_SUCH_NAME: u16 = 3;
const INTERNET: u16 = 1;
/// The two highest bits of a length: the rest of the name stands elsewhere.
const POINTER: u8 = 0xC0;
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 253;

/// Says which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
}

/// Says what a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// None where there is no such name, or none of the kind.
    Addresses(Vec<IpAddr>),
    /// It does not know.
    Refused,
}

/// A question; none where that is no name.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let name = name.trim_end_matches('.');
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut packet = Vec::with_capacity(HEADER_BYTES + name.len() + 6);
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        packet.extend_from_slice(&word.to_be_bytes());
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..=LABEL_BYTES_MAX).contains(&usize::from(*length)))?;
        packet.push(length);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    for word in [kind.number(), INTERNET] {
        packet.extend_from_slice(&word.to_be_bytes());
    }
    Some(packet)
}

/// What this packet says to that question; none where it is no answer to it.
pub(super) fn reply(packet: &[u8], question: &[u8], kind: Kind) -> Option<Reply> {
    let mut rest = Reader(packet);
    let (id, flags) = (rest.word()?, rest.word()?);
    let (questions, answers) = (rest.word()?, rest.word()?);
    // Of name servers and more besides.
    rest.take(4)?;
    let asked_id = Reader(question).word()?;
    let asked = question.get(HEADER_BYTES..)?;
    if id != asked_id || flags & RESPONSE == 0 || flags & OPCODE != 0 || questions != 1 {
        return None;
    }
    if !rest.take(asked.len())?.eq_ignore_ascii_case(asked) {
        return None;
    }
    match flags & CODE {
        NO_ERROR => {}
        NO_SUCH_NAME => return Some(Reply::Addresses(Vec::new())),
        _ => return Some(Reply::Refused),
    }
    let mut addresses = Vec::new();
    for _ in 0..answers {
        // What does not fit was cut off.
        let Some((record, data)) = rest.record() else { break };
        let address = match (record, kind) {
            ((1, INTERNET), Kind::A) => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            ((28, INTERNET), Kind::Aaaa) => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        };
        addresses.extend(address.filter(|address| !address.is_unspecified() && !address.is_multicast()));
    }
    Some(Reply::Addresses(addresses))
}

// === impl Kind ===

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }
}

/// Holds what is not read yet.
struct Reader<'p>(&'p [u8]);

// === impl Reader ===

impl<'p> Reader<'p> {
    fn take(&mut self, bytes: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Passes over a name; where it goes on elsewhere, that is not followed.
    fn name(&mut self) -> Option<()> {
        loop {
            let [length] = *self.take(1)? else { return None };
            match length {
                0 => return Some(()),
                _ if length & POINTER == POINTER => return self.take(1).map(drop),
                _ if length & POINTER != 0 => return None,
                _ => drop(self.take(usize::from(length))?),
            }
        }
    }

    /// The kind and class of the next record, and what it says.
    fn record(&mut self) -> Option<((u16, u16), &'p [u8])> {
        self.name()?;
        let of = (self.word()?, self.word()?);
        // For how long it is good.
        self.take(4)?;
        let bytes = self.word()?;
        Some((of, self.take(usize::from(bytes))?))
    }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
