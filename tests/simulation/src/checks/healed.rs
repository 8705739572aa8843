//! What must hold long after everything was healed: all replicas hold the same, and so do all sidecars.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_catalogue::{Instance, Service, ServiceKey, State};
use rollcall_wire::server::reason;

use super::{controller_of, is_of};
use crate::{controller::Controller, network::ReplicaNo, run::NOT_IN_STEP, world::World};

/// Whoever was sent away is back within this, elsewhere.
const MOVED_WITHIN_MS: u64 = 8_000;

impl World {
    /// What is not as it must be long after everything was healed; empty where all is well.
    pub(crate) fn differences(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for replica in 0..self.replicas {
            match self.controllers.get(&replica) {
                Some(controller) => self.differences_of(controller, &mut found),
                None => found.push(format!("replica {replica} does not run")),
            }
        }
        *self.checks.looks.entry("replicas compared").or_default() += self.replicas as u64 - 1;
        for (number, sidecar) in &self.sidecars {
            let Some(pod) = self.kubernetes.pods.get(number) else { continue };
            *self.checks.looks.entry("sidecars after healing").or_default() += 1;
            if !sidecar.client.in_step() {
                found.push(format!("{number:?} {NOT_IN_STEP}"));
            }
            let Some(controller) = controller_of(&self.controllers, sidecar) else {
                found.push(format!("{number:?} {NOT_IN_STEP}"));
                continue;
            };
            let (told, held) = (controller.index.duties(&number.uid()), sidecar.client.duties());
            if told != held {
                found.push(format!("{number:?} looks after {held:?}, not {told:?}"));
            }
            *self.checks.looks.entry("instances looked after").or_default() += held.len() as u64;
            let home = self.kubernetes.namespace(pod);
            if sidecar.wants_summary {
                *self.checks.looks.entry("lists of all services").or_default() += 1;
                let all = controller.catalogue.all_seen_from(home);
                let told =
                    all.into_iter().map(|(key, service)| (key, (service.serving(), service.instances.len())));
                let held = sidecar.client.summary().into_iter().flat_map(|all| all.iter());
                let held = held.map(|(key, one)| (key, (one.serving as usize, one.total as usize)));
                let (told, held): (BTreeMap<_, _>, BTreeMap<_, _>) = (told.collect(), held.collect());
                if told != held {
                    found.push(format!("{number:?} lists {held:?}, not {told:?}"));
                }
            }
            let held: BTreeMap<_, _> = sidecar.client.held().collect();
            for key in &sidecar.wanted {
                let told = controller.catalogue.seen_from(home, key);
                let same = match (told, held.get(key)) {
                    (None, None) => true,
                    (Some(told), Some(held)) => is_same(key, told, held),
                    _ => false,
                };
                if !same {
                    found.push(format!("{number:?} holds {key} as {:?}, not {told:?}", held.get(key)));
                }
            }
        }
        found
    }

