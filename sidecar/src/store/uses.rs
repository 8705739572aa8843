//! How often something was used, and how that went.

use std::sync::atomic::{AtomicU64, Ordering};

use rollcall_catalogue::balance::Outcome;
use rollcall_wire::Reports;

/// What one call counts at most, which is longer than calls take: a report that makes no sense must not hide all others.
const LATENCY_MS_MAX: u64 = 3_600_000;

/// Holds what is counted. To count is one word, and costs a lookup no lock and no look at the clock.
#[derive(Debug, Default)]
pub(super) struct Uses {
    lookups: AtomicU64,
    success: AtomicU64,
    failure: AtomicU64,
    latency_ms: AtomicU64,
}

/// Holds what was counted by some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) lookups: u64,
    pub(crate) reports: Reports,
}

// === impl Uses ===

impl Uses {
    pub(super) fn count_lookup(&self) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_report(&self, outcome: Outcome, latency_ms: u64) {
        let of_outcome = match outcome {
            Outcome::Success => &self.success,
            Outcome::Failure => &self.failure,
        };
        of_outcome.fetch_add(1, Ordering::Relaxed);
        self.latency_ms.fetch_add(latency_ms.min(LATENCY_MS_MAX), Ordering::Relaxed);
    }

    pub(super) fn lookups(&self) -> u64 {
        self.lookups.load(Ordering::Relaxed)
    }

    pub(super) fn used(&self) -> Used {
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let reports = Reports {
            success: read(&self.success),
            failure: read(&self.failure),
            latency_ms: read(&self.latency_ms),
        };
        Used { lookups: read(&self.lookups), reports }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_and_no_call_for_more_than_an_hour() {
        let uses = Uses::default();
        assert_eq!(uses.used(), Used::default());
        uses.count_lookup();
        uses.count_report(Outcome::Success, 7);
        uses.count_report(Outcome::Failure, u64::MAX);
        uses.count_report(Outcome::Failure, 5);
        let reports = Reports { success: 1, failure: 2, latency_ms: 3_600_012 };
        assert_eq!(uses.used(), Used { lookups: 1, reports });
        assert_eq!(uses.lookups(), 1);
    }
}
