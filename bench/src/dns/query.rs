//! Queries, and what a reply to one says.

use std::{fmt, net::Ipv4Addr};

use anyhow::{Context, bail, ensure};

/// Bytes of a reply that we take, as resolvers do that were told of large ones.
pub(super) const REPLY_BYTES: u16 = 4_096;

/// The type of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    A,
    Srv,
}

/// Holds a query for all instances of a service, in one kind of record.
#[derive(Debug, Clone)]
pub(super) struct Query {
    kind: Kind,
    instances: u32,
    packet: Vec<u8>,
}

const HEAD_BYTES: usize = 12;
/// Of a record between its name and its data: type, class, time to live, length.
const RECORD_BYTES: usize = 10;

// === impl Kind ===

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::A, Self::Srv];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Srv => "SRV",
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Srv => 33,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Query ===

impl Query {
    /// For this name, which has so many instances.
    pub(super) fn new(kind: Kind, name: &str, instances: u32) -> Self {
        // An id that each client has its own of, recursion desired, one question, and one record in Additional.
        let mut packet = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in name.split('.') {
            packet.push(u8::try_from(label.len()).unwrap_or_default());
            packet.extend_from_slice(label.as_bytes());
        }
        packet.push(0);
        packet.extend_from_slice(&kind.number().to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        // OPT, of the root.
        packet.extend_from_slice(&[0, 0, 41]);
        packet.extend_from_slice(&REPLY_BYTES.to_be_bytes());
        packet.extend_from_slice(&[0; 6]);
        Self { kind, instances, packet }
    }

    /// What is sent, behind an id.
    pub(super) fn behind_id(&self) -> &[u8] {
        self.packet.get(2..).unwrap_or_default()
    }

    /// Whether this is a whole reply without an error, and with all records; its id is its client's affair.
    pub(super) fn is_answered_by(&self, reply: &[u8]) -> bool {
        const QR_TC_AND_RCODE: u16 = 0x820f;
        let word = |at| word(reply, at).unwrap_or_default();
        let without_error = word(2) & QR_TC_AND_RCODE == 0x8000;
        // In Additional is the address of each target.
        let additional = if self.kind == Kind::Srv { self.instances } else { 0 };
        without_error && u32::from(word(6)) == self.instances && u32::from(word(10)) >= additional
    }

    /// The addresses that a good reply tells: its answers, or those of its answers' targets.
    pub(super) fn addresses(&self, reply: &[u8]) -> anyhow::Result<Vec<Ipv4Addr>> {
        let count = |at| word(reply, at).map(usize::from).context("a reply without a head");
        let answers = count(6)?;
        let mut at = HEAD_BYTES;
        for _ in 0..count(4)? {
            at = behind_name(reply, at)? + 4;
        }
        let (mut found, mut ports) = (Vec::new(), 0);
        for record in 0..answers + count(8)? + count(10)? {
            at = behind_name(reply, at)?;
            let kind = word(reply, at).context("a record is cut short")?;
            let length = usize::from(word(reply, at + 8).context("a record is cut short")?);
            let begin = at + RECORD_BYTES;
            let data = reply.get(begin..begin + length).context("a record is cut short")?;
            if kind == Kind::A.number() && (self.kind == Kind::Srv || record < answers) {
                found
                    .push(Ipv4Addr::from(<[u8; 4]>::try_from(data).context("no address has so many bytes")?));
            }
            ports += usize::from(kind == Kind::Srv.number());
            at = begin + length;
        }
        ensure!(self.kind == Kind::A || ports == answers, "{ports} ports in {answers} answers");
        found.sort_unstable();
        // Instances with one address have one target.
        found.dedup();
        Ok(found)
    }
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    match packet.get(at..at + 2) {
        Some(&[high, low]) => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

/// Where the name that begins there ends.
fn behind_name(packet: &[u8], mut at: usize) -> anyhow::Result<usize> {
    loop {
        match packet.get(at) {
            Some(0) => return Ok(at + 1),
            // The rest of it stands elsewhere.
            Some(0xc0..) => return Ok(at + 2),
            Some(length @ 1..=63) => at += 1 + usize::from(*length),
            _ => bail!("no name is at {at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_reply_without_an_error_counts() {
        let query = Query::new(Kind::Srv, "_http._tcp.orders.shop.rollcall", 10);
        let mut right = query.packet.clone();
        right[2] = 0x85;
        right[7] = 10;
        right[11] = 11;
        assert!(query.is_answered_by(&right));
        // The query itself, an answer cut short, an error, too few records, and too few in Additional.
        for (place, byte) in [(2, 0x05), (2, 0x87), (3, 3), (7, 9), (11, 9)] {
            let mut wrong = right.clone();
            wrong[place] = byte;
            assert!(!query.is_answered_by(&wrong), "{place}: {byte}");
        }
        assert!(!query.is_answered_by(&right[..11]) && !query.is_answered_by(&[]));
    }

    /// A reply to this query, with these records behind its question: name, type, data.
    fn reply(query: &Query, answers: u8, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let question = query.packet.len() - 11;
        let mut reply = query.packet[..question].to_vec();
        (reply[7], reply[11]) = (answers, records.len() as u8 - answers);
        for (name, kind, data) in records {
            reply.extend_from_slice(name);
            reply.extend_from_slice(&kind.to_be_bytes());
            reply.extend_from_slice(&[0, 1, 0, 0, 0, 1, 0, data.len() as u8]);
            reply.extend_from_slice(data);
        }
        reply
    }

    #[test]
    fn addresses_are_those_of_answers_or_of_their_targets() {
        let (pointer, written): (&[u8], &[u8]) = (&[0xc0, 12], b"\x01b\x00");
        let hosts = Query::new(Kind::A, "orders.shop", 2);
        let both =
            [(pointer, 1, &[10, 0, 0, 9][..]), (written, 1, &[10, 0, 0, 1][..]), (written, 16, b"\x01x")];
        let expected = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9)];
        assert_eq!(hosts.addresses(&reply(&hosts, 2, &both)).expect("read"), expected);
        // What stands in Additional only is no answer.
        assert_eq!(hosts.addresses(&reply(&hosts, 1, &both)).expect("read"), expected[1..]);

        let ports = Query::new(Kind::Srv, "_http._tcp.orders.shop", 1);
        let target = b"\x00\x00\x00\x0a\x1f\x90\x01b\x00";
        let one = [(pointer, 33, &target[..]), (written, 1, &[10, 0, 0, 1][..])];
        assert_eq!(ports.addresses(&reply(&ports, 1, &one)).expect("read"), expected[..1]);
        assert!(ports.addresses(&reply(&ports, 2, &one)).is_err(), "an answer that is no port");

        let whole = reply(&hosts, 2, &both);
        for end in 0..whole.len() {
            assert!(hosts.addresses(&whole[..end]).is_err(), "cut short at {end}");
        }
    }
}
