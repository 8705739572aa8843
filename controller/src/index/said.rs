//! What an app says of itself at run time, through its sidecar: registrations, its health, that it wants to leave.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use rollcall_catalogue::{
    Attributes, Heartbeat, Namespace, PodUid, Port, Registration, Runtime, ServiceKey, ServiceName, Source,
    Target, Transport, ValueError, Version, liveness::ProbeWitness, shortened,
};
use rollcall_wire::{SelfPort, SelfRegistration};

use crate::index::{Index, endpoints::OwnerId, sessions::Session};

/// Services that one pod registers at run time: an app has a handful of listeners, and each of its words is held for as
/// long as the pod lives.
pub(crate) const SELF_REGISTRATIONS_MAX: usize = 16;

/// After this, whoever has not heard that a service was left is no subscriber any more, or is slow.
const LEFT_FOR_MS: u64 = 60_000;

/// Services of which the health of one pod is told apart: what it may register itself, and as many again that others
/// have registered it for, with room.
const HEALTH_WORDS_MAX: usize = 64;

/// Holds what the app of one pod said. It outlives each session, and the sidecar's process: what was said last stands
/// until the pod is gone.
#[derive(Debug, Default)]
pub(super) struct Said {
    registrations: BTreeMap<ServiceName, Arc<Registration>>,
    health: BTreeMap<ServiceName, ProbeWitness>,
    /// Of all its services.
    health_of_all: Option<ProbeWitness>,
    pub(super) drains: bool,
    /// What the app has taken back, and when: who called it there may not know yet.
    left: VecDeque<(u64, ServiceKey)>,
}

/// Holds a registration that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub service: ServiceName,
    pub why: ValueError,
}

// === impl Said ===

impl Said {
    pub(super) fn registrations(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.registrations.values()
    }

    /// What the app registers under this name.
    pub(super) fn registration(&self, key: &ServiceKey) -> Option<&Arc<Registration>> {
        self.registrations.get(&key.service).filter(|said| said.key == *key)
    }

    /// What it says of its health in this service: of a word on that and one on all of them the bad one counts.
    pub(super) fn health(&self, service: &ServiceName) -> ProbeWitness {
        let of_this = self.health.get(service).copied().unwrap_or(ProbeWitness::NotAsked);
        of_this.worse(self.health_of_all.unwrap_or(ProbeWitness::NotAsked))
    }

    /// Takes a word; gives the service that it changes.
    fn register(
        &mut self,
        namespace: &Namespace,
        said: &SelfRegistration,
    ) -> Result<Option<ServiceKey>, ValueError> {
        let registration = registration(namespace, said)?;
        let known = self.registrations.contains_key(&said.service);
        if !known && self.registrations.len() >= SELF_REGISTRATIONS_MAX {
            return Err(ValueError {
                field: "service",
                problem: format!("{SELF_REGISTRATIONS_MAX} services are registered by this pod already"),
                remedy: "deregister one of them first",
            });
        }
        let key = registration.key.clone();
        let registration = Arc::new(registration);
        let before = self.registrations.insert(said.service.clone(), registration.clone());
        Ok((before != Some(registration)).then_some(key))
    }

    fn take_back(&mut self, service: &ServiceName, now_ms: u64) -> Option<Arc<Registration>> {
        let gone = self.registrations.remove(service)?;
        if self.left.len() >= SELF_REGISTRATIONS_MAX {
            self.left.pop_front();
        }
        self.left.push_back((now_ms, gone.key.clone()));
        Some(gone)
    }

    /// Takes a word on the health; says whether it was news.
    fn hear(&mut self, service: Option<ServiceName>, probe: ProbeWitness) -> bool {
        let Some(service) = service else { return self.health_of_all.replace(probe) != Some(probe) };
        if probe == ProbeWitness::NotAsked {
            return self.health.remove(&service).is_some();
        }
        if !self.health.contains_key(&service) && self.health.len() >= HEALTH_WORDS_MAX {
            return false;
        }
        self.health.insert(service, probe) != Some(probe)
    }
}

// === impl Index ===

impl Index {
    /// The app registers itself, or changes what it registered under this name.
    pub fn app_registers(&mut self, uid: &PodUid, said: &SelfRegistration) -> Result<(), Refused> {
        let registered = self.with_said(uid, |namespace, held| held.register(namespace, said));
        match registered {
            Some(Ok(changed)) => self.mark_owner(&changed, &OwnerId::Pod(uid.clone())),
            Some(Err(why)) => return Err(Refused { service: said.service.clone(), why }),
            None => {}
        }
        Ok(())
    }

    /// No longer; what others say of the pod stays.
    pub fn app_deregisters(&mut self, uid: &PodUid, service: &ServiceName) {
        let now_ms = self.clock.now_ms();
        let gone = self.with_said(uid, |_, held| held.take_back(service, now_ms)).flatten();
        self.mark_owner(gone.iter().map(|gone| &gone.key), &OwnerId::Pod(uid.clone()));
    }

