//! The checks: what must hold at any time, and what after everything was healed.

use std::collections::BTreeMap;

use rollcall_catalogue::{Instance, Service, ServiceKey, State};

use crate::{
    agenda::Millis,
    controller::{Answered, Controller},
    kubernetes::PodNo,
    network::ConnectionId,
    run::NOT_IN_STEP,
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

/// Who is heard again is served again within this.
const BACK_WITHIN_MS: u64 = 1_500;

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
    known: std::collections::BTreeSet<PodNo>,
    /// Since when the watches have brought everything.
    watched_since_ms: Option<Millis>,
    /// How often something was looked at: a check that never looks finds nothing.
    pub(crate) looks: BTreeMap<&'static str, u64>,
}

impl World {
    pub(crate) fn check(&mut self) {
        self.ether.agenda.after(CHECKED_EVERY_MS, Event::Check);
        self.note_what_is_sound();
        self.check_lookups();
        self.check_holdings();
    }

    /// No instance of a live pod is out of the lookups.
    pub(crate) fn check_lookups(&mut self) {
        let now_ms = self.now_ms();
        self.note_the_mute();
        let idle = self.kubernetes.watches.idle() && self.controller.as_ref().is_some_and(Controller::idle);
        self.checks.watched_since_ms = idle.then(|| self.checks.watched_since_ms.unwrap_or(now_ms));
        let Some(controller) = self.controller.as_ref().filter(|one| one.complete && !one.paused) else {
            return;
        };
        let settled = self.checks.watched_since_ms.is_some_and(|since_ms| since_ms + 500 <= now_ms);
        if !settled {
            return;
        }
        let mut failures = Vec::new();
        for (number, pod) in &self.kubernetes.pods {
            let spared = self.story.unwell.contains_key(number) || self.story.mute.contains_key(number);
            if spared || !self.kubernetes.vouches(pod, SEEN_WITHIN_MS, now_ms) {
                continue;
            }
            *self.checks.looks.entry("live pods in the catalogue").or_default() += 1;
            let key = &self.kubernetes.services[pod.service].key;
            let service = controller.catalogue.get(key);
            let its = service.and_then(|service| service.instances.iter().find(|one| is_of(one, *number)));
            if !its.is_some_and(|one| matches!(one.state, State::Serving | State::Suspect)) {
                let said = its.map(|one| (one.state, one.reason.clone()));
                failures.push(format!("{number:?} of {key} lives, and the catalogue has {said:?}"));
            }
        }
        self.checks.failures.append(&mut failures);
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
        let Some(controller) = &self.controller else { return };
        let mut wrong = BTreeMap::new();
        for (number, sidecar) in &self.sidecars {
            let Some((_, sound_ms)) = self.checks.sound_since_ms.get(number) else { continue };
            let Some(pod) = self.kubernetes.pods.get(number) else { continue };
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
    pub(crate) fn check_drain(&mut self, answered: &Answered) {
        let Answered { pod, services, asked } = answered;
        let Some(controller) = &self.controller else { return };
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

    /// What is not as it must be long after everything was healed; empty where all is well.
    pub(crate) fn differences(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let Some(controller) = &self.controller else { return vec!["there is no controller".to_owned()] };
        for (number, pod) in &self.kubernetes.pods {
            let named = &self.kubernetes.services[pod.service];
            let listed = controller.catalogue.get(&named.key);
            let its = listed.and_then(|service| service.instances.iter().find(|one| is_of(one, *number)));
            if its.is_some() != named.registered {
                found.push(format!("{number:?} is listed: {}", its.is_some()));
            }
            let unwell = self.story.unwell.contains_key(number);
            let expected = pod.ready && !pod.deleting;
            if let Some(its) = its
                && !unwell
                && (its.state == State::Serving) != expected
            {
                found.push(format!(
                    "{number:?} is {:?} for {:?}, and ready: {expected}",
                    its.state, its.reason
                ));
            }
        }
        for key in self.kubernetes.services.iter().map(|named| &named.key) {
            for one in controller.catalogue.get(key).into_iter().flat_map(|service| service.instances.iter())
            {
                if !self.kubernetes.pods.keys().any(|pod| is_of(one, *pod)) {
                    found.push(format!("{key} has {}, which is gone", one.id));
                }
            }
        }
        for (number, sidecar) in &self.sidecars {
            let Some(pod) = self.kubernetes.pods.get(number) else { continue };
            *self.checks.looks.entry("sidecars after healing").or_default() += 1;
            if !sidecar.client.in_step() {
                found.push(format!("{number:?} {NOT_IN_STEP}"));
            }
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

    /// Who cannot be heard, through no fault of the sessions: until it is heard again, it may be out.
    fn note_the_mute(&mut self) {
        let now_ms = self.now_ms();
        for (number, sidecar) in &self.sidecars {
            let lost = self.story.lost.get(number);
            let is_lost = lost.is_some() && sidecar.link.as_ref().map(|link| link.id) == lost.copied();
            if sidecar.paused || is_lost || self.ether.network.is_cut_off(sidecar.node) {
                self.story.mute.insert(*number, now_ms);
            }
        }
        let Some(controller) = self.controller.as_ref().filter(|controller| !controller.paused) else {
            return;
        };
        self.story.mute.retain(|number, mute_ms| {
            let heard_ms = controller.heard_ms(*number);
            heard_ms.is_none_or(|heard_ms| heard_ms <= *mute_ms || now_ms < heard_ms + BACK_WITHIN_MS)
                || *mute_ms == now_ms
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
        let controller =
            self.controller.as_ref().filter(|controller| controller.complete && !controller.paused)?;
        let id = sidecar.link.as_ref().filter(|_| sidecar.up && !sidecar.paused)?.id;
        let stream = controller.streams.get(&id).filter(|stream| stream.opened)?;
        let whole = !self.ether.network.is_lost(id) && !self.ether.network.is_cut_off(sidecar.node);
        (whole && stream.server.farewell().is_none()).then_some(id)
    }
}

/// Whether it is an instance of this pod.
fn is_of(instance: &Instance, pod: PodNo) -> bool {
    instance.pod.as_deref() == Some(pod.name().as_str())
}

/// Whether it is the same but for the revisions, which each holder counts for itself.
fn is_same(key: &ServiceKey, told: &Service, held: &Service) -> bool {
    let content = |service: &Service| {
        let of = |one: &Instance| Instance { revision: 0, ..one.clone() };
        service.instances.iter().map(|one| of(one)).collect::<Vec<_>>()
    };
    content(told) == content(held) && told.hash == held.hash && held.hash == held.content_hash(key)
}
