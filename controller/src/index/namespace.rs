//! One namespace: what bounds every join, since nobody registers anything of another one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use rollcall_catalogue::{PodUid, Registration, ServiceKey, Target, Texts};

use crate::index::{NamespaceFacts, Object, endpoints::KubeService, pods::Neighbours, selectors::Selectors};

/// The labels of a pod; those of one template share them.
pub(super) type Labels = Arc<Texts>;

/// Holds the names of one namespace.
#[derive(Debug, Default)]
pub(super) struct NamespaceEntry {
    pub(super) facts: Option<NamespaceFacts>,
    pub(super) pods: Neighbours,
    pub(super) objects: BTreeMap<Arc<str>, Object>,
    pub(super) kube_services: BTreeMap<Arc<str>, KubeService>,
    selectors: Selectors,
    by_pod: HashMap<PodUid, BTreeSet<Arc<str>>>,
    /// Pods that slices lead to and that have not been seen; they tell the Services when they are.
    claims: HashMap<PodUid, BTreeSet<Arc<str>>>,
    labels: HashSet<Labels>,
}

// === impl NamespaceEntry ===

impl NamespaceEntry {
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_none()
            && self.pods.is_empty()
            && self.objects.is_empty()
            && self.kube_services.is_empty()
            && self.claims.is_empty()
    }

    pub(super) fn adopts(&self) -> bool {
        self.facts.is_some_and(|facts| facts.adopts_services)
    }

    pub(super) fn injects(&self) -> bool {
        self.facts.is_some_and(|facts| facts.injects)
    }

    /// The same labels, shared with the pods that have equal ones.
    pub(super) fn share(&mut self, labels: &Labels) -> Labels {
        if let Some(held) = self.labels.get(labels) {
            return held.clone();
        }
        self.labels.insert(labels.clone());
        labels.clone()
    }

    /// A pod has let go of these labels.
    pub(super) fn release(&mut self, labels: Labels) {
        // We hold one, the argument is another, and nobody else may be left.
        if self.labels.get(&labels).is_some_and(|held| Arc::strong_count(held) <= 2) {
            self.labels.remove(&labels);
        }
        drop(labels);
    }

    /// Takes note of what an object means, or no longer means.
    pub(super) fn aim(
        &mut self,
        name: &Arc<str>,
        before: Option<&Registration>,
        after: Option<&Registration>,
    ) {
        match before.map(|registration| &registration.target) {
            Some(Target::Selector(_)) => self.selectors.remove(name),
            Some(Target::Pod { uid, .. }) => remove_from(&mut self.by_pod, uid, name),
            _ => {}
        }
        match after.map(|registration| &registration.target) {
            Some(Target::Selector(selector)) => self.selectors.insert(name, selector),
            Some(Target::Pod { uid, .. }) => {
                self.by_pod.entry(uid.clone()).or_default().insert(name.clone());
            }
            _ => {}
        }
    }

    /// The services of the objects that mean a pod by its labels or by its name.
    pub(super) fn services_of(&self, uid: &PodUid, labels: &Labels) -> BTreeSet<ServiceKey> {
        let named = self.by_pod.get(uid).into_iter().flatten();
        let registration = |name: &Arc<str>| self.objects.get(name)?.counting();
        let means = |registration: &&Arc<Registration>| match &registration.target {
            Target::Selector(selector) => selector.matches(labels),
            _ => true,
        };
        let candidates = self.selectors.candidates(labels).chain(named).filter_map(registration);
        candidates.filter(means).map(|registration| registration.key.clone()).collect()
    }

    /// A slice leads to a pod that was not seen yet.
    pub(super) fn claim(&mut self, uid: &PodUid, service: &Arc<str>) {
        self.claims.entry(uid.clone()).or_default().insert(service.clone());
    }

    pub(super) fn disclaim(&mut self, uid: &PodUid, service: &Arc<str>) {
        remove_from(&mut self.claims, uid, service);
    }

    /// The Services that wait for this pod.
    pub(super) fn take_claims(&mut self, uid: &PodUid) -> BTreeSet<Arc<str>> {
        self.claims.remove(uid).unwrap_or_default()
    }
}

fn remove_from(sets: &mut HashMap<PodUid, BTreeSet<Arc<str>>>, uid: &PodUid, name: &Arc<str>) {
    if let Some(names) = sets.get_mut(uid) {
        names.remove(name);
        if names.is_empty() {
            sets.remove(uid);
        }
    }
}

// === impl Object ===

impl Object {
    /// What it registers, where it does: one that is refused has no part in anything, and one that we wrote ourselves
    /// only says what we know already.
    pub(super) fn counting(&self) -> Option<&Arc<Registration>> {
        self.registration.as_ref().ok().filter(|_| !self.managed)
    }
}
