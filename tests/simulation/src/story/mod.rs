//! The story of a run: what people do in the cluster, and what goes wrong, until everything is healed.

mod deeds;

use std::collections::BTreeMap;

use rollcall_catalogue::liveness::ProbeWitness;
use rollcall_wire::Drain;

use crate::{
    agenda::Millis,
    kubernetes::{PodNo, ServiceNo},
    network::{ConnectionId, Host, NodeId, ReplicaNo, Way},
    sidecar::Sidecar,
    world::{Event, World},
};

/// Pods that there are at most.
const PODS_MAX: usize = 14;

/// Says what is done, by people or by fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    CreatePod,
    PodReady(PodNo, bool),
    DeletePod(PodNo),
    PodGone(PodNo),
    Annotate(PodNo),
    Show(ServiceNo),
    Redeclare(ServiceNo),
    Register(ServiceNo, bool),
    NodeSeen(NodeId, bool),
    BreakWatch,
    ApiAway,
    Subscribe(PodNo),
    Unsubscribe(PodNo),
    WantSummary(PodNo, bool),
    SelfRegister(PodNo),
    SelfDeregister(PodNo),
    Health(PodNo, ProbeWitness),
    Drain(PodNo, Drain),
    CrashSidecar(PodNo),
    StartSidecar(PodNo),
    PauseSidecar(PodNo),
    ResumeSidecar(PodNo),
    CrashController(ReplicaNo),
    StartController(ReplicaNo),
    PauseController(ReplicaNo),
    ResumeController(ReplicaNo),
    /// It hears no other replica, or none hears it.
    CutFromPeers(ReplicaNo),
    /// Its watches stop, and it can give no sign of life.
    CutFromKubernetes(ReplicaNo),
    CutFromSidecars(ReplicaNo),
    /// It hears neither the others nor Kubernetes.
    CutFromBoth(ReplicaNo),
    Cut(Vec<NodeId>),
    Heal(Vec<Way>),
    Lose(PodNo),
    Reset(PodNo),
    Slow(u64),
}

/// Holds what of the story must be known later.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// From then on nothing goes wrong any more.
    pub(crate) ends_ms: Millis,
    /// It has ended.
    pub(crate) healed: bool,
    /// Something was done to a replica, of which it and the others have recovered by then. No two fail at once: of what
    /// one knew alone, nothing would be left.
    pub(crate) recovered_ms: Millis,
    /// The pods whose way to the controller was closed without anyone being told, or whose sidecar was stopped: when
    /// that was last so.
    pub(crate) mute: BTreeMap<PodNo, Millis>,
    /// The connections that are lost.
    pub(crate) lost: BTreeMap<PodNo, ConnectionId>,
    /// The pods that said that they are failing or leave, whether or not it was heard.
    pub(crate) unwell: BTreeMap<PodNo, ()>,
}

impl World {
    /// The next that is done.
    pub(crate) fn tell(&mut self) {
        if self.now_ms() >= self.story.ends_ms {
            return;
        }
        if let Some(deed) = self.think_of() {
            self.act(deed);
        }
        // Many things at once, or nothing for a while.
        let pause_ms = match self.ether.chance.percent(40) {
            true => self.ether.chance.within(0..=50),
            false => self.ether.chance.within(50..=2_500),
        };
        self.ether.agenda.after(pause_ms, Event::Story);
    }

    fn think_of(&mut self) -> Option<Deed> {
        let kind = self.ether.chance.within(0..=99);
        let chance = &mut self.ether.chance;
        let pods: Vec<_> = self.kubernetes.pods.keys().copied().collect();
        let sidecars: Vec<_> = self.sidecars.keys().copied().collect();
        let (pod, sidecar) = (chance.pick(&pods).copied(), chance.pick(&sidecars).copied());
        let service = chance.below(self.kubernetes.services.len());
        let nodes = self.kubernetes.nodes.len();
        Some(match kind {
            0..=9 => Deed::CreatePod,
            10..=17 => Deed::DeletePod(pod?),
            18..=23 => Deed::PodReady(pod?, chance.percent(50)),
            24..=28 => Deed::Annotate(pod?),
            29..=33 => Deed::Show(service),
            34..=37 => Deed::Redeclare(service),
            38..=39 => Deed::Register(service, false),
            40..=44 => Deed::Register(service, true),
            45 => Deed::NodeSeen(chance.below(nodes), false),
            46..=47 => Deed::BreakWatch,
            48 => Deed::ApiAway,
            49..=52 => Deed::Subscribe(sidecar?),
            53..=54 => Deed::WantSummary(sidecar?, chance.percent(60)),
            55..=59 => Deed::Unsubscribe(sidecar?),
            60..=62 => Deed::SelfRegister(sidecar?),
            63 => Deed::SelfDeregister(sidecar?),
            64..=65 => {
                let word = if chance.percent(50) { ProbeWitness::SaysFailing } else { ProbeWitness::Passing };
                Deed::Health(sidecar?, word)
            }
            66..=69 => Deed::Drain(sidecar?, *chance.pick(&[Drain::Start, Drain::Stop, Drain::Wait])?),
            70..=75 => Deed::CrashSidecar(sidecar?),
            76..=79 => Deed::PauseSidecar(sidecar?),
            80..=84 => return self.think_of_a_replica(),
            85..=87 => {
                let some = (0..nodes).filter(|_| chance.percent(40)).collect();
                Deed::Cut(some)
            }
            88..=91 => Deed::Lose(sidecar?),
            92..=97 => Deed::Reset(sidecar?),
            _ => Deed::Slow(chance.within(0..=800)),
        })
    }

