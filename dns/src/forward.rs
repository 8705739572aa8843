//! A query on its way to another server, and which packet is the reply to it.
//!
//! What EDNS says is said between two who speak to each other, so that the query goes on with our own word: the room that
//! its asker has, and whether he wants signatures. His options (cookies, his network) stay here.

use crate::{Carrier, Kind, Query, UDP_BYTES_MAX, record::put_label, reply::HEADER_BYTES};

/// Bytes of a label, and of a name with their lengths and the root (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 255;
/// In the header's third byte: a reply; its kind of query; cut; recursion is wanted.
const REPLY: u8 = 0x80;
const OPCODE: u8 = 0x78;
const CUT: u8 = 0x02;
const RECURSIVE: u8 = 0x01;
/// In its fourth: the asker knows what "authentic" means, and would rather judge himself; what came of the query.
const AUTHENTIC: u8 = 0x20;
const UNCHECKED: u8 = 0x10;
const CODE: u8 = 0x0f;
/// In EDNS: signatures are wanted.
const SIGNED: u8 = 0x80;

/// Holds what tells the reply to a forwarded query from anything else that comes in.
#[derive(Debug)]
pub struct Forwarded {
    id: [u8; 2],
    asked: [u8; 2],
    question: Vec<u8>,
    room: usize,
    /// Whether signatures are wanted, where the asker speaks EDNS at all.
    signed: Option<bool>,
}

// === impl Forwarded ===

impl Forwarded {
    /// The query as it is sent on, under this id, which nobody can guess.
    pub fn new(query: &Query<'_>, id: u16, carrier: Carrier) -> (Self, Vec<u8>) {
        let (header, question) = query.question().split_first_chunk().unwrap_or((&[0; HEADER_BYTES], &[]));
        let [id_high, id_low, kind, code, ..] = *header;
        let forwarded = Self {
            id: id.to_be_bytes(),
            asked: [id_high, id_low],
            question: question.to_vec(),
            room: query.room(carrier),
            signed: query.edns.map(|edns| edns.wants_dnssec),
        };
        let flags = [kind & RECURSIVE, code & (AUTHENTIC | UNCHECKED)];
        let room = forwarded.room.min(UDP_BYTES_MAX);
        let sent = forwarded.message(forwarded.id, flags, room);
        (forwarded, sent)
    }

    /// A question that a server answers at once, whatever the answer: who keeps this zone, which is its own, so that nobody
    /// else is to be asked for it. Without a zone, who serves the root.
    pub fn sign_of_life(id: u16, zone: Option<&str>) -> (Self, Vec<u8>) {
        let id = id.to_be_bytes();
        let (name, kind) = zone.and_then(wire).map_or((vec![0], Kind::NS), |name| (name, Kind::SOA));
        let question = [&name[..], &kind.0.to_be_bytes(), &[0, 1]].concat();
        let asked = Self { id, asked: id, question, room: UDP_BYTES_MAX, signed: None };
        let sent = asked.message(id, [0, 0], UDP_BYTES_MAX);
        (asked, sent)
    }

    /// The reply for the asker, with his own id and within his room; none where this packet is not the reply. Of a packet
    /// that is longer than his room, a byte more than that is enough. Who cannot or will not answer may say so in a header
    /// alone, without the question.
    pub fn reply(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = packet.split_first_chunk::<HEADER_BYTES>()?;
        let [id_high, id_low, kind, code, questions @ .., _, _, _, _, _, _] = *header;
        if [id_high, id_low] != self.id || kind & REPLY == 0 || kind & OPCODE != 0 {
            return None;
        }
        if questions == [0, 0] && rest.is_empty() && code & CODE != 0 {
            // Resolvers want to see their question.
            return Some(self.message(self.asked, [kind, code], UDP_BYTES_MAX));
        }
        if questions != [0, 1] || !self.is_question(rest.get(..self.question.len())?) {
            return None;
        }
        if packet.len() > self.room {
            // The asker comes again over TCP.
            return Some(self.message(self.asked, [kind | CUT, code], UDP_BYTES_MAX));
        }
        let mut reply = packet.to_vec();
        reply.iter_mut().zip(self.asked).for_each(|(byte, asked)| *byte = asked);
        Some(reply)
    }

    /// Names are the same in any case of their letters. Types are numbers, some of which look like letters.
    fn is_question(&self, other: &[u8]) -> bool {
        let name_bytes = self.question.len().saturating_sub(4);
        match (self.question.split_at_checked(name_bytes), other.split_at_checked(name_bytes)) {
            (Some((name, kind)), Some((other_name, other_kind))) => {
                name.eq_ignore_ascii_case(other_name) && kind == other_kind
            }
            _ => false,
        }
    }

    /// A message of the question alone, and of EDNS where the asker speaks it.
    fn message(&self, id: [u8; 2], flags: [u8; 2], room: usize) -> Vec<u8> {
        let ([id_high, id_low], [kind, code]) = (id, flags);
        let additionals = u8::from(self.signed.is_some());
        let mut message = vec![id_high, id_low, kind, code, 0, 1, 0, 0, 0, 0, 0, additionals];
        message.extend(&self.question);
        if let Some(signed) = self.signed {
            let (root, [kind_high, kind_low]) = (0, Kind::OPT.0.to_be_bytes());
            let [.., high, low] = room.to_be_bytes();
            let flags = if signed { SIGNED } else { 0 };
            message.extend([root, kind_high, kind_low, high, low, 0, 0, flags, 0, 0, 0]);
        }
        message
    }
}

/// The bytes of a name; none where it can be none.
fn wire(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        (1..=LABEL_BYTES_MAX).contains(&label.len()).then(|| put_label(&mut bytes, label.as_bytes()))?;
    }
    bytes.push(0);
    (bytes.len() <= NAME_BYTES_MAX).then_some(bytes)
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
