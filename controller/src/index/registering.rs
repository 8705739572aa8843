//! Who registers what: what a registration that came, changed or went may change in turn.

use std::sync::Arc;

use rollcall_catalogue::{Registration, ServiceKey, Source, Target, Visibility};

use crate::index::{
    API_SERVER, Index, ObjectKey, ServiceFacts, endpoints::OwnerId, services::RegistrationId,
};

impl Index {
    /// Everything is joined for the first time.
    pub(super) fn mark_everything(&mut self) {
        self.clock.node_turned();
        let services: Vec<_> = self.services.keys().cloned().collect();
        services.iter().for_each(|key| self.mark_whole(key));
        // Taken out, since to collect what each pod is marked for would be as large as the index.
        let pods = std::mem::take(&mut self.pods);
        for pod in pods.iter() {
            let uid = &pod.facts.uid;
            let owner = OwnerId::Pod(uid.clone());
            let selected = self.selected(&pod.facts.namespace, uid, &pod.facts.labels);
            self.mark_owner(&selected, &owner);
            let at_run_time = match &pod.session {
                Some(session) => session.said.registrations().cloned().collect::<Vec<_>>(),
                None => self.written.of(&pod.facts.namespace, uid).cloned().collect(),
            };
            let words = pod.facts.registration.iter().chain(&at_run_time);
            self.mark_owner(words.map(|word| &word.key), &owner);
        }
        self.pods = pods;
        let registrations: Vec<_> =
            self.services.values().flat_map(|entry| entry.registrations.values().cloned()).collect();
        for registration in registrations {
            if !matches!(registration.target, Target::Selector(_)) {
                self.mark_meant(&registration);
            }
        }
    }

    /// Puts a registration in the place of what it was.
    pub(super) fn register(
        &mut self,
        id: &RegistrationId,
        before: Option<&Arc<Registration>>,
        after: Option<&Arc<Registration>>,
    ) {
        if let Some(before) = before {
            if let Some(entry) = self.services.get_mut(&before.key) {
                let entered = entry.unregister(id, before);
                if let Some(entered) = entered.filter(|_| self.complete()) {
                    self.mark_meant(&entered);
                }
            }
            self.aim_at_service(id, before, false);
            self.mark_whole(&before.key);
        }
        if let Some(after) = after {
            let entry = self.services.entry(after.key.clone()).or_default();
            if let Some(surplus) = entry.register(id, after) {
                self.mark_for_report(&after.key.namespace, std::iter::once(surplus.object()));
            }
            self.aim_at_service(id, after, true);
            self.mark_whole(&after.key);
            if self.complete() {
                self.mark_meant(after);
            }
        }
    }

    fn aim_at_service(&mut self, id: &RegistrationId, registration: &Registration, aims: bool) {
        let Target::Service(name) = &registration.target else { return };
        self.in_namespace(&registration.key.namespace, |names| {
            let name: Arc<str> = (&**name).into();
            let service = names.kube_services.entry(name.clone()).or_default();
            match aims {
                true => service.aimed_at_by.insert(id.clone(), registration.key.clone()),
                false => service.aimed_at_by.remove(id),
            };
            if service.is_empty() {
                names.kube_services.remove(&name);
            }
        });
    }

    /// Everyone whom a registration means may have become a member.
    fn mark_meant(&mut self, registration: &Registration) {
        let namespace = &registration.key.namespace;
        let meant: Vec<OwnerId> = match &registration.target {
            Target::Selector(selector) => {
                let pods = self.namespaces.get(namespace).into_iter().flat_map(|names| names.pods.iter());
                let matching = pods
                    .filter(|uid| self.pods.get(uid).is_some_and(|pod| selector.matches(&pod.facts.labels)));
                matching.cloned().map(OwnerId::Pod).collect()
            }
            Target::Pod { uid, .. } => vec![OwnerId::Pod(uid.clone())],
            Target::Service(name) => {
                let owners = self.kube_service_owners(namespace, name);
                owners.iter().for_each(|owner| self.claim(namespace, &(&**name).into(), owner));
                owners.into_iter().collect()
            }
            Target::Addresses(addresses) => {
                addresses.iter().map(|one| OwnerId::Address(one.address)).collect()
            }
            Target::Own => Vec::new(),
        };
        meant.iter().for_each(|owner| self.mark_owner([&registration.key], owner));
    }

    /// Makes a Service a registration, or no longer.
    pub(super) fn adopt(&mut self, key: &ObjectKey) {
        let Some(names) = self.namespaces.get_mut(&key.namespace) else { return };
        let adopts = names.adopts() && (key.namespace.as_str(), &*key.name) != API_SERVER;
        let Some(service) = names.kube_services.get_mut(&key.name) else { return };
        let adoptable = service.facts.as_ref().filter(|facts| adopts && facts.adoptable);
        let after = adoptable.and_then(|facts| adopted(key, facts)).map(Arc::new);
        if service.adopted != after {
            let before = std::mem::replace(&mut service.adopted, after.clone());
            let id = RegistrationId::Adopted(key.name.clone());
            self.register(&id, before.as_ref(), after.as_ref());
        }
    }

    pub(super) fn keep_known(
        &mut self,
        name: &Arc<str>,
        before: Option<ServiceKey>,
        after: Option<ServiceKey>,
    ) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            if let Some(entry) = self.services.get_mut(&before) {
                entry.managed.remove(name);
            }
            self.mark_whole(&before);
        }
        if let Some(after) = after {
            self.services.entry(after.clone()).or_default().managed.insert(name.clone());
            self.mark_whole(&after);
        }
    }
}

/// The registration that a Service is in a namespace that adopts them; none where its name cannot be a service's.
fn adopted(key: &ObjectKey, facts: &ServiceFacts) -> Option<Registration> {
    Some(Registration {
        key: ServiceKey { namespace: key.namespace.clone(), service: key.name.parse().ok()? },
        source: Source::Object { created_ms: facts.created_ms, name: (&*key.name).into() },
        target: Target::Service((&*key.name).into()),
        attributes: Default::default(),
        policy: None,
        visibility: None::<Visibility>,
    })
}
