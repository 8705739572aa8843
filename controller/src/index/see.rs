//! What each kind of event changes, and what it may change in turn.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use rollcall_catalogue::{Few, Namespace, PodFacts, PodUid, ServiceKey, Target, liveness::Phase};

use crate::index::{
    API_SERVER, About, Index, NamespaceFacts, NodeFacts, Notice, NoticeReason, Object, ObjectKey, PodEntry,
    PodSeen, ServiceFacts, SliceFacts, TURNS_MAX,
    endpoints::{KubeService, OwnerId},
    lookout::Aside,
    services::RegistrationId,
};

impl Index {
    pub(super) fn see_pod(&mut self, seen: PodSeen) -> bool {
        let PodSeen { mut facts, turned_ms, problems, injection, gave_up, has_liveness_probe } = seen;
        let uid = facts.uid.clone();
        if self.pod(&uid).is_some_and(|held| held.namespace != facts.namespace) {
            // No pod moves: it is another one, whatever its uid.
            self.lose_pod(&uid);
        }
        let before = self.pods.get(&uid);
        let same_problems = *self.problems.get(&uid).map_or(&[][..], AsRef::as_ref) == *problems;
        let aside = Aside::new(&facts, injection, gave_up.is_some());
        let held_aside = self.aside(&uid);
        if before.is_some_and(|held| held.facts == facts) && same_problems && aside == held_aside {
            return false;
        }
        // Of one that was not known before, it is news as long as it waits for its other containers.
        let gives_up = before.map_or(facts.life.phase == Phase::Pending, |_| !held_aside.gave_up);
        let turned = before.is_none_or(|held| held.facts.life != facts.life);
        let missing = self.missing(&uid);
        if let Some(message) = gave_up.as_ref().filter(|_| gives_up) {
            self.notice_of_pod(&facts, NoticeReason::RequiresTimedOut, message.to_string());
        }
        if !same_problems {
            self.notice_problems(&facts, &problems);
            match problems.is_empty() {
                true => self.problems.remove(&uid),
                false => self.problems.insert(uid.clone(), problems.into()),
            };
        }
        if let Some(turned_ms) = turned_ms.filter(|_| turned && self.complete())
            && self.turned_ms.len() < TURNS_MAX
        {
            self.turned_ms.push(turned_ms);
        }
        self.slim(&mut facts);
        let (mut session, services, addresses, labels, place) = match self.pods.remove(&uid) {
            Some(held) => {
                let addresses: Few<_> = held_addresses(&held.facts).iter().copied().collect();
                (held.session, held.services, addresses, Some(held.facts.labels), Some(held.place))
            }
            None => (None, Few::default(), Few::default(), None, None),
        };
        let namespace = facts.namespace.clone();
        let (claims, place) = self.in_namespace(&namespace, |names| {
            let place = place.unwrap_or_else(|| names.pods.enter(&uid));
            facts.labels = names.share(&facts.labels);
            if let Some(labels) = labels {
                names.release(labels);
            }
            (names.take_claims(&uid), place)
        });
        let owner = OwnerId::Pod(uid.clone());
        self.mark_owner(&services, &owner);
        self.mark_owner(facts.registration.iter().map(|word| &word.key), &owner);
        let selected = self.selected(&facts.namespace, &uid, &facts.labels);
        self.mark_owner(&selected, &owner);
        let written: Vec<_> = self.written.of(&namespace, &uid).map(|word| word.key.clone()).collect();
        self.mark_owner(&written, &owner);
        self.move_addresses(&namespace, &addresses, held_addresses(&facts));
        if let Some(session) = &mut session {
            session.facts.expected = facts.has_sidecar;
        }
        // It stays as it is for as long as the pod lives, so that it is no news.
        self.pods.insert(PodEntry { facts, place, has_liveness_probe, session, services });
        self.set_aside(&uid, aside);
        self.look_out_for(&uid, missing);
        self.replicas.pod_turned(&namespace);
        for service in claims {
            let aiming = self.aiming_at(&namespace, &service);
            self.mark_owner(&aiming, &owner);
        }
        self.hear_early_note(&uid);
        true
    }

