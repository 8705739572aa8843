//! The world: all hosts, and the loop in which whatever is due happens to whom it concerns.

use std::collections::BTreeMap;

use rollcall_catalogue::PodUid;
use rollcall_controller::{
    index::{Change, Kind},
    sessions::roster::DrainId,
};

use crate::{
    agenda::{Agenda, Millis},
    chance::Chance,
    checks::Checks,
    chronicle::Chronicle,
    controller::{Controller, DrainAsked, Input},
    ether::Ether,
    kubernetes::{Kubernetes, PodNo, ServiceNo},
    network::{Arrival, ConnectionId, End, Host, Network, ReplicaNo, Signal},
    sidecar::Sidecar,
    story::{Deed, Story},
};

/// How long a connection takes to be made, TLS and the look at its token included.
const DIALLED_AFTER_MS: std::ops::RangeInclusive<u64> = 5..=150;
/// How long a sidecar waits for a connection that nobody answers; less where it has another replica to try.
const DIAL_TIMEOUT_MS: u64 = 5_000;
const DIAL_TIMEOUT_WITH_OTHERS_MS: u64 = 2_000;

/// Says what happens. The second of most is whose: the process that noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Network(Signal),
    /// A list of this kind is made, and what changed comes: of the watch that began with this number.
    Listed(ReplicaNo, Kind, u64),
    Watched(ReplicaNo, Kind, u64),
    /// The API server says to that watch how far it is.
    Bookmark(ReplicaNo, Kind, u64),
    /// The endpoint controller looks at this service.
    Slice(ServiceNo),
    Owner(u64),
    Publish(u64),
    ControllerWakes(u64),
    StreamWakes(u64, ConnectionId),
    Look(u64, ConnectionId),
    /// It goes on, and finds what has come meanwhile.
    ControllerReads(u64),
    Departed(u64, ConnectionId, PodUid, Millis, bool),
    Going(u64, ConnectionId, PodUid, DrainAsked),
    DrainDue(u64, DrainId),
    LooksAtPeers(u64),
    PeerDialled(u64, ReplicaNo),
    LinkWakes(u64, ConnectionId),
    Dial(PodNo, u64),
    Dialled(PodNo, u64, ReplicaNo),
    SidecarReads(PodNo, u64),
    SidecarWakes(PodNo, u64),
    /// Something is done, or comes to its end.
    Deed(Deed),
    /// The next deed is thought of.
    Story,
    /// Everything is looked at.
    Check,
}

/// Holds all hosts.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) ether: Ether,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) replicas: usize,
    /// Those that run.
    pub(crate) controllers: BTreeMap<ReplicaNo, Controller>,
    /// Processes of all controllers so far.
    pub(crate) lives: u64,
    pub(crate) sidecars: BTreeMap<PodNo, Sidecar>,
    pub(crate) story: Story,
    pub(crate) checks: Checks,
}

impl From<Signal> for Event {
    fn from(signal: Signal) -> Self {
        Self::Network(signal)
    }
}

// === impl World ===

impl World {
    /// So many nodes and services, and nothing on them; and so many replicas, of which none runs.
    pub(crate) fn new(seed: u64, nodes: usize, services: usize, replicas: usize) -> Self {
        let ether = Ether {
            // As clocks have it: revisions are made of it.
            agenda: Agenda::beginning_at(1_700_000_000_000),
            chance: Chance::new(seed),
            chronicle: Chronicle::default(),
            network: Network::default(),
        };
        Self {
            ether,
            kubernetes: Kubernetes::new(nodes, services, replicas),
            replicas,
            controllers: BTreeMap::new(),
            lives: 0,
            sidecars: BTreeMap::new(),
            story: Story::default(),
            checks: Checks::default(),
        }
    }

    /// Lets everything happen that is due before then, or until something is wrong.
    pub(crate) fn play(&mut self, until_ms: Millis) {
        while self.checks.failures.is_empty()
            && let Some(event) = self.ether.agenda.next_before(until_ms)
        {
            self.happen(event);
            self.collect();
        }
    }

    pub(crate) fn now_ms(&self) -> Millis {
        self.ether.now_ms()
    }

