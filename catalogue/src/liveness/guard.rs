//! The mass-loss guard: whether so many sessions broke off at once that it is we who are ill.
//!
//! All of it is arithmetic on *last words*: when a session was heard last. Sessions that are cut off at one moment had
//! their last words within [`SPREAD_MS`] before it. So when the first of them is silent for long enough to be judged,
//! all that were lost with it have been unheard for [`UNHEARD_AFTER_MS`], and who was heard since was not lost with it.
//! Nobody need wait to see how large a loss becomes, and no order of assessments lets one through by and by.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use crate::liveness::{
    PEER_LOST_AFTER_MS, SILENT_AFTER_MS,
    assessment::{Assessment, Freeze, FreezeCause},
    session::SessionFacts,
};

/// Losses within this time count as one event.
pub const WINDOW_MS: u64 = 10_000;

/// How far apart the last words are of sessions that were cut off together: one frame, and one second for late ones.
const SPREAD_MS: u64 = 4_000;

/// Who was not heard for this long may have been lost together with one that is silent now.
const UNHEARD_AFTER_MS: u64 = SILENT_AFTER_MS - SPREAD_MS;

/// The share of the remaining sessions that may vanish in one window before it is taken for our own illness.
const MASS_PERCENT: usize = 30;

/// As many may always vanish: in a small cluster one deployment is 30 %.
const MASS_AT_LEAST: usize = 5;

/// One session that vanished is no mass, though it may be all that its node had.
const NODES_SESSIONS_AT_LEAST: usize = 2;

/// A node that is back from a mass loss speaks for us again when it has spoken this long without a break.
const STEADY_MS: u64 = WINDOW_MS;

/// Nodes that Kubernetes loses at one moment turn Unknown within this time of each other: a kubelet renews its lease
/// every 10 s, and the node controller looks every 5 s. So after this time an Unknown is that node's own.
const UNKNOWN_SPREAD_MS: u64 = 15_000;

/// How long another replica may have told nothing when that is noticed.
const PEERS_UNHEARD_AFTER_MS: u64 = 3_000;

/// Holds what is known of one node at one moment: when Kubernetes lost sight of it, and the last words of its sessions,
/// which are those of pods that Kubernetes still has alive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeView {
    unknown_since_ms: Option<u64>,
    /// None while none of its pods was ever heard: such a node has no say.
    last_word_ms: Option<u64>,
    heard: usize,
    /// The last words of the others.
    unheard_ms: Vec<u64>,
}

/// Holds what the controller knows of its own health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnHealth {
    /// See [`super::Ticks::recovering`].
    pub recovering: bool,
    /// What Kubernetes says reaches us late or not at all.
    pub watches_stale: bool,
    /// Since when another process of ours that lives, for all that is known, tells nothing, to us or to whom we hear.
    pub peers_unheard_since_ms: Option<u64>,
    /// When such a one was last found lost: whoever was in session there is to appear elsewhere.
    pub unheard_peer_lost_ms: Option<u64>,
}

/// Holds what the guard remembers from one assessment to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Each node of which a session was heard.
    nodes: BTreeMap<Arc<str>, Known>,
    freezes: BTreeMap<FreezeCause, Freeze>,
    /// The nodes that Kubernetes lost at once, and does not see again.
    unseen: BTreeSet<Arc<str>>,
    /// When silence was last judged with sound ears.
    judged_ms: u64,
    assessment: Assessment,
}

/// Holds what the guard remembers of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    since_ms: u64,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Trusted,
    /// It vanished in a mass loss. `back_ms`: since when it speaks again.
    Doubted {
        back_ms: Option<u64>,
    },
    /// It vanished, and is believed dead.
    Failed,
}

// === impl NodeView ===

impl NodeView {
    /// `unknown_since_ms`: when Kubernetes lost sight of the node, if it has.
    pub fn new(unknown_since_ms: Option<u64>) -> Self {
        Self { unknown_since_ms, ..Self::default() }
    }