    pub(super) fn lose_pod(&mut self, uid: &PodUid) -> bool {
        let missing = self.missing(uid);
        let Some(entry) = self.pods.remove(uid) else { return false };
        let PodEntry { facts, place, services, session, has_liveness_probe: _ } = entry;
        self.failing.forget(uid);
        self.asides.remove(uid);
        self.look_out_for(uid, missing);
        self.problems.remove(uid);
        if let Some(session) = session {
            self.forget_session(uid, &session);
        }
        self.mark_owner(&services, &OwnerId::Pod(uid.clone()));
        self.move_addresses(&facts.namespace, held_addresses(&facts), &[]);
        let moved = self.in_namespace(&facts.namespace, |names| {
            names.release(facts.labels);
            names.pods.leave(uid, place)
        });
        if let Some(moved) = moved.and_then(|moved| self.pods.get_mut(&moved)) {
            moved.place = place;
        }
        self.replicas.pod_turned(&facts.namespace);
        // Slices let go of it later, or it comes back after a list that was behind.
        let owner = OwnerId::Pod(uid.clone());
        // It may be about to become a member.
        let marked = self.marked_pods.get(uid).into_iter().flatten();
        let candidates = services.iter().chain(marked).filter_map(|key| self.services.get(key));
        let aimed_at = candidates.flat_map(|entry| {
            entry.registrations.values().filter_map(|registration| match &registration.target {
                Target::Service(name) => Some(Arc::<str>::from(&**name)),
                _ => None,
            })
        });
        let aimed_at: BTreeSet<_> = aimed_at.collect();
        aimed_at.iter().for_each(|service| self.claim(&facts.namespace, service, &owner));
        true
    }

    pub(super) fn see_object(&mut self, key: &ObjectKey, object: Option<&Object>) -> bool {
        let before = match object {
            Some(object) => self
                .in_namespace(&key.namespace, |names| names.objects.insert(key.name.clone(), object.clone())),
            None => self.in_namespace(&key.namespace, |names| names.objects.remove(&key.name)),
        };
        if before.as_ref() == object {
            return false;
        }
        self.objects_known += usize::from(object.is_some());
        self.objects_known -= usize::from(before.is_some());
        if let Some(object) = object {
            self.reports.insert(key.clone());
            if let Err(errors) = &object.registration
                && before.as_ref().is_none_or(|before| before.registration != object.registration)
            {
                let about = About::Registration { object: key.clone(), uid: object.uid.clone() };
                let message = errors.to_string();
                self.notice(Notice { about, reason: NoticeReason::RegistrationRefused, message });
            }
        }
        if object.is_none() {
            self.reports.remove(key);
        }
        let of = |object: Option<&Object>| object.and_then(Object::counting).cloned();
        let known = |object: Option<&Object>| {
            // What is kept for an app is its pod's, and goes with it.
            let object = object.filter(|object| object.managed && object.app.is_none())?;
            Some(object.registration.as_ref().ok()?.key.clone())
        };
        self.keep_known(&key.name, known(before.as_ref()), known(object));
        let app = |object: Option<&Object>| object.and_then(|object| object.app.clone());
        self.see_written(key, app(before.as_ref()), app(object));
        let (before, after) = (of(before.as_ref()), of(object));
        if before != after {
            self.in_namespace(&key.namespace, |names| {
                names.aim(&key.name, before.as_deref(), after.as_deref());
            });
            self.register(&RegistrationId::Object(key.name.clone()), before.as_ref(), after.as_ref());
        }
        true
    }

