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
    network::{Arrival, ConnectionId, End, Network, Signal},
    sidecar::Sidecar,
    story::{Deed, Story},
};

/// How long a connection takes to be made, TLS and the look at its token included.
const DIALLED_AFTER_MS: std::ops::RangeInclusive<u64> = 5..=150;
/// How long a sidecar waits for a connection that nobody answers.
const DIAL_TIMEOUT_MS: u64 = 5_000;

/// Says what happens. The second of most is whose: the process that noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Network(Signal),
    /// A list of this kind is made, and what changed comes: of the watch that began with this number.
    Listed(Kind, u64),
    Watched(Kind, u64),
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
    Dial(PodNo, u64),
    Dialled(PodNo, u64),
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
    pub(crate) controller: Option<Controller>,
    /// Processes of the controller so far.
    pub(crate) controllers: u64,
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
    /// So many nodes and services, and nothing on them.
    pub(crate) fn new(seed: u64, nodes: usize, services: usize) -> Self {
        let ether = Ether {
            // As clocks have it: revisions are made of it.
            agenda: Agenda::beginning_at(1_700_000_000_000),
            chance: Chance::new(seed),
            chronicle: Chronicle::default(),
            network: Network::default(),
        };
        Self {
            ether,
            kubernetes: Kubernetes::new(nodes, services),
            controller: None,
            controllers: 0,
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

    /// A new process of the controller, which knows nothing.
    pub(crate) fn start_controller(&mut self) {
        self.controllers += 1;
        self.controller = Some(Controller::start(self.controllers, &mut self.ether));
        self.kubernetes.watches.begin(&mut self.ether.chance, &mut self.ether.agenda);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Network(signal) => self.signal(signal),
            Event::Listed(..) | Event::Watched(..) => self.see(event),
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
            | Event::DrainDue(life, _) => self.control(life, event),
            Event::Dial(pod, life)
            | Event::Dialled(pod, life)
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
        match end {
            End::Listener => {
                let Some(controller) = self.controller.as_mut().filter(|controller| !controller.paused)
                else {
                    return;
                };
                match signal {
                    Signal::Arrive(..) => controller.read(id, ether),
                    Signal::Writable(..) => controller.pump(id, ether),
                }
            }
            End::Dialler => {
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
        let Some(controller) = &mut self.controller else { return };
        if controller.paused {
            controller.deferred.push(event);
            return;
        }
        let changes = match event {
            Event::Listed(kind, generation) => match self.kubernetes.watches.listed(kind, generation) {
                true => {
                    let all = self.kubernetes.list(kind);
                    [Change::ListBegins(kind)]
                        .into_iter()
                        .chain(all)
                        .chain([Change::ListEnds(kind)])
                        .collect()
                }
                false => Vec::new(),
            },
            Event::Watched(kind, generation) => {
                self.kubernetes.watches.watched(kind, generation).into_iter().collect()
            }
            _ => Vec::new(),
        };
        for change in changes {
            controller.input(Input::Change(Box::new(change)), &mut self.ether);
        }
    }

    fn control(&mut self, life: u64, event: Event) {
        let Some(controller) = self.controller.as_mut().filter(|controller| controller.life == life) else {
            return;
        };
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
                    self.check_lookups();
                }
            }
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
                let answers = self.controller.is_some() && !ether.network.is_cut_off(sidecar.node);
                let pause_ms = if answers { ether.chance.within(DIALLED_AFTER_MS) } else { DIAL_TIMEOUT_MS };
                ether.agenda.after(pause_ms, Event::Dialled(pod, life));
            }
            // It finds the answer when it goes on.
            Event::Dialled(..) if sidecar.paused => ether.agenda.after(500, Event::Dialled(pod, life)),
            Event::Dialled(..) => {
                let open = !ether.network.is_cut_off(sidecar.node);
                let serves = |controller: &&mut Controller| {
                    open && !controller.paused
                        && controller.complete
                        && controller.index.pod(&pod.uid()).is_some()
                };
                let Some(controller) = self.controller.as_mut().filter(serves) else {
                    return sidecar.retry(ether);
                };
                let Some(object) = self.kubernetes.pods.get(&pod) else { return };
                let id = ether.open(sidecar.node);
                controller.accept(id, pod, self.kubernetes.namespace(object), sidecar.node, ether);
                sidecar.connected(id, ether);
            }
            Event::SidecarReads(..) => sidecar.read(ether),
            _ => sidecar.wake(ether),
        }
    }

    /// What the hosts themselves found wrong.
    fn collect(&mut self) {
        for sidecar in self.sidecars.values_mut().filter(|sidecar| !sidecar.faults.is_empty()) {
            self.checks.failures.append(&mut sidecar.faults);
        }
        if let Some(controller) = &mut self.controller {
            self.checks.failures.append(&mut controller.faults);
            if controller.digest_resyncs > 0 {
                self.checks.failures.push("a digest did not fit, and nothing was corrupted".to_owned());
            }
            let answered = std::mem::take(&mut controller.answered);
            answered.iter().for_each(|answered| self.check_drain(answered));
        }
    }
}
