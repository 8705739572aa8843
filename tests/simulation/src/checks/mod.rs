//! The checks: what must hold at any time, and what after everything was healed.

mod healed;

use std::collections::{BTreeMap, BTreeSet};

use rollcall_catalogue::{Instance, Service, ServiceKey, State};

use crate::{
    agenda::Millis,
    controller::{Answered, Controller},
    kubernetes::{Pod, PodNo},
    network::{ConnectionId, Host, ReplicaNo},
    sidecar::Sidecar,
    world::{Event, World},
};

/// How often everything is looked at.
const CHECKED_EVERY_MS: u64 = 1_000;

/// Kubernetes' word takes no longer to the catalogue, while its watches bring it.
const SEEN_WITHIN_MS: u64 = 3_000;

/// What is published takes no longer to a sidecar to which nothing happens meanwhile: through sockets of a few hundred
/// bytes, on a slow way.
const DELIVERED_WITHIN_MS: u64 = 25_000;

/// Who is heard again is served again within this, at each replica that hears the one that hears it.
const BACK_WITHIN_MS: u64 = 3_500;

/// Holds what was found, and since when what has been so.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) failures: Vec<String>,
    /// Since when nothing has happened to a pod's way to the controller.
    sound_since_ms: BTreeMap<PodNo, (ConnectionId, Millis)>,
    /// Since when a sidecar has held what it should not, over a sound way.
    wrong_since_ms: BTreeMap<(PodNo, ServiceKey), Millis>,
    /// The pods that are gone, and since when.
    gone_since_ms: BTreeMap<PodNo, Millis>,
    known: BTreeSet<PodNo>,
    /// Since when the watches of each replica have brought everything.
    watched_since_ms: BTreeMap<ReplicaNo, Millis>,
    /// Since when all replicas that run hear each other.
    joined_since_ms: Option<Millis>,
    /// Since when nothing speaks against a pod.
    well_since_ms: BTreeMap<PodNo, Millis>,
    /// What each process of a sidecar has shown as one that may be called.
    kept: BTreeSet<(PodNo, u64, PodNo)>,
    /// How often something was looked at: a check that never looks finds nothing.
    pub(crate) looks: BTreeMap<&'static str, u64>,
}

impl World {
    pub(crate) fn check(&mut self) {
        self.ether.agenda.after(CHECKED_EVERY_MS, Event::Check);
        self.note_what_is_sound();
        self.note_who_is_joined();
        (0..self.replicas).for_each(|replica| self.check_lookups(replica));
        self.note_who_is_well();
        self.check_kept();
        self.check_holdings();
    }

    /// No instance of a live pod is out of the lookups of this replica.
    pub(crate) fn check_lookups(&mut self, replica: ReplicaNo) {
        let now_ms = self.now_ms();
        self.note_the_mute();
        let Some(controller) = self.controllers.get(&replica) else {
            self.checks.watched_since_ms.remove(&replica);
            return;
        };
        let watches = &self.kubernetes.watches[replica];
        if watches.idle() && watches.away_until_ms <= now_ms && controller.idle() && !controller.paused {
            self.checks.watched_since_ms.entry(replica).or_insert(now_ms);
        } else {
            self.checks.watched_since_ms.remove(&replica);
        }
        if !self.is_settled(replica) {
            return;
        }
        let mut failures = Vec::new();
        for (number, pod) in &self.kubernetes.pods {
            if !self.lives(*number, pod) {
                continue;
            }
            *self.checks.looks.entry("live pods in the catalogue").or_default() += 1;
            let key = &self.kubernetes.services[pod.service].key;
            let service = controller.catalogue.get(key);
            let its = service.and_then(|service| service.instances.iter().find(|one| is_of(one, *number)));
            if !its.is_some_and(|one| is_called(one)) {
                let said = its.map(|one| (one.state, one.reason.clone()));
                failures.push(format!(
                    "{number:?} of {key} lives, and the catalogue of replica {replica} has {said:?}"
                ));
            }
        }
        self.checks.failures.append(&mut failures);
    }

    /// Whether this replica has everything that Kubernetes told it.
    fn is_settled(&self, replica: ReplicaNo) -> bool {
        let complete = self.controllers.get(&replica).is_some_and(|one| one.complete && !one.paused);
        let since_ms = self.checks.watched_since_ms.get(&replica);
        complete && since_ms.is_some_and(|since_ms| since_ms + 500 <= self.now_ms())
    }

