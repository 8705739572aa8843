//! What the other end of a link has.

use std::{collections::HashMap, sync::Arc};

use rollcall_catalogue::PodUid;

use crate::{
    limits::PEER_STRANGERS_MAX,
    peer::{ledger::Ledger, note::Note},
};

/// Holds, of each pod, the newest note that the other end is known to have: from what it told, and from what it was told. The
/// notes are the ledger's own, nearly all of them.
#[derive(Debug, Default)]
pub(super) struct Theirs(HashMap<PodUid, Arc<Note>>);

// === impl Theirs ===

impl Theirs {
    /// Whether it has this note, or a newer one.
    pub(super) fn has(&self, note: &Note) -> bool {
        self.0.get(&note.pod).is_some_and(|theirs| !note.is_newer_than(theirs))
    }

    /// It has this one, by its own word or by ours.
    pub(super) fn learn(&mut self, note: Arc<Note>, ledger: &Ledger) {
        if self.0.get(&note.pod).is_some_and(|theirs| theirs.is_newer_than(&note)) {
            return;
        }
        self.0.insert(note.pod.clone(), note);
        // Pods that are gone here, or that nobody knows here yet: told once more at worst.
        if self.0.len() > ledger.len().saturating_mul(2).saturating_add(PEER_STRANGERS_MAX) {
            self.0.retain(|pod, _| ledger.get(pod).is_some());
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
