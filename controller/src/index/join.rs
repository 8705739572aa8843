//! The joining: what follows from everything known for the services that may have changed.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use rollcall_catalogue::{
    EndpointFacts, Instance, InstanceId, ProbeSpec, Profile, Registration, ServiceKey, Step, Target, Update,
    consolidate::{self, Consolidated, Finding, Owner, Profiles},
    limits::INSTANCES_MAX,
    liveness::{EndpointWitness, Intent, PodWitness, ProbeWitness, SessionWitness, Witnesses},
};

use crate::index::{
    Index, OutsideId, OutsideTarget, PodEntry, endpoints::OwnerId, foreign::Named, services::ServiceEntry,
};

/// Services that are joined before they are published: all of them at once would hold the first lists once more.
const BATCH: usize = 64;

/// Holds what is to be joined anew of one service.
#[derive(Debug, Default)]
pub(super) struct Dirt {
    /// All of it, whoever else is named.
    pub(super) whole: bool,
    pub(super) owners: BTreeSet<OwnerId>,
}

/// Holds how a registration reaches an owner.
#[derive(Debug)]
pub(super) enum Reached {
    Itself,
    Through(EndpointFacts),
    /// As an address outside the cluster, of a zone where that is said.
    Outside(Option<Box<str>>),
    /// It means it, and must not.
    Refused(&'static str),
}

/// Holds what came of joining some owners of a service.
#[derive(Default)]
struct Joins {
    upserts: Vec<Instance>,
    removes: Vec<InstanceId>,
}

/// Holds what an owner has in a service.
pub(super) struct Joined {
    pub(super) word: Option<Arc<Registration>>,
    pub(super) consolidated: Vec<Consolidated>,
    pub(super) findings: Vec<Finding>,
    pub(super) witnesses: Witnesses,
    /// Words on single ports.
    probes: Vec<(u16, ProbeWitness)>,
    outside: bool,
}

// === impl Joined ===

impl Joined {
    /// What all witnesses say of the owner's instance at this port.
    pub(super) fn witnesses_at(&self, port: u16) -> Witnesses {
        consolidate::witnesses_at(self.witnesses, &self.probes, port)
    }
}

// === impl Index ===

impl Index {
    /// The catalogue after everything that was applied; none where nothing that anyone can see has changed.
    pub fn advance(&mut self, now_ms: u64) -> Option<Step> {
        self.clock.reaches(now_ms);
        self.assess_if_outdated();
        let dirty = std::mem::take(&mut self.dirty);
        self.marked_pods = HashMap::new();
        let (mut dirty, mut deltas) = (dirty.into_iter(), Vec::new());
        while dirty.len() > 0 {
            let batch = dirty.by_ref().take(BATCH).map(|(key, dirt)| {
                let update = self.update(&key, dirt, now_ms);
                (key, update)
            });
            let batch: Vec<_> = batch.collect();
            let Some(step) = self.published.next(batch, now_ms) else { continue };
            self.published = step.snapshot;
            deltas.extend(step.deltas);
        }
        (!deltas.is_empty()).then(|| Step { snapshot: self.published.clone(), deltas })
    }

    fn update(&mut self, key: &ServiceKey, dirt: Dirt, now_ms: u64) -> Update {
        // Taken out, so that what is joined can look at everything else.
        let mut entry = self.services.remove(key).unwrap_or_default();
        let mut whole = dirt.whole || !entry.published || entry.instances() > INSTANCES_MAX;
        let mut changed = Joins::default();
        if !whole {
            self.join_all(key, &mut entry, dirt.owners.iter(), &mut changed, now_ms);
            // A service that does not fit into the catalogue does not know what stands behind the cut.
            whole = entry.instances() > INSTANCES_MAX;
        }
        if whole {
            let owners: BTreeSet<_> = entry.members.owners().cloned().chain(dirt.owners).collect();
            changed = Joins::default();
            self.join_all(key, &mut entry, owners.iter(), &mut changed, now_ms);
        }
        let settings = entry.settle();
        self.mark_reports(key, &entry);
        if entry.is_unused() {
            return Update::Gone;
        }
        entry.published = true;
        let update = match whole {
            true => Update::Whole { settings: entry.settings.clone(), instances: changed.upserts },
            false => Update::Part { settings, upserts: changed.upserts, removes: changed.removes },
        };
        self.services.insert(key.clone(), entry);
        update
    }

