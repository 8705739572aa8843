//! One replica reads nothing of Kubernetes any more, pods are made, and sidecars move to it: what it does not know stays in
//! their lookups.

use rollcall_wire::server::reason;

use crate::{
    chance::Chance,
    run::{Outcome, outcome},
    sidecar::Reads,
    world::{Event, World},
};

/// Longer than anything here takes.
const AWAY_FOR_MS: u64 = 120_000;

/// Until then the new pods are ready, and all sidecars show them without a doubt.
const SHOWN_WITHIN_MS: u64 = 35_000;

/// Plays a cluster of this seed in which nothing happens but that.
pub fn run_a_replica_that_reads_nothing(seed: u64) -> Outcome {
    let mut chance = Chance::new(seed).fork();
    let (nodes, services, replicas) = (3, 2, usize::try_from(chance.within(2..=3)).unwrap());
    let mut world = World::new(seed, nodes, services, replicas);
    (0..replicas).for_each(|replica| world.start_controller(replica));
    world.add_callers(services, nodes);
    world.ether.agenda.after(0, Event::Check);
    world.play(world.now_ms() + chance.within(10_000..=12_000));
    world.ether.note("-- replica 0 reads nothing any more");
    world.kubernetes.watches[0].away_until_ms = world.now_ms() + AWAY_FOR_MS;
    world.add_callers(services, nodes);
    world.play(world.now_ms() + SHOWN_WITHIN_MS);
    for controller in world.controllers.values_mut().skip(1) {
        let open: Vec<_> = controller.open.values().copied().collect();
        open.into_iter().for_each(|id| controller.dismiss(id, reason::MOVED, &mut world.ether));
    }
    world.play(world.now_ms() + chance.within(10_000..=20_000));
    let led = world.controllers.get(&0).map_or(0, |controller| controller.open.len());
    *world.checks.looks.entry("sessions with one that reads nothing").or_default() += led as u64;
    if world.checks.failures.is_empty() {
        world.heal_everything();
        world.settle();
    }
    outcome(seed, world)
}

impl World {
    /// A pod of each service on each node, which calls all of them.
    fn add_callers(&mut self, services: usize, nodes: usize) {
        for (service, node) in (0..services).flat_map(|service| (0..nodes).map(move |node| (service, node))) {
            let pod = self.add_pod(service, node, true);
            let keys: Vec<_> = self.kubernetes.services.iter().map(|named| named.key.clone()).collect();
            if let Some(sidecar) = self.sidecars.get_mut(&pod) {
                sidecar.reads = Reads::AtOnce;
                sidecar.wanted.extend(keys.iter().cloned());
                sidecar.ask(&mut self.ether, |client, _| client.subscribe(keys));
            }
        }
    }
}
