//! Whether anybody listens at an address of this machine: asked of the kernel, so that the app notices nothing of it.
//!
//! The question goes by netlink (`sock_diag`), which answers within the call that asks, in a few microseconds however many
//! sockets there are; `/proc/net/tcp` is written anew with all of them for each reader.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};

/// `AF_NETLINK`.
const NETLINK: i32 = 16;
/// `NETLINK_SOCK_DIAG`.
const SOCK_DIAG: i32 = 4;
/// `SOCK_DIAG_BY_FAMILY`, of questions and answers.
const BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
/// `ENOENT`: there is no such socket.
const NONE_THERE: i32 = 2;
const TCP: u8 = 6;
/// The state `TCP_LISTEN`.
const LISTEN: u8 = 10;
const INET: u8 = 2;
const INET6: u8 = 10;
/// Bytes of the head of a message, and of a whole question.
const HEAD_BYTES: usize = 16;
const QUESTION_BYTES: usize = HEAD_BYTES + 56;
/// Bytes of an answer: a head, and what is told of one socket.
const ANSWER_BYTES_MAX: usize = 1_024;

/// Holds the way to what the kernel knows of the sockets of this network namespace.
#[derive(Debug)]
pub struct Listeners {
    socket: Socket,
    number: u32,
}

// === impl Listeners ===

impl Listeners {
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::from(NETLINK), Type::DGRAM, Some(Protocol::from(SOCK_DIAG)))?;
        // The answer is there when the question is through; a kernel that has none must not stop us.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, number: 0 })
    }

    /// Whether a connection to this address would find one that listens, there or at all addresses. What is redirected on the
    /// way is not looked at.
    pub fn has(&mut self, address: SocketAddr) -> io::Result<bool> {
        self.number = self.number.wrapping_add(1);
        (&self.socket).write_all(&question(self.number, address))?;
        let mut answer = [0; ANSWER_BYTES_MAX];
        let length = (&self.socket).read(&mut answer)?;
        answer.get(..length).and_then(|answer| read(self.number, answer)).unwrap_or_else(|| {
            // Of the next answers none would be known from an older one.
            Err(io::ErrorKind::InvalidData.into())
        })
    }
}

/// The head of a message, and `inet_diag_req_v2`: the socket from whose end nothing is connected.
fn question(number: u32, address: SocketAddr) -> Vec<u8> {
    let (family, source) = match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            (INET, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(ip) => (INET6, ip.octets()),
    };
    [
        &(QUESTION_BYTES as u32).to_ne_bytes()[..],
        &BY_FAMILY.to_ne_bytes(),
        &NLM_F_REQUEST.to_ne_bytes(),
        &number.to_ne_bytes(),
        // To the kernel.
        &[0; 4],
        &[family, TCP, 0, 0],
        &(1u32 << LISTEN).to_ne_bytes(),
        &address.port().to_be_bytes(),
        &[0; 2],
        &source,
        // From nobody, over any device.
        &[0; 16 + 4],
        // Whichever socket it is.
        &[0xff; 8],
    ]
    .concat()
}

/// None is no answer to this question.
fn read(number: u32, answer: &[u8]) -> Option<io::Result<bool>> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    let of = u32::from_ne_bytes(*answer.get(8..)?.first_chunk()?);
    let body = answer.get(HEAD_BYTES..)?;
    match kind {
        _ if of != number => None,
        NLMSG_ERROR => match i32::from_ne_bytes(*body.first_chunk()?).checked_neg()? {
            NONE_THERE => Some(Ok(false)),
            error => Some(Err(io::Error::from_raw_os_error(error))),
        },
        // Its family, then its state.
        BY_FAMILY => Some(Ok(*body.get(1)? == LISTEN)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_listens_is_seen_without_a_connection() {
        let mut listeners = Listeners::open().unwrap();
        let (four, six) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        // Where, what of it finds one there, and what does not.
        let table: [(&str, &[IpAddr], &[IpAddr]); 4] = [
            ("127.0.0.1:0", &[four], &[six, [127, 0, 0, 2].into()]),
            ("0.0.0.0:0", &[four, [127, 0, 0, 2].into()], &[six]),
            ("[::1]:0", &[six], &[four]),
            ("[::]:0", &[four, six, [127, 0, 0, 2].into()], &[]),
        ];
        for (at, there, elsewhere) in table {
            let Ok(app) = TcpListener::bind(at) else { continue };
            let port = app.local_addr().unwrap().port();
            for (addresses, listens) in [(there, true), (elsewhere, false)] {
                for address in addresses {
                    let seen = listeners.has((*address, port).into()).unwrap();
                    assert_eq!(seen, listens, "{at} from {address}");
                }
            }
            app.set_nonblocking(true).unwrap();
            assert!(app.accept().is_err(), "nobody was connected with");
            // What was accepted outlives it, and does not listen.
            app.set_nonblocking(false).unwrap();
            let ours = TcpStream::connect((there[0], port)).unwrap();
            let accepted = app.accept().unwrap();
            drop(app);
            assert!(!listeners.has((there[0], port).into()).unwrap(), "{at}");
            drop((ours, accepted));
        }
    }

    #[test]
    fn only_the_answer_to_the_question_is_one() {
        let head = |kind: u16, number: u32| {
            let mut bytes = vec![0; 4];
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 2]);
            bytes.extend(number.to_ne_bytes());
            bytes.extend([0; 4]);
            bytes
        };
        let with = |mut head: Vec<u8>, body: &[u8]| {
            head.extend(body);
            head
        };
        assert!(read(7, &with(head(BY_FAMILY, 7), &[INET, LISTEN])).unwrap().unwrap());
        assert!(!read(7, &with(head(BY_FAMILY, 7), &[INET, 1])).unwrap().unwrap());
        assert!(!read(7, &with(head(NLMSG_ERROR, 7), &(-2i32).to_ne_bytes())).unwrap().unwrap());
        let refused = read(7, &with(head(NLMSG_ERROR, 7), &(-1i32).to_ne_bytes())).unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        for none in [
            vec![],
            head(BY_FAMILY, 7),
            with(head(BY_FAMILY, 6), &[INET, LISTEN]),
            with(head(3, 7), &[INET, LISTEN]),
            with(head(NLMSG_ERROR, 7), &[0]),
        ] {
            assert!(read(7, &none).is_none(), "{none:?}");
        }
    }
}
