//! The newest note of each pod, for all links.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rollcall_catalogue::PodUid;

use super::note::Note;

/// Holds the newest note of each pod, under the number of its last change. There is no queue: who reads slowly skips notes, and
/// comes to the newest. The owner of the index writes it, and forgets the pods that Kubernetes has no more, which bounds it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Held for look-ups only: nothing is encoded meanwhile.
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    number: u64,
    by_number: BTreeMap<u64, Arc<Note>>,
    numbers: HashMap<PodUid, u64>,
}

// === impl Ledger ===

impl Ledger {
    /// Takes what is known of a pod from now on, and gives the number of the newest change. What is not newer than what it
    /// holds changes nothing.
    pub fn put(&self, note: impl Into<Arc<Note>>) -> u64 {
        let note = note.into();
        let mut notes = self.notes();
        if notes.get(&note.pod).is_some_and(|held| !note.is_newer_than(held)) {
            return notes.number;
        }
        notes.number += 1;
        let number = notes.number;
        if let Some(before) = notes.numbers.insert(note.pod.clone(), number) {
            notes.by_number.remove(&before);
        }
        notes.by_number.insert(number, note);
        number
    }

    /// The pod is gone.
    pub fn forget(&self, pod: &PodUid) {
        let mut notes = self.notes();
        if let Some(number) = notes.numbers.remove(pod) {
            notes.by_number.remove(&number);
        }
    }

    pub fn get(&self, pod: &PodUid) -> Option<Arc<Note>> {
        self.notes().get(pod).cloned()
    }

    /// The first note that was put after this number, with its own.
    pub fn next_after(&self, number: u64) -> Option<(u64, Arc<Note>)> {
        let notes = self.notes();
        let mut later = notes.by_number.range((Bound::Excluded(number), Bound::Unbounded));
        later.next().map(|(number, note)| (*number, note.clone()))
    }

    /// The number of the newest change; 0 before the first.
    pub fn number(&self) -> u64 {
        self.notes().number
    }

    /// Of how many pods something is known.
    pub fn len(&self) -> usize {
        self.notes().numbers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Notes ===

impl Notes {
    fn get(&self, pod: &PodUid) -> Option<&Arc<Note>> {
        self.by_number.get(self.numbers.get(pod)?)
    }
}
