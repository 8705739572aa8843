//! One pod of our own namespace that somebody keeps an eye on: the replica that holds the Lease.

use std::{net::IpAddr, sync::Arc};

use rollcall_catalogue::{Namespace, PodFacts, liveness::Phase};

use crate::index::Index;

/// Says whether the pod of this name is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vigil {
    pub name: Arc<str>,
    /// The pod's primary one; none where there is no such pod, or it is not alive: running, ready but for our own
    /// containers, and not on its way out.
    pub address: Option<IpAddr>,
}

// === impl Index ===

impl Index {
    /// Keeps an eye on this pod, and on no other, from now on.
    pub(crate) fn keep_vigil_of(&mut self, name: Arc<str>) {
        let address = self.alive(&name);
        self.vigil = Some(Vigil { name, address });
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
        let address = self.alive(name);
        if let Some(vigil) = self.vigil.as_mut().filter(|vigil| vigil.address != address) {
            vigil.address = address;
            self.vigil_changed = true;
        }
    }

    /// The address of the pod of this name that is alive. The pods of one namespace are looked at: ours has few.
    fn alive(&self, name: &str) -> Option<IpAddr> {
        let pods = self.namespaces.get(self.home()?)?.pods.iter();
        let mut named = pods.filter_map(|uid| self.pod(uid)).filter(|pod| *pod.name == *name);
        // Of two with one name, one is on its way out.
        named.find_map(|pod| pod.addresses.iter().next().copied().filter(|_| is_alive(pod)))
    }

    /// The controller's own namespace.
    fn home(&self) -> Option<&Namespace> {
        self.lease.as_ref().map(|lease| &lease.namespace)
    }
}

fn is_alive(pod: &PodFacts) -> bool {
    pod.life.phase == Phase::Running && !pod.life.deleting && pod.life.containers_ready
}