    /// All that the app has registered, as a sidecar says that comes back: what it leaves out is no longer registered.
    /// Gives those that are refused.
    pub(super) fn app_has_registered(&mut self, uid: &PodUid, all: &[SelfRegistration]) -> Vec<Refused> {
        let left_out = |held: &mut Said| -> Vec<ServiceName> {
            let names = held.registrations.keys();
            names.filter(|name| all.iter().all(|said| said.service != **name)).cloned().collect()
        };
        let left_out = self.with_said(uid, |_, held| left_out(held)).unwrap_or_default();
        left_out.iter().for_each(|service| self.app_deregisters(uid, service));
        all.iter().filter_map(|said| self.app_registers(uid, said).err()).collect()
    }

    /// What is known of the app's health, by the app or by its sidecar; of one service, or of all.
    pub fn app_health(&mut self, uid: &PodUid, service: Option<ServiceName>, probe: ProbeWitness) {
        let of = service.clone();
        if self.with_said(uid, |_, held| held.hear(service, probe)) == Some(true) {
            let services = self.services_of(uid);
            let meant = services.iter().filter(|key| of.as_ref().is_none_or(|of| key.service == *of));
            self.mark_owner(meant, &OwnerId::Pod(uid.clone()));
        }
    }

    /// Whether the pod asked to leave the lookups.
    pub fn app_drains(&mut self, uid: &PodUid, drains: bool) {
        let before = self.with_said(uid, |_, held| std::mem::replace(&mut held.drains, drains));
        if before.is_some_and(|before| before != drains) {
            let services = self.services_of(uid);
            self.mark_owner(&services, &OwnerId::Pod(uid.clone()));
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

/// An app's word as the domain has it: of its own pod, and of that pod's namespace.
fn registration(namespace: &Namespace, said: &SelfRegistration) -> Result<Registration, ValueError> {
    let SelfRegistration { service, version, ports, tags, metadata, weight, probe, ttl_seconds, beside } =
        said;
    if *beside && ports.is_empty() {
        let (problem, remedy) = ("missing".to_owned(), "name the one that it is told apart by");
        return Err(ValueError { field: "ports", problem, remedy });
    }
    let registration = Registration {
        key: ServiceKey { namespace: namespace.clone(), service: service.clone() },
        source: Source::Runtime {
            kind: if *beside { Runtime::Each } else { Runtime::Whole },
            name: service.as_str().into(),
        },
        target: Target::Own,
        attributes: Attributes {
            version: version.as_deref().map(version_of).transpose()?,
            ports: ports.iter().map(port).collect::<Result<_, _>>()?,
            tags: tags.iter().map(String::as_str).collect(),
            metadata: metadata.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect(),
            // What is too much for the type is too much for the domain, which says so.
            weight: weight.map(|weight| u16::try_from(weight).unwrap_or(u16::MAX)),
            probe: probe.as_deref().map(str::parse).transpose()?,
            heartbeat: ttl_seconds.map(|ttl_seconds| Heartbeat {
                interval_seconds: Heartbeat::DEFAULT.interval_seconds.min(ttl_seconds),
                ttl_seconds,
            }),
        },
        policy: None,
        visibility: None,
    };
    match registration.check().into_iter().next() {
        Some(error) => Err(ValueError { field: field(error.field), ..error }),
        None => Ok(registration),
    }
}

fn version_of(said: &str) -> Result<Version, ValueError> {
    said.parse().map_err(|_| ValueError {
        field: "version",
        problem: format!("`{}` is no semantic version", shortened(said)),
        remedy: "use three numbers as in 1.4.2, without a leading v",
    })
}

fn port(said: &SelfPort) -> Result<Port, ValueError> {
    let SelfPort { name, port, protocol, app_protocol } = said;
    let refused = |problem, remedy| ValueError { field: "ports", problem, remedy };
    let number = u16::try_from(*port).ok().filter(|port| *port != 0);
    let transport = match protocol.as_deref() {
        None | Some("TCP") => Transport::Tcp,
        Some("UDP") => Transport::Udp,
        Some("SCTP") => Transport::Sctp,
        Some(other) => {
            return Err(refused(format!("the protocol `{}`", shortened(other)), "use TCP, UDP or SCTP"));
        }
    };
    Ok(Port {
        name: name.as_deref().map(Into::into),
        port: number.ok_or_else(|| refused(format!("the port {port}"), "use 1 to 65535"))?,
        transport,
        app_protocol: app_protocol.as_deref().map(Into::into),
    })
}

/// The domain's fields by the names that an app writes.
fn field(of_the_domain: &'static str) -> &'static str {
    match of_the_domain.split_once('.') {
        Some(("heartbeat", _)) => "ttlSeconds",
        Some(("probe", _)) => "probe",
        _ => of_the_domain,
    }
}
