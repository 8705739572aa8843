//! What an app says of itself at run time, through its sidecar: registrations, its health, that it wants to leave.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use rollcall_catalogue::{
    Namespace, PodUid, Registration, ServiceKey, ServiceName, ValueError, liveness::ProbeWitness,
};
use rollcall_wire::{
    HealthOf, RegistrationKey, SelfRegistration,
    limits::{HEALTH_WORDS_MAX, REGISTRATIONS_BYTES_MAX, REGISTRATIONS_MAX},
};

use crate::{
    index::{Index, endpoints::OwnerId, sessions::Session},
    status::app_name,
};

/// After this, whoever has not heard that a service was left is no subscriber any more, or is slow.
const LEFT_FOR_MS: u64 = 60_000;

/// Holds what the app of one pod said. It outlives each session, and the sidecar's process: what was said last stands
/// until the pod is gone.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) registrations: BTreeMap<RegistrationKey, Registered>,
    /// Those of them that the sidecar's process which speaks now has named itself: of the others it need not know.
    pub(super) named: BTreeSet<RegistrationKey>,
    pub(super) health: BTreeMap<HealthOf, ProbeWitness>,
    /// Of all that it is.
    pub(super) health_of_all: Option<ProbeWitness>,
    pub(super) drains: bool,
    /// What the app has taken back, and when: who called it there may not know yet.
    left: VecDeque<(u64, ServiceKey)>,
}

/// Holds one registration of the app.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) word: Arc<Registration>,
    /// Of the object that keeps it: hashed once.
    name: Arc<str>,
    bytes: usize,
}

/// Says what a registration has changed.
#[derive(Debug, PartialEq, Eq)]
enum Registering {
    /// This service.
    News(ServiceKey),
    /// The process that speaks now has named it for the first time.
    Named,
    Nothing,
}

/// Holds a registration that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub key: RegistrationKey,
    pub why: ValueError,
}

// === impl Said ===

