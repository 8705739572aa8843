//! What is true in a world, for those who judge what was told.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use crate::{
    Millis,
    history::{History, Journal, Leave, Life, Loss, Reader, Trouble},
};

/// Holds what is true of every pod that ever was, and what was in the way of telling it.
#[derive(Debug, Default)]
pub struct Truth {
    lives: BTreeMap<Arc<str>, Life>,
    troubles: Vec<Trouble>,
    losses: Vec<Loss>,
}

// === impl Truth ===

impl Truth {
    pub(super) fn born(&mut self, pod: &Arc<str>, address: IpAddr, service: &Arc<str>) {
        let life = Life {
            pod: pod.clone(),
            address,
            service: service.clone(),
            well: Vec::new(),
            leaves: Vec::new(),
            gone_ms: None,
        };
        self.lives.insert(pod.clone(), life);
    }

    /// From now on it is to be in every answer of who knows it.
    pub fn is_well(&mut self, pod: &str, now_ms: Millis) {
        let Some(life) = self.lives.get_mut(pod) else { return };
        if life.well.last().is_none_or(|(_, until_ms)| until_ms.is_some()) {
            life.well.push((now_ms, None));
        }
        if let Some(leave) = life.leaves.last_mut() {
            leave.until_ms.get_or_insert(now_ms);
        }
    }

    /// From now on it may be in again, and nothing is promised of that until it is well.
    pub(super) fn may_be_back(&mut self, pod: &str, now_ms: Millis) {
        if let Some(leave) = self.lives.get_mut(pod).and_then(|life| life.leaves.last_mut()) {
            leave.until_ms.get_or_insert(now_ms);
        }
    }

    /// From now on it may be out.
    pub fn is_not_well(&mut self, pod: &str, now_ms: Millis) {
        let Some(life) = self.lives.get_mut(pod) else { return };
        if let Some((_, until_ms)) = life.well.last_mut() {
            until_ms.get_or_insert(now_ms);
        }
    }

    /// It is to be out of all lookups in this time.
    pub fn is_to_leave(&mut self, pod: &str, now_ms: Millis, within_ms: Millis) {
        self.is_not_well(pod, now_ms);
        let Some(life) = self.lives.get_mut(pod) else { return };
        life.leaves.push(Leave { at_ms: now_ms, within_ms, until_ms: None });
    }

    pub(super) fn is_gone(&mut self, pod: &str, now_ms: Millis) {
        self.is_not_well(pod, now_ms);
        if let Some(life) = self.lives.get_mut(pod) {
            life.gone_ms.get_or_insert(now_ms);
        }
    }

    /// News may have been late for these, or for all.
    pub fn trouble(&mut self, readers: Option<Vec<Reader>>, from_ms: Millis, until_ms: Millis) {
        self.troubles.push(Trouble { readers, from_ms, until_ms });
    }

    pub fn loss(&mut self, at_ms: Millis, within_ms: Millis) {
        self.losses.push(Loss { at_ms, within_ms });
    }

    pub fn history(&self, journal: &Journal) -> History {
        History {
            runs: journal.runs(),
            steps: journal.steps(),
            lives: self.lives.values().cloned().collect(),
            troubles: self.troubles.clone(),
            losses: self.losses.clone(),
        }
    }
}