    /// Another session of the node. `now_ms` is that of the assessment.
    pub fn add(&mut self, session: &SessionFacts, now_ms: u64) {
        let Some(word_ms) = session.last_word_ms(now_ms) else { return };
        self.last_word_ms = self.last_word_ms.max(Some(word_ms));
        if now_ms.saturating_sub(word_ms) < UNHEARD_AFTER_MS {
            self.heard += 1;
        } else {
            self.unheard_ms.push(word_ms);
        }
    }

    /// The earliest last word of those that were lost with the last of them.
    fn first_lost_ms(&self, last_word_ms: u64) -> u64 {
        let from_ms = last_word_ms.saturating_sub(SPREAD_MS);
        self.unheard_ms.iter().copied().filter(|word_ms| *word_ms >= from_ms).min().unwrap_or(last_word_ms)
    }

    fn unheard(&self, from_ms: u64, to_ms: u64) -> usize {
        self.unheard_ms.iter().filter(|word_ms| (from_ms..=to_ms).contains(*word_ms)).count()
    }
}

// === impl Guard ===

impl Guard {
    /// What is known of each node of the cluster amounts to. To be called at least once a second, and whenever a
    /// session falls silent ([`SessionFacts::changes_at_ms`]), before any of them is judged.
    pub fn assess(
        &mut self,
        now_ms: u64,
        nodes: &BTreeMap<Arc<str>, NodeView>,
        own: OwnHealth,
    ) -> &Assessment {
        let deaf = own.recovering || own.watches_stale || own.peers_unheard_since_ms.is_some();
        self.while_true(FreezeCause::Paused, own.recovering);
        self.while_true(FreezeCause::StaleWatches, own.watches_stale);
        self.while_peers_are_unheard(now_ms, own);
        self.look_for_unseen(now_ms, nodes);
        self.meet(now_ms, nodes);
        if !deaf {
            self.judge_nodes(now_ms, nodes);
            self.agree_with_kubernetes(now_ms, nodes);
        }
        self.judge_sessions(now_ms, nodes);
        self.hold_on(now_ms, nodes);
        if !deaf {
            self.judged_ms = now_ms;
        }
        let of = |wanted: fn(&Standing) -> bool| {
            let those = self.nodes.iter().filter(|(_, known)| wanted(&known.standing));
            those.map(|(name, _)| Arc::clone(name)).collect()
        };
        self.assessment = Assessment {
            failed: of(|standing| *standing == Standing::Failed),
            doubted: of(|standing| matches!(standing, Standing::Doubted { .. })),
            unseen: self.unseen.clone(),
            freezes: self.freezes.clone(),
        };
        &self.assessment
    }

    /// A freeze of everything that was not judged before, for as long as its cause is there.
    fn while_true(&mut self, cause: FreezeCause, true_now: bool) {
        if true_now {
            let from_ms = self.judged_ms.saturating_sub(SILENT_AFTER_MS);
            self.freezes.entry(cause).or_insert(Freeze { from_ms, to_ms: u64::MAX, open_at: 0, open: true });
        } else {
            self.freezes.remove(&cause);
        }
    }

    /// A freeze of all that vanished since another replica told nothing any more, or with that: who left us may be there. Where
    /// that is found lost, who was silent by then may have been lost with it, and has the time of all who were. Whoever falls
    /// silent later had time of its own.
    fn while_peers_are_unheard(&mut self, now_ms: u64, own: OwnHealth) {
        let Some(since_ms) = own.peers_unheard_since_ms else {
            let is_recent = |lost_ms: &u64| now_ms.saturating_sub(*lost_ms) < PEER_LOST_AFTER_MS;
            match (own.unheard_peer_lost_ms.filter(is_recent), self.freezes.entry(FreezeCause::PeersUnheard))
            {
                (Some(lost_ms), Entry::Occupied(mut held)) => {
                    let to_ms = lost_ms.saturating_sub(SILENT_AFTER_MS);
                    *held.get_mut() = Freeze { to_ms, open: false, ..*held.get() };
                }
                (None, Entry::Occupied(held)) => drop(held.remove()),
                (_, Entry::Vacant(_)) => {}
            }
            return;
        };
        let from_ms = since_ms.saturating_sub(PEERS_UNHEARD_AFTER_MS + SPREAD_MS);
        let new = Freeze { from_ms, to_ms: u64::MAX, open_at: 0, open: true };
        let freeze = self.freezes.entry(FreezeCause::PeersUnheard).or_insert(new);
        *freeze = Freeze { from_ms: freeze.from_ms.min(from_ms), ..new };
    }