    /// What is not as Kubernetes has it in this replica, or not as in the first one.
    fn differences_of(&self, controller: &Controller, found: &mut Vec<String>) {
        let replica = controller.replica;
        for (number, pod) in &self.kubernetes.pods {
            let named = &self.kubernetes.services[pod.service];
            let listed = controller.catalogue.get(&named.key);
            let its = listed.and_then(|service| service.instances.iter().find(|one| is_of(one, *number)));
            if its.is_some() != named.registered {
                found.push(format!("{number:?} is listed in replica {replica}: {}", its.is_some()));
            }
            let unwell = self.story.unwell.contains_key(number);
            let expected = pod.ready && !pod.deleting;
            if let Some(its) = its
                && !unwell
                && (its.state == State::Serving) != expected
            {
                found.push(format!(
                    "{number:?} is {:?} for {:?} in replica {replica}, and ready: {expected}",
                    its.state, its.reason
                ));
            }
        }
        for key in self.kubernetes.services.iter().map(|named| &named.key) {
            for one in controller.catalogue.get(key).into_iter().flat_map(|service| service.instances.iter())
            {
                if !self.kubernetes.pods.keys().any(|pod| is_of(one, *pod)) {
                    found.push(format!("{key} has {} in replica {replica}, which is gone", one.id));
                }
            }
        }
        for pod in controller.known_pods() {
            if !self.kubernetes.pods.keys().any(|number| number.uid() == pod) {
                found.push(format!("replica {replica} keeps a record of {pod}, which is gone"));
            }
        }
        let Some(first) = self.controllers.get(&0) else { return };
        let hashes = |controller: &Controller| {
            let all = controller.catalogue.iter().map(|(key, service)| (key.clone(), service.hash));
            all.collect::<BTreeMap<_, _>>()
        };
        if hashes(controller) != hashes(first) {
            let (ours, its) = (hashes(controller), hashes(first));
            found.push(format!("replica {replica} has {ours:?}, and replica 0 {its:?}"));
        }
        if controller.known_versions() != first.known_versions() {
            found.push(format!(
                "replica {replica} knows {:?}, and replica 0 {:?}",
                controller.known_versions(),
                first.known_versions()
            ));
        }
    }

    /// Some sessions move, and nobody who has settled learns of it: no service changes at any replica.
    pub(crate) fn move_some(&mut self) {
        if !self.checks.failures.is_empty() || self.replicas == 1 {
            return;
        }
        // Whoever comes back over a slow way is missed for a moment.
        let slow: BTreeSet<_> = self
            .sidecars
            .values()
            .filter(|sidecar| !sidecar.link.as_ref().is_some_and(|link| self.ether.network.is_quick(link.id)))
            .filter_map(|sidecar| self.kubernetes.pods.get(&sidecar.pod))
            .map(|pod| pod.service)
            .collect();
        let slow: BTreeSet<_> =
            slow.into_iter().map(|service| self.kubernetes.services[service].key.clone()).collect();
        let revisions = |world: &Self| {
            let of = |(replica, controller): (&ReplicaNo, &Controller)| {
                let all = controller.catalogue.iter().filter(|(key, _)| !slow.contains(key));
                (*replica, all.map(|(key, service)| (key.clone(), service.revision)).collect::<Vec<_>>())
            };
            world.controllers.iter().map(of).collect::<BTreeMap<_, _>>()
        };
        let (before, bad_ways) = (revisions(self), self.ether.network.bad_ways);
        let since_ms = self.now_ms().saturating_sub(MOVED_WITHIN_MS);
        self.ether.network.bad_ways = 0;
        for controller in self.controllers.values_mut() {
            let open: Vec<_> = controller.open.values().copied().collect();
            for id in open {
                if self.ether.network.is_quick(id) && self.ether.chance.percent(50) {
                    *self.checks.looks.entry("sessions moved").or_default() += 1;
                    controller.dismiss(id, reason::MOVED, &mut self.ether);
                }
            }
        }
        self.play(self.now_ms() + MOVED_WITHIN_MS);
        self.ether.network.bad_ways = bad_ways;
        let after = revisions(self);
        // Whose time was over meanwhile, or shortly before, was missed for a moment.
        let expired = self.controllers.values().any(|one| one.expired_ms >= Some(since_ms));
        if after != before && !expired && self.checks.failures.is_empty() {
            self.checks.failures.push(format!("sessions moved, and {before:?} became {after:?}"));
        }
    }
}

/// Whether it is the same but for the revisions, which each holder counts for itself.
fn is_same(key: &ServiceKey, told: &Service, held: &Service) -> bool {
    let content = |service: &Service| {
        let of = |one: &Instance| Instance { revision: 0, ..one.clone() };
        service.instances.iter().map(|one| of(one)).collect::<Vec<_>>()
    };
    content(told) == content(held) && told.hash == held.hash && held.hash == held.content_hash(key)
}