    /// Whether nobody has a reason to take this pod out.
    fn lives(&self, number: PodNo, pod: &Pod) -> bool {
        let spared = self.story.unwell.contains_key(&number) || self.story.mute.contains_key(&number);
        !spared && self.kubernetes.vouches(pod, SEEN_WITHIN_MS, self.now_ms())
    }

    fn note_who_is_well(&mut self) {
        let now_ms = self.now_ms();
        let before = std::mem::take(&mut self.checks.well_since_ms);
        for (number, pod) in &self.kubernetes.pods {
            if self.lives(*number, pod) {
                let since_ms = before.get(number).copied().unwrap_or(now_ms);
                self.checks.well_since_ms.insert(*number, since_ms);
            }
        }
    }

    /// Whichever replica a sidecar is told by, and whatever becomes of that: no live pod goes out of its lookups.
    fn check_kept(&mut self) {
        let now_ms = self.now_ms();
        let mut kept = BTreeSet::new();
        for (caller, sidecar) in self.sidecars.iter().filter(|(_, sidecar)| sidecar.up && !sidecar.paused) {
            for (key, service) in sidecar.client.held() {
                for (pod, since_ms) in &self.checks.well_since_ms {
                    // What was said of it before has come by now.
                    let well = since_ms + DELIVERED_WITHIN_MS <= now_ms;
                    let object = &self.kubernetes.pods[pod];
                    if !well || self.kubernetes.services[object.service].key != *key {
                        continue;
                    }
                    let entry = (*caller, sidecar.life, *pod);
                    if service.instances.iter().any(|one| is_of(one, *pod) && is_called(one)) {
                        *self.checks.looks.entry("live pods in the lookups").or_default() += 1;
                        kept.insert(entry);
                    } else if self.checks.kept.contains(&entry) {
                        let line = format!("{caller:?} does not call {pod:?} of {key} any more, which lives");
                        self.checks.failures.push(line);
                    }
                }
            }
        }
        self.checks.kept = kept;
    }

    /// No sidecar that is in step holds, longer than delivery takes, what is gone or what it may not see.
    fn check_holdings(&mut self) {
        let now_ms = self.now_ms();
        let known: Vec<_> = self.checks.known.iter().copied().collect();
        for pod in known {
            if !self.kubernetes.pods.contains_key(&pod) {
                self.checks.known.remove(&pod);
                self.checks.gone_since_ms.insert(pod, now_ms);
            }
        }
        self.checks.known.extend(self.kubernetes.pods.keys().copied());
        let mut wrong = BTreeMap::new();
        for (number, sidecar) in &self.sidecars {
            let Some((_, sound_ms)) = self.checks.sound_since_ms.get(number) else { continue };
            let Some(pod) = self.kubernetes.pods.get(number) else { continue };
            let Some(controller) = controller_of(&self.controllers, sidecar) else { continue };
            // What a replica that reads nothing tells takes nothing away.
            if !self.is_settled(controller.replica) {
                continue;
            }
            let home = self.kubernetes.namespace(pod);
            for (key, service) in sidecar.client.held() {
                *self.checks.looks.entry("services held").or_default() += 1;
                let gone = |one: &Instance| {
                    let of = |gone: &PodNo| is_of(one, *gone);
                    self.checks.gone_since_ms.keys().any(of)
                };
                let unseen = !controller.catalogue.is_visible(key, home);
                // What the catalogue itself does not know yet is a matter of the watches.
                let knows = |one: &Instance| {
                    let listed = controller.catalogue.get(key);
                    listed.is_some_and(|listed| listed.instance(&one.id).is_some())
                };
                let stale = service.instances.iter().any(|one| gone(one) && !knows(one));
                if unseen || stale {
                    let key = (*number, key.clone());
                    let since_ms = self.checks.wrong_since_ms.get(&key).copied().unwrap_or(now_ms);
                    wrong.insert(key, since_ms.max(*sound_ms));
                }
            }
        }
        for ((number, key), since_ms) in &wrong {
            if since_ms + DELIVERED_WITHIN_MS <= now_ms {
                self.checks.failures.push(format!("{number:?} still holds {key}, or what is gone of it"));
            }
        }
        self.checks.wrong_since_ms = wrong;
    }