impl Said {
    /// With these, said earlier by the app of this pod.
    pub(super) fn begun<'a>(uid: &PodUid, words: impl Iterator<Item = &'a Arc<Registration>>) -> Self {
        let registered = |word: &Arc<Registration>| {
            let bytes = SelfRegistration::of(word).json_bytes();
            (RegistrationKey::of(word), Registered::new(uid, word.clone(), bytes))
        };
        Self { registrations: words.map(registered).collect(), ..Self::default() }
    }

    pub(super) fn registrations(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.registrations.values().map(|held| &held.word)
    }

    /// Each with the name of the object that keeps it.
    pub(super) fn to_be_kept(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Registration>)> {
        self.registrations.values().map(|held| (&held.name, &held.word))
    }

    /// What the app registers of this service: one word for the pod, and one for each address that stands beside it.
    pub(super) fn registrations_of(&self, key: &ServiceKey) -> impl Iterator<Item = &Arc<Registration>> {
        let first = RegistrationKey { service: key.service.clone(), port: None };
        let same = |(said, _): &(&RegistrationKey, _)| said.service == key.service;
        let held = self.registrations.range(first..).take_while(same);
        held.map(|(_, said)| &said.word).filter(|word| word.key == *key)
    }

    /// What it says of its health in this service, whichever of its addresses is meant: of a word on that and one on all
    /// that the pod is the bad one counts.
    pub(super) fn health(&self, service: &ServiceName) -> ProbeWitness {
        let of_all = self.health_of_all.unwrap_or(ProbeWitness::NotAsked);
        let mut on_this = self.words_on(service).filter(|(of, _)| of.port.is_none());
        on_this.next().map_or(of_all, |(_, probe)| of_all.worse(*probe))
    }

    /// What it says of its single instances in this service, by their primary ports.
    pub(super) fn health_at_ports(&self, service: &ServiceName) -> Vec<(u16, ProbeWitness)> {
        self.words_on(service).filter_map(|(of, probe)| Some((of.port?, *probe))).collect()
    }

    fn words_on(&self, service: &ServiceName) -> impl Iterator<Item = (&HealthOf, &ProbeWitness)> {
        // None comes before all ports.
        let first = HealthOf { service: service.clone(), port: None };
        let held = if self.health.is_empty() { None } else { Some(self.health.range(first..)) };
        held.into_iter().flatten().take_while(|(of, _)| of.service == *service)
    }

    /// Takes a word.
    fn register(
        &mut self,
        namespace: &Namespace,
        uid: &PodUid,
        said: &SelfRegistration,
    ) -> Result<Registering, ValueError> {
        let registration = said.judge(namespace)?;
        let before = self.registrations.get(&said.key());
        if before.is_none() && self.registrations.len() >= REGISTRATIONS_MAX {
            return Err(ValueError {
                field: "service",
                problem: format!("{REGISTRATIONS_MAX} addresses are registered by this pod already"),
                remedy: "deregister one of them first",
            });
        }
        let bytes = said.json_bytes();
        let all: usize = self.registrations.values().map(|held| held.bytes).sum();
        if all - before.map_or(0, |before| before.bytes) + bytes > REGISTRATIONS_BYTES_MAX {
            return Err(ValueError {
                field: "metadata",
                problem: format!(
                    "the registrations of this pod come to more than {REGISTRATIONS_BYTES_MAX} bytes"
                ),
                remedy: "say less of each, or deregister one of them first",
            });
        }
        let key = registration.key.clone();
        let is_news = before.is_none_or(|before| *before.word != registration);
        let is_named = self.named.insert(said.key());
        if is_news {
            let name = before.map_or_else(|| app_name(&said.key(), uid), |before| before.name.clone());
            self.registrations.insert(said.key(), Registered { word: Arc::new(registration), name, bytes });
            return Ok(Registering::News(key));
        }
        Ok(if is_named { Registering::Named } else { Registering::Nothing })
    }

    /// Another process of the sidecar speaks from now on.
    pub(super) fn begin_incarnation(&mut self) {
        self.named.clear();
    }

    /// What was said of an address that stood beside others goes with it.
    fn take_back(&mut self, key: &RegistrationKey, now_ms: u64) -> Option<Arc<Registration>> {
        let gone = self.registrations.remove(key)?.word;
        self.named.remove(key);
        if let Some(port) = key.port.and_then(|port| u16::try_from(port).ok()) {
            self.health.remove(&HealthOf { service: key.service.clone(), port: Some(port) });
        }
        self.leaves(gone.key.clone(), now_ms);
        Some(gone)
    }

    pub(super) fn leaves(&mut self, service: ServiceKey, now_ms: u64) {
        if self.left.len() >= REGISTRATIONS_MAX {
            self.left.pop_front();
        }
        self.left.push_back((now_ms, service));
    }

    /// What it may say something on now, beside the instances that it is: what it registers may not be joined yet.
    fn registered_parts(&self) -> impl Iterator<Item = HealthOf> {
        let part = |word: &Registration, port| HealthOf { service: word.key.service.clone(), port };
        self.registrations.values().flat_map(move |held| {
            let first = held.word.attributes.ports.first().map(|first| part(&held.word, Some(first.port)));
            first.into_iter().chain([part(&held.word, None)])
        })
    }

    /// Words on nothing that it is are forgotten.
    fn forget_all_but(&mut self, parts: &BTreeSet<HealthOf>) {
        self.health.retain(|of, _| parts.contains(of));
    }

    /// Makes room for one word more, where it can.
    fn forget_one_but(&mut self, parts: &BTreeSet<HealthOf>) {
        let moot = self.health.keys().find(|of| !parts.contains(of)).cloned();
        if let Some(of) = moot {
            self.health.remove(&of);
        }
    }

    /// Whether a word on this has no room, unless another one goes.
    fn has_no_room(&self, of: &HealthOf) -> bool {
        !self.health.contains_key(of) && self.health.len() >= HEALTH_WORDS_MAX
    }

    /// Takes a word on the health; says whether it was news.
    fn hear(&mut self, of: Option<HealthOf>, probe: ProbeWitness) -> bool {
        let Some(of) = of else { return self.health_of_all.replace(probe) != Some(probe) };
        if probe == ProbeWitness::NotAsked {
            return self.health.remove(&of).is_some();
        }
        if self.has_no_room(&of) {
            return false;
        }
        self.health.insert(of, probe) != Some(probe)
    }
}

// === impl Registered ===

impl Registered {
    pub(super) fn new(uid: &PodUid, word: Arc<Registration>, bytes: usize) -> Self {
        Self { name: app_name(&RegistrationKey::of(&word), uid), word, bytes }
    }
}

// === impl Index ===

impl Index {
    /// The app registers itself, or changes what it registered under this name.
    pub fn app_registers(&mut self, uid: &PodUid, said: &SelfRegistration) -> Result<(), Refused> {
        let registered = self.with_said(uid, |namespace, held| held.register(namespace, uid, said));
        match registered {
            Some(Ok(Registering::News(service))) => {
                self.mark_owner([&service], &OwnerId::Pod(uid.clone()));
                self.note_said(uid);
            }
            Some(Ok(Registering::Named)) => self.note_said(uid),
            Some(Err(why)) => return Err(Refused { key: said.key(), why }),
            Some(Ok(Registering::Nothing)) | None => {}
        }
        Ok(())
    }

    /// No longer; what others say of the pod stays.
    pub fn app_deregisters(&mut self, uid: &PodUid, key: &RegistrationKey) {
        let now_ms = self.clock.now_ms();
        let gone = self.with_said(uid, |_, held| held.take_back(key, now_ms)).flatten();
        if let Some(gone) = gone {
            self.mark_owner([&gone.key], &OwnerId::Pod(uid.clone()));
            self.note_said(uid);
        }
    }

