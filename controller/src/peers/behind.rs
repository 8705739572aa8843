//! Whether the other replicas read on in Kubernetes while we do not: functions of what they told, and of when.
//!
//! A watch that stands still looks like one of a quiet cluster, to whoever has no other. Only that somebody else knows more,
//! and has for a while, tells the two apart.

use std::collections::VecDeque;

use rollcall_catalogue::changes::Position;
use rollcall_wire::peer::Standing;

use super::standing::{Process, Processes};

/// What another one knew so long ago, whoever reads on has read: a change comes to all of us within a fraction of it.
pub(super) const KNOWN_FOR_MS: u64 = 3_000;

/// Whoever was behind reads on for so long until it counts as one that does: a way that loses much lets some through.
pub(super) const READS_ON_FOR_MS: u64 = 10_000;

/// Nobody gives way before the others can have heard that it is behind, nor to one who may be about to say so: of two that
/// each lack what the other one has, both stay.
pub(super) const TOLD_FOR_MS: u64 = 1_000;

/// Words of one process that are kept: there is one a second, and none older than the one that counts.
const WORDS_MAX: usize = 16;

/// Holds what a process has said lately to know, each from when it was heard, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words(VecDeque<(u64, Position)>);

/// Holds when we were last seen to lack something, for as long as that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lag {
    lacked_ms: Option<u64>,
}

/// Holds since when another one could serve in our place, while we are behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Way {
    open_ms: Option<u64>,
}

/// Whether one that we hear knew something long ago that whoever stands at `reach` has not read.
pub(super) fn lacks(known: &Processes, reach: &Position, now_ms: u64) -> bool {
    let mut heard = known.values().filter(|process| process.is_up());
    heard.any(|Process { words, .. }| words.known(now_ms).is_some_and(|known| reach.lags(known)))
}

/// Whether sidecars may be sent to another one that stands so. Where nobody reads on, ourselves included, those that are
/// behind are as good as any.
pub(super) fn serves(other: Standing, ours: Standing, all: &[Standing]) -> bool {
    match other {
        Standing::Serving => true,
        Standing::Behind => ours != Standing::Serving && !all.contains(&Standing::Serving),
        Standing::Starting | Standing::Leaving | Standing::Other => false,
    }
}

// === impl Words ===

impl Words {
    pub(super) fn hear(&mut self, known: &Position, now_ms: u64) {
        while self.0.get(1).is_some_and(|(heard_ms, _)| counts(*heard_ms, now_ms)) {
            self.0.pop_front();
        }
        // Where there are too many, the next one will do.
        if self.0.len() < WORDS_MAX && self.0.back().is_none_or(|(_, newest)| newest != known) {
            self.0.push_back((now_ms, known.clone()));
        }
    }

    /// What it knew long enough ago.
    fn known(&self, now_ms: u64) -> Option<&Position> {
        let counted = self.0.iter().rev().find(|(heard_ms, _)| counts(*heard_ms, now_ms));
        counted.map(|(_, known)| known)
    }
}

fn counts(heard_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(heard_ms) >= KNOWN_FOR_MS
}

// === impl Lag ===

impl Lag {
    /// Whether we are behind, given whether we lack something now.
    pub(super) fn look(&mut self, lacks: bool, now_ms: u64) -> bool {
        if lacks {
            self.lacked_ms = Some(now_ms);
        }
        self.lacked_ms =
            self.lacked_ms.filter(|lacked_ms| now_ms.saturating_sub(*lacked_ms) < READS_ON_FOR_MS);
        self.lacked_ms.is_some()
    }
}

// === impl Way ===

impl Way {
    /// Whether we give way to others, given whether we are behind, and how the others stand.
    pub(super) fn look(&mut self, is_behind: bool, others: &[Standing], now_ms: u64) -> bool {
        let is_open = is_behind && others.contains(&Standing::Serving);
        self.open_ms = is_open.then(|| self.open_ms.unwrap_or(now_ms));
        self.open_ms.is_some_and(|open_ms| now_ms.saturating_sub(open_ms) >= TOLD_FOR_MS)
    }
}

#[cfg(test)]
#[path = "behind_tests.rs"]
mod tests;
