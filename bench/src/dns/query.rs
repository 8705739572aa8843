//! Queries, and what a reply to one says.

use anyhow::Context;

use crate::peers::{PORT, addresses, ports};

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

    /// The addresses that a good reply tells: its own, or those of the names that it points to, sorted as text.
    pub(super) fn addresses(&self, reply: &[u8]) -> anyhow::Result<Vec<String>> {
        match self.kind {
            Kind::A => addresses(reply),
            Kind::Srv => {
                let without_port = |at: String| at.strip_suffix(&format!(":{PORT}")).map(str::to_owned);
                let found: Option<Vec<_>> = ports(reply)?.into_iter().map(without_port).collect();
                let mut found = found.with_context(|| format!("a port that is not {PORT}"))?;
                found.sort();
                Ok(found)
            }
        }
    }
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    match packet.get(at..at + 2) {
        Some(&[high, low]) => Some(u16::from_be_bytes([high, low])),
        _ => None,
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

    #[test]
    fn addresses_are_those_of_the_names_that_a_reply_points_to() {
        let reply = |port: u8| {
            let mut reply = b"\0\x01\x85\0\0\0\0\x01\0\0\0\x01".to_vec();
            reply.extend_from_slice(b"\x01a\0\0\x21\0\x01\0\0\0\x01\0\x09\0\0\0\x01\x1f");
            reply.push(port);
            reply.extend_from_slice(b"\x01b\0\x01b\0\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x01");
            reply
        };
        let query = Query::new(Kind::Srv, "_http._tcp.orders.shop", 1);
        assert_eq!(query.addresses(&reply(0x90)).expect("read"), ["10.0.0.1"]);
        assert!(query.addresses(&reply(0x91)).is_err(), "another port");
        assert!(Query::new(Kind::A, "orders.shop", 1).addresses(&reply(0x90)).expect("read").is_empty());
    }
}
