//! What the guard made of the sessions at one moment: whose silence may be believed, and why not that of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::liveness::witness::RegistryHealth;

/// Says why session-based evictions are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FreezeCause {
    /// We missed our own ticks: paused, starved, or suspended.
    Paused,
    StaleWatches,
    /// Another process of ours that lives tells nothing, to us or to whom we hear: who is missing here may be there.
    PeersUnheard,
    /// Kubernetes lost sight of half of the nodes at once, or more: as after an outage of its API server.
    NodesUnknown,
    /// Half of the nodes vanished, or more.
    Nodes,
    /// Too many of the sessions vanished that are not on a failed node.
    Sessions,
}

/// Holds what the guard made of the sessions at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assessment {
    pub(super) failed: BTreeSet<Arc<str>>,
    pub(super) doubted: BTreeSet<Arc<str>>,
    pub(super) unseen: BTreeSet<Arc<str>>,
    pub(super) freezes: BTreeMap<FreezeCause, Freeze>,
}

/// Holds the last words that a freeze covers. Who has one of them is spared until it is heard again, or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freeze {
    /// What was lost before that had been judged before, and is not revived.
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    /// While as many are missing, `to_ms` is now. A number of the onset: that the fleet grows ends no freeze.
    pub(super) open_at: usize,
    pub(super) open: bool,
}

// === impl Assessment ===

impl Assessment {
    /// How far the registry may trust what is not heard of an instance. `last_word_ms` is
    /// [`SessionFacts::last_word_ms`]: what had been judged before the freeze is not judged anew.
    pub fn health(&self, node: Option<&str>, last_word_ms: Option<u64>) -> RegistryHealth {
        let among = |nodes: &BTreeSet<Arc<str>>| node.is_some_and(|node| nodes.contains(node));
        let spared = |(cause, freeze): (&FreezeCause, &Freeze)| {
            let held = match cause {
                FreezeCause::Nodes => among(&self.doubted),
                FreezeCause::NodesUnknown => among(&self.unseen),
                _ => false,
            };
            match (last_word_ms, cause) {
                (Some(word_ms), _) => word_ms >= freeze.from_ms && (held || word_ms <= freeze.to_ms),
                // Sessions that vanish, or may be elsewhere, say nothing of a pod that has none.
                (None, FreezeCause::Nodes | FreezeCause::Sessions | FreezeCause::PeersUnheard) => false,
                (None, _) => held || freeze.open,
            }
        };
        if !among(&self.failed) && self.freezes.iter().any(spared) {
            RegistryHealth::Frozen
        } else {
            RegistryHealth::Well
        }
    }

    /// Nodes all of whose sessions vanished, few enough to be believed: their instances may be taken out.
    pub fn failed_nodes(&self) -> &BTreeSet<Arc<str>> {
        &self.failed
    }

    /// Why others are not; empty while there is no freeze.
    pub fn causes(&self) -> impl Iterator<Item = FreezeCause> + '_ {
        self.freezes.keys().copied()
    }
}
