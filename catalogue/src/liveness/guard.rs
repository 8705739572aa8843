//! The mass-loss guard: whether so many sessions broke off at once that it is we who are ill.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::liveness::witness::RegistryHealth;

/// Losses within this time count as one event; the caller's `recently_missing` is of this window.
pub const WINDOW_MS: u64 = 10_000;

/// The share of the remaining sessions that may vanish in one window before it is taken for our own illness.
const MASS_PERCENT: u32 = 30;

/// As many may always vanish: in a small cluster one deployment is 30 %.
const MASS_AT_LEAST: u32 = 5;

/// One session that vanished is no mass, though it may be all that its node had.
const NODES_SESSIONS_AT_LEAST: u32 = 2;

/// A tick of the session clock that is this late means that we were paused, and so deaf.
const TICK_LATE_MS: u64 = 3_000;

/// How long after a pause silence still says nothing: whoever is alive is heard within the session clock's limit.
const RECOVERY_MS: u64 = super::SILENT_AFTER_MS;

/// Holds what is known of one node. The sessions are of pods that Kubernetes still has alive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeView {
    pub live: u32,
    /// Silent or reset, and not back.
    pub missing: u32,
    /// Those of the missing that vanished within [`WINDOW_MS`].
    pub recently_missing: u32,
    /// Kubernetes has lost sight of it.
    pub unknown: bool,
    /// And did within [`WINDOW_MS`].
    pub recently_unknown: bool,
}

/// Holds what the controller knows of its own health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnHealth {
    /// See [`Ticks::recovering`].
    pub recovering: bool,
    /// What Kubernetes says reaches us late or not at all.
    pub watches_stale: bool,
}

/// Says why session-based evictions are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FreezeCause {
    /// We missed our own ticks: paused, starved, or suspended.
    Paused,
    StaleWatches,
    /// Kubernetes lost sight of half of the nodes at once, or more: as after an outage of its API server.
    NodesUnknown,
    /// Half of the nodes vanished, or more.
    Nodes,
    /// Too many of the sessions vanished that are not on a failed node.
    Sessions,
}

/// Holds what the guard remembers from one assessment to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    assessment: Assessment,
}

/// Holds what the guard made of the sessions at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assessment {
    /// Nodes all of whose sessions vanished, few enough to be believed: their instances may be taken out.
    pub failed_nodes: BTreeSet<Arc<str>>,
    /// Why the rest is not; empty while there is no freeze.
    pub causes: BTreeSet<FreezeCause>,
}

/// Holds the controller's own clockwork: when it last ticked, and when it last came back from a pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks {
    last_ms: Option<u64>,
    resumed_ms: Option<u64>,
}

// === impl Guard ===

impl Guard {
    /// What is known of each node of the cluster amounts to. A freeze holds on until the sessions are back, or Kubernetes
    /// has agreed that their pods are gone, or sees its nodes again: that its window is over makes nobody dead.
    pub fn assess(&mut self, nodes: &BTreeMap<Arc<str>, NodeView>, own: OwnHealth) -> &Assessment {
        let dark = |node: &NodeView| node.live == 0 && node.missing > 0;
        let (lost, lit): (Vec<_>, Vec<_>) =
            nodes.iter().filter(|(_, node)| node.live + node.missing > 0).partition(|(_, node)| dark(node));
        // A node that was given up stays so until it is heard again.
        let (failed, newly): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|(name, _)| self.assessment.failed_nodes.contains(*name));
        let few = newly.len() * 2 < newly.len() + lit.len();
        let sum = |of: fn(&NodeView) -> u32, nodes: &[(&Arc<str>, &NodeView)]| {
            nodes.iter().fold(0u32, |sum, (_, node)| sum.saturating_add(of(node)))
        };
        // Each cause begins with a loss at once, and holds itself for as long as what was lost is missing.
        let holds = |cause| self.assessment.causes.contains(&cause);
        let gone = |cause| -> fn(&NodeView) -> u32 {
            if holds(cause) { |node| node.missing } else { |node| node.recently_missing }
        };
        let nodes_vanished = !few && sum(gone(FreezeCause::Nodes), &newly) >= NODES_SESSIONS_AT_LEAST;

        let vanished = sum(gone(FreezeCause::Sessions), &lit);
        let expected = sum(|node| node.live, &lit).saturating_add(vanished);
        let mass = (expected.saturating_mul(MASS_PERCENT) / 100).max(MASS_AT_LEAST);

        let held = holds(FreezeCause::NodesUnknown);
        let unseen =
            nodes.values().filter(|node| if held { node.unknown } else { node.recently_unknown }).count();

        let causes = [
            (FreezeCause::Paused, own.recovering),
            (FreezeCause::StaleWatches, own.watches_stale),
            (FreezeCause::NodesUnknown, unseen > 0 && unseen * 2 >= nodes.len()),
            (FreezeCause::Nodes, nodes_vanished),
            (FreezeCause::Sessions, vanished > mass),
        ];
        let causes = causes.into_iter().filter(|(_, true_now)| *true_now).map(|(cause, _)| cause).collect();
        // Who doubts his own ears gives up no further node.
        let deaf = own.recovering || own.watches_stale;
        let given_up = newly.iter().filter(|_| few && !deaf);
        let failed_nodes = failed.iter().chain(given_up).map(|(name, _)| Arc::clone(name)).collect();
        self.assessment = Assessment { failed_nodes, causes };
        &self.assessment
    }
}

// === impl Assessment ===

impl Assessment {
    /// How far the registry may trust what sessions say of instances on this node.
    pub fn health(&self, node: Option<&str>) -> RegistryHealth {
        let failed = node.is_some_and(|node| self.failed_nodes.contains(node));
        if !self.causes.is_empty() && !failed { RegistryHealth::Frozen } else { RegistryHealth::Well }
    }
}

// === impl Ticks ===

impl Ticks {
    /// A tick of the session clock, which should come every second.
    pub fn tick(&mut self, now_ms: u64) {
        if self.last_ms.is_some_and(|last_ms| now_ms.saturating_sub(last_ms) >= TICK_LATE_MS) {
            self.resumed_ms = Some(now_ms);
        }
        self.last_ms = Some(now_ms);
    }

    /// Whether a pause is so recent that those who are alive may not have been heard again. A clock that has not
    /// ticked for too long is paused now, whoever asks first.
    pub fn recovering(&self, now_ms: u64) -> bool {
        let late = self.last_ms.is_some_and(|last_ms| now_ms.saturating_sub(last_ms) >= TICK_LATE_MS);
        late || self.resumed_ms.is_some_and(|resumed_ms| now_ms.saturating_sub(resumed_ms) < RECOVERY_MS)
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
