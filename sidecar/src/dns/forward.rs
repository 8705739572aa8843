//! Names of other zones: asked of the servers that are configured, for the caller alone. Nothing is kept.
//!
//! ```text
//!  query ─► does any server answer? ─┬─ yes, or not known ─► each in turn, until one replies or the time is over
//!                                    └─ no ─┬─ a name of ours behind which a search list stands: there is none
//!                                           ├─ nobody else tries: as above
//!                                           ├─ a name of the cluster: as above, for a moment
//!                                           └─ else nothing, at once
//! ```
//!
//! Who would answer in a server's place must know the port and the id, which are random and of one query, and send from the
//! server's address.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rollcall_catalogue::ServiceRef;
use rollcall_dns::{Carrier, Forwarded, Query, UDP_BYTES_MAX};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::{Semaphore, SemaphorePermit},
    time::{Duration, Instant, MissedTickBehavior, interval, timeout},
};
use tokio_rustls::rustls::crypto::{SecureRandom, aws_lc_rs};
use tracing::{info, warn};

use super::{
    search::{Search, service_of},
    servers::{Servers, ServersError, Standings, is_of_nobody},
};

/// Resolvers wait from 2 s (dnspython) to 5 s (glibc, Go) before they ask somebody else: they are told before that.
const ALL_MAX: Duration = Duration::from_millis(1_800);
/// A packet may be lost: the question goes out again after this, which is longer than most answers take. Of the cluster's
/// names, which its DNS knows itself, nearly all.
const AGAIN_AFTER: Duration = Duration::from_millis(400);
/// Queries on their way at a time; each has a socket. A cluster's DNS answers ten thousand a second in a millisecond each.
const AT_A_TIME_MAX: usize = 128;
/// Of these, over TCP: each can hold 64 KiB.
const OVER_TCP_MAX: usize = 16;

/// Holds the servers that know other zones.
#[derive(Debug)]
pub(crate) struct Forwarder {
    servers: Vec<SocketAddr>,
    standings: Standings,
    search: Search,
    random: &'static dyn SecureRandom,
    places: Places,
    over_tcp: Places,
    /// While no server answers, one query at a time tries for as long as ever.
    tries: Semaphore,
}

/// Holds the places of queries on their way, of which names outside the cluster's zone leave a quarter free: they may all
/// wait for a server somewhere that is dead.
#[derive(Debug)]
struct Places {
    all: Semaphore,
    outer: Semaphore,
}

/// Says what came of a query that was sent on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A server's reply, as the asker is to have it.
    Reply(Vec<u8>),
    /// No server answers, and the name is one of ours with a domain of the search list behind it: there is none of it.
    NoSuchName,
    /// No server answered in time, or too many are asked already.
    Nothing,
}

// === impl Forwarder ===

impl Forwarder {
    /// None where there is no server to ask; `own` is where we listen ourselves.
    pub(crate) fn new(
        servers: &Servers,
        own: &[SocketAddr],
        search: Search,
    ) -> Result<Option<Self>, ServersError> {
        let servers = servers.besides(own)?.to_vec();
        Ok((!servers.is_empty()).then(|| Self {
            standings: Standings::new(servers.len()),
            servers,
            search,
            random: aws_lc_rs::default_provider().secure_random,
            places: Places::new(AT_A_TIME_MAX),
            over_tcp: Places::new(OVER_TCP_MAX),
            tries: Semaphore::new(1),
        }))
    }

    /// The service that this asker asks for next, where his resolver has put a domain of the search list behind its name.
    pub(super) fn announced(&self, query: &Query<'_>) -> Option<ServiceRef> {
        service_of(self.search.ours(&query.name())?)
    }

    /// Sends the query on, by the carrier that it came by.
    pub(super) async fn forward(&self, query: &Query<'_>, carrier: Carrier) -> Heard {
        let name = query.name();
        let nothing = || match self.search.ours(&name) {
            // A resolver that is told that we do not know gives up (musl), and would never ask for the name itself.
            Some(_) if self.standings.none_answers() => Heard::NoSuchName,
            _ => Heard::Nothing,
        };
        let of_cluster = self.search.is_of_cluster(&name);
        let Some(_place) = self.places.take(of_cluster) else { return nothing() };
        let _over_tcp = match carrier {
            Carrier::Udp => None,
            Carrier::Tcp => match self.over_tcp.take(of_cluster) {
                Some(place) => Some(place),
                None => return nothing(),
            },
        };
        let mut within = ALL_MAX;
        let _try = if self.standings.none_answers() {
            match (nothing(), self.tries.try_acquire()) {
                (Heard::Nothing, Ok(first)) => Some(first),
                // Whoever tries may have a name that nobody answers, while this one is answered.
                (Heard::Nothing, Err(_)) if of_cluster => {
                    within = AGAIN_AFTER;
                    None
                }
                (heard, _) => return heard,
            }
        } else {
            None
        };
        match self.ask(query, carrier, within).await {
            Some(reply) => Heard::Reply(reply),
            None => nothing(),
        }
    }