    /// All that the app has registered, as its sidecar says: what the same process of it named before and leaves out now is
    /// no longer registered. One that was restarted need not know what its app registered before. Gives those that are
    /// refused.
    pub(super) fn app_has_registered(&mut self, uid: &PodUid, all: &[SelfRegistration]) -> Vec<Refused> {
        let named: BTreeSet<_> = all.iter().map(SelfRegistration::key).collect();
        let left_out =
            |held: &mut Said| -> Vec<RegistrationKey> { held.named.difference(&named).cloned().collect() };
        let left_out = self.with_said(uid, |_, held| left_out(held)).unwrap_or_default();
        left_out.iter().for_each(|key| self.app_deregisters(uid, key));
        all.iter().filter_map(|said| self.app_registers(uid, said).err()).collect()
    }

    /// What is known of the app's health, by the app or by its sidecar; of a part of what the pod is, or of all.
    pub fn app_health(&mut self, uid: &PodUid, of: Option<HealthOf>, probe: ProbeWitness) {
        let held = self.pods.get(uid).and_then(|entry| entry.session.as_ref());
        if held.zip(of.as_ref()).is_some_and(|(held, of)| held.said.has_no_room(of)) {
            let parts = self.parts(uid);
            let of_a_part = of.as_ref().is_some_and(|of| parts.contains(of));
            self.with_said(uid, |_, held| of_a_part.then(|| held.forget_one_but(&parts)));
        }
        let service = of.as_ref().map(|of| of.service.clone());
        if self.with_said(uid, |_, held| held.hear(of, probe)) == Some(true) {
            let services = self.services_of(uid);
            let meant = services.iter().filter(|key| service.as_ref().is_none_or(|of| key.service == *of));
            self.mark_owner(meant, &OwnerId::Pod(uid.clone()));
            self.note_said(uid);
        }
    }

    /// What was said on the health of what the pod is no more is forgotten. Until the pod was joined, nobody knows what it is.
    pub(super) fn forget_moot_words(&mut self, uid: &PodUid) {
        let held = self.pods.get(uid).and_then(|entry| entry.session.as_ref());
        let none = held.is_none_or(|session| session.said.health.is_empty());
        if none || !self.complete() || self.marked_pods.contains_key(uid) {
            return;
        }
        let parts = self.parts(uid);
        self.with_said(uid, |_, held| held.forget_all_but(&parts));
    }

    /// What a word on the pod's health may be on: its instances, and the services that they are of.
    fn parts(&self, uid: &PodUid) -> BTreeSet<HealthOf> {
        let duties = self.duties(uid).into_iter().map(|duty| (duty.service, Some(duty.port)));
        let services = self.services_of(uid).into_iter().map(|key| (key.service, None));
        let mut parts: BTreeSet<_> =
            duties.chain(services).map(|(service, port)| HealthOf { service, port }).collect();
        let session = self.pods.get(uid).and_then(|entry| entry.session.as_ref());
        parts.extend(session.into_iter().flat_map(|session| session.said.registered_parts()));
        parts
    }

    /// The parts of a pod on whose health a word is held.
    #[cfg(test)]
    pub(super) fn words_on_parts(&self, uid: &PodUid) -> BTreeSet<HealthOf> {
        let session = self.pods.get(uid).and_then(|entry| entry.session.as_ref());
        session.into_iter().flat_map(|session| session.said.health.keys().cloned()).collect()
    }

    /// Whether the pod asked to leave the lookups.
    pub fn app_drains(&mut self, uid: &PodUid, drains: bool) {
        let before = self.with_said(uid, |_, held| std::mem::replace(&mut held.drains, drains));
        if before.is_some_and(|before| before != drains) {
            let services = self.services_of(uid);
            self.mark_owner(&services, &OwnerId::Pod(uid.clone()));
            self.note_said(uid);
        }
    }

    /// The services that a pod is a member of.
    pub fn services_of(&self, uid: &PodUid) -> Vec<ServiceKey> {
        self.pods.get(uid).map(|entry| entry.services.iter().cloned().collect()).unwrap_or_default()
    }

    /// The services in which others may call a pod: those that it is a member of, and those that its app has just taken
    /// back.
    pub(crate) fn called_in(&self, uid: &PodUid) -> Vec<ServiceKey> {
        let session = self.pods.get(uid).and_then(|entry| entry.session.as_ref());
        let now_ms = self.clock.now_ms();
        let lately = |(left_ms, _): &&(u64, ServiceKey)| now_ms.saturating_sub(*left_ms) < LEFT_FOR_MS;
        let left = session.iter().flat_map(|session| session.said.left.iter().filter(lately));
        let mut services = self.services_of(uid);
        services.extend(left.map(|(_, key)| key.clone()));
        services.sort();
        services.dedup();
        services
    }

    /// Words come through sessions: a pod that never had one says nothing.
    fn with_said<T>(&mut self, uid: &PodUid, change: impl FnOnce(&Namespace, &mut Said) -> T) -> Option<T> {
        let entry = self.pods.get_mut(uid)?;
        let session: &mut Session = entry.session.as_mut()?;
        Some(change(&entry.facts.namespace, &mut session.said))
    }
}
