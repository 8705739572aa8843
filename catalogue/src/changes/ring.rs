//! The recent changes, so that whoever was away for a moment is told what was missed, and nothing else.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{
    changes::{delta::Delta, resume::Resumed},
    names::{Namespace, ServiceKey},
    snapshot::Snapshot,
};

/// Deltas that are remembered: at 20 changes a second, which is what Kubernetes itself is built for, more than
/// three minutes.
pub(super) const DELTAS_MAX: usize = 4_096;

/// Bytes that the remembered deltas may take, as [`weight`] counts them: one delta may be a whole service, and each
/// may hold metadata of 64 KB that nobody lists any more.
pub(super) const BYTES_MAX: usize = 32 * 1024 * 1024;

/// An instance with its names and addresses, as measured by `benches/memory.rs`, less its profile; and an id.
const INSTANCE_BYTES: usize = 352;
const REMOVAL_BYTES: usize = 64;

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
    /// Deltas in all batches, and what they weigh.
    deltas: usize,
    bytes: usize,
}

// === impl Ring ===

impl Ring {
    /// An empty one of a process that is named so, differently after each start.
    pub fn new(epoch: Arc<str>) -> Self {
        Self { epoch, newest: 0, batches: VecDeque::new(), deltas: 0, bytes: 0 }
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
        self.bytes += weight(&deltas);
        self.batches.push_back(deltas.into());
        // The newest stays, however large: to drop it would say that nobody can follow.
        while (self.deltas > DELTAS_MAX || self.bytes > BYTES_MAX) && self.batches.len() > 1 {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.deltas -= oldest.len();
            self.bytes -= weight(&oldest);
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

    /// What has become of the services that a holder in this namespace held at the cursor, those without a change left
    /// out; none where the ring cannot tell. `newest` is the snapshot after the last push. What was not held, because
    /// it was unknown or not to be seen, is none of these: it is told as what is asked for the first time.
    pub fn resume<'a>(
        &self,
        cursor: &Cursor,
        held: impl IntoIterator<Item = &'a ServiceKey>,
        newest: &Snapshot,
        caller: &Namespace,
    ) -> Option<Vec<(ServiceKey, Resumed)>> {
        let mut missed: BTreeMap<&ServiceKey, Vec<&Delta>> =
            held.into_iter().map(|key| (key, Vec::new())).collect();
        for delta in self.since(cursor)?.flatten() {
            if let Some(deltas) = missed.get_mut(&delta.key) {
                deltas.push(delta);
            }
        }
        let resumed = missed.into_iter().filter_map(|(key, deltas)| {
            let Some(service) = newest.seen_from(caller, key) else {
                return Some(Some((key.clone(), Resumed::Gone)));
            };
            let (first, later) = deltas.split_first()?;
            // What this process published itself has no gaps; if it ever had, hashes decide.
            let joined = first.and_all(later.iter().copied()).ok();
            Some(joined.map(|delta| {
                // From nothing: it was not held, whatever the holder says.
                let from_held = delta.from.is_some();
                let resumed =
                    if from_held { Resumed::Changed(delta) } else { Resumed::Whole(service.clone()) };
                (key.clone(), resumed)
            }))
        });
        resumed.collect()
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
