//! Whose turn it is to send a large question.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Large questions at a time: as much memory as all small ones.
pub(super) const LARGE_MAX: usize = 8;
/// Those of one address, so that who sends slowly keeps nobody else waiting. An API server's takes milliseconds; one that
/// is stuck leaves it another.
pub(super) const LARGE_OF_ONE_MAX: usize = 2;

/// Holds how many large questions are under way, and whose.
#[derive(Debug)]
pub(super) struct Large {
    all: Arc<Semaphore>,
    /// Of those who send or wait: never more than there are connections.
    shares: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// Holds the right to send one; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
}

// === impl Large ===

impl Large {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(LARGE_MAX)), shares: Mutex::default() }
    }

    /// Who has to wait for a turn of its own waits beside the line, and not in it.
    pub(super) async fn turn(&self, peer: IpAddr) -> Option<Turn> {
        let share = self.share(peer).acquire_owned().await.ok()?;
        let place = self.all.clone().acquire_owned().await.ok()?;
        Some(Turn { _place: place, _share: share })
    }

    fn share(&self, peer: IpAddr) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| share.strong_count() > 0);
        // IPv4 looks like IPv6 on a socket for both.
        let peer = peer.to_canonical();
        shares.get(&peer).and_then(Weak::upgrade).unwrap_or_else(|| {
            let share = Arc::new(Semaphore::new(LARGE_OF_ONE_MAX));
            shares.insert(peer, Arc::downgrade(&share));
            share
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn each_has_its_share_and_what_is_given_back_leaves_nothing() {
        let (large, peer) = (Large::new(), |last: u8| IpAddr::from([10, 0, 0, last]));
        let mut turns = Vec::new();
        for one in 1..=4 {
            for _ in 0..LARGE_OF_ONE_MAX {
                turns.push(large.turn(peer(one)).now_or_never().flatten().unwrap());
            }
            let mapped = peer(one).to_string().parse::<std::net::Ipv4Addr>().unwrap().to_ipv6_mapped();
            assert!(large.turn(mapped.into()).now_or_never().is_none(), "{one} has its share");
        }
        assert!(large.turn(peer(5)).now_or_never().is_none(), "all are taken");
        turns.pop();
        assert!(large.turn(peer(1)).now_or_never().is_none());
        drop(large.turn(peer(5)).now_or_never().flatten().unwrap());
        drop(turns);
        large.turn(peer(6)).await.unwrap();
        assert_eq!(large.shares.lock().unwrap().len(), 1);
    }
}
