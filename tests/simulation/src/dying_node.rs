//! One node dies in a quiet cluster: its instances are out of the lookups in time, and only they.

use rollcall_catalogue::{Instance, State};

use crate::{
    chance::Chance,
    kubernetes::PodNo,
    network::{Host, NodeId},
    run::{Outcome, outcome},
    sidecar::Reads,
    world::{Event, World},
};

/// The promise: a dead node's instances are in nobody's lookups any more.
const OUT_WITHIN_MS: u64 = 10_000;

/// The same where a replica dies with them, and what it knew of its sessions.
const OUT_WITH_A_REPLICA_WITHIN_MS: u64 = 20_000;

/// Services with an instance on each node; one more has all of its instances on the node that dies.
const SPREAD: usize = 3;

/// Plays a cluster of this seed in which nothing happens but that one node dies, and comes back.
pub fn run_a_node_that_dies(seed: u64) -> Outcome {
    let mut chance = Chance::new(seed).fork();
    let nodes = usize::try_from(chance.within(3..=5)).unwrap();
    let doomed = chance.below(nodes);
    let replicas = usize::try_from(chance.within(1..=3)).unwrap();
    // The first replica is on it, where there are others.
    let dies_too = replicas > 1 && chance.percent(60);
    let mut world = World::new(seed, nodes, SPREAD + 1, replicas);
    (0..replicas).for_each(|replica| world.start_controller(replica));
    let spread = (0..SPREAD).flat_map(|service| (0..nodes).map(move |node| (service, node)));
    for (service, node) in spread.chain([(SPREAD, doomed)]) {
        let pod = world.add_pod(service, node, true);
        let sidecar = world.sidecars.get_mut(&pod).unwrap();
        sidecar.reads = Reads::AtOnce;
        let keys: Vec<_> = world.kubernetes.services.iter().map(|named| named.key.clone()).collect();
        sidecar.wanted.extend(keys.iter().cloned());
        sidecar.ask(&mut world.ether, |client, _| client.subscribe(keys));
    }
    world.ether.agenda.after(0, Event::Check);
    world.play(world.now_ms() + chance.within(20_000..=23_000));
    let mut found = world.differences();
    if found.is_empty() {
        world.ether.note(format!("-- node {doomed} dies"));
        world.cut_off(doomed, dies_too);
        let within_ms = if dies_too { OUT_WITH_A_REPLICA_WITHIN_MS } else { OUT_WITHIN_MS };
        world.play(world.now_ms() + within_ms);
        found = world.misjudged(doomed);
        world.heal_everything();
        world.settle();
    }
    world.checks.failures.append(&mut found);
    outcome(seed, world)
}

impl World {
    /// Nothing comes from the node any more, nor to it.
    fn cut_off(&mut self, doomed: NodeId, dies_too: bool) {
        let mut dead = vec![Host::Node(doomed)];
        if dies_too {
            dead.push(Host::Replica(0));
            self.kubernetes.watches[0].away_until_ms = self.now_ms() + 2 * OUT_WITH_A_REPLICA_WITHIN_MS;
        }
        let nodes = (0..self.kubernetes.nodes.len()).map(Host::Node);
        let all: Vec<_> = nodes.chain((0..self.replicas).map(Host::Replica)).collect();
        for (dead, other) in dead.iter().flat_map(|dead| all.iter().map(move |other| (*dead, *other))) {
            self.ether.network.cut((dead, other));
            self.ether.network.cut((other, dead));
        }
    }

    /// What the sidecars elsewhere have in their lookups that they should not have, or lack.
    fn misjudged(&self, doomed: NodeId) -> Vec<String> {
        let mut found = Vec::new();
        for sidecar in self.sidecars.values().filter(|sidecar| sidecar.node != doomed) {
            for (key, service) in sidecar.client.held() {
                for instance in service.instances.iter() {
                    let dead =
                        self.pod_of(instance).is_none_or(|pod| self.kubernetes.pods[&pod].node == doomed);
                    let last = service.instances.len() == 1;
                    let expected = match (dead, last) {
                        (false, _) => State::Serving,
                        (true, false) => State::Failing,
                        (true, true) => State::Suspect,
                    };
                    if instance.state != expected {
                        let pod = sidecar.pod;
                        let (id, state) = (&instance.id, instance.state);
                        found.push(format!("{pod:?} holds {id} of {key} as {state:?}, not {expected:?}"));
                    }
                }
            }
        }
        found
    }

    fn pod_of(&self, instance: &Instance) -> Option<PodNo> {
        self.kubernetes.pods.keys().copied().find(|pod| instance.pod.as_deref() == Some(pod.name().as_str()))
    }
}
