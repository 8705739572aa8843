//! How the other replicas' processes stand, and what that makes of the sessions that they told of.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use rollcall_catalogue::{
    PodUid,
    liveness::{Ours, Peers},
};
use rollcall_wire::peer::{Note, SessionNote};

use crate::index::{Index, early::Early};

/// Says how another replica's process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerStanding {
    /// Itself or through others, it says what it hears.
    Heard,
    /// It lives, for all that is known; but since then it tells nothing, to us or to whom we hear. Of the owner's clock, as below.
    Unheard { since_ms: u64 },
    /// Since then nobody hears it; of the owner's clock.
    Lost { at_ms: u64 },
}

/// Holds what replicas share, beside the notes of the pods themselves.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Of our own process.
    pub(super) epoch: Arc<str>,
    /// By their epochs. One that has sessions and is not named is lost since it was first missed.
    standings: BTreeMap<Arc<str>, PeerStanding>,
    /// Since when those are unheard that are, or were until they were lost.
    unheard: BTreeMap<Arc<str>, u64>,
    /// When one that was unheard was last found lost.
    pub(super) unheard_lost_ms: Option<u64>,
    /// The pods whose newest session is another process's, by that: what becomes of one process costs its own pods.
    elsewhere: HashMap<Arc<str>, HashSet<PodUid>>,
    /// Notes of pods that the watch has not brought yet.
    pub(super) early: Early<PodUid, Arc<Note>>,
    /// The pods of which there is something to be told.
    pub(super) untold: BTreeSet<PodUid>,
    /// The pods that had an open session here, and have a newer one elsewhere.
    pub(super) superseded: Vec<PodUid>,
}

// === impl Sharing ===

impl Sharing {
    /// The newest session of this pod is this process's from now on.
    pub(super) fn is_at(&mut self, uid: &PodUid, origin: &Arc<str>, now_ms: u64) {
        self.elsewhere.entry(origin.clone()).or_default().insert(uid.clone());
        self.standings.entry(origin.clone()).or_insert(PeerStanding::Lost { at_ms: now_ms });
    }

    /// No longer.
    pub(super) fn is_not_at(&mut self, uid: &PodUid, origin: &Arc<str>) {
        if let Some(pods) = self.elsewhere.get_mut(origin) {
            pods.remove(uid);
            if pods.is_empty() {
                self.elsewhere.remove(origin);
            }
        }
    }

    /// What a session at this process says here.
    pub(super) fn heard_at(&self, origin: &Arc<str>, told: SessionNote) -> Peers {
        let told = match told {
            SessionNote::Open { unheard_since_ms: None } => Peers::Hear,
            SessionNote::Open { unheard_since_ms: Some(heard_ms) } => Peers::Told(Ours::Open { heard_ms }),
            SessionNote::Ended { at_ms, heard_ms, by_peer } => {
                Peers::Told(Ours::Reset { at_ms, heard_ms, by_peer })
            }
        };
        let told = self.unheard.get(origin).map_or(told, |since_ms| told.unheard(*since_ms));
        match self.standings.get(origin) {
            Some(PeerStanding::Lost { at_ms }) => told.lost(*at_ms),
            Some(PeerStanding::Heard | PeerStanding::Unheard { .. }) | None => told,
        }
    }

    /// Since when any other process is unheard: who is missing here may be there.
    pub(super) fn unheard_since_ms(&self) -> Option<u64> {
        let since_ms = |standing: &PeerStanding| match standing {
            PeerStanding::Unheard { since_ms } => Some(*since_ms),
            PeerStanding::Heard | PeerStanding::Lost { .. } => None,
        };
        self.standings.values().filter_map(since_ms).min()
    }

    /// Takes how they stand now; gives the pods of those that stand differently.
    fn stand(&mut self, mut peers: BTreeMap<Arc<str>, PeerStanding>, now_ms: u64) -> Vec<PodUid> {
        for origin in
            self.elsewhere.keys().filter(|origin| !peers.contains_key(*origin)).cloned().collect::<Vec<_>>()
        {
            let missed = match self.standings.get(&origin) {
                Some(lost @ PeerStanding::Lost { .. }) => *lost,
                Some(PeerStanding::Heard | PeerStanding::Unheard { .. }) | None => {
                    PeerStanding::Lost { at_ms: now_ms }
                }
            };
            peers.insert(origin, missed);
        }
        let mut unheard = std::mem::take(&mut self.unheard);
        self.unheard = peers
            .iter()
            .filter_map(|(origin, standing)| match standing {
                PeerStanding::Heard => None,
                PeerStanding::Unheard { since_ms } => Some((origin.clone(), *since_ms)),
                PeerStanding::Lost { .. } => unheard.remove_entry(origin),
            })
            .collect();
        let before = std::mem::replace(&mut self.standings, peers);
        let was_unheard =
            |origin: &Arc<str>| matches!(before.get(origin), Some(PeerStanding::Unheard { .. }));
        let newly_lost = self.standings.iter().filter_map(|(origin, standing)| match standing {
            PeerStanding::Lost { at_ms } if was_unheard(origin) => Some(*at_ms),
            _ => None,
        });
        self.unheard_lost_ms = self.unheard_lost_ms.max(newly_lost.max());
        let turned =
            self.elsewhere.iter().filter(|(origin, _)| before.get(*origin) != self.standings.get(*origin));
        turned.flat_map(|(_, pods)| pods.iter().cloned()).collect()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.elsewhere.is_empty()
    }
}

// === impl Index ===

impl Index {
    /// The same index, of the process with this epoch.
    #[must_use]
    pub fn of_process(mut self, epoch: Arc<str>) -> Self {
        self.sharing.epoch = epoch;
        self
    }

    /// How the other replicas' processes stand, by their epochs. One that is not named is lost since it was first missed.
    pub fn set_peers(&mut self, peers: BTreeMap<Arc<str>, PeerStanding>, now_ms: u64) {
        self.clock.reaches(now_ms);
        // Before anybody is judged by it, the guard has to look.
        self.clock.node_turned();
        for uid in self.sharing.stand(peers, now_ms) {
            self.reconsider(&uid);
        }
    }

    /// What another process tells of this pod's session counts for more, or for less, than it did.
    fn reconsider(&mut self, uid: &PodUid) {
        let Some(session) = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut()) else { return };
        let Some(told) = session.elsewhere else { return };
        session.facts.peers = self.sharing.heard_at(&session.origin, told);
        self.settle_told(uid);
    }
}
