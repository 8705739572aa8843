//! How what is thought of is done, and when it ends.

use std::collections::BTreeMap;

use rollcall_catalogue::{ServiceKey, Visibility};
use rollcall_controller::index::Kind;
use rollcall_wire::{Drain, HealthOf, RegistrationKey, SelfPort, SelfRegistration, Up, client::Client};

use super::Deed;
use crate::{
    agenda::Millis,
    kubernetes::{NAMESPACES, Named, Pod, PodNo, ServiceNo},
    network::{End, Farewell, Host, ReplicaNo, Way},
    world::{Event, World},
};

/// So long after a replica's illness all replicas know again what any of them knows, and all sidecars have found one.
const RECOVERS_WITHIN_MS: u64 = 20_000;

impl World {
    /// Does it, and notes when it is to end.
    pub(crate) fn act(&mut self, deed: Deed) {
        self.ether.note(format!("-- {deed:?}"));
        match deed {
            Deed::CreatePod => self.create_pod(),
            Deed::PodReady(pod, ready) => self.in_pod(pod, |pod| pod.ready = ready && !pod.deleting),
            Deed::DeletePod(pod) => {
                self.in_pod(pod, |pod| pod.deleting = true);
                if self.ether.chance.percent(50) {
                    self.ask(pod, |client, _| client.drain(Drain::Wait, 5_000).map(|(_, frame)| frame));
                }
                self.later(200..=15_000, Deed::PodGone(pod));
            }
            Deed::PodGone(pod) => {
                if let Some(mut sidecar) = self.sidecars.remove(&pod) {
                    sidecar.crash(Farewell::Reset, &mut self.ether);
                }
                self.kubernetes.remove(pod, &mut self.ether.chance, &mut self.ether.agenda);
            }
            Deed::Annotate(pod) => self.in_pod(pod, |pod| pod.turn += 1),
            Deed::Show(service) => {
                let named = |name: &str| name.parse().unwrap();
                let visibility = match self.ether.chance.within(0..=3) {
                    0 => None,
                    1 => Some(Visibility::own()),
                    2 => Some(Visibility::Namespaces([named(NAMESPACES[2])].into())),
                    _ => Some(Visibility::Namespaces([named(NAMESPACES[0]), named(NAMESPACES[1])].into())),
                };
                self.in_service(service, |named| named.visibility = visibility);
            }
            Deed::Redeclare(service) => self.in_service(service, |named| named.turn += 1),
            Deed::Register(service, registered) => {
                self.in_service(service, |named| named.registered = registered);
            }
            Deed::NodeSeen(node, sees) => {
                self.kubernetes.sees_node(node, sees, &mut self.ether.chance, &mut self.ether.agenda);
                if !sees {
                    self.later(1_000..=20_000, Deed::NodeSeen(node, true));
                }
            }
            Deed::BreakWatch => {
                let kind = *self.ether.chance.pick(&Kind::ALL).unwrap();
                let (chance, agenda) = (&mut self.ether.chance, &mut self.ether.agenda);
                let replica = chance.below(self.replicas);
                self.kubernetes.watches[replica].begin_one(kind, chance, agenda);
            }
            Deed::ApiAway => {
                let until_ms = self.now_ms() + self.ether.chance.within(500..=12_000);
                for watches in &mut self.kubernetes.watches {
                    watches.away_until_ms = watches.away_until_ms.max(until_ms);
                }
            }
            Deed::Subscribe(pod) => {
                let keys = self.some_names(pod);
                if let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|sidecar| !sidecar.paused) {
                    sidecar.wanted.extend(keys.iter().cloned());
                    sidecar.ask(&mut self.ether, |client, _| client.subscribe(keys));
                }
            }
            Deed::Unsubscribe(pod) => {
                let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|one| one.up && !one.paused) else {
                    return;
                };
                let wanted: Vec<_> = sidecar.wanted.iter().cloned().collect();
                let Some(key) = self.ether.chance.pick(&wanted) else { return };
                sidecar.wanted.remove(key);
                sidecar.ask(&mut self.ether, |client, _| client.unsubscribe([key]));
                // Asked for again while the answers are still on their way.
                if self.ether.chance.percent(30) {
                    sidecar.wanted.insert(key.clone());
                    sidecar.ask(&mut self.ether, |client, _| client.subscribe([key.clone()]));
                }
            }
            Deed::WantSummary(pod, wanted) => {
                let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|sidecar| !sidecar.paused) else {
                    return;
                };
                sidecar.wants_summary = wanted;
                sidecar.ask(&mut self.ether, |client, _| client.want_summary(wanted));
            }
            Deed::SelfRegister(pod) => {
                let chance = &mut self.ether.chance;
                let said = SelfRegistration {
                    service: format!("own{}", chance.within(0..=2)).parse().unwrap(),
                    version: None,
                    ports: vec![SelfPort {
                        name: None,
                        port: u32::try_from(chance.within(9_000..=9_002)).unwrap(),
                        protocol: None,
                        app_protocol: None,
                    }],
                    tags: vec![format!("t{}", chance.within(0..=99))],
                    metadata: BTreeMap::new(),
                    weight: None,
                    probe: None,
                    ttl_seconds: None,
                    beside: chance.percent(50),
                };
                self.ask(pod, |client, _| client.register(said).ok().flatten());
            }
            Deed::SelfDeregister(pod) => {
                let chance = &mut self.ether.chance;
                let service = format!("own{}", chance.within(0..=2)).parse().unwrap();
                let port = chance.percent(50).then(|| u32::try_from(chance.within(9_000..=9_002)).unwrap());
                self.ask(pod, |client, _| client.deregister(&RegistrationKey { service, port }));
            }
            Deed::Health(pod, word) => {
                self.story.unwell.insert(pod, ());
                let chance = &mut self.ether.chance;
                let of = chance.percent(50).then(|| HealthOf {
                    service: format!("own{}", chance.within(0..=2)).parse().unwrap(),
                    port: Some(u16::try_from(chance.within(9_000..=9_002)).unwrap()),
                });
                self.ask(pod, |client, _| client.health(of, word).ok().flatten());
            }
            Deed::Drain(pod, drain) => {
                self.story.unwell.insert(pod, ());
                self.ask(pod, |client, _| client.drain(drain, 4_000).map(|(_, frame)| frame));
            }
            Deed::CrashSidecar(pod) => {
                let how = *self.ether.chance.pick(&[Farewell::Close, Farewell::Reset]).unwrap();
                let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|sidecar| sidecar.up) else { return };
                sidecar.crash(how, &mut self.ether);
                self.in_pod(pod, |pod| pod.sidecar_ready = false);
                self.later(100..=4_000, Deed::StartSidecar(pod));
            }
            Deed::StartSidecar(pod) => {
                let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|sidecar| !sidecar.up) else { return };
                sidecar.start(&mut self.ether);
                self.in_pod(pod, |pod| pod.sidecar_ready = true);
            }
            Deed::PauseSidecar(pod) => {
                let long = self.ether.chance.percent(20);
                let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|one| one.up && !one.paused) else {
                    return;
                };
                sidecar.paused = true;
                self.later(if long { 6_000..=20_000 } else { 100..=3_000 }, Deed::ResumeSidecar(pod));
            }
            Deed::ResumeSidecar(pod) => {
                if let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|sidecar| sidecar.paused) {
                    sidecar.resume(&mut self.ether);
                }
            }
            Deed::CrashController(replica) => {
                let how =
                    *self.ether.chance.pick(&[Farewell::Close, Farewell::Reset, Farewell::Vanish]).unwrap();
                if let Some(controller) = self.controllers.remove(&replica) {
                    controller.crash(how, &mut self.ether);
                    let away_ms = self.ether.chance.within(100..=8_000);
                    self.ails_for(away_ms, Deed::StartController(replica));
                }
            }
            Deed::StartController(replica) if !self.controllers.contains_key(&replica) => {
                self.start_controller(replica);
            }
            Deed::StartController(_) => {}
            Deed::PauseController(replica) => {
                let long = self.replicas > 1 && self.ether.chance.percent(30);
                let paused_ms = self.ether.chance.within(if long { 12_000..=60_000 } else { 200..=12_000 });
                let controller = self.controllers.get_mut(&replica).filter(|controller| !controller.paused);
                if let Some(controller) = controller {
                    controller.paused = true;
                    self.ails_for(paused_ms, Deed::ResumeController(replica));
                }
            }
            Deed::ResumeController(replica) => self.resume_controller(replica),
            Deed::CutFromPeers(replica) => {
                let cut_ms = self.ether.chance.within(500..=30_000);
                let ways = self.cut(&self.ways_to_peers(replica));
                self.ails_for(cut_ms, Deed::Heal(ways));
            }
            Deed::CutFromKubernetes(replica) => {
                let cut_ms = self.ether.chance.within(500..=60_000);
                self.kubernetes.watches[replica].away_until_ms = self.now_ms() + cut_ms;
                self.ails_for(cut_ms, Deed::Heal(Vec::new()));
            }
            Deed::CutFromSidecars(replica) => {
                let cut_ms = self.ether.chance.within(500..=30_000);
                let nodes = 0..self.kubernetes.nodes.len();
                let ways: Vec<_> = nodes.map(|node| [Host::Node(node), Host::Replica(replica)]).collect();
                let ways = self.cut(&ways);
                self.ails_for(cut_ms, Deed::Heal(ways));
            }
            Deed::CutFromBoth(replica) => {
                let cut_ms = self.ether.chance.within(500..=40_000);
                self.kubernetes.watches[replica].away_until_ms = self.now_ms() + cut_ms;
                let ways = self.cut(&self.ways_to_peers(replica));
                self.ails_for(cut_ms, Deed::Heal(ways));
            }
            Deed::Cut(nodes) => {
                let mut ways = Vec::new();
                for node in nodes {
                    let its = self.ways_to_replicas(node);
                    ways.extend(self.cut(&its));
                }
                self.later(500..=20_000, Deed::Heal(ways));
            }
            Deed::Heal(ways) => self.ether.heal(&ways),
            Deed::Lose(pod) => {
                let Some(link) = self.sidecars.get(&pod).and_then(|sidecar| sidecar.link.as_ref()) else {
                    return;
                };
                let id = link.id;
                match self.ether.chance.within(0..=3) {
                    0 => self.ether.network.lose(id, End::Listener),
                    1 => self.ether.network.lose(id, End::Dialler),
                    _ => {
                        self.ether.network.lose(id, End::Listener);
                        self.ether.network.lose(id, End::Dialler);
                    }
                }
                self.story.lost.insert(pod, id);
            }
            Deed::Reset(pod) => self.reset(pod),
            Deed::Slow(slowness_ms) => self.ether.network.slowness_ms = slowness_ms,
        }
    }

    /// Somebody between them resets a connection: both ends are told, or one.
    fn reset(&mut self, pod: PodNo) {
        let Some(sidecar) = self.sidecars.get_mut(&pod).filter(|one| one.up && !one.paused) else { return };
        let Some((id, replica)) = sidecar.link.as_ref().map(|link| (link.id, link.replica)) else { return };
        let told = self.ether.chance.within(0..=2);
        let now_ms = self.ether.now_ms();
        // It may go where nobody else hears of it, and leave a silence here: two things that fail at once.
        if told == 1 && self.replicas > 1 && now_ms < self.story.recovered_ms {
            self.story.mute.insert(pod, now_ms);
        }
        if told != 0 {
            // What it sent before may still come, when it has long been back; that it hung up does not.
            sidecar.reset(if told == 1 { Farewell::Forget } else { Farewell::Reset }, &mut self.ether);
        }
        let controller = self.controllers.get_mut(&replica).filter(|one| !one.paused && told != 1);
        let Some(controller) = controller else { return };
        if told == 0 {
            self.ether.network.lose(id, End::Dialler);
        }
        controller.end(id, true, &mut self.ether);
    }

    /// Names that an app may ask for: of services that there are, in this namespace or another, and one that is not.
    pub(super) fn some_names(&mut self, pod: PodNo) -> Vec<ServiceKey> {
        let Some(pod) = self.kubernetes.pods.get(&pod) else { return Vec::new() };
        let home = self.kubernetes.namespace(pod).clone();
        let mut all: Vec<_> = self.kubernetes.services.iter().map(|named| named.key.clone()).collect();
        all.extend(["own0", "own1", "nothing"].map(|name| format!("{name}.{home}").parse().unwrap()));
        let chance = &mut self.ether.chance;
        (0..chance.within(1..=4)).filter_map(|_| chance.pick(&all).cloned()).collect()
    }

    /// Nothing comes through on these, in one direction or in both; gives those that are cut.
    fn cut(&mut self, ways: &[[Host; 2]]) -> Vec<Way> {
        let mut cut = Vec::new();
        for [one, other] in ways {
            match self.ether.chance.within(0..=3) {
                0 => cut.push((*one, *other)),
                1 => cut.push((*other, *one)),
                _ => cut.extend([(*one, *other), (*other, *one)]),
            }
        }
        cut.iter().for_each(|way| self.ether.network.cut(*way));
        cut
    }

    /// A replica is ill until this deed is done.
    fn ails_for(&mut self, ills_ms: Millis, end: Deed) {
        self.story.recovered_ms = self.now_ms() + ills_ms + RECOVERS_WITHIN_MS;
        self.ether.agenda.after(ills_ms, Event::Deed(end));
    }

    pub(super) fn resume_controller(&mut self, replica: ReplicaNo) {
        let Some(controller) = self.controllers.get_mut(&replica).filter(|controller| controller.paused)
        else {
            return;
        };
        controller.paused = false;
        let deferred = std::mem::take(&mut controller.deferred);
        let reads_first = self.ether.chance.percent(50);
        if reads_first {
            controller.read_all(&mut self.ether);
        }
        deferred.into_iter().for_each(|event| self.ether.agenda.after(0, event));
        if !reads_first {
            self.ether.agenda.after(0, Event::ControllerReads(controller.life));
        }
    }

    fn ask(&mut self, pod: PodNo, ask: impl FnOnce(&mut Client, Millis) -> Option<Up>) {
        if let Some(sidecar) = self.sidecars.get_mut(&pod) {
            sidecar.ask(&mut self.ether, ask);
        }
    }

    fn in_pod(&mut self, pod: PodNo, change: impl FnOnce(&mut Pod)) {
        self.kubernetes.change_pod(pod, &mut self.ether.chance, &mut self.ether.agenda, change);
    }

    fn in_service(&mut self, service: ServiceNo, change: impl FnOnce(&mut Named)) {
        self.kubernetes.change_service(service, &mut self.ether.chance, &mut self.ether.agenda, change);
    }

    pub(super) fn later(&mut self, within_ms: std::ops::RangeInclusive<u64>, deed: Deed) {
        let pause_ms = self.ether.chance.within(within_ms);
        self.ether.agenda.after(pause_ms, Event::Deed(deed));
    }
}
