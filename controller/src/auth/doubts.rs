//! What is known of tokens that are no good, and of the addresses that show them: whoever has none costs the API server
//! little, however often he comes.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{AuthError, REFUSED_FOR};

/// Reviews that one address may have under way: the sidecars of a whole node may share one, and those of others must
/// get through as well.
const PEER_REVIEWS_MAX: usize = 4;
/// Refusals that one address may cause within [`REFUSED_FOR`] before nobody is asked for it any more.
const PEER_REFUSALS_MAX: u32 = 16;
/// Tokens, and addresses, that are remembered: a few dozen bytes each, and at 16 refusals an address more than 500 of
/// them get through before the eldest is forgotten.
const REFUSED_MAX: usize = 8_192;

/// Holds who was refused lately, and who is under review.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tokens: HashMap<[u8; 32], (AuthError, Instant)>,
    peers: HashMap<IpAddr, Refusals>,
    under_way: HashMap<IpAddr, usize>,
}

/// Holds what one address has caused since a moment.
#[derive(Debug)]
struct Refusals {
    since: Instant,
    count: u32,
}

/// Holds a place among the reviews of one address.
#[derive(Debug)]
pub(super) struct PeerPlace<'a> {
    doubts: &'a Doubts,
    peer: IpAddr,
}

// === impl Doubts ===

impl Doubts {
    /// Whether this token of this address may be asked about.
    pub(super) fn enter(&self, token: &[u8; 32], peer: IpAddr) -> Result<PeerPlace<'_>, AuthError> {
        let peer = peer.to_canonical();
        let now = Instant::now();
        let mut inner = self.inner();
        if let Some((error, at)) = inner.tokens.get(token)
            && now.duration_since(*at) < REFUSED_FOR
        {
            return Err(error.clone());
        }
        let spent = inner.peers.get(&peer).is_some_and(|held| held.count_at(now) >= PEER_REFUSALS_MAX);
        let under_way = inner.under_way.get(&peer).copied().unwrap_or(0);
        if spent || under_way >= PEER_REVIEWS_MAX {
            return Err(AuthError::TooMany);
        }
        inner.under_way.insert(peer, under_way + 1);
        Ok(PeerPlace { doubts: self, peer })
    }

    /// The API server does not know this token.
    pub(super) fn refused(&self, token: [u8; 32], peer: IpAddr, why: &AuthError) {
        let now = Instant::now();
        let mut inner = self.inner();
        if inner.tokens.len() >= REFUSED_MAX {
            inner.tokens.retain(|_, (_, at)| now.duration_since(*at) < REFUSED_FOR);
        }
        if inner.tokens.len() < REFUSED_MAX {
            inner.tokens.insert(token, (why.clone(), now));
        }
        if inner.peers.len() >= REFUSED_MAX {
            inner.peers.retain(|_, refusals| refusals.count_at(now) > 0);
        }
        let peer = peer.to_canonical();
        if inner.peers.len() < REFUSED_MAX || inner.peers.contains_key(&peer) {
            let refusals = inner.peers.entry(peer).or_insert(Refusals { since: now, count: 0 });
            let count = refusals.count_at(now);
            let since = if count == 0 { now } else { refusals.since };
            *refusals = Refusals { since, count: count + 1 };
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Maps stay whole whoever panicked while holding them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Refusals ===

impl Refusals {
    fn count_at(&self, now: Instant) -> u32 {
        if now.duration_since(self.since) < REFUSED_FOR { self.count } else { 0 }
    }
}

// === impl PeerPlace ===

impl Drop for PeerPlace<'_> {
    fn drop(&mut self) {
        let mut inner = self.doubts.inner();
        if let Some(under_way) = inner.under_way.get_mut(&self.peer) {
            *under_way -= 1;
            if *under_way == 0 {
                inner.under_way.remove(&self.peer);
            }
        }
    }
}