    /// Nobody who was asked has an instance of the pod in its lookups any more.
    pub(crate) fn check_drain(&mut self, replica: ReplicaNo, answered: &Answered) {
        let Answered { pod, services, asked } = answered;
        let Some(controller) = self.controllers.get(&replica) else { return };
        for key in services {
            let leaves = |service: &Service| {
                let mut its = service.instances.iter().filter(|one| is_of(one, *pod));
                its.all(|one| !matches!(one.state, State::Serving | State::Suspect))
            };
            // It was taken back meanwhile.
            if controller.catalogue.get(key).is_some_and(|service| !leaves(service)) {
                continue;
            }
            for sidecar in self.sidecars.values() {
                let asked = |id: ConnectionId| asked.contains(&id) && controller.streams.contains_key(&id);
                if !sidecar.link.as_ref().is_some_and(|link| asked(link.id)) || !sidecar.wanted.contains(key)
                {
                    continue;
                }
                *self.checks.looks.entry("subscribers of a drained pod").or_default() += 1;
                let held = sidecar.client.held().find(|(held, _)| *held == key).map(|(_, service)| service);
                if held.is_some_and(|service| !leaves(service)) {
                    let line =
                        format!("the drain of {pod:?} is complete, and {:?} calls it in {key}", sidecar.pod);
                    self.checks.failures.push(line);
                }
            }
        }
    }

    fn note_who_is_joined(&mut self) {
        let running = || self.controllers.values().filter(|controller| !controller.paused);
        let joined = running()
            .all(|one| running().all(|other| one.life == other.life || one.peers.hears(other.feed.epoch())));
        let since_ms = self.checks.joined_since_ms.unwrap_or(self.now_ms());
        self.checks.joined_since_ms = joined.then_some(since_ms);
    }

    /// Who cannot be heard, through no fault of the sessions: until it is heard again, it may be out.
    fn note_the_mute(&mut self) {
        let now_ms = self.now_ms();
        for (number, sidecar) in &self.sidecars {
            let lost = self.story.lost.get(number);
            let is_lost = lost.is_some() && sidecar.link.as_ref().map(|link| link.id) == lost.copied();
            let reached = |replica: ReplicaNo| {
                self.ether.network.is_whole(Host::Node(sidecar.node), Host::Replica(replica))
            };
            let cut_off = match &sidecar.link {
                Some(link) => !reached(link.replica),
                None => !(0..self.replicas).any(reached),
            };
            if sidecar.paused || is_lost || cut_off {
                self.story.mute.insert(*number, now_ms);
            }
        }
        let Some(joined_ms) = self.checks.joined_since_ms else { return };
        let running: Vec<_> = self.controllers.values().filter(|controller| !controller.paused).collect();
        self.story.mute.retain(|number, mute_ms| {
            let heard_ms = running.iter().filter_map(|controller| controller.heard_ms(*number)).max();
            let back =
                |heard_ms: Millis| heard_ms > *mute_ms && heard_ms.max(joined_ms) + BACK_WITHIN_MS <= now_ms;
            !heard_ms.is_some_and(back) || *mute_ms == now_ms
        });
    }

    fn note_what_is_sound(&mut self) {
        let now_ms = self.now_ms();
        let before = std::mem::take(&mut self.checks.sound_since_ms);
        for (number, sidecar) in &self.sidecars {
            if let Some(id) = self.sound(sidecar) {
                let held = before.get(number).filter(|(held, _)| *held == id);
                self.checks.sound_since_ms.insert(*number, held.copied().unwrap_or((id, now_ms)));
            }
        }
    }

    fn sound(&self, sidecar: &Sidecar) -> Option<ConnectionId> {
        let controller = controller_of(&self.controllers, sidecar)?;
        let controller = Some(controller).filter(|one| one.complete && !one.paused)?;
        let replica = controller.replica;
        let id = sidecar.link.as_ref().filter(|_| sidecar.up && !sidecar.paused)?.id;
        let stream = controller.streams.get(&id).filter(|stream| stream.opened)?;
        let whole = !self.ether.network.is_lost(id)
            && self.ether.network.is_whole(Host::Node(sidecar.node), Host::Replica(replica));
        (whole && stream.server.farewell().is_none()).then_some(id)
    }
}

/// The one with which this sidecar has a session.
fn controller_of<'a>(
    controllers: &'a BTreeMap<ReplicaNo, Controller>,
    sidecar: &Sidecar,
) -> Option<&'a Controller> {
    controllers.get(&sidecar.link.as_ref()?.replica)
}

/// Whether callers are given it.
fn is_called(instance: &Instance) -> bool {
    matches!(instance.state, State::Serving | State::Suspect)
}

/// Whether it is an instance of this pod.
fn is_of(instance: &Instance, pod: PodNo) -> bool {
    instance.pod.as_deref() == Some(pod.name().as_str())
}