    /// What may befall one of them, where all are well.
    fn think_of_a_replica(&mut self) -> Option<Deed> {
        if self.replicas > 1 && self.now_ms() < self.story.recovered_ms {
            return None;
        }
        let replica = self.ether.chance.below(self.replicas);
        Some(match self.ether.chance.within(0..=9) {
            0..=2 => Deed::CrashController(replica),
            3..=5 => Deed::PauseController(replica),
            _ if self.replicas == 1 => Deed::CrashController(replica),
            6 => Deed::CutFromPeers(replica),
            7 => Deed::CutFromKubernetes(replica),
            8 => Deed::CutFromSidecars(replica),
            _ => Deed::CutFromBoth(replica),
        })
    }

    /// The ways between this replica and the others.
    pub(super) fn ways_to_peers(&self, replica: ReplicaNo) -> Vec<[Host; 2]> {
        let others = (0..self.replicas).filter(|other| *other != replica);
        others.map(|other| [Host::Replica(replica), Host::Replica(other)]).collect()
    }

    /// The ways between this node and all replicas.
    pub(super) fn ways_to_replicas(&self, node: NodeId) -> Vec<[Host; 2]> {
        (0..self.replicas).map(|replica| [Host::Node(node), Host::Replica(replica)]).collect()
    }

    /// Everything that went wrong is put right, and nothing more goes wrong.
    pub(crate) fn heal_everything(&mut self) {
        self.ether.note("-- all is healed");
        self.story.healed = true;
        self.ether.network.slowness_ms = 0;
        let now_ms = self.now_ms();
        for watches in self.kubernetes.watches.iter_mut().filter(|one| one.away_until_ms > now_ms) {
            watches.away_until_ms = 0;
            // What it did not hear meanwhile it lists.
            watches.begin(&mut self.ether.chance, &mut self.ether.agenda);
        }
        self.ether.heal_all();
        for node in 0..self.kubernetes.nodes.len() {
            self.kubernetes.sees_node(node, true, &mut self.ether.chance, &mut self.ether.agenda);
        }
        for replica in 0..self.replicas {
            self.resume_controller(replica);
            if !self.controllers.contains_key(&replica) {
                self.start_controller(replica);
            }
        }
        let pods: Vec<_> = self.sidecars.keys().copied().collect();
        for pod in pods {
            self.act(Deed::StartSidecar(pod));
            self.act(Deed::ResumeSidecar(pod));
        }
    }

    pub(crate) fn create_pod(&mut self) {
        if self.kubernetes.pods.len() >= PODS_MAX {
            return;
        }
        let chance = &mut self.ether.chance;
        let service = chance.below(self.kubernetes.services.len());
        let node = chance.below(self.kubernetes.nodes.len());
        let sidecar = chance.percent(70);
        self.add_pod(service, node, sidecar);
    }

    /// A pod that will soon be ready.
    pub(crate) fn add_pod(&mut self, service: ServiceNo, node: NodeId, sidecar: bool) -> PodNo {
        let (chance, agenda) = (&mut self.ether.chance, &mut self.ether.agenda);
        let pod = self.kubernetes.create(service, node, sidecar, chance, agenda);
        self.later(50..=2_000, Deed::PodReady(pod, true));
        if sidecar {
            let mut one = Sidecar::new(pod, node, self.replicas, &mut self.ether);
            one.wanted = self.some_names(pod).into_iter().collect();
            one.start(&mut self.ether);
            self.sidecars.insert(pod, one);
        }
        pod
    }
}