    fn join_all<'a>(
        &mut self,
        key: &ServiceKey,
        entry: &mut ServiceEntry,
        owners: impl Iterator<Item = &'a OwnerId>,
        changed: &mut Joins,
        now_ms: u64,
    ) {
        for owner in owners {
            let mut profiles = std::mem::take(&mut entry.profiles);
            let joined = self.join(key, entry, owner, &mut profiles);
            entry.profiles = profiles;
            self.note_membership(key, owner, joined.as_ref());
            if let OwnerId::Pod(uid) = owner {
                self.note_doubts(key, uid, joined.as_ref());
                self.note_failing(key, uid, joined.as_ref(), now_ms);
                self.mark_on_duty(uid);
                self.report_written(key, uid);
            }
            let Some(joined) = joined else {
                changed.removes.extend(entry.remove_member(owner));
                continue;
            };
            let gone = entry.set_member(owner, joined.word, &joined.consolidated, joined.findings, now_ms);
            changed.removes.extend(gone);
            changed.upserts.extend(joined.consolidated.into_iter().map(|one| one.instance));
        }
    }

    /// What an owner has in a service; none where nobody means it.
    pub(super) fn join(
        &self,
        key: &ServiceKey,
        entry: &ServiceEntry,
        owner: &OwnerId,
        profiles: &mut Profiles,
    ) -> Option<Joined> {
        let pod = match owner {
            OwnerId::Pod(uid) => Some(self.pods.get(uid).filter(|pod| pod.facts.namespace == key.namespace)?),
            OwnerId::Address(_) => None,
        };
        let word = pod.and_then(|pod| pod.facts.registration.clone()).filter(|word| word.key == *key);
        let mut reached: Vec<_> = entry
            .registrations
            .counting()
            .filter_map(|registration| Some((registration.as_ref(), self.reach(registration, owner)?)))
            .collect();
        let session = pod.and_then(|pod| pod.session.as_ref());
        let at_run_time = match owner {
            OwnerId::Pod(uid) => self.at_run_time(uid, key),
            OwnerId::Address(_) => Vec::new(),
        };
        if word.is_none() && at_run_time.is_empty() && reached.is_empty() {
            return None;
        }
        reached.retain(|(_, how)| !matches!(how, Reached::Refused(_)));
        reached.sort_by(|(a, _), (b, _)| a.precedence(b));
        let through = reached.iter().filter_map(|(_, how)| match how {
            Reached::Through(endpoint) => Some(endpoint),
            _ => None,
        });
        let endpoint = through.cloned().reduce(|closer, other| closer.joined(&other));
        let endpoint = endpoint.as_ref();
        let said_zone = reached.iter().find_map(|(_, how)| match how {
            Reached::Outside(zone) => zone.as_deref(),
            _ => None,
        });
        let zone = match pod.and_then(|pod| pod.facts.node.as_ref()) {
            Some(node) => self.nodes.get(node).and_then(|node| node.zone.clone()),
            None => said_zone.map(Arc::from),
        };
        let outside = reached.iter().any(|(_, how)| matches!(how, Reached::Outside(_))) && endpoint.is_none();
        let witnesses = match (pod, owner) {
            (Some(pod), _) => self.witnesses_of_pod(key, pod, endpoint),
            (None, OwnerId::Address(address)) => self.witnesses_of_address(key, *address, endpoint, outside),
            (None, OwnerId::Pod(_)) => return None,
        };
        let own = word.iter().chain(at_run_time).map(AsRef::as_ref);
        let registrations = own.chain(reached.iter().map(|(one, _)| *one)).collect();
        let owner = match (pod, owner) {
            (Some(pod), _) => Owner::Pod(&pod.facts),
            (None, OwnerId::Address(address)) => Owner::Address(*address),
            (None, OwnerId::Pod(_)) => return None,
        };
        let probes = session.map(|session| session.said.health_at_ports(&key.service)).unwrap_or_default();
        let member = consolidate::Member { owner, endpoint, zone, registrations, witnesses, probes };
        let (mut consolidated, findings) = match member.registrations.is_empty() {
            // All that mean it are refused.
            true => (Vec::new(), Vec::new()),
            false => consolidate::consolidate(&member, profiles),
        };
        if outside && consolidated.iter().all(|one| one.probe.is_none()) {
            // Nobody is to ask: then it is believed to be there, as its registration says.
            let member = consolidate::Member {
                witnesses: Witnesses { probe: ProbeWitness::NotAsked, ..witnesses },
                ..member.clone()
            };
            consolidated = consolidate::consolidate(&member, profiles).0;
        }
        let probes = member.probes;
        Some(Joined { word, consolidated, findings, witnesses, probes, outside })
    }

