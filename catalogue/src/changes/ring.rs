//! The recent changes, so that whoever was away for a moment is told what was missed, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{changes::delta::Delta, names::ServiceKey};

/// Deltas that are remembered: at 20 changes a second, which is what Kubernetes itself is built for, more than
/// three minutes.
pub(super) const DELTAS_MAX: usize = 4_096;

/// Instances that the remembered deltas may name: one delta may be a whole service, and what is remembered keeps
/// instances alive that nobody lists any more. At most some 20 MB.
pub(super) const CHANGES_MAX: usize = 65_536;

/// Holds a place in the stream of changes of one process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Names the process that counts.
    pub epoch: Arc<str>,
    pub number: u64,
}

/// Holds the recent changes of this process' catalogue.
#[derive(Debug)]
pub struct Ring {
    epoch: Arc<str>,
    /// The number of the newest batch; 0 before the first.
    newest: u64,
    pub(super) batches: VecDeque<Arc<[Arc<Delta>]>>,
    /// Deltas in all batches, and the instances that they name.
    deltas: usize,
    changes: usize,
}

// === impl Ring ===

impl Ring {
    /// An empty one of a process that is named so, differently after each start.
    pub fn new(epoch: Arc<str>) -> Self {
        Self { epoch, newest: 0, batches: VecDeque::new(), deltas: 0, changes: 0 }
    }

    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch.clone(), number: self.newest }
    }

    /// What one step of the catalogue changed; a step without changes is none.
    pub fn push(&mut self, deltas: Vec<Arc<Delta>>) -> Cursor {
        if deltas.is_empty() {
            return self.cursor();
        }
        self.newest += 1;
        self.deltas += deltas.len();
        self.changes += changes(&deltas);
        self.batches.push_back(deltas.into());
        // The newest stays, however large: to drop it would say that nobody can follow.
        while (self.deltas > DELTAS_MAX || self.changes > CHANGES_MAX) && self.batches.len() > 1 {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.deltas -= oldest.len();
            self.changes -= changes(&oldest);
        }
        self.cursor()
    }

    /// The batches after this cursor, oldest first; none where it is not of this process, too old, or ahead of
    /// us: a forged or foreign one is never trusted.
    pub fn since(&self, cursor: &Cursor) -> Option<impl Iterator<Item = &[Arc<Delta>]>> {
        let behind = usize::try_from(self.newest.checked_sub(cursor.number)?).ok()?;
        let known = cursor.epoch == self.epoch && behind <= self.batches.len();
        known.then(|| self.batches.iter().skip(self.batches.len() - behind).map(AsRef::as_ref))
    }

    /// What these services' holder lacks since the cursor, one delta for each that changed; none where the ring
    /// cannot tell.
    pub fn resume(&self, cursor: &Cursor, services: &BTreeSet<ServiceKey>) -> Option<Vec<Delta>> {
        let mut missed: BTreeMap<&ServiceKey, Vec<&Delta>> = BTreeMap::new();
        for delta in self.since(cursor)?.flatten().filter(|delta| services.contains(&delta.key)) {
            missed.entry(&delta.key).or_default().push(delta);
        }
        let joined = missed.into_values().filter_map(|deltas| {
            let (first, later) = deltas.split_first()?;
            // What this process published itself has no gaps; if it ever had, hashes decide.
            Some(first.and_all(later.iter().copied()).ok())
        });
        joined.collect()
    }
}

fn changes(deltas: &[Arc<Delta>]) -> usize {
    deltas.iter().map(|delta| delta.upserts.len() + delta.removes.len()).sum()
}
