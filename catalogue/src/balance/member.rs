//! One candidate and what is remembered of it.

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

    pub(super) fn is_ejected(&self) -> bool {
        self.ejection.returns_ms().is_some()
    }
}
