//! The other replicas: in a few lines who of them is heard, and what is told of whom.

mod line;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use rollcall_catalogue::PodUid;
use rollcall_controller::index::{PeerStanding, Tidings};
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

/// How often a replica looks whom it hears.
const LOOKS_EVERY_MS: u64 = 500;
/// From the end of a link until its process is lost, where nothing else is heard of it.
const LOST_AFTER_MS: u64 = 2_500;
/// A question that was answered so long before that at most says that there is no sign of life.
const ASKED_WITHIN_MS: u64 = 1_000;
/// How long a sign counts that has moved.
const SIGN_COUNTS_FOR_MS: u64 = 5_000;
/// Who hears nobody for so long, and no API server either, sends its sessions away.
const CUT_AFTER_MS: u64 = 5_000;
/// Who stood still for longer than this does not judge for as long as a silence takes.
const LATENESS_MS: u64 = 1_500;
const JUDGES_AFTER_MS: u64 = 3_000;
/// A replica that starts waits no longer for the others' words.
const MET_WITHIN_MS: u64 = 3_000;
/// How long a dial takes.
const DIALLED_AFTER_MS: std::ops::RangeInclusive<u64> = 5..=150;

/// Holds what one process has with the others.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) ledger: Arc<Ledger>,
    links: BTreeMap<ConnectionId, Line>,
    /// By their epochs, those that were ever met.
    processes: BTreeMap<Arc<str>, Process>,
    dialling: BTreeSet<ReplicaNo>,
    standings: BTreeMap<Arc<str>, PeerStanding>,
    looked_ms: Millis,
    judges_from_ms: Millis,
    /// The API server answered last then.
    answered_ms: Millis,
    is_cut: bool,
    /// Sessions are served from then on, if not before.
    meets_by_ms: Option<Millis>,
    pub(crate) met: bool,
}

/// Holds what is known of one process of another replica.
#[derive(Debug)]
struct Process {
    replica: ReplicaNo,
    up: bool,
    synced: bool,
    hears: Vec<Arc<str>>,
    broke_ms: Millis,
    sign: Option<u64>,
    moved_ms: Option<Millis>,
    asked_ms: Option<Millis>,
    lost_ms: Option<Millis>,
}

// === impl Peers ===

impl Peers {
    pub(super) fn new(now_ms: Millis) -> Self {
        Self {
            ledger: Arc::default(),
            links: BTreeMap::new(),
            processes: BTreeMap::new(),
            dialling: BTreeSet::new(),
            standings: BTreeMap::new(),
            looked_ms: now_ms,
            judges_from_ms: now_ms + JUDGES_AFTER_MS,
            answered_ms: now_ms,
            is_cut: false,
            meets_by_ms: None,
            met: false,
        }
    }