    pub(super) fn see_service(&mut self, key: &ObjectKey, facts: Option<&ServiceFacts>) -> bool {
        let addresses = |facts: Option<&ServiceFacts>| -> Vec<IpAddr> {
            facts.into_iter().flat_map(|facts| facts.addresses.clone()).collect()
        };
        let (before, owners) = self.in_namespace(&key.namespace, |names| {
            let service = names.kube_services.entry(key.name.clone()).or_default();
            let before = std::mem::replace(&mut service.facts, facts.cloned());
            let owners = service.owners();
            if service.is_empty() {
                names.kube_services.remove(&key.name);
            }
            (before, owners)
        });
        if before.as_ref() == facts {
            return false;
        }
        let mut told = BTreeSet::new();
        addresses(facts).into_iter().for_each(|address| told.extend(self.addresses.service_takes(address)));
        addresses(before.as_ref())
            .into_iter()
            .for_each(|address| told.extend(self.addresses.service_leaves(address)));
        told.iter().for_each(|service| self.mark_whole(service));
        self.adopt(key);
        // Its ports' order, and whether it publishes those that are not ready, are of all its endpoints.
        let aiming = self.aiming_at(&key.namespace, &key.name);
        owners.iter().for_each(|owner| self.mark_owner(&aiming, owner));
        self.report_aiming_at(key);
        true
    }

    pub(super) fn see_slice(&mut self, key: &ObjectKey, facts: Option<SliceFacts>) -> bool {
        let service = facts.as_ref().map(|facts| facts.service.clone());
        let before = match &service {
            Some(service) => self.slices.insert(key.clone(), service.clone()),
            None => self.slices.remove(key),
        };
        let mut changed = false;
        if let Some(before) = before.filter(|before| Some(before) != service.as_ref()) {
            changed |= self.set_slice(key, &before, None);
        }
        if let Some(service) = service {
            let facts = facts.map(|facts| self.slimmed(facts));
            changed |= self.set_slice(key, &service, facts);
        }
        changed
    }

    fn set_slice(&mut self, key: &ObjectKey, service: &Arc<str>, facts: Option<SliceFacts>) -> bool {
        let changed = self.in_namespace(&key.namespace, |names| {
            let entry = names.kube_services.entry(service.clone()).or_default();
            let changed = entry.set_slice(&key.name, facts);
            if entry.is_empty() {
                names.kube_services.remove(service);
            }
            changed
        });
        if !changed.is_empty() {
            self.replicas.service_turned(&key.namespace, service);
        }
        let aiming = self.aiming_at(&key.namespace, service);
        for owner in &changed {
            self.mark_owner(&aiming, owner);
            self.claim(&key.namespace, service, owner);
        }
        if (key.namespace.as_str(), &**service) == API_SERVER {
            let owners = self.kube_service_owners(&key.namespace, service);
            let addresses = owners.into_iter().filter_map(|owner| match owner {
                OwnerId::Address(address) => Some(address),
                OwnerId::Pod(_) => None,
            });
            let told = self.addresses.api_servers_are(addresses.collect());
            told.iter().for_each(|service| self.mark_whole(service));
        }
        !changed.is_empty()
    }

    pub(super) fn see_namespace(&mut self, name: &Namespace, facts: Option<NamespaceFacts>) -> bool {
        let (before, services) = self.in_namespace(name, |names| {
            let before = std::mem::replace(&mut names.facts, facts);
            (before, names.kube_services.keys().cloned().collect::<Vec<_>>())
        });
        if before == facts {
            return false;
        }
        for service in services {
            self.adopt(&ObjectKey { namespace: name.clone(), name: service });
        }
        self.look_out_in(name, before.is_some_and(|facts| facts.injects));
        true
    }

    pub(super) fn see_node(&mut self, name: &Arc<str>, facts: Option<&NodeFacts>) -> bool {
        let ranges = facts.map(|facts| facts.pod_ranges.as_slice()).unwrap_or_default();
        let before = match facts.cloned() {
            Some(mut facts) => {
                facts.zone.iter_mut().for_each(|zone| self.names.share(zone));
                self.nodes.insert(name.clone(), facts)
            }
            None => self.nodes.remove(name),
        };
        if before.as_ref() == facts {
            return false;
        }
        let mut told = self.addresses.node_has(name, ranges);
        let addresses =
            |facts: Option<&NodeFacts>| facts.map(|facts| facts.addresses.clone()).unwrap_or_default();
        let (held, has) = (addresses(before.as_ref()), addresses(facts));
        if held != has {
            has.into_iter().for_each(|address| told.extend(self.addresses.node_takes(address)));
            held.into_iter().for_each(|address| told.extend(self.addresses.node_leaves(address)));
        }
        told.iter().for_each(|service| self.mark_whole(service));
        let seen = |facts: Option<&NodeFacts>| facts.map(|facts| (facts.zone.clone(), facts.unknown));
        if seen(before.as_ref()) != seen(facts) && self.complete() {
            self.clock.node_turned();
            // Nodes turn rarely, and to remember the pods of each would cost each pod's every change.
            let on_it = self.pods.iter().filter(|pod| pod.facts.node.as_ref() == Some(name));
            let on_it: Vec<_> = on_it.map(|pod| (pod.facts.uid.clone(), pod.services.clone())).collect();
            for (uid, services) in on_it {
                self.mark_owner(&services, &OwnerId::Pod(uid));
            }
        }
        true
    }

