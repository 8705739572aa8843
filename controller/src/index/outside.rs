//! What the index has of addresses outside the cluster: who is to be asked, and what they answered.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use rollcall_catalogue::{ProbeSpec, ServiceKey, liveness::ProbeWitness};
use rollcall_wire::peer::OutsideWord;

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
            self.answers_changed = true;
            self.mark_owner([&id.service], &OwnerId::Address(id.address));
        }
    }

    /// Whether it is we who ask these addresses. What is known of them stays until whoever asks next knows better.
    pub(crate) fn asks_outside(&mut self, asks: bool) {
        self.asks_outside = asks;
    }

    /// What another replica was answered; `whole` says that it knows of no others. Who asks himself knows better.
    pub(crate) fn outside_told(&mut self, words: Vec<OutsideWord>, whole: bool, now_ms: u64) {
        if self.asks_outside {
            return;
        }
        let words = words
            .into_iter()
            .map(|OutsideWord { service, address, probe }| (OutsideId { service, address }, probe));
        let words: BTreeMap<_, _> = words.collect();
        if whole {
            self.early_answers.retain(|id| words.contains_key(id));
        }
        let listed = self.complete();
        for (id, probe) in words {
            match self.outside.contains_key(&id) {
                true => self.probed(&id, probe),
                // The watch may not have brought it yet.
                false => self.early_answers.keep(id, probe, now_ms, listed),
            }
        }
    }

    /// All answers that are known, where they have changed since the last call.
    pub(crate) fn take_answers(&mut self) -> Option<Arc<[OutsideWord]>> {
        let word = |(id, probe): (&OutsideId, &ProbeWitness)| OutsideWord {
            service: id.service.clone(),
            address: id.address,
            probe: *probe,
        };
        std::mem::take(&mut self.answers_changed).then(|| self.answers.iter().map(word).collect())
    }

    /// What an address answered, wherever it was asked.
    pub(super) fn answer(&self, id: &OutsideId) -> Option<ProbeWitness> {
        self.answers.get(id).or_else(|| self.early_answers.get(id)).copied()
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
                self.answers_changed |= self.answers.remove(&id).is_some();
                self.outside_changed = true;
            }
            return;
        };
        if let Some(probe) = self.early_answers.take(&id) {
            self.answers_changed |= self.answers.insert(id.clone(), probe) != Some(probe);
        }
        target.epoch = held.map_or(self.outside_epoch + 1, |held| held.epoch);
        if held != Some(&target) {
            self.outside_epoch = self.outside_epoch.max(target.epoch);
            self.outside.insert(id, target);
            self.outside_changed = true;
        }
    }
}
