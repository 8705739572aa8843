//! How far the listing of each kind is.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::index::{Key, Kind};

/// Holds which kinds were listed once, and what the lists that are under way have shown.
#[derive(Debug, Default)]
pub(super) struct Lists {
    listed: BTreeSet<Kind>,
    under_way: BTreeMap<Kind, HashSet<Key>>,
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
