//! The replicas of the controller, as Kubernetes knows them: the pods behind our own Service.

use std::{net::IpAddr, sync::Arc};

use rollcall_catalogue::{
    Namespace, PodFacts, PodUid,
    liveness::{Phase, PodLife},
};

use crate::index::{Index, ObjectKey, endpoints::OwnerId};

/// Holds one replica, which may be ourselves: a pod behind our Service that has not ended and has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    pub name: Arc<str>,
    pub uid: PodUid,
    /// The pod's primary one.
    pub address: IpAddr,
    /// It runs, and its containers are ready, as far as Kubernetes knows.
    pub is_ready: bool,
    /// It has a deletionTimestamp.
    pub is_ending: bool,
}

/// Holds where the replicas are found, and whether that has turned.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    service: Option<ObjectKey>,
    /// Something of them has changed since they were told last.
    turned: bool,
    told: Arc<[Replica]>,
}

// === impl Replicas ===

impl Replicas {
    /// A pod of this namespace has changed.
    pub(super) fn pod_turned(&mut self, namespace: &Namespace) {
        self.turned |= self.service.as_ref().is_some_and(|service| service.namespace == *namespace);
    }

    /// Whom this Service leads to has changed.
    pub(super) fn service_turned(&mut self, namespace: &Namespace, name: &Arc<str>) {
        let is_ours = |service: &ObjectKey| service.namespace == *namespace && service.name == *name;
        self.turned |= self.service.as_ref().is_some_and(is_ours);
    }
}

// === impl Index ===

impl Index {
    /// The same index, whose replicas are behind this Service.
    #[must_use]
    pub fn behind(mut self, service: ObjectKey) -> Self {
        self.replicas = Replicas { service: Some(service), turned: true, told: Arc::default() };
        self
    }

    /// The replicas, by name, where they are others than at the last call. One that is not ready is one as well; one that has
    /// ended is none.
    pub fn take_replicas(&mut self) -> Option<Arc<[Replica]>> {
        if !std::mem::take(&mut self.replicas.turned) {
            return None;
        }
        let now = self.replicas_now();
        if *now == *self.replicas.told {
            return None;
        }
        self.replicas.told = now.into();
        Some(self.replicas.told.clone())
    }

    fn replicas_now(&self) -> Vec<Replica> {
        let Some(service) = &self.replicas.service else { return Vec::new() };
        let owners = self.kube_service_owners(&service.namespace, &service.name);
        let pods = owners.iter().filter_map(|owner| match owner {
            OwnerId::Pod(uid) => self.pod(uid).filter(|pod| pod.namespace == service.namespace),
            OwnerId::Address(_) => None,
        });
        let mut replicas: Vec<_> = pods.filter_map(replica).collect();
        replicas.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
        replicas
    }
}

/// None where it has ended, or is nowhere to be found.
fn replica(pod: &PodFacts) -> Option<Replica> {
    let PodLife { phase, deleting, containers_ready, .. } = pod.life;
    if matches!(phase, Phase::Succeeded | Phase::Failed) {
        return None;
    }
    Some(Replica {
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        address: *pod.addresses.iter().next()?,
        is_ready: phase == Phase::Running && containers_ready,
        is_ending: deleting,
    })
}
