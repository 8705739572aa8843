//! Where the controller is by the cluster's DNS: asked when nobody answers at any address that is known. What it says decides
//! only whom we dial; who has no certificate of ours gets no token.

mod packet;
mod place;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use futures::{FutureExt, future::BoxFuture};
use rollcall_net::Jitter;
use tokio::{
    net::UdpSocket,
    time::{Duration, MissedTickBehavior, interval, timeout},
};
use tracing::{debug, info};

pub use self::place::{BadName, Name};
use self::{
    packet::{Kind, Reply, question, reply},
    place::Asked,
};
use crate::dns::Servers;

/// All of it: nobody waits for it but the next dial.
const ALL_MAX: Duration = Duration::from_secs(5);
/// One server has so long for one name.
const SERVER_MAX: Duration = Duration::from_secs(1);
/// A packet may be lost.
const AGAIN_AFTER: Duration = Duration::from_millis(400);
/// Addresses that are dialled: a Service has one of each family, and a headless one those of its pods.
pub(crate) const FOUND_MAX: usize = 4;
/// Bytes of an answer that are read: what DNS sends over UDP to whoever asks for no more.
const PACKET_BYTES: usize = 512;

/// Says where the controller may be reached.
pub(crate) trait Find: Send + Sync {
    /// Those at the port that its address has, where its name says no other; [`FOUND_MAX`] at most, in bounded time.
    fn find(&self, port: u16) -> BoxFuture<'_, Vec<SocketAddr>>;
}

/// Holds what is asked for, and of whom.
#[derive(Debug)]
pub(crate) struct Finder {
    name: Name,
    /// Those of the flag for other zones; where there are none, those of the pod.
    servers: Servers,
}

// === impl Finder ===

impl Finder {
    /// None where there is no name to ask for.
    pub(crate) fn new(name: Name, servers: Servers) -> Option<Self> {
        (!name.is_empty()).then_some(Self { name, servers })
    }

    async fn ask(&self, port: u16) -> Vec<SocketAddr> {
        let Asked { names, servers } = place::asked(&self.name, &self.servers);
        let mut jitter = Jitter::from_entropy();
        for name in &names {
            for server in &servers {
                let asked = timeout(SERVER_MAX, addresses(*server, name, &mut jitter)).await;
                let Some(mut found) = asked.ok().and_then(Result::ok).flatten() else {
                    debug!(%server, name, "no answer where the controller is");
                    continue;
                };
                found.truncate(FOUND_MAX);
                if !found.is_empty() {
                    info!(%server, name, ?found, "where the controller is by the cluster's DNS");
                    let port = self.name.port().unwrap_or(port);
                    return found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                }
                // Who knows that there is none of this name need not be contradicted by the others.
                break;
            }
        }
        info!(?names, ?servers, "the cluster's DNS does not say where the controller is");
        Vec::new()
    }
}

impl Find for Finder {
    fn find(&self, port: u16) -> BoxFuture<'_, Vec<SocketAddr>> {
        async move { timeout(ALL_MAX, self.ask(port)).await.unwrap_or_default() }.boxed()
    }
}

/// All addresses of the name at this server; none where it cannot say.
async fn addresses(
    server: SocketAddr,
    name: &str,
    jitter: &mut Jitter,
) -> std::io::Result<Option<Vec<std::net::IpAddr>>> {
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(server).await?;
    let mut open = Vec::new();
    for kind in [Kind::A, Kind::Aaaa] {
        let id = u16::try_from(jitter.next_u64() >> 48).unwrap_or_default();
        open.push((kind, question(id, name, kind).ok_or(std::io::ErrorKind::InvalidInput)?));
    }
    let mut found = Vec::new();
    let mut again = interval(AGAIN_AFTER);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = [0; PACKET_BYTES];
    while !open.is_empty() {
        tokio::select! {
            _ = again.tick() => {
                for (_, question) in &open {
                    socket.send(question).await?;
                }
            }
            bytes = socket.recv(&mut buffer) => {
                let packet = buffer.get(..bytes?).unwrap_or_default();
                let heard = open.iter().enumerate().find_map(|(at, (kind, asked))| {
                    Some((at, reply(packet, asked, *kind)?))
                });
                match heard {
                    Some((at, Reply::Addresses(addresses))) => {
                        open.remove(at);
                        found.extend(addresses);
                    }
                    Some((_, Reply::Refused)) => return Ok(None),
                    // Not of what was asked.
                    None => {}
                }
            }
        }
    }
    Ok(Some(found))
}

#[cfg(test)]
#[path = "finder_tests.rs"]
mod tests;