    /// Asks one server after the other; each has an equal share of the time that is left.
    async fn ask(&self, query: &Query<'_>, carrier: Carrier, within: Duration) -> Option<Vec<u8>> {
        let begin = Instant::now();
        let turns = self.standings.turns(begin);
        for (left, &server) in (1..=turns.len()).rev().zip(&turns) {
            let asked = Instant::now();
            let rest = within.saturating_sub(asked.duration_since(begin));
            let share = rest / u32::try_from(left).unwrap_or(u32::MAX);
            let came = match carrier {
                Carrier::Udp => timeout(share, self.over_udp(server, query)).await,
                Carrier::Tcp => timeout(share, self.over_tcp(server, query)).await,
            };
            let now = Instant::now();
            match came {
                Ok(Ok(reply)) => {
                    self.answered(server);
                    return Some(reply);
                }
                // Not every server speaks TCP. That it is gone is seen over UDP.
                _ if carrier == Carrier::Tcp => {}
                Ok(Err(error)) if is_of_nobody(&error) => self.silent(server, now),
                // Nothing went out: that says nothing of the server.
                Ok(Err(_)) => {}
                Err(_) => self.silent(server, asked),
            }
        }
        None
    }

    async fn over_udp(&self, server: usize, query: &Query<'_>) -> io::Result<Vec<u8>> {
        let address = self.address(server)?;
        let id = self.id()?;
        let (forwarded, question) = Forwarded::new(query, id, Carrier::Udp);
        // Never the same id: a header alone is told by nothing else.
        let (sign, asks_for_it) = Forwarded::sign_of_life(!id, self.search.cluster());
        let own: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(own).await?;
        socket.connect(address).await?;
        let mut again = interval(AGAIN_AFTER);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A server may be slow with one name, and well: who takes long is asked for what it knows itself beside it. Nobody has
        // time for that but who has seen it silent.
        let mut doubts = self.standings.none_answers();
        // A byte more than any answer has, so that a longer one is seen to be cut.
        let mut buffer = vec![0; UDP_BYTES_MAX + 1];
        loop {
            tokio::select! {
                _ = again.tick() => {
                    socket.send(&question).await?;
                    if doubts {
                        socket.send(&asks_for_it).await?;
                    }
                    doubts = true;
                }
                received = socket.recv_from(&mut buffer) => {
                    let (bytes, from) = received?;
                    // What came between opening the socket and connecting it can be anybody's.
                    if (from.ip(), from.port()) != (address.ip(), address.port()) {
                        continue;
                    }
                    let packet = buffer.get(..bytes).unwrap_or_default();
                    if let Some(reply) = forwarded.reply(packet) {
                        return Ok(reply);
                    }
                    if sign.reply(packet).is_some() {
                        self.answered(server);
                    }
                }
            }
        }
    }

    async fn over_tcp(&self, server: usize, query: &Query<'_>) -> io::Result<Vec<u8>> {
        let (forwarded, question) = Forwarded::new(query, self.id()?, Carrier::Tcp);
        let bytes = u16::try_from(question.len()).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect(self.address(server)?).await?;
        // In one packet: some servers read the first one only.
        stream.write_all(&[&bytes.to_be_bytes()[..], &question].concat()).await?;
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        forwarded.reply(&reply).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn address(&self, server: usize) -> io::Result<SocketAddr> {
        self.servers.get(server).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn id(&self) -> io::Result<u16> {
        let mut bytes = [0; 2];
        self.random.fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
        Ok(u16::from_be_bytes(bytes))
    }

    fn answered(&self, server: usize) {
        let before = self.standings.none_answers();
        self.standings.answered(server, Instant::now());
        if before {
            info!("names of other zones are answered again");
        }
    }

    fn silent(&self, server: usize, asked: Instant) {
        let before = self.standings.none_answers();
        self.standings.silent(server, asked, Instant::now());
        if !before && self.standings.none_answers() {
            warn!(servers = ?self.servers, "no server of --dns-forward answers; names of other zones fail");
        }
    }
}

// === impl Places ===

impl Places {
    fn new(max: usize) -> Self {
        Self { all: Semaphore::new(max), outer: Semaphore::new(max - max / 4) }
    }

    fn take(&self, of_cluster: bool) -> Option<(SemaphorePermit<'_>, Option<SemaphorePermit<'_>>)> {
        let outer = if of_cluster { None } else { Some(self.outer.try_acquire().ok()?) };
        Some((self.all.try_acquire().ok()?, outer))
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
