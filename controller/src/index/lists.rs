//! How far the listing of each kind is.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::index::{Index, Key, Kind};

/// Holds which kinds were listed once, and what the lists that are under way have shown.
#[derive(Debug, Default)]
pub(super) struct Lists {
    listed: BTreeSet<Kind>,
    under_way: BTreeMap<Kind, HashSet<Key>>,
    /// What the last list lacked, where that was not believed; what the next one lacks too is confirmed by it.
    doubted: BTreeMap<Kind, HashSet<Key>>,
}

/// Holds what a list that was told to its last object, and has not ended, comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All that is known of its kind by now, with what the list has added.
    pub(crate) known: usize,
    /// What of it the list does not have: its end would remove that.
    pub(crate) lacking: usize,
    /// What of that no list before has lacked.
    pub(crate) unconfirmed: usize,
    /// It is made because the one before it was not believed.
    pub(crate) is_second: bool,
}

// === impl Lists ===

impl Lists {
    /// Begun anew, whatever the one before has shown.
    pub(super) fn begin(&mut self, kind: Kind) {
        self.under_way.insert(kind, HashSet::new());
    }

    pub(super) fn see(&mut self, key: impl FnOnce() -> Key, kind: Kind) {
        if let Some(seen) = self.under_way.get_mut(&kind) {
            seen.insert(key());
        }
    }

    /// What the list has shown; none where none was begun: an end without a beginning proves nothing.
    pub(super) fn end(&mut self, kind: Kind) -> Option<HashSet<Key>> {
        let seen = self.under_way.remove(&kind)?;
        self.doubted.remove(&kind);
        self.listed.insert(kind);
        Some(seen)
    }

    /// The kinds that were never listed to the end.
    pub(super) fn awaited(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| !self.listed.contains(kind)).collect()
    }

    pub(super) fn complete(&self) -> bool {
        self.listed.len() == Kind::ALL.len()
    }
}

// === impl Index ===

impl Index {
    /// What the end of the list that is under way would come to; nothing where none is.
    pub(crate) fn tally(&self, kind: Kind) -> Tally {
        let known = self.keys(kind);
        let Some(seen) = self.lists.under_way.get(&kind) else {
            return Tally { known: known.len(), ..Tally::default() };
        };
        let doubted = self.lists.doubted.get(&kind);
        let lacking = known.iter().filter(|key| !seen.contains(key));
        let was_lacking = |key: &&Key| doubted.is_some_and(|doubted| doubted.contains(*key));
        let (confirmed, unconfirmed): (Vec<_>, Vec<_>) = lacking.partition(was_lacking);
        Tally {
            known: known.len(),
            lacking: confirmed.len() + unconfirmed.len(),
            unconfirmed: unconfirmed.len(),
            is_second: doubted.is_some(),
        }
    }

    /// The list that is under way is not believed as to what it lacks: it never ends, and the next one is compared with it.
    pub(crate) fn distrust(&mut self, kind: Kind) {
        let Some(seen) = self.lists.under_way.remove(&kind) else { return };
        let lacking = self.keys(kind).into_iter().filter(|key| !seen.contains(key)).collect();
        self.lists.doubted.insert(kind, lacking);
    }
}
