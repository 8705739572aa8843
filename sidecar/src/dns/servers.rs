//! The servers that know other zones: which are configured, how they did of late, and who is asked first.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use thiserror::Error;
use tokio::time::{Duration, Instant};

/// As many as stock resolvers read of their own file.
const SERVERS_MAX: usize = 3;
/// Where DNS is asked, where nothing else is said.
const PORT: u16 = 53;
/// A server that did not answer is asked last for so long: a cluster's DNS that is replaced is back within seconds.
const ASKED_LAST_FOR: Duration = Duration::from_secs(5);

/// The addresses of servers, as a flag gives them: `10.96.0.10`, or `10.96.0.10:5353,[fd00::a]:53`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Servers(Vec<SocketAddr>);

/// Says why these can be no servers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServersError {
    #[error("`{0}` is no address; use an IP, or an IP and a port as in 10.96.0.10:53")]
    NoAddress(String),
    #[error(
        "`{0}` is nobody's address; use that of the cluster's DNS, which `kubectl -n kube-system get service kube-dns` shows"
    )]
    Nobody(IpAddr),
    #[error("{SERVERS_MAX} servers at most")]
    TooMany,
    #[error("--dns-forward {0}: that is where this sidecar listens itself; name the cluster's DNS")]
    Loop(SocketAddr),
}

/// Holds how each of the servers did of late.
#[derive(Debug)]
pub(super) struct Standings {
    of: Mutex<Vec<Standing>>,
}

/// Holds when a server answered last, and since when it does not.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    answered: Option<Instant>,
    silent: Option<Instant>,
}

// === impl Servers ===

impl Servers {
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }

    /// Each of them, unless one of them is ourselves: a query would go round until there is no room for it.
    pub(super) fn besides(&self, own: &[SocketAddr]) -> Result<&[SocketAddr], ServersError> {
        let is_own = |server: &&SocketAddr| {
            own.iter().any(|own| own.port() == server.port() && own.ip() == server.ip().to_canonical())
        };
        match self.0.iter().find(is_own) {
            Some(server) => Err(ServersError::Loop(*server)),
            None => Ok(&self.0),
        }
    }
}

impl FromStr for Servers {
    type Err = ServersError;

    fn from_str(text: &str) -> Result<Self, ServersError> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let servers = words.map(server).collect::<Result<Vec<_>, _>>()?;
        if servers.len() > SERVERS_MAX {
            return Err(ServersError::TooMany);
        }
        Ok(Self(servers))
    }
}

fn server(word: &str) -> Result<SocketAddr, ServersError> {
    let bare = word.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT));
    let server = bare.or_else(|_| word.parse()).map_err(|_| ServersError::NoAddress(word.to_owned()))?;
    let ip = server.ip().to_canonical();
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255; 4]) || server.port() == 0 {
        return Err(ServersError::Nobody(ip));
    }
    Ok(server)
}

// === impl Standings ===

impl Standings {
    pub(super) fn new(servers: usize) -> Self {
        Self { of: Mutex::new(vec![Standing::default(); servers]) }
    }

    /// Who is asked first, and then: as they are configured, but those last that did not answer just now.
    pub(super) fn turns(&self, now: Instant) -> Vec<usize> {
        let of = self.of();
        let mut turns: Vec<_> = (0..of.len()).collect();
        let recent = |silent: Instant| now.duration_since(silent) < ASKED_LAST_FOR;
        // Stable: among equals, the order of the configuration.
        turns.sort_by_key(|&server| of.get(server).is_some_and(|one| one.silent.is_some_and(recent)));
        turns
    }

    /// Whether none of them has answered since it was asked last.
    pub(super) fn none_answers(&self) -> bool {
        self.of().iter().all(|server| server.silent.is_some())
    }

    /// It said something, whatever it was asked.
    pub(super) fn answered(&self, server: usize, now: Instant) {
        if let Some(standing) = self.of().get_mut(server) {
            *standing = Standing { answered: Some(now), silent: None };
        }
    }

    /// It did not answer who asked it at this time. Who has answered somebody else since then is only slow with this name.
    pub(super) fn silent(&self, server: usize, asked: Instant, now: Instant) {
        if let Some(standing) = self.of().get_mut(server)
            && standing.answered.is_none_or(|answered| answered < asked)
        {
            standing.silent = Some(now);
        }
    }

