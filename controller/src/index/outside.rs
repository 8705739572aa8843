//! What the index has of addresses outside the cluster: who is to be asked, and what they answered.

use std::{net::IpAddr, sync::Arc};

use rollcall_catalogue::{ProbeSpec, ServiceKey, liveness::ProbeWitness};

use super::{Index, endpoints::OwnerId};

/// Holds one address outside the cluster that is to be asked whether it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideTarget {
    pub id: OutsideId,
    pub probe: ProbeSpec,
    /// The port that the probe's name stands for.
    pub port: u16,
    /// Grows with each time that the address is listed anew. What was known before is forgotten by then, and whoever
    /// sees only the newest list would not notice that it was gone.
    pub epoch: u64,
}

/// Names an address outside the cluster within a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutsideId {
    pub service: ServiceKey,
    pub address: IpAddr,
}

// === impl Index ===

impl Index {
    /// What an address outside the cluster answered: up or down, and no more. Whoever writes a registration chooses whom
    /// we ask, and must not learn which ports are closed and which are filtered.
    pub(crate) fn probed(&mut self, id: &OutsideId, witness: ProbeWitness) {
        let witness = if witness == ProbeWitness::Dead { ProbeWitness::Unwell } else { witness };
        // An answer that comes after nobody asks any more is not kept.
        if self.outside.contains_key(id) && self.answers.insert(id.clone(), witness) != Some(witness) {
            self.mark_owner([&id.service], &OwnerId::Address(id.address));
        }
    }

    /// The addresses outside the cluster that are to be asked, where that has changed since the last call.
    pub(crate) fn take_outside(&mut self) -> Option<Arc<[OutsideTarget]>> {
        std::mem::take(&mut self.outside_changed).then(|| self.outside.values().cloned().collect())
    }

    /// How an address is to be asked from now on; none where it is not. Its epoch is ours to give.
    pub(super) fn set_outside(&mut self, id: OutsideId, target: Option<OutsideTarget>) {
        let held = self.outside.get(&id);
        let Some(mut target) = target else {
            if self.outside.remove(&id).is_some() {
                self.answers.remove(&id);
                self.outside_changed = true;
            }
            return;
        };
        target.epoch = held.map_or(self.outside_epoch + 1, |held| held.epoch);
        if held != Some(&target) {
            self.outside_epoch = self.outside_epoch.max(target.epoch);
            self.outside.insert(id, target);
            self.outside_changed = true;
        }
    }

    /// Nobody here asks addresses outside any more: what they answered is no longer known.
    pub(crate) fn forget_answers(&mut self) {
        for id in std::mem::take(&mut self.answers).into_keys() {
            self.mark_owner([&id.service], &OwnerId::Address(id.address));
        }
    }
}
