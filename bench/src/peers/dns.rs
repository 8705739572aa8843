//! A client of DNS over UDP, whose replies are parsed. Where they are only counted, one that knows its query beforehand costs
//! less.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, ensure};
use hickory_proto::{
    op::Message,
    rr::{Name, RData, Record},
};
use tokio::{net::UdpSocket, time::timeout};

/// Bytes of a reply that we take: a hundred instances are in it whole, with their ports too.
const REPLY_BYTES: u16 = 32_768;
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The type of records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Srv,
}

/// Holds a socket of its own.
pub(crate) struct Resolver {
    socket: UdpSocket,
    id: u16,
    reply: Vec<u8>,
}

// === impl Kind ===

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Srv => 33,
        }
    }
}

// === impl Resolver ===

impl Resolver {
    pub(crate) async fn connect(at: SocketAddr) -> anyhow::Result<Self> {
        let from = if at.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let socket = UdpSocket::bind((from, 0)).await?;
        socket.connect(at).await?;
        Ok(Self { socket, id: 0, reply: vec![0; usize::from(REPLY_BYTES)] })
    }

    /// The addresses of this name, sorted as text.
    pub(crate) async fn addresses(&mut self, name: &str) -> anyhow::Result<Vec<String>> {
        addresses(self.ask(name, Kind::A).await?)
    }

    /// The addresses and ports to which this name points, sorted as text.
    pub(super) async fn ports(&mut self, name: &str) -> anyhow::Result<Vec<String>> {
        ports(self.ask(name, Kind::Srv).await?)
    }

    /// The reply, which is whole and without an error.
    pub(super) async fn ask(&mut self, name: &str, kind: Kind) -> anyhow::Result<&[u8]> {
        self.id = self.id.wrapping_add(1);
        self.socket.send(&query(self.id, name, kind)?).await?;
        let bytes = loop {
            let bytes = timeout(ANSWER_MAX, self.socket.recv(&mut self.reply)).await;
            let bytes = bytes.with_context(|| format!("{name}: no reply in time"))??;
            // A late one is of a query that was given up.
            if self.reply.starts_with(&self.id.to_be_bytes()) {
                break bytes;
            }
        };
        let reply = self.reply.get(..bytes).unwrap_or_default();
        ensure!(is_whole(reply), "{name}: {kind:?}: {}", reply.escape_ascii());
        Ok(reply)
    }
}

/// A query of one question, recursion desired, from who takes so many bytes.
fn query(id: u16, name: &str, kind: Kind) -> anyhow::Result<Vec<u8>> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(b"\x01\0\0\x01\0\0\0\0\0\x01");
    for label in name.split('.') {
        packet.push(u8::try_from(label.len())?);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&kind.number().to_be_bytes());
    packet.extend_from_slice(b"\0\x01\0\0\x29");
    packet.extend_from_slice(&REPLY_BYTES.to_be_bytes());
    packet.extend_from_slice(&[0; 6]);
    Ok(packet)
}

/// Whether it is a reply, not cut short, without an error, and with an answer.
fn is_whole(reply: &[u8]) -> bool {
    matches!(reply, [_, _, flags, code, _, _, high, low, ..]
        if flags & 0x82 == 0x80 && code & 0x0f == 0 && u16::from_be_bytes([*high, *low]) > 0)
}

/// The addresses in a reply, sorted as text.
pub(crate) fn addresses(reply: &[u8]) -> anyhow::Result<Vec<String>> {
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(address.to_string()),
        _ => None,
    };
    let mut all: Vec<_> = Message::from_vec(reply)?.answers.iter().filter_map(address).collect();
    all.sort();
    Ok(all)
}

/// The addresses of the names that a reply points to, each with its port, sorted as text.
pub(crate) fn ports(reply: &[u8]) -> anyhow::Result<Vec<String>> {
    let message = Message::from_vec(reply)?;
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some((record.name.clone(), address.to_string())),
        _ => None,
    };
    let hosts: BTreeMap<Name, String> = message.additionals.iter().filter_map(address).collect();
    let mut all = Vec::new();
    for record in &message.answers {
        let RData::SRV(srv) = &record.data else { continue };
        let host = hosts.get(&srv.target).with_context(|| format!("{}: no address of it", srv.target))?;
        all.push(format!("{host}:{}", srv.port));
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply with two ports at two names, and the addresses of these beside them.
    const REPLY: &[u8] = b"\0\x01\x85\0\0\x01\0\x02\0\0\0\x02\x01a\0\0\x21\0\x01\
        \x01a\0\0\x21\0\x01\0\0\0\x01\0\x09\0\0\0\x01\x1f\x90\x01c\0\
        \x01a\0\0\x21\0\x01\0\0\0\x01\0\x09\0\0\0\x01\x1f\x90\x01b\0\
        \x01b\0\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x01\
        \x01c\0\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x02";

    #[test]
    fn a_query_is_one_question_from_who_takes_much() {
        let packet = query(7, "a.rollcall", Kind::Srv).unwrap();
        let message = Message::from_vec(&packet).unwrap();
        assert_eq!(message.queries.len(), 1);
        assert_eq!(message.queries[0].to_string(), "a.rollcall. IN SRV");
        assert_eq!(message.max_payload(), REPLY_BYTES);
        assert!(query(7, &"a".repeat(300), Kind::A).is_err());
    }

    #[test]
    fn ports_are_told_with_the_addresses_of_their_names() {
        assert!(is_whole(REPLY));
        assert_eq!(ports(REPLY).unwrap(), ["10.0.0.1:8080", "10.0.0.2:8080"]);
        assert_eq!(addresses(REPLY).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_query_an_error_and_a_part_are_no_replies() {
        // The query itself, one that is cut short, an error, and no answers.
        for (place, byte) in [(2, 0x05), (2, 0x87), (3, 3), (7, 0)] {
            let mut wrong = REPLY.to_vec();
            wrong[place] = byte;
            assert!(!is_whole(&wrong), "{place}: {byte}");
        }
        assert!(!is_whole(&REPLY[..7]) && !is_whole(&[]));
    }
}
