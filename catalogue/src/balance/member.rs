//! One candidate and what is remembered of it.

use std::cmp::Ordering;

use super::{ejection::Ejection, hash::fingerprint, in_flight::InFlight, latency::Latency};

/// Says in which pool a member sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Near,
    Far,
    /// In neither: its weight is 0, or it is ejected.
    Out,
}

/// Holds a candidate with everything that picks and reports have left behind. It lives as long as its id is among
/// the candidates, so that what is remembered is bounded by them.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) fingerprint: u64,
    pub(super) weight: u16,
    /// The weight with which it sat in its pool before the last change; 0 where it did not.
    pub(super) weight_before: u16,
    /// Until when its load says only that it has just come.
    pub(super) new_until_ms: u64,
    /// Whether it is of the caller's zone; also where the caller's zone is unknown.
    pub(super) at_home: bool,
    pub(super) side: Side,
    pub(super) in_flight: InFlight,
    pub(super) latency: Latency,
    pub(super) ejection: Ejection,
    /// Its last turn in the round robin; 0 before the first.
    pub(super) turn: u64,
    /// Where it stands among those that have had no turn, and thus in every tie.
    pub(super) lot: u64,
    /// What the weighted round robin owes it.
    pub(super) credit: i64,
}

// === impl Member ===

impl Member {
    pub(super) fn new(id: &str, lot: u64) -> Self {
        Self {
            fingerprint: fingerprint(id),
            weight: 0,
            weight_before: 0,
            new_until_ms: 0,
            at_home: true,
            side: Side::Out,
            in_flight: InFlight::default(),
            latency: Latency::default(),
            ejection: Ejection::default(),
            turn: 0,
            lot,
            credit: 0,
        }
    }

    /// Whether it counts among the candidates at all.
    pub(super) fn is_pickable(&self) -> bool {
        self.weight > 0
    }

    /// Sits down on a side, or gets up. Who changes places is not known there.
    pub(super) fn sit(&mut self, side: Side) {
        if self.side != side {
            self.weight_before = 0;
        }
        self.side = side;
    }

    /// Whether it has less to do for its weight than another.
    pub(super) fn load_against(&self, other: &Self) -> Ordering {
        let load = |of: &Self, weight: u16| u64::from(of.in_flight.total()) * u64::from(weight);
        load(self, other.weight).cmp(&load(other, self.weight))
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.ejection.returns_ms().is_some()
    }
}
