//! What apps had registered before this process began: objects of ours keep it, until their sidecars are heard.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rollcall_catalogue::{Namespace, PodUid, Registration, ServiceKey};
use rollcall_wire::limits::REGISTRATIONS_MAX;

use crate::index::{AppWord, Index, Managed, ObjectKey, Origin, Present, endpoints::OwnerId};

/// Holds what the objects of ours say for apps, by pod and by object. Whoever may write objects of one namespace can make
/// them look like ours, and name any pod: only those of the pod's own namespace say anything of it.
#[derive(Debug, Default)]
pub(super) struct Written(HashMap<PodUid, BTreeMap<ObjectKey, Arc<Registration>>>);

// === impl Written ===

impl Written {
    /// What was registered by the app of a pod of this namespace; as much as it may register.
    pub(super) fn of(&self, namespace: &Namespace, uid: &PodUid) -> impl Iterator<Item = &Arc<Registration>> {
        self.entries(namespace, uid).map(|(_, word)| word).take(REGISTRATIONS_MAX)
    }

    /// The objects of a service's namespace that say something of a pod in this service.
    fn names<'a>(&'a self, uid: &PodUid, key: &'a ServiceKey) -> impl Iterator<Item = &'a Arc<str>> {
        let held = self.entries(&key.namespace, uid);
        held.filter(|(_, word)| word.key == *key).map(|(object, _)| &object.name)
    }

    fn entries<'a>(
        &'a self,
        namespace: &Namespace,
        uid: &PodUid,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Arc<Registration>)> {
        let held = self.0.get(uid).map(|held| {
            // The empty name comes before all others.
            let first = ObjectKey { namespace: namespace.clone(), name: "".into() };
            held.range(first.clone()..).take_while(move |(object, _)| object.namespace == first.namespace)
        });
        held.into_iter().flatten()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl Index ===

impl Index {
    /// An object of ours that keeps an app's word came, changed or went.
    pub(super) fn see_written(&mut self, key: &ObjectKey, before: Option<AppWord>, after: Option<AppWord>) {
        if before == after {
            return;
        }
        if let Some(AppWord { uid, word }) = before {
            if let Some(held) = self.written.0.get_mut(&uid) {
                held.remove(key);
                if held.is_empty() {
                    self.written.0.remove(&uid);
                }
            }
            self.mark_owner([&word.key], &OwnerId::Pod(uid));
        }
        if let Some(AppWord { uid, word }) = after {
            self.written.0.entry(uid.clone()).or_default().insert(key.clone(), word.clone());
            self.mark_owner([&word.key], &OwnerId::Pod(uid));
        }
    }

    /// The objects for this pod's app have something new to be told.
    pub(super) fn report_written(&mut self, key: &ServiceKey, uid: &PodUid) {
        let names: Vec<_> = self.written.names(uid, key).cloned().collect();
        self.mark_for_report(&key.namespace, names.iter());
    }

    /// What the app of a pod registers in this service, by its own word or by what we wrote of it.
    pub(super) fn at_run_time(&self, uid: &PodUid, key: &ServiceKey) -> Vec<&Arc<Registration>> {
        let Some(pod) = self.pods.get(uid) else { return Vec::new() };
        match &pod.session {
            Some(session) => session.said.registrations_of(key).collect(),
            None => self.written.of(&pod.facts.namespace, uid).filter(|word| word.key == *key).collect(),
        }
    }

    /// What we keep for apps, and what we have to. An object of a pod whose sidecar was not heard yet is all that is known
    /// of its app: it stays as it is.
    pub(super) fn manage_written(&self, managed: &mut Managed) {
        for (namespace, names) in &self.namespaces {
            for (name, object) in &names.objects {
                let Some(AppWord { uid, word }) = &object.app else { continue };
                let pod = self.pods.get(uid).filter(|pod| pod.facts.namespace == *namespace);
                if pod.is_some_and(|pod| pod.session.is_none() || !pod.is_alive()) {
                    continue;
                }
                let present = Present {
                    uid: object.uid.clone(),
                    // Kubernetes deletes what belongs to a pod that is gone.
                    at_once: pod.is_some(),
                    registration: object.registration.as_ref().ok().cloned(),
                    app: Some(word.clone()),
                };
                let key = ObjectKey { namespace: namespace.clone(), name: name.clone() };
                managed.present.insert(key, present);
            }
        }
        for pod in self.pods.iter() {
            let Some(session) = pod.session.as_ref().filter(|_| pod.is_alive()) else { continue };
            for (name, word) in session.said.to_be_kept() {
                let (pod, uid, word) = (pod.facts.name.clone(), pod.facts.uid.clone(), word.clone());
                let service = word.key.clone();
                self.want(managed, &service, name.clone(), Origin::App { pod, uid, word });
            }
        }
    }
}
