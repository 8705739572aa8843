//! The places of a listener: how many connections there are at a time, and how many of them are one peer's.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tracing::warn;

/// The pause after an accept that failed, mostly for want of file descriptors: trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The pause between two warnings of peers that want too much: whoever is turned away chooses how often.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// Holds the places of one listener. Whoever comes when all are taken waits in the kernel's backlog, at no cost to
/// those inside; whoever has as many as one peer may have is turned away, since he would wait before all others.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    shares: Option<Arc<Shares>>,
    turned_away: u64,
    warned: Option<Instant>,
}

/// Holds one connection's place; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    _share: Option<Share>,
    _place: OwnedSemaphorePermit,
}

/// Holds how many places each peer has, of those who have any: never more peers than there are places.
#[derive(Debug)]
struct Shares {
    max: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// Holds one of a peer's places.
#[derive(Debug)]
struct Share {
    peer: IpAddr,
    of: Arc<Shares>,
}

// === impl Places ===

impl Places {
    /// So many in all; one peer may have them all.
    pub fn new(max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(max)), shares: None, turned_away: 0, warned: None }
    }

    /// So many for each peer at most, so that one that takes all it can get leaves the others theirs. A peer is an
    /// address and not its network: pods have one each, and those of a node are often of one network with the node.
    #[must_use]
    pub fn per_peer(self, max: usize) -> Self {
        Self { shares: Some(Arc::new(Shares { max, taken: Mutex::default() })), ..self }
    }

    /// The next connection that has a place. Nothing is lost where it is not waited for.
    pub async fn accept(&mut self, listener: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            let Ok(place) = self.all.clone().acquire_owned().await else { std::future::pending().await };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let share = match &self.shares {
                None => None,
                Some(shares) => match shares.take(peer.ip()) {
                    Some(share) => Some(share),
                    None => {
                        let max = shares.max;
                        self.turn_away(&stream, peer, max);
                        continue;
                    }
                },
            };
            return (stream, peer, Place { _share: share, _place: place });
        }
    }

    fn turn_away(&mut self, stream: &TcpStream, peer: SocketAddr, max: usize) {
        // Reset, so that the kernel keeps nothing of it; where that fails, it is closed.
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        self.turned_away += 1;
        let now = Instant::now();
        if self.warned.is_none_or(|before| now.duration_since(before) >= WARNING_PAUSE) {
            let (peer, turned_away) = (peer.ip().to_canonical(), std::mem::take(&mut self.turned_away));
            warn!(%peer, max, turned_away, "connections are turned away: their peer has all that one may have");
            self.warned = Some(now);
        }
    }
}

// === impl Shares ===

impl Shares {
    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Share> {
        // IPv4 looks like IPv6 on a socket for both.
        let peer = peer.to_canonical();
        let mut taken = self.taken();
        let count = taken.get(&peer).copied().unwrap_or_default();
        if count >= self.max {
            return None;
        }
        taken.insert(peer, count + 1);
        Some(Share { peer, of: self.clone() })
    }

    /// Whole whoever panicked while holding it: each change is one step.
    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Share ===

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        match taken.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.peer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::{io::AsyncReadExt, net::TcpSocket, time::timeout};

    use super::*;
    use crate::bind;

    /// A connection from an address of our own choice: all of 127.0.0.0/8 is this machine.
    async fn connect(from: u8, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, from], 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    }

    #[test]
    fn each_has_his_share_and_gives_it_back() {
        let shares = Arc::new(Shares { max: 2, taken: Mutex::default() });
        let (one, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), "2001:db8::1".parse().unwrap());
        let first = shares.take(one).unwrap();
        let second = shares.take("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert!(shares.take(one).is_none(), "the same peer in two spellings");
        let others = shares.take(other).unwrap();
        drop(first);
        let again = shares.take(one).unwrap();
        assert!(shares.take(one).is_none());
        drop((second, again, others));
        assert!(shares.taken().is_empty(), "nobody is remembered who has nothing");
    }

    #[tokio::test]
    async fn whoever_takes_all_that_he_can_get_keeps_nobody_else_out() {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut places = Places::new(3).per_peer(2);
        let (mut greedy, mut held) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            greedy.push(connect(1, address).await);
            held.push(places.accept(&listener).await);
        }
        for _ in 0..20 {
            greedy.push(connect(1, address).await);
        }
        let _modest = connect(2, address).await;
        let (_, peer, _place) = places.accept(&listener).await;
        assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 2]), "those before it were turned away");
        for stream in &mut greedy[2..] {
            let ended = stream.read(&mut [0; 1]).await;
            assert!(ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
        }
        // All places are taken: who comes now waits, and is not turned away.
        let _third = connect(3, address).await;
        assert!(timeout(Duration::from_millis(50), places.accept(&listener)).await.is_err());
        held.pop();
        let (_, peer, _place) = places.accept(&listener).await;
        assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 3]));
        held.pop();
        let _back = connect(1, address).await;
        let (_, peer, _place) = places.accept(&listener).await;
        assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 1]), "with nothing left, he is anybody again");
    }
}
