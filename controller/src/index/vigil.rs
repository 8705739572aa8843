//! One pod of our own namespace that somebody keeps an eye on: the replica that holds the Lease.

use std::{net::IpAddr, sync::Arc};

use rollcall_catalogue::{
    Namespace, PodFacts,
    liveness::{Phase, PodLife},
};

use crate::index::Index;

/// Says how the pod of this name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vigil {
    pub name: Arc<str>,
    /// None where there is no such pod, or it has ended, or is on its way out, or has no address.
    pub pod: Option<Replica>,
}

/// Says how a pod is that is there, and is to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    /// The pod's primary one.
    pub address: IpAddr,
    /// It runs, and its containers are ready, as far as Kubernetes knows.
    pub is_ready: bool,
}

// === impl Index ===

impl Index {
    /// Keeps an eye on this pod, and on no other, from now on.
    pub(crate) fn keep_vigil_of(&mut self, name: Arc<str>) {
        let pod = self.replica(&name);
        self.vigil = Some(Vigil { name, pod });
        self.vigil_changed = true;
    }

    /// How it is, where that was asked or has changed since the last call.
    pub(crate) fn take_vigil(&mut self) -> Option<Vigil> {
        std::mem::take(&mut self.vigil_changed).then(|| self.vigil.clone()).flatten()
    }

    /// Something of a pod of this name has changed.
    pub(super) fn look_again(&mut self, namespace: &Namespace, name: &Arc<str>) {
        let is_it = |vigil: &Vigil| vigil.name == *name;
        if !self.vigil.as_ref().is_some_and(is_it) || self.home() != Some(namespace) {
            return;
        }
        let pod = self.replica(name);
        if let Some(vigil) = self.vigil.as_mut().filter(|vigil| vigil.pod != pod) {
            vigil.pod = pod;
            self.vigil_changed = true;
        }
    }

    /// The pod of this name. The pods of one namespace are looked at: ours has few.
    fn replica(&self, name: &str) -> Option<Replica> {
        let pods = self.namespaces.get(self.home()?)?.pods.iter();
        let named = pods.filter_map(|uid| self.pod(uid)).filter(|pod| *pod.name == *name);
        // Of two with one name, one is gone, and we have not heard of it yet.
        named.filter_map(replica).max_by_key(|pod| pod.is_ready)
    }

    /// The controller's own namespace.
    fn home(&self) -> Option<&Namespace> {
        self.lease.as_ref().map(|lease| &lease.namespace)
    }
}

fn replica(pod: &PodFacts) -> Option<Replica> {
    let PodLife { phase, deleting, containers_ready, .. } = pod.life;
    if deleting || matches!(phase, Phase::Succeeded | Phase::Failed) {
        return None;
    }
    let address = *pod.addresses.iter().next()?;
    Some(Replica { address, is_ready: phase == Phase::Running && containers_ready })
}
