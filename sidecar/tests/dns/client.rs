//! A resolver that knows of DNS what RFC 1035 says, and nothing of how we write it.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// Longer than any query of ours waits, for an answer or for a place.
const PATIENCE: Duration = Duration::from_secs(20);

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const SOA: u16 = 6;
pub const PTR: u16 = 12;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;
const OPT: u16 = 41;

pub const NOERROR: u8 = 0;
pub const FORMERR: u8 = 1;
pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;
pub const REFUSED: u8 = 5;

/// Holds a reply that was read.
#[derive(Debug)]
pub struct Reply {
    pub id: u16,
    pub code: u8,
    pub truncated: bool,
    pub authoritative: bool,
    pub recursive: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub kind: u16,
    pub ttl: u32,
    pub data: String,
}

/// A query with this id, of a name without the dot at its end.
pub fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(kind.to_be_bytes());
    packet.extend([0, 1]);
    packet
}

/// The same, of who takes so many bytes over UDP.
pub fn query_with_room(id: u16, name: &str, kind: u16, bytes: u16) -> Vec<u8> {
    let mut packet = query(id, name, kind);
    packet[11] = 1;
    packet.push(0);
    packet.extend(OPT.to_be_bytes());
    packet.extend(bytes.to_be_bytes());
    packet.extend([0; 6]);
    packet
}

/// What comes of this packet over UDP.
pub async fn exchange(at: SocketAddr, packet: &[u8]) -> Reply {
    let socket = local(at).await;
    socket.send_to(packet, at).await.unwrap();
    received(&socket).await
}

/// A socket of the same address.
pub async fn local(at: SocketAddr) -> UdpSocket {
    UdpSocket::bind((at.ip(), 0)).await.unwrap()
}

pub async fn received(socket: &UdpSocket) -> Reply {
    let mut bytes = vec![0; 65_535];
    let length = timeout(PATIENCE, socket.recv(&mut bytes)).await.expect("no reply").unwrap();
    bytes.truncate(length);
    Reply::read(bytes)
}

/// What is said of a name over UDP.
pub async fn ask(at: SocketAddr, name: &str, kind: u16) -> Reply {
    let packet = query_with_room(7, name, kind, 1_232);
    let reply = exchange(at, &packet).await;
    assert_eq!(reply.id, 7);
    let question = &packet[12..packet.len() - 11];
    assert_eq!(reply.bytes[12..12 + question.len()], *question, "the question as it was put: {name}");
    reply
}

pub async fn connect(at: SocketAddr) -> TcpStream {
    TcpStream::connect(at).await.unwrap()
}

pub fn framed(packet: &[u8]) -> Vec<u8> {
    [&u16::try_from(packet.len()).unwrap().to_be_bytes()[..], packet].concat()
}

/// The next reply over this connection; none where it was closed.
pub async fn next(stream: &mut TcpStream) -> Option<Reply> {
    let read = async {
        let length = stream.read_u16().await.ok()?;
        let mut bytes = vec![0; length.into()];
        stream.read_exact(&mut bytes).await.ok()?;
        Some(Reply::read(bytes))
    };
    timeout(PATIENCE, read).await.expect("no reply")
}

/// What is said of a name over TCP.
pub async fn ask_tcp(at: SocketAddr, name: &str, kind: u16) -> Reply {
    let mut stream = connect(at).await;
    stream.write_all(&framed(&query(9, name, kind))).await.unwrap();
    next(&mut stream).await.unwrap()
}

// === impl Reply ===

impl Reply {
    fn read(bytes: Vec<u8>) -> Self {
        let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert!(bytes[2] & 0x80 != 0, "a reply");
        let mut at = 12;
        for _ in 0..number(4) {
            at = name_at(&bytes, at).1 + 4;
        }
        let mut section = |count: u16| -> Vec<Record> {
            let records: Vec<_> = (0..count).map(|_| record_at(&bytes, &mut at)).collect();
            records.into_iter().filter(|record| record.kind != OPT).collect()
        };
        let [answers, authorities, additionals] = [6, 8, 10].map(|place| section(number(place)));
        assert_eq!(at, bytes.len(), "nothing behind it");
        Self {
            id: number(0),
            code: bytes[3] & 0x0F,
            truncated: bytes[2] & 0x02 != 0,
            authoritative: bytes[2] & 0x04 != 0,
            recursive: bytes[3] & 0x80 != 0,
            answers,
            authorities,
            additionals,
            bytes,
        }
    }

    /// What the answers hold, in their order.
    pub fn data(&self) -> Vec<&str> {
        self.answers.iter().map(|record| record.data.as_str()).collect()
    }

    /// The same, in the order of their texts.
    pub fn sorted(&self) -> Vec<&str> {
        let mut data = self.data();
        data.sort_unstable();
        data
    }

    /// There is such a name, and none of the kind: the zone says for how long that may be kept.
    pub fn is_empty(&self) -> bool {
        self.code == NOERROR && self.answers.is_empty() && self.has_zone()
    }

    pub fn is_nobody(&self) -> bool {
        self.code == NXDOMAIN && self.answers.is_empty() && self.has_zone()
    }

    fn has_zone(&self) -> bool {
        let zone = |record: &Record| record.kind == SOA && record.name == "rollcall" && record.ttl == 1;
        self.authorities.len() == 1 && self.authorities.iter().all(zone)
    }
}

/// The name that begins here, and where it ends.
fn name_at(bytes: &[u8], mut at: usize) -> (String, usize) {
    let (mut labels, mut end) = (Vec::new(), None);
    loop {
        let length = usize::from(bytes[at]);
        if length >= 0xC0 {
            end = end.or(Some(at + 2));
            let to = (length & 0x3F) << 8 | usize::from(bytes[at + 1]);
            assert!(to < at, "a pointer points back");
            at = to;
        } else if length == 0 {
            return (labels.join("."), end.unwrap_or(at + 1));
        } else {
            labels.push(String::from_utf8(bytes[at + 1..at + 1 + length].to_vec()).unwrap());
            at += 1 + length;
        }
    }
}

fn record_at(bytes: &[u8], at: &mut usize) -> Record {
    let (name, fixed) = name_at(bytes, *at);
    let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (kind, length) = (number(fixed), usize::from(number(fixed + 8)));
    let ttl = u32::from(number(fixed + 4)) << 16 | u32::from(number(fixed + 6));
    let begin = fixed + 10;
    let data = &bytes[begin..begin + length];
    *at = begin + length;
    let data = match kind {
        A => Ipv4Addr::from(<[u8; 4]>::try_from(data).unwrap()).to_string(),
        AAAA => Ipv6Addr::from(<[u8; 16]>::try_from(data).unwrap()).to_string(),
        NS | PTR => name_at(bytes, begin).0,
        SRV => {
            let (target, end) = name_at(bytes, begin + 6);
            assert_eq!(end, *at);
            format!("{} {} {} {target}", number(begin), number(begin + 2), number(begin + 4))
        }
        _ => String::new(),
    };
    Record { name, kind, ttl, data }
}
