//! The recent changes, so that whoever was away for a moment is told what was missed, and nothing else.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    changes::{Delta, Head},
    names::ServiceKey,
    snapshot::ContentHash,
};

/// Deltas that are remembered: at 20 changes a second, which is what Kubernetes itself is built for, more than
/// three minutes.
pub(super) const DELTAS_MAX: usize = 4_096;

/// Bytes that the remembered deltas may take, as [`weight`] counts them: one delta may be a whole service, and each
/// may hold metadata of 64 KB that nobody lists any more.
pub(super) const BYTES_MAX: usize = 32 * 1024 * 1024;

/// An instance with its names and addresses: 274 by `benches/memory.rs`; and its id, where that is a text. To count too much
/// forgets a little early, and to count too little keeps more than was meant.
const INSTANCE_BYTES: usize = 352;
const REMOVAL_BYTES: usize = 64;

/// Holds the recent changes of this process' catalogue, each step of it under the next number.
#[derive(Debug, Default)]
pub struct Ring {
    /// The number of the newest batch; 0 before the first.
    newest: u64,
    pub(super) batches: VecDeque<Arc<[Arc<Delta>]>>,
    /// The same deltas by their service, oldest first.
    pub(super) services: HashMap<ServiceKey, VecDeque<Arc<Delta>>>,
    /// Deltas in all batches, and what they weigh.
    deltas: usize,
    bytes: usize,
}

// === impl Ring ===

impl Ring {
    /// The number of the newest step; 0 before the first.
    pub fn number(&self) -> u64 {
        self.newest
    }

    /// What one step of the catalogue changed; a step without changes is none.
    pub fn push(&mut self, deltas: Vec<Arc<Delta>>) -> u64 {
        if deltas.is_empty() {
            return self.newest;
        }
        self.newest += 1;
        self.deltas += deltas.len();
        self.bytes += weight(&deltas);
        for delta in &deltas {
            self.services.entry(delta.key.clone()).or_default().push_back(delta.clone());
        }
        self.batches.push_back(deltas.into());
        // The newest stays, however large: to drop it would say that nobody can follow.
        while (self.deltas > DELTAS_MAX || self.bytes > BYTES_MAX) && self.batches.len() > 1 {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.deltas -= oldest.len();
            self.bytes -= weight(&oldest);
            oldest.iter().for_each(|delta| self.forget_oldest(&delta.key));
        }
        self.newest
    }

    /// The batches after this number, oldest first; none where it is too old, or ahead of us: a forged or foreign one is
    /// never trusted.
    pub fn since(&self, number: u64) -> Option<impl Iterator<Item = &[Arc<Delta>]>> {
        let behind = usize::try_from(self.newest.checked_sub(number)?).ok()?;
        let known = behind <= self.batches.len();
        known.then(|| self.batches.iter().skip(self.batches.len() - behind).map(AsRef::as_ref))
    }

    /// The deltas that lead from this content of a service to that state of it, at least one, oldest first; none where
    /// that is not known. To be joined by [`Delta::and_all`].
    pub fn path(&self, key: &ServiceKey, held: ContentHash, to: &Head) -> Option<Vec<Arc<Delta>>> {
        let deltas = self.services.get(key)?;
        let last = deltas.iter().rposition(|delta| delta.to.as_ref() == Some(to))?;
        let known = deltas.iter().take(last + 1);
        // The content may have been there more than once: the last time is the shortest way.
        let first = known.rev().position(|delta| delta.from.is_some_and(|from| from.hash == held))?;
        Some(deltas.range(last - first..=last).cloned().collect())
    }

    fn forget_oldest(&mut self, key: &ServiceKey) {
        if let Some(deltas) = self.services.get_mut(key) {
            deltas.pop_front();
            if deltas.is_empty() {
                self.services.remove(key);
            }
        }
    }
}

/// What these deltas keep alive, nearly: instances that are alike stand beside each other, and share their profile.
fn weight(deltas: &[Arc<Delta>]) -> usize {
    let profiles = |delta: &Delta| {
        let mut last = None;
        let mut text = 0;
        for profile in delta.upserts().map(|instance| &instance.profile) {
            if !last.is_some_and(|last| Arc::ptr_eq(last, profile)) {
                text += profile.text_bytes();
            }
            last = Some(profile);
        }
        text
    };
    let one = |delta: &Arc<Delta>| {
        size_of::<Delta>()
            + (delta.added.len() + delta.changed.len()) * INSTANCE_BYTES
            + delta.removes.len() * REMOVAL_BYTES
            + profiles(delta)
    };
    deltas.iter().map(one).sum()
}
