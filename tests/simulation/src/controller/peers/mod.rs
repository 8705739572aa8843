//! The other replicas: the real book of who of them is heard, and in a few lines what is done about it.

mod line;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use rollcall_catalogue::PodUid;
use rollcall_controller::{
    index::{PeerStanding, Tidings},
    peers::{Answer, Book, Lookout, TICK_MS},
};
use rollcall_wire::{
    peer::{Beat, Ledger, Note, Standing, Version},
    server::reason,
};

use line::Line;

use super::Controller;
use crate::{
    agenda::Millis,
    ether::Ether,
    network::{ConnectionId, End, ReplicaNo},
    world::Event,
};

/// A replica that starts waits no longer for the others' words.
const MET_WITHIN_MS: u64 = 3_000;
/// How long a dial takes.
const DIALLED_AFTER_MS: std::ops::RangeInclusive<u64> = 5..=150;

/// Holds what one process has with the others.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) ledger: Arc<Ledger>,
    links: BTreeMap<ConnectionId, Line>,
    book: Book,
    /// Which replica is whose process.
    replicas: BTreeMap<Arc<str>, ReplicaNo>,
    /// What the last look wants of the API server.
    lookout: Lookout,
    dialling: BTreeSet<ReplicaNo>,
    standings: BTreeMap<Arc<str>, PeerStanding>,
    is_cut: bool,
    /// Sessions are served from then on, if not before.
    meets_by_ms: Option<Millis>,
    pub(crate) met: bool,
}

// === impl Peers ===

impl Peers {
    pub(super) fn new(own: Arc<str>, now_ms: Millis) -> Self {
        Self {
            ledger: Arc::default(),
            links: BTreeMap::new(),
            book: Book::new(own, now_ms),
            replicas: BTreeMap::new(),
            lookout: Lookout::default(),
            dialling: BTreeSet::new(),
            standings: BTreeMap::new(),
            is_cut: false,
            meets_by_ms: None,
            met: false,
        }
    }

    /// Whether that process tells us all that it knows, and has.
    pub(crate) fn hears(&self, epoch: &str) -> bool {
        self.book.told().any(|told| **told == *epoch)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (ConnectionId, End)> {
        self.links.iter().map(|(id, line)| (*id, line.end))
    }
}

impl Controller {
    pub(super) fn epoch(&self) -> &Arc<str> {
        self.feed.epoch()
    }

    /// Looks whom it hears, gives signs of life and asks for those of others where the API server answers, and dials whom
    /// it has no link with.
    pub(crate) fn look_at_peers(
        &mut self,
        replicas: usize,
        signs: Option<&mut BTreeMap<Arc<str>, u64>>,
        ether: &mut Ether,
    ) {
        if let Some(signs) = signs {
            self.ask_for_signs(signs, ether);
        }
        self.stand(ether);
        self.meet(replicas, ether);
        for other in (0..replicas).filter(|other| *other != self.replica) {
            let linked = self.peers.links.values().any(|line| line.other == other);
            if !linked && self.peers.dialling.insert(other) {
                let pause_ms = ether.chance.within(DIALLED_AFTER_MS);
                ether.agenda.after(pause_ms, Event::PeerDialled(self.life, other));
            }
        }
        self.beat(ether);
        ether.agenda.after(TICK_MS, Event::LooksAtPeers(self.life));
    }

    /// The API server answers: what we give there, and what we see of those that we miss.
    fn ask_for_signs(&mut self, signs: &mut BTreeMap<Arc<str>, u64>, ether: &Ether) {
        let now_ms = self.clock_ms(ether);
        let Peers { book, lookout, .. } = &mut self.peers;
        book.answered(now_ms);
        if lookout.gives {
            *signs.entry(self.feed.epoch().clone()).or_default() += 1;
        }
        for missed in &lookout.reads {
            let sign = signs.get(&missed.epoch).map(|count| count.to_string().as_str().into());
            let answer = sign.map_or(Answer::NoSign, |version| Answer::Sign { version });
            book.sign(&missed.epoch, answer, now_ms, now_ms);
        }
    }