    pub(super) fn selected(
        &self,
        namespace: &Namespace,
        uid: &PodUid,
        labels: &crate::index::namespace::Labels,
    ) -> BTreeSet<ServiceKey> {
        self.namespaces.get(namespace).map(|names| names.services_of(uid, labels)).unwrap_or_default()
    }

    fn move_addresses(&mut self, namespace: &Namespace, before: &[IpAddr], after: &[IpAddr]) {
        let left = before.iter().filter(|address| !after.contains(address));
        let taken = after.iter().filter(|address| !before.contains(address));
        let mut told = BTreeSet::new();
        left.for_each(|address| told.extend(self.addresses.pod_leaves(*address, namespace)));
        taken.for_each(|address| told.extend(self.addresses.pod_takes(*address, namespace)));
        told.iter().for_each(|service| self.mark_whole(service));
    }

    pub(super) fn kube_service_owners(&self, namespace: &Namespace, service: &str) -> BTreeSet<OwnerId> {
        let names = self.namespaces.get(namespace);
        names.and_then(|names| names.kube_services.get(service)).map(KubeService::owners).unwrap_or_default()
    }

    /// The services that have a registration whose target is this Service.
    fn aiming_at(&self, namespace: &Namespace, service: &Arc<str>) -> Vec<ServiceKey> {
        let names = self.namespaces.get(namespace);
        let entry = names.and_then(|names| names.kube_services.get(service));
        entry.into_iter().flat_map(|entry| entry.aimed_at_by.values().cloned()).collect()
    }

    /// A slice leads to a pod: one that was not seen yet will tell the Service when it is.
    pub(super) fn claim(&mut self, namespace: &Namespace, service: &Arc<str>, owner: &OwnerId) {
        let OwnerId::Pod(uid) = owner else { return };
        let unseen = !self.pods.has(uid);
        self.in_namespace(namespace, |names| {
            let leads = names.kube_services.get(service).is_some_and(|entry| entry.leads_to(owner));
            match unseen && leads {
                true => names.claim(uid, service),
                false => names.disclaim(uid, service),
            }
        });
    }

    /// Names that others have as well are kept once for all.
    fn slim(&mut self, facts: &mut PodFacts) {
        if let Some((held, _)) = self.namespaces.get_key_value(&facts.namespace) {
            facts.namespace = held.clone();
        }
        facts.node.iter_mut().for_each(|node| self.names.share(node));
        facts.registration.iter_mut().for_each(|word| self.words.share(word));
    }

    /// The same slice with names that are kept once for all that share them.
    fn slimmed(&mut self, mut facts: SliceFacts) -> SliceFacts {
        // Where a pod is, its node says.
        for endpoint in facts.endpoints.iter_mut().filter(|endpoint| endpoint.pod.is_none()) {
            endpoint.node.iter_mut().chain(&mut endpoint.zone).for_each(|name| self.names.share(name));
        }
        facts
    }
}

/// The addresses that a pod has now. Kubernetes leaves them in the status of one that has ended, while somebody else
/// may have got them.
fn held_addresses(facts: &PodFacts) -> &[IpAddr] {
    match facts.life.phase {
        Phase::Pending | Phase::Running => &facts.addresses,
        Phase::Succeeded | Phase::Failed => &[],
    }
}