    /// Kubernetes' own illness: it holds on for each node until that is seen again or has left the cluster, and for
    /// those that are seen while half of them are not.
    fn look_for_unseen(&mut self, now_ms: u64, nodes: &BTreeMap<Arc<str>, NodeView>) {
        self.unseen.retain(|name| nodes.get(name).is_some_and(|node| node.unknown_since_ms.is_some()));
        let fresh = |node: &NodeView| {
            node.unknown_since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) < UNKNOWN_SPREAD_MS)
        };
        let fresh: Vec<_> = nodes.iter().filter(|(_, node)| fresh(node)).map(|(name, _)| name).collect();
        let more = fresh.iter().filter(|name| !self.unseen.contains(**name)).count();
        let mass = more > 0 && (self.unseen.len() + more) * 2 >= nodes.len();
        if mass {
            self.unseen.extend(fresh.into_iter().cloned());
        }
        self.while_true(FreezeCause::NodesUnknown, !self.unseen.is_empty());
        if let Some(freeze) = self.freezes.get_mut(&FreezeCause::NodesUnknown) {
            freeze.open_at = if mass { nodes.len().div_ceil(2) } else { freeze.open_at };
            let open = mass || freeze.open && self.unseen.len() >= freeze.open_at;
            freeze.to_ms = match (open, freeze.open) {
                (true, _) => u64::MAX,
                (false, true) => now_ms,
                (false, false) => freeze.to_ms,
            };
            freeze.open = open;
        }
    }

    /// Who came, who left, and who is back.
    fn meet(&mut self, now_ms: u64, nodes: &BTreeMap<Arc<str>, NodeView>) {
        let words = |name: &Arc<str>| nodes.get(name).and_then(|node| node.last_word_ms);
        self.nodes.retain(|name, _| words(name).is_some());
        for (name, word_ms) in nodes.iter().filter_map(|(name, node)| Some((name, node.last_word_ms?))) {
            let new = Known { since_ms: now_ms, standing: Standing::Trusted };
            let known = self.nodes.entry(Arc::clone(name)).or_insert(new);
            let unheard_ms = now_ms.saturating_sub(word_ms);
            match &mut known.standing {
                Standing::Failed if unheard_ms < UNHEARD_AFTER_MS => known.standing = Standing::Trusted,
                Standing::Doubted { back_ms } if unheard_ms < UNHEARD_AFTER_MS => {
                    if now_ms.saturating_sub(*back_ms.get_or_insert(now_ms)) >= STEADY_MS {
                        known.standing = Standing::Trusted;
                        // Those of its sessions that are not back with it stay spared.
                        if let Some(freeze) = self.freezes.get_mut(&FreezeCause::Nodes) {
                            freeze.to_ms = now_ms;
                        }
                    }
                }
                Standing::Doubted { back_ms } => *back_ms = None,
                Standing::Trusted | Standing::Failed => {}
            }
        }
    }

    /// Believes or doubts each node that is not heard any more, as soon as the first of its sessions is silent.
    fn judge_nodes(&mut self, now_ms: u64, nodes: &BTreeMap<Arc<str>, NodeView>) {
        let mut verdicts = Vec::new();
        let mut lost_from_ms = u64::MAX;
        for (name, node, word_ms) in self.standing(nodes, |standing| *standing == Standing::Trusted) {
            let first_ms = node.first_lost_ms(word_ms);
            if node.heard > 0 || now_ms.saturating_sub(first_ms) < SILENT_AFTER_MS {
                continue;
            }
            let spared = |freeze: &&Freeze| node.unheard(freeze.from_ms, freeze.to_ms) > 0;
            // Whoever of it was spared already stays so: that the others follow is no reason to believe it.
            let of_sessions = [FreezeCause::Nodes, FreezeCause::Sessions];
            if let Some(freeze) = of_sessions.iter().filter_map(|cause| self.freezes.get(cause)).find(spared)
            {
                let freeze = Freeze { open_at: usize::MAX, open: false, ..*freeze };
                verdicts.push((Arc::clone(name), Some(freeze)));
                continue;
            }
            let (lost, lost_sessions, heard_since) = self.lost_with(first_ms, nodes);
            let believed = lost < heard_since || lost_sessions < NODES_SESSIONS_AT_LEAST;
            // Whoever of it may have been lost with a replica of ours is no proof against it yet. A mass is one all the same.
            if believed && self.freezes.get(&FreezeCause::PeersUnheard).is_some_and(|freeze| spared(&freeze))
            {
                continue;
            }
            let freeze = Freeze {
                from_ms: first_ms.saturating_sub(SPREAD_MS),
                to_ms: now_ms,
                open_at: (lost + heard_since).div_ceil(2),
                open: true,
            };
            if !believed {
                lost_from_ms = lost_from_ms.min(first_ms.saturating_sub(WINDOW_MS));
            }
            verdicts.push((Arc::clone(name), (!believed).then_some(freeze)));
        }
        // What was believed before the loss grew too large is taken back.
        let failed = self.standing(nodes, |standing| *standing == Standing::Failed);
        let taken_back: Vec<_> = failed.filter(|(_, _, word_ms)| *word_ms >= lost_from_ms).collect();
        let earliest_ms = taken_back.iter().map(|(_, _, word_ms)| word_ms.saturating_sub(SPREAD_MS)).min();
        let taken_back: Vec<_> = taken_back.into_iter().map(|(name, ..)| Arc::clone(name)).collect();
        for (name, freeze) in verdicts {
            let standing = freeze.map_or(Standing::Failed, |_| Standing::Doubted { back_ms: None });
            self.nodes.entry(name).and_modify(|known| known.standing = standing);
            if let Some(freeze) = freeze {
                self.freeze(FreezeCause::Nodes, freeze);
            }
        }
        for name in taken_back {
            self.nodes.entry(name).and_modify(|known| known.standing = Standing::Doubted { back_ms: None });
        }
        if let (Some(freeze), Some(earliest_ms)) = (self.freezes.get_mut(&FreezeCause::Nodes), earliest_ms) {
            freeze.from_ms = freeze.from_ms.min(earliest_ms);
        }
    }

    /// How many nodes were lost together with a session whose last word was then, and with how many sessions; and
    /// how many were heard since, of those that were there. Who vanished earlier, and alone, counts no more.
    fn lost_with(&self, word_ms: u64, nodes: &BTreeMap<Arc<str>, NodeView>) -> (usize, usize, usize) {
        let from_ms = word_ms.saturating_sub(WINDOW_MS);
        let (mut lost, mut lost_sessions, mut heard_since) = (0, 0, 0);
        for (name, node, its_word_ms) in self.standing(nodes, |_| true) {
            let Some(known) = self.nodes.get(name) else { continue };
            let doubted = matches!(known.standing, Standing::Doubted { .. });
            if known.standing == Standing::Failed && its_word_ms < from_ms {
                continue;
            }
            if doubted || its_word_ms < word_ms.saturating_add(SPREAD_MS) {
                lost += 1;
                lost_sessions += node.unheard(from_ms, u64::MAX);
            } else if known.since_ms <= word_ms {
                heard_since += 1;
            }
        }
        (lost, lost_sessions, heard_since)
    }

    /// A doubted node that Kubernetes has lost as well, and not together with half of the others, is dead or cut off.
    fn agree_with_kubernetes(&mut self, now_ms: u64, nodes: &BTreeMap<Arc<str>, NodeView>) {
        for (name, known) in &mut self.nodes {
            let unknown_since_ms = nodes.get(name).and_then(|node| node.unknown_since_ms);
            let settled =
                unknown_since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= UNKNOWN_SPREAD_MS);
            let word_ms = nodes.get(name).and_then(|node| node.last_word_ms);
            let dark = word_ms.is_some_and(|word_ms| now_ms.saturating_sub(word_ms) >= SILENT_AFTER_MS);
            let doubted = matches!(known.standing, Standing::Doubted { .. });
            if doubted && dark && settled && !self.unseen.contains(name) {
                known.standing = Standing::Failed;
            }
        }
    }

    /// Whether too many sessions vanished from nodes that still speak. On a node that does not, all did: see above.
    fn judge_sessions(&mut self, now_ms: u64, nodes: &BTreeMap<Arc<str>, NodeView>) {
        // As wide as the window where the ears were sound, and as wide as their deafness where they were not.
        let from_ms = self.judged_ms.saturating_sub(WINDOW_MS + UNHEARD_AFTER_MS);
        let ripe_ms = now_ms.checked_sub(SILENT_AFTER_MS);
        let (mut heard, mut vanished, mut ripe) = (0, 0, 0);
        for node in nodes.values().filter(|node| node.heard > 0) {
            heard += node.heard;
            vanished += node.unheard(from_ms, u64::MAX);
            ripe += ripe_ms.map_or(0, |ripe_ms| node.unheard(from_ms, ripe_ms));
        }
        let mass = ((heard + vanished) * MASS_PERCENT / 100).max(MASS_AT_LEAST);
        if ripe > 0 && vanished > mass {
            let freeze = Freeze { from_ms, to_ms: now_ms, open_at: mass + 1, open: true };
            self.freeze(FreezeCause::Sessions, freeze);
        }
    }

    /// Begins a freeze, or adds to the one that there is.
    fn freeze(&mut self, cause: FreezeCause, new: Freeze) {
        let freeze = self.freezes.entry(cause).or_insert(new);
        freeze.from_ms = freeze.from_ms.min(new.from_ms);
        freeze.to_ms = freeze.to_ms.max(new.to_ms);
        freeze.open_at = freeze.open_at.min(new.open_at);
        freeze.open |= new.open;
    }

    /// A freeze for lost sessions ends when none of them is missing, and not because its window is over.
    fn hold_on(&mut self, now_ms: u64, nodes: &BTreeMap<Arc<str>, NodeView>) {
        let doubted = self.standing(nodes, |standing| matches!(standing, Standing::Doubted { .. })).count();
        let missing = |freeze: &Freeze, to_ms: u64| -> usize {
            let there = self.standing(nodes, |standing| *standing != Standing::Failed);
            there.map(|(_, node, _)| node.unheard(freeze.from_ms, to_ms)).sum()
        };
        let mut freezes = self.freezes.clone();
        freezes.retain(|cause, freeze| {
            let (open, held) = match cause {
                FreezeCause::Nodes => (doubted >= freeze.open_at, doubted > 0),
                FreezeCause::Sessions => (missing(freeze, u64::MAX) >= freeze.open_at, false),
                FreezeCause::PeersUnheard => return freeze.open || missing(freeze, freeze.to_ms) > 0,
                FreezeCause::Paused | FreezeCause::StaleWatches | FreezeCause::NodesUnknown => return true,
            };
            freeze.open &= open;
            freeze.to_ms = if freeze.open { now_ms } else { freeze.to_ms };
            held || missing(freeze, freeze.to_ms) > 0
        });
        self.freezes = freezes;
    }

    /// The nodes that stand so, and ever spoke, with their last words.
    fn standing<'a>(
        &'a self,
        nodes: &'a BTreeMap<Arc<str>, NodeView>,
        wanted: impl Fn(&Standing) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a NodeView, u64)> {
        let those = self.nodes.iter().filter(move |(_, known)| wanted(&known.standing));
        those.filter_map(|(name, _)| nodes.get(name).and_then(|node| Some((name, node, node.last_word_ms?))))
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