    /// Whole whoever panicked while holding it: each change is one step.
    fn of(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this error is the network's word that nobody is there. Others, as that there is no socket left, are our own.
pub(super) fn is_of_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkDown | NetworkUnreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_with_or_without_a_port() {
        for (text, servers) in [
            ("", &[][..]),
            ("10.96.0.10", &["10.96.0.10:53"]),
            (
                "10.96.0.10:5353, fd00::a,[fd00::b]:5353",
                &["10.96.0.10:5353", "[fd00::a]:53", "[fd00::b]:5353"],
            ),
            ("127.0.0.53,", &["127.0.0.53:53"]),
        ] {
            let read: Servers = text.parse().unwrap();
            assert_eq!(read.0.iter().map(ToString::to_string).collect::<Vec<_>>(), servers, "{text}");
        }
        for (text, says) in [
            ("kube-dns", "`kube-dns` is no address"),
            ("10.96.0.10:", "is no address"),
            ("10.96.0", "is no address"),
            ("10.96.0.10 10.96.0.11", "is no address"),
            ("0.0.0.0", "nobody's address"),
            ("[::]:53", "nobody's address"),
            ("::ffff:0.0.0.0", "nobody's address"),
            ("224.0.0.251:5353", "nobody's address"),
            ("255.255.255.255", "nobody's address"),
            ("10.0.0.1:0", "nobody's address"),
            ("10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4", "3 servers at most"),
        ] {
            let error = text.parse::<Servers>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_server_that_is_ourselves_is_none() {
        let own: Vec<SocketAddr> =
            ["127.0.0.1:53", "[::1]:53"].iter().map(|own| own.parse().unwrap()).collect();
        for (text, good) in [
            ("10.96.0.10", true),
            ("127.0.0.1:54", true),
            ("127.0.0.53", true),
            ("127.0.0.1", false),
            ("10.96.0.10,127.0.0.1:53", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
        ] {
            let servers: Servers = text.parse().unwrap();
            assert_eq!(servers.besides(&own).is_ok(), good, "{text}");
        }
    }

    /// What becomes of a server in each second from the first one.
    enum Event {
        Answered(usize),
        /// To a question asked so many seconds before.
        Silent(usize, u64),
    }
    use Event::{Answered, Silent};

    #[test]
    fn the_silent_are_asked_last_and_counted_out_only_where_nothing_is_heard_of_them() {
        let begin = Instant::now();
        let second = |number: u64| begin + Duration::from_secs(10 + number);
        for (what, events, at, turns, none_answers) in [
            ("nobody was asked yet", &[][..], 0, &[0, 1, 2][..], false),
            ("the first is silent", &[Silent(0, 1)], 4, &[1, 2, 0], false),
            ("and five seconds later", &[Silent(0, 1)], 5, &[0, 1, 2], false),
            ("all", &[Silent(0, 1), Silent(1, 1), Silent(2, 1)], 2, &[0, 1, 2], true),
            ("all, for a minute", &[Silent(0, 1), Silent(1, 1), Silent(2, 1)], 60, &[0, 1, 2], true),
            (
                "all, then one is back",
                &[Silent(0, 1), Silent(1, 1), Silent(2, 1), Answered(1)],
                3,
                &[1, 0, 2],
                false,
            ),
            ("slow with one name", &[Answered(0), Silent(0, 1)], 1, &[0, 1, 2], false),
            ("slow, and then silent", &[Answered(0), Silent(1, 1), Silent(0, 1)], 2, &[2, 0, 1], false),
        ] {
            let standings = Standings::new(3);
            for (now, event) in (0..).zip(events) {
                match *event {
                    Answered(server) => standings.answered(server, second(now)),
                    Silent(server, before) => {
                        let asked = second(now) - Duration::from_secs(before);
                        standings.silent(server, asked, second(now));
                    }
                }
            }
            assert_eq!(standings.turns(second(at)), turns, "{what}");
            assert_eq!(standings.none_answers(), none_answers, "{what}");
        }
    }
}