    /// A new process of this replica, which knows nothing.
    pub(crate) fn start_controller(&mut self, replica: ReplicaNo) {
        self.lives += 1;
        let controller = Controller::start(self.lives, replica, &mut self.ether);
        self.controllers.insert(replica, controller);
        let watches = &mut self.kubernetes.watches[replica];
        watches.begin(&mut self.ether.chance, &mut self.ether.agenda);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Network(signal) => self.signal(signal),
            Event::Listed(..) | Event::Watched(..) => self.see(event),
            Event::Bookmark(replica, kind, generation) => {
                let revision = self.kubernetes.revision;
                let (watches, ether) = (&mut self.kubernetes.watches[replica], &mut self.ether);
                watches.bookmark(kind, generation, revision, &mut ether.chance, &mut ether.agenda);
            }
            Event::Slice(service) => {
                self.kubernetes.slice(service, &mut self.ether.chance, &mut self.ether.agenda);
            }
            Event::Owner(life)
            | Event::Publish(life)
            | Event::ControllerWakes(life)
            | Event::StreamWakes(life, _)
            | Event::Look(life, _)
            | Event::ControllerReads(life)
            | Event::Departed(life, ..)
            | Event::Going(life, ..)
            | Event::DrainDue(life, _)
            | Event::LooksAtPeers(life)
            | Event::PeerDialled(life, _)
            | Event::LinkWakes(life, _) => self.control(life, event),
            Event::Dial(pod, life)
            | Event::Dialled(pod, life, _)
            | Event::SidecarReads(pod, life)
            | Event::SidecarWakes(pod, life) => self.attend(pod, life, &event),
            Event::Deed(deed) => self.act(deed),
            Event::Story => self.tell(),
            Event::Check => self.check(),
        }
    }

    fn signal(&mut self, signal: Signal) {
        let ether = &mut self.ether;
        let (id, end) = match signal {
            Signal::Arrive(id, end) if ether.arrive(id, end) == Arrival::Nothing => return,
            Signal::Arrive(id, end) | Signal::Writable(id, end) => (id, end),
        };
        match ether.network.host(id, end) {
            None => {}
            Some(Host::Replica(replica)) => {
                let running = self.controllers.get_mut(&replica).filter(|controller| !controller.paused);
                let Some(controller) = running else { return };
                match signal {
                    Signal::Arrive(..) if controller.has_link(id) => controller.read_link(id, ether),
                    Signal::Arrive(..) => controller.read(id, ether),
                    Signal::Writable(..) if controller.has_link(id) => controller.pump_link(id, ether),
                    Signal::Writable(..) => controller.pump(id, ether),
                }
            }
            Some(Host::Node(_)) => {
                let holds = |sidecar: &&mut Sidecar| sidecar.link.as_ref().is_some_and(|link| link.id == id);
                let Some(sidecar) = self.sidecars.values_mut().find(holds) else { return };
                match signal {
                    Signal::Arrive(..) => sidecar.arrived(ether),
                    Signal::Writable(..) => sidecar.pump(ether),
                }
            }
        }
    }

    /// What a watch brings comes to the process that is there.
    fn see(&mut self, event: Event) {
        let (Event::Listed(replica, ..) | Event::Watched(replica, ..)) = event else { return };
        let Some(controller) = self.controllers.get_mut(&replica) else { return };
        if controller.paused {
            controller.deferred.push(event);
            return;
        }
        let kubernetes = &mut self.kubernetes;
        let inputs: Vec<_> = match event {
            Event::Listed(_, kind, generation) => {
                if !kubernetes.watches[replica].listed(kind, generation, &mut self.ether.agenda) {
                    return;
                }
                let found = kubernetes.newest(kind).map(|newest| Input::Found(kind, newest));
                let all =
                    kubernetes.list(kind).into_iter().map(|change| Input::Change(Box::new(change), None));
                let begin = [Input::Change(Box::new(Change::ListBegins(kind)), None)];
                let end = [Input::Change(Box::new(Change::ListEnds(kind)), Some(kubernetes.revision))];
                begin.into_iter().chain(found).chain(all).chain(end).collect()
            }
            Event::Watched(_, kind, generation) => {
                let next = kubernetes.watches[replica].watched(kind, generation);
                let input = |(change, revision)| match change {
                    Some(change) => Input::Change(Box::new(change), Some(revision)),
                    None => Input::Advanced(kind, revision),
                };
                next.into_iter().map(input).collect()
            }
            _ => return,
        };
        inputs.into_iter().for_each(|input| controller.input(input, &mut self.ether));
    }

    fn control(&mut self, life: u64, event: Event) {
        let now_ms = self.now_ms();
        let Some(controller) = self.controllers.values_mut().find(|controller| controller.life == life)
        else {
            return;
        };
        let replica = controller.replica;
        if controller.paused {
            controller.deferred.push(event);
            return;
        }
        let ether = &mut self.ether;
        match event {
            Event::Owner(_) => controller.take_input(ether),
            Event::Publish(_) => {
                let is_news = controller.publish(ether);
                if is_news {
                    self.check_lookups(replica);
                }
            }
            Event::LooksAtPeers(_) => {
                let Kubernetes { signs, watches, .. } = &mut self.kubernetes;
                let signs = (watches[replica].away_until_ms <= now_ms).then_some(signs);
                controller.look_at_peers(self.replicas, signs, ether);
            }
            Event::PeerDialled(_, other) => self.dialled_peer(replica, other),
            Event::LinkWakes(_, id) => controller.wake_link(id, ether),
            Event::ControllerWakes(_) => controller.wake(ether),
            Event::StreamWakes(_, id) => controller.wake_stream(id, ether),
            Event::Look(_, id) => controller.look(id, ether),
            Event::ControllerReads(_) => controller.read_all(ether),
            Event::Departed(_, id, uid, heard_ms, by_peer) => {
                controller.departed(id, &uid, heard_ms, by_peer, ether);
            }
            Event::Going(_, id, uid, question) => controller.going(id, &uid, question, ether),
            Event::DrainDue(_, drain) => controller.drained(drain, ether),
            _ => {}
        }
    }

    fn attend(&mut self, pod: PodNo, life: u64, event: &Event) {
        let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|one| one.life == life && one.up) else {
            return;
        };
        let ether = &mut self.ether;
        match event {
            Event::Dial(..) => {
                let (replica, others) = sidecar.next_replica(ether);
                let way = (Host::Node(sidecar.node), Host::Replica(replica));
                let answers = self.controllers.contains_key(&replica) && ether.network.is_whole(way.0, way.1);
                let timeout_ms = if others { DIAL_TIMEOUT_WITH_OTHERS_MS } else { DIAL_TIMEOUT_MS };
                let pause_ms = if answers { ether.chance.within(DIALLED_AFTER_MS) } else { timeout_ms };
                ether.agenda.after(pause_ms, Event::Dialled(pod, life, replica));
            }
            // It finds the answer when it goes on.
            Event::Dialled(.., replica) if sidecar.paused => {
                ether.agenda.after(500, Event::Dialled(pod, life, *replica));
            }
            Event::Dialled(.., replica) => {
                let (from, to) = (Host::Node(sidecar.node), Host::Replica(*replica));
                let open = ether.network.is_whole(from, to);
                let serves = |controller: &&mut Controller| {
                    open && controller.serves() && controller.index.pod(&pod.uid()).is_some()
                };
                let Some(controller) = self.controllers.get_mut(replica).filter(serves) else {
                    return sidecar.retry(ether);
                };
                let Some(object) = self.kubernetes.pods.get(&pod) else { return };
                let id = ether.open(from, to);
                controller.accept(id, pod, self.kubernetes.namespace(object), sidecar.node, ether);
                sidecar.connected(id, *replica, ether);
            }
            Event::SidecarReads(..) => sidecar.read(ether),
            _ => sidecar.wake(ether),
        }
    }

    /// A connection from one replica to another is made, if there is somebody.
    fn dialled_peer(&mut self, from: ReplicaNo, to: ReplicaNo) {
        let whole = self.ether.network.is_whole(Host::Replica(from), Host::Replica(to));
        let answers = whole && self.controllers.get(&to).is_some_and(|controller| !controller.paused);
        if !answers {
            self.controllers.get_mut(&from).into_iter().for_each(|controller| controller.peer_away(to));
            return;
        }
        let id = self.ether.open(Host::Replica(from), Host::Replica(to));
        for (ours, end, other) in [(from, End::Dialler, to), (to, End::Listener, from)] {
            if let Some(controller) = self.controllers.get_mut(&ours) {
                controller.link(id, end, other, &mut self.ether);
            }
        }
    }

    /// What the hosts themselves found wrong.
    fn collect(&mut self) {
        for sidecar in self.sidecars.values_mut().filter(|sidecar| !sidecar.faults.is_empty()) {
            self.checks.failures.append(&mut sidecar.faults);
        }
        for replica in 0..self.replicas {
            let Some(controller) = self.controllers.get_mut(&replica) else { continue };
            self.checks.failures.append(&mut controller.faults);
            if controller.digest_resyncs > 0 {
                self.checks.failures.push("a digest did not fit, and nothing was corrupted".to_owned());
            }
            let answered = std::mem::take(&mut controller.answered);
            answered.iter().for_each(|answered| self.check_drain(replica, answered));
        }
    }
}
