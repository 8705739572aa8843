//! Queries, and what makes a reply to one a right one.

use std::{
    fmt,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use rollcall_cluster::companion::Companion;

use crate::local::{ANSWER_MAX, INSTANCES, NAMESPACE, service};

/// Bytes of a reply that we take: more than any server sends over UDP without being asked to.
const REPLY_BYTES: u16 = 1_232;
/// What does not answer by then never does: CoreDNS reads its zone first.
const START_MAX: Duration = Duration::from_secs(60);

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
    packet: Vec<u8>,
}

/// Holds one client: a socket of its own, and a query at most that is not answered.
#[derive(Debug)]
pub(super) struct Client {
    socket: UdpSocket,
    id: u16,
    packet: Vec<u8>,
    reply: Vec<u8>,
}

// === impl Kind ===

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::A, Self::Srv];

    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Srv => 33,
        }
    }

    /// Records in Additional, the OPT that answers ours not counted: the address of each target.
    fn additional(self) -> u32 {
        match self {
            Self::A => 0,
            Self::Srv => INSTANCES,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Srv => "SRV",
        })
    }
}

// === impl Query ===

impl Query {
    pub(super) fn new(kind: Kind, number: u32) -> Self {
        let name = format!("{}.{NAMESPACE}.rollcall", service(number));
        let name = match kind {
            Kind::A => name,
            Kind::Srv => format!("_http._tcp.{name}"),
        };
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
        Self { kind, packet }
    }

    /// Whether this is a whole reply without an error, and with all records; its id is its client's affair.
    fn is_answered_by(&self, reply: &[u8]) -> bool {
        let word = |at: usize| match reply.get(at..at + 2) {
            Some(&[high, low]) => u32::from(u16::from_be_bytes([high, low])),
            _ => 0,
        };
        const QR_TC_AND_RCODE: u32 = 0x820f;
        let without_error = word(2) & QR_TC_AND_RCODE == 0x8000;
        without_error && word(6) == INSTANCES && word(10) >= self.kind.additional()
    }
}

// === impl Client ===

impl Client {
    pub(super) fn connect(at: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(at)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { socket, id: 0, packet: Vec::new(), reply: vec![0; usize::from(REPLY_BYTES)] })
    }

    /// Returns once a server answers there.
    pub(super) fn answered(at: SocketAddr, query: &Query, server: &Companion) -> anyhow::Result<Vec<u8>> {
        let begin = Instant::now();
        let mut client = Self::connect(at)?;
        loop {
            match client.ask(query) {
                Ok(reply) => return Ok(reply.to_vec()),
                // The port is nobody's yet.
                Err(error)
                    if error.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
                        == Some(ErrorKind::ConnectionRefused) => {}
                Err(error) => return Err(error),
            }
            if let Some(ended) = server.ended() {
                bail!("{at}: ended by itself: {ended}");
            }
            ensure!(begin.elapsed() < START_MAX, "{at}: nobody answers");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn ask(&mut self, query: &Query) -> anyhow::Result<&[u8]> {
        self.send(query)?;
        self.hear(query)
    }

    pub(super) fn send(&mut self, query: &Query) -> anyhow::Result<()> {
        self.id = self.id.wrapping_add(1);
        self.packet.clear();
        self.packet.extend_from_slice(&self.id.to_be_bytes());
        self.packet.extend_from_slice(query.packet.get(2..).unwrap_or_default());
        self.socket.send(&self.packet)?;
        Ok(())
    }

    /// The reply to the query that was sent last.
    pub(super) fn hear(&mut self, query: &Query) -> anyhow::Result<&[u8]> {
        let bytes = self.socket.recv(&mut self.reply)?;
        let reply = self.reply.get(..bytes).unwrap_or_default();
        ensure!(
            reply.starts_with(&self.id.to_be_bytes()) && query.is_answered_by(reply),
            "not the reply to {:?}: {reply:?}",
            query.packet
        );
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_reply_without_an_error_counts() {
        let query = Query::new(Kind::Srv, 0);
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
}