    /// Whether, and how, a registration of a service reaches this owner.
    pub(super) fn reach(&self, registration: &Registration, owner: &OwnerId) -> Option<Reached> {
        let namespace = &registration.key.namespace;
        match (&registration.target, owner) {
            (Target::Selector(selector), OwnerId::Pod(uid)) => {
                let pod = &self.pods.get(uid)?.facts;
                (pod.namespace == *namespace && selector.matches(&pod.labels)).then_some(Reached::Itself)
            }
            (Target::Pod { uid, .. }, OwnerId::Pod(owner)) => (uid == owner).then_some(Reached::Itself),
            (Target::Service(name), owner) => {
                let service = self.namespaces.get(namespace)?.kube_services.get(&**name)?;
                let mut endpoint = service.endpoint(owner)?;
                match owner {
                    OwnerId::Pod(uid) => {
                        // A slice is written by anyone of the namespace: the pod's addresses are the pod's word.
                        let pod = &self.pods.get(uid)?.facts;
                        endpoint.addresses.retain(|address| pod.addresses.contains(address));
                        (pod.namespace == *namespace).then_some(Reached::Through(endpoint))
                    }
                    OwnerId::Address(address) => {
                        let refusal = self.addresses.refusal(*address, Named::BySlice(namespace));
                        if let Some(refused) = refusal {
                            return Some(Reached::Refused(refused));
                        }
                        Some(Reached::Through(endpoint))
                    }
                }
            }
            (Target::Addresses(listed), OwnerId::Address(address)) => {
                let found = listed.iter().find(|one| one.address == *address)?;
                Some(match self.addresses.refusal(*address, Named::Outside) {
                    Some(refused) => Reached::Refused(refused),
                    None => Reached::Outside(found.zone.clone()),
                })
            }
            _ => None,
        }
    }

    fn witnesses_of_pod(
        &self,
        key: &ServiceKey,
        entry: &PodEntry,
        endpoint: Option<&EndpointFacts>,
    ) -> Witnesses {
        // A node that is gone is as lost as one that Kubernetes does not see: its pods are deleted later.
        let unknown = |node: &Arc<str>| self.nodes.get(node).is_none_or(|node| node.unknown);
        let said = entry.session.as_ref().map(|session| &session.said);
        let session = match (&entry.session, entry.facts.has_sidecar) {
            (Some(session), _) => session.witness,
            (None, false) => SessionWitness::NotExpected,
            (None, true) => SessionWitness::NeverCame,
        };
        let drains = entry.facts.asks_to_drain || said.is_some_and(|said| said.drains);
        Witnesses {
            pod: entry.facts.life.witness(entry.facts.node.as_ref().is_some_and(unknown)),
            endpoint: endpoint.map_or(EndpointWitness::NoEndpoint, |endpoint| endpoint.witness),
            session,
            probe: said.map_or(ProbeWitness::NotAsked, |said| said.health(&key.service)),
            intent: if drains { Intent::Drain } else { Intent::Stay },
            registry: self.clock.health(entry.facts.node.as_deref(), self.last_word_ms(entry)),
        }
    }

    fn witnesses_of_address(
        &self,
        key: &ServiceKey,
        address: IpAddr,
        endpoint: Option<&EndpointFacts>,
        outside: bool,
    ) -> Witnesses {
        let id = OutsideId { service: key.clone(), address };
        let answered = || self.answer(&id).unwrap_or(ProbeWitness::Pending);
        Witnesses {
            pod: PodWitness::NoPod,
            endpoint: endpoint.map_or(EndpointWitness::NoEndpoint, |endpoint| endpoint.witness),
            session: SessionWitness::NotExpected,
            probe: if outside { answered() } else { ProbeWitness::NotAsked },
            intent: Intent::Stay,
            registry: self.clock.health(None, None),
        }
    }

    /// Keeps what leads from an owner back to the services that it is in.
    fn note_membership(&mut self, key: &ServiceKey, owner: &OwnerId, joined: Option<&Joined>) {
        match owner {
            OwnerId::Pod(uid) => {
                let Some(pod) = self.pods.get_mut(uid) else { return };
                if pod.services.contains(key) != joined.is_some() {
                    let others = pod.services.iter().filter(|held| *held != key);
                    pod.services = others.chain(joined.map(|_| key)).cloned().collect();
                }
            }
            OwnerId::Address(address) => {
                match joined {
                    Some(_) => self.addresses.is_meant(*address, key),
                    None => self.addresses.is_not_meant(*address, key),
                }
                let id = OutsideId { service: key.clone(), address: *address };
                let target = joined.filter(|joined| joined.outside).and_then(|joined| target(&id, joined));
                self.set_outside(id, target);
            }
        }
    }
}

/// Whom to ask for an address outside the cluster, where anybody is to be asked.
fn target(id: &OutsideId, joined: &Joined) -> Option<OutsideTarget> {
    let one = joined.consolidated.first()?;
    let probe = one.probe.clone()?;
    let profile = &one.instance.profile;
    let port = probed_port(&probe, profile)?;
    Some(OutsideTarget { id: id.clone(), probe, port, epoch: 0 })
}

/// The number of the port that is asked; none where its name is nobody's.
pub(super) fn probed_port(probe: &ProbeSpec, profile: &Profile) -> Option<u16> {
    match probe.check.port() {
        Some(name) => Some(profile.ports.iter().find(|port| port.name.as_deref() == Some(name))?.port),
        None => Some(profile.port),
    }
}
