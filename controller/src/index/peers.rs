//! What other replicas tell of the pods' sessions.

use std::{collections::BTreeMap, sync::Arc};

use rollcall_wire::peer::Record;

use crate::index::Index;

/// Says how another replica's process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerStanding {
    /// Itself or through others, it says what it hears.
    Heard,
    /// Since then nobody hears it; of the owner's clock.
    Lost { at_ms: u64 },
}

// === impl Index ===

impl Index {
    /// What another replica knows of a pod. Says whether it was news.
    pub fn hear_record(&mut self, _record: Record, _now_ms: u64) -> bool {
        false
    }

    /// How the other replicas' processes stand, by their epochs. One that is not named is lost since it was first missed.
    pub fn set_peers(&mut self, _peers: BTreeMap<Arc<str>, PeerStanding>, _now_ms: u64) {}
}