    /// Whether that process tells us all that it knows, and has.
    pub(crate) fn hears(&self, epoch: &str) -> bool {
        self.processes.get(epoch).is_some_and(|process| process.up && process.synced)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (ConnectionId, End)> {
        self.links.iter().map(|(id, line)| (*id, line.end))
    }

    fn up(&self) -> impl Iterator<Item = (&Arc<str>, &Process)> {
        self.processes.iter().filter(|(_, process)| process.up)
    }

    fn standing(&self, epoch: &Arc<str>, process: &Process, now_ms: Millis) -> PeerStanding {
        let named = self.up().any(|(_, other)| other.hears.contains(epoch));
        let lives = process.moved_ms.is_some_and(|moved_ms| moved_ms + SIGN_COUNTS_FOR_MS > now_ms);
        if process.up || named || lives {
            return PeerStanding::Heard;
        }
        if let Some(at_ms) = process.lost_ms {
            return PeerStanding::Lost { at_ms };
        }
        if self.up().any(|(_, other)| other.replica == process.replica) {
            return PeerStanding::Lost { at_ms: now_ms };
        }
        let from_ms = process.broke_ms + LOST_AFTER_MS;
        let no_sign = process.asked_ms.is_some_and(|asked_ms| asked_ms + ASKED_WITHIN_MS >= from_ms);
        match no_sign && now_ms >= from_ms.max(self.judges_from_ms) {
            true => PeerStanding::Lost { at_ms: now_ms },
            false => PeerStanding::Heard,
        }
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
        let now_ms = ether.now_ms();
        let peers = &mut self.peers;
        if now_ms > peers.looked_ms + LOOKS_EVERY_MS + LATENESS_MS {
            peers.judges_from_ms = now_ms + JUDGES_AFTER_MS;
        }
        peers.looked_ms = now_ms;
        if let Some(signs) = signs {
            peers.answered_ms = now_ms;
            if peers.processes.values().any(|process| !process.up) {
                *signs.entry(self.feed.epoch().clone()).or_default() += 1;
            }
            for (epoch, process) in peers.processes.iter_mut().filter(|(_, process)| !process.up) {
                process.asked_ms = Some(now_ms);
                let sign = signs.get(epoch).copied().unwrap_or_default();
                if process.sign.replace(sign).is_some_and(|held| held != sign) {
                    process.moved_ms = Some(now_ms);
                }
            }
        }
        self.stand(ether);
        self.flee_if_cut(ether);
        self.meet(replicas, ether);
        for other in (0..replicas).filter(|other| *other != self.replica) {
            let linked = self.peers.links.values().any(|line| line.other == other);
            if !linked && self.peers.dialling.insert(other) {
                let pause_ms = ether.chance.within(DIALLED_AFTER_MS);
                ether.agenda.after(pause_ms, Event::PeerDialled(self.life, other));
            }
        }
        self.beat(ether);
        ether.agenda.after(LOOKS_EVERY_MS, Event::LooksAtPeers(self.life));
    }

    /// What is known of the others' processes, for the index.
    fn stand(&mut self, ether: &mut Ether) {
        let now_ms = ether.now_ms();
        let mut standings = BTreeMap::new();
        for (_, process) in self.peers.up() {
            let unmet = process.hears.iter().filter(|epoch| *epoch != self.epoch());
            standings.extend(unmet.map(|epoch| (epoch.clone(), PeerStanding::Heard)));
        }
        for (epoch, process) in &self.peers.processes {
            standings.insert(epoch.clone(), self.peers.standing(epoch, process, now_ms));
        }
        for (epoch, process) in &mut self.peers.processes {
            process.lost_ms = match standings.get(epoch) {
                Some(PeerStanding::Lost { at_ms }) => Some(*at_ms),
                _ => None,
            };
        }
        if standings != self.peers.standings {
            ether.note(format!("controller {} has {standings:?}", self.life));
            self.peers.standings = standings.clone();
            let of_ours = |standing| match standing {
                PeerStanding::Lost { at_ms } => PeerStanding::Lost { at_ms: at_ms + self.skew_ms },
                PeerStanding::Unheard { since_ms } => {
                    PeerStanding::Unheard { since_ms: since_ms + self.skew_ms }
                }
                PeerStanding::Heard => PeerStanding::Heard,
            };
            let standings =
                standings.into_iter().map(|(epoch, standing)| (epoch, of_ours(standing))).collect();
            self.index.set_peers(standings, self.clock_ms(ether));
            self.publish_soon(ether);
        }
    }

    /// Who hears neither the others nor the API server is the one that is cut off.
    fn flee_if_cut(&mut self, ether: &mut Ether) {
        let now_ms = ether.now_ms();
        let Peers { processes, answered_ms, judges_from_ms, .. } = &self.peers;
        let missed = processes.values().filter(|process| process.lost_ms.is_none());
        let broke_ms = missed.map(|process| process.broke_ms).max();
        let alone = processes.values().all(|process| !process.up) && now_ms >= *judges_from_ms;
        let is_cut = broke_ms.is_some_and(|broke_ms| broke_ms.max(*answered_ms) + CUT_AFTER_MS <= now_ms);
        if alone && is_cut && !self.peers.is_cut {
            let open: Vec<_> = self.open.values().copied().collect();
            open.into_iter().for_each(|id| self.dismiss(id, reason::CUT, ether));
        }
        self.peers.is_cut = alone && (is_cut || self.peers.is_cut);
    }

    fn meet(&mut self, replicas: usize, ether: &mut Ether) {
        if self.peers.met || !self.complete {
            return;
        }
        let by_ms = *self.peers.meets_by_ms.get_or_insert(ether.now_ms() + MET_WITHIN_MS);
        let synced = self.peers.up().filter(|(_, process)| process.synced).count();
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
        let hears = self.peers.up().map(|(epoch, _)| epoch.clone()).collect();
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
        let others = self.peers.up().map(|(_, process)| process.replica).collect::<BTreeSet<_>>();
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
        if let Some(process) = self.peers.processes.get_mut(epoch) {
            process.synced = true;
        }
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
