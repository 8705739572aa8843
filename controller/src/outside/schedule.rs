//! The schedule: whose turn it is to be asked, and what is known of each. A value; time and chance come in as
//! arguments.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    net::SocketAddr,
    time::Duration,
};

use rollcall_catalogue::{
    Namespace,
    liveness::{Answer, ProbeWitness},
};
use rollcall_net::{Jitter, probe::Check};
use tracing::warn;

use crate::{
    index::{OutsideId, OutsideTarget},
    outside::{
        lanes::Lanes,
        pace::Pace,
        peer::{Peer, PeerKey, Ticket},
    },
};

/// Holds all targets, and the peers that answer for them in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    targets: HashMap<OutsideId, PeerId>,
    peers: HashMap<PeerId, Peer>,
    by_key: HashMap<PeerKey, PeerId>,
    lanes: Lanes<PeerId>,
    pace: Pace,
    /// Also those whom nobody waits for any more: they hold their places until they have ended.
    in_flight: HashMap<Ticket, (PeerId, Namespace)>,
    /// The last number given to an attempt or a peer.
    names: u64,
}

/// Names a peer for as long as anybody asks after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PeerId(u64);

/// Holds one question that is to be asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) ticket: Ticket,
    pub(super) target: SocketAddr,
    pub(super) check: Check,
    pub(super) limit: Duration,
}

/// Names a target that is no longer wanted as it was, and the attempt that nobody waits for with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) id: OutsideId,
    pub(super) ticket: Option<Ticket>,
}

// === impl Schedule ===

impl Schedule {
    /// Takes over the list as it is now. What is in it as before goes on as before; all else begins anew, and
    /// what ends is returned.
    pub(super) fn replace(
        &mut self,
        targets: &[OutsideTarget],
        now_ms: u64,
        jitter: &mut Jitter,
    ) -> Vec<Forgotten> {
        let wanted: BTreeMap<_, _> = targets.iter().map(|target| (&target.id, target)).collect();
        let peers = &self.peers;
        let is_as_before = |id: &OutsideId, peer: &PeerId| {
            wanted.get(id).is_some_and(|target| peers.get(peer).is_some_and(|peer| peer.has(target)))
        };
        let gone: Vec<_> = self.targets.extract_if(|id, peer| !is_as_before(id, peer)).collect();
        let mut changed = BTreeSet::new();
        let mut forgotten = Vec::with_capacity(gone.len());
        for (id, peer_id) in gone {
            changed.insert(peer_id);
            let ticket = self.peers.get_mut(&peer_id).and_then(|peer| peer.remove(&id));
            forgotten.push(Forgotten { id, ticket });
        }
        for (id, target) in wanted {
            if !self.targets.contains_key(id) {
                changed.extend(self.begin(target, now_ms, jitter));
            }
        }
        for peer_id in changed {
            self.settle(peer_id);
        }
        forgotten
    }

    fn begin(&mut self, target: &OutsideTarget, now_ms: u64, jitter: &mut Jitter) -> Option<PeerId> {
        let key = match PeerKey::of(target) {
            Ok(key) => key,
            Err(error) => {
                // The schema and the domain both refuse such a path.
                warn!(service = %target.id.service, %error, "an address is not probed");
                return None;
            }
        };
        let names = &mut self.names;
        let peer_id = *self.by_key.entry(key.clone()).or_insert_with(|| {
            *names += 1;
            PeerId(*names)
        });
        let peer = self.peers.entry(peer_id).or_insert_with(|| Peer::new(key));
        peer.add(target, now_ms, draw(jitter));
        self.targets.insert(target.id.clone(), peer_id);
        Some(peer_id)
    }

    /// The question that is next, if it is due and there is a place for it.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Question> {
        if self.pace.free_at_ms() > now_ms {
            return None;
        }
        let (namespace, peer_id) = self.lanes.take(now_ms)?;
        self.pace.take(now_ms);
        self.names += 1;
        let ticket = Ticket(self.names);
        let peer = self.peers.get_mut(&peer_id)?;
        peer.waits.remove(&namespace);
        let limit_ms = peer.begin(ticket, now_ms);
        let question = Question {
            ticket,
            target: peer.key.address,
            check: peer.key.check.clone(),
            limit: Duration::from_millis(limit_ms.into()),
        };
        self.in_flight.insert(ticket, (peer_id, namespace));
        self.settle(peer_id);
        Some(question)
    }

    /// When the next question is due; none while there is no place, or nobody to be asked.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.lanes.next_at_ms().map(|at_ms| at_ms.max(self.pace.free_at_ms()))
    }

    /// Takes the end of an attempt, and says what is new of its targets. One that nobody waits for any more only
    /// gives back its place.
    pub(super) fn ended(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        now_ms: u64,
        jitter: &mut Jitter,
    ) -> Vec<(OutsideId, ProbeWitness)> {
        let Some((peer_id, namespace)) = self.in_flight.remove(&ticket) else { return Vec::new() };
        self.lanes.give_back(&namespace);
        let Some(peer) = self.peers.get_mut(&peer_id) else { return Vec::new() };
        let news = peer.ended(ticket, answer, now_ms, draw(jitter));
        self.settle(peer_id);
        news
    }

    /// A peer has changed: it waits where it should, and is forgotten with the last who asks.
    fn settle(&mut self, peer_id: PeerId) {
        let Some(peer) = self.peers.get_mut(&peer_id) else { return };
        let wanted = peer.wanted();
        let before = mem::replace(&mut peer.waits, wanted.clone());
        for (namespace, at_ms) in
            before.iter().filter(|(namespace, at_ms)| wanted.get(namespace) != Some(at_ms))
        {
            self.lanes.leave(namespace, *at_ms, peer_id);
        }
        for (namespace, at_ms) in
            wanted.iter().filter(|(namespace, at_ms)| before.get(namespace) != Some(at_ms))
        {
            self.lanes.wait(namespace, *at_ms, peer_id);
        }
        if !peer.has_askers() {
            self.by_key.remove(&peer.key);
            self.peers.remove(&peer_id);
        }
    }
}

/// As the judge wants chance: any number, all equally likely.
fn draw(jitter: &mut Jitter) -> u32 {
    (jitter.next_u64() >> 32) as u32
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