    /// What is known of the others' processes, for the index; and who hears neither them nor the API server is the one that
    /// is cut off.
    fn stand(&mut self, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        let look = self.peers.book.look(None, &self.reading.reach, now_ms);
        self.peers.lookout = look.lookout;
        if look.standings != self.peers.standings {
            ether.note(format!("controller {} has {:?}", self.life, look.standings));
            self.peers.standings.clone_from(&look.standings);
            self.index.set_peers(look.standings, now_ms);
            self.publish_soon(ether);
        }
        if look.is_cut && !self.peers.is_cut {
            let open: Vec<_> = self.open.values().copied().collect();
            open.into_iter().for_each(|id| self.dismiss(id, reason::CUT, ether));
        }
        self.peers.is_cut = look.is_cut;
    }

    fn meet(&mut self, replicas: usize, ether: &mut Ether) {
        if self.peers.met || !self.complete {
            return;
        }
        let by_ms = *self.peers.meets_by_ms.get_or_insert(ether.now_ms() + MET_WITHIN_MS);
        let synced = self.peers.book.told().count();
        if synced + 1 >= replicas || ether.now_ms() >= by_ms {
            ether.note(format!("controller {} has met {synced} others", self.life));
            self.peers.met = true;
        }
    }

    fn beat(&mut self, ether: &mut Ether) {
        let beat = self.own_beat();
        self.peers.links.values_mut().for_each(|line| line.link.set_beat(beat.clone()));
        self.pump_links(ether);
    }

    fn own_beat(&self) -> Beat {
        // Whom we hear again, and who has not told all yet, others hear through us as little.
        let is_unheard = |epoch: &&Arc<str>| {
            matches!(self.peers.standings.get(*epoch), Some(PeerStanding::Unheard { .. }))
        };
        let hears = self.peers.book.heard().filter(|epoch| !is_unheard(epoch)).cloned().collect();
        let standing = if self.peers.met { Standing::Serving } else { Standing::Starting };
        Beat {
            sessions: u32::try_from(self.open.len()).unwrap(),
            hears,
            standing,
            changed: self.happened.clone(),
        }
    }

    /// Where sessions are served, as sidecars are told: here first.
    pub(super) fn addresses(&self) -> Arc<[SocketAddr]> {
        let known = &self.peers.replicas;
        let others = self.peers.book.heard().filter_map(|epoch| known.get(epoch).copied());
        let others = others.collect::<BTreeSet<_>>();
        let all = [self.replica].into_iter().chain(others);
        all.map(|replica| SocketAddr::from(([10, 9, 0, replica as u8 + 1], 7_310))).collect()
    }

    /// The pods of which there is a record.
    pub(crate) fn known_pods(&self) -> Vec<PodUid> {
        self.known().into_iter().map(|note| note.pod.clone()).collect()
    }

    /// How much is known of each pod, and by whose word.
    pub(crate) fn known_versions(&self) -> BTreeMap<PodUid, (Version, Arc<str>)> {
        let all = self.known().into_iter();
        all.map(|note| (note.pod.clone(), (note.version.clone(), note.origin.clone()))).collect()
    }

    fn known(&self) -> Vec<Arc<Note>> {
        let mut number = 0;
        let next = || {
            let (found, note) = self.peers.ledger.next_after(number)?;
            number = found;
            Some(note)
        };
        std::iter::from_fn(next).collect()
    }

    /// All that it knew has been taken in.
    pub(super) fn synced(&mut self, epoch: &Arc<str>) {
        self.peers.book.synced(epoch);
    }

    /// What the index has to tell goes into the ledger, for all links.
    pub(super) fn tell_notes(&mut self, ether: &mut Ether) {
        for tidings in self.index.take_notes() {
            match tidings {
                Tidings::Known(note) => drop(self.peers.ledger.put(note)),
                Tidings::Gone(pod) => self.peers.ledger.forget(&pod),
            }
        }
        self.pump_links(ether);
        for uid in self.index.take_superseded() {
            if let Some(id) = self.open.remove(&uid) {
                self.dismiss(id, reason::SUPERSEDED, ether);
            }
        }
    }
}
