//! The pace: how many attempts may begin in a second, at whomever. A value; time comes in as an argument.

/// Attempts in a second. A node remembers each connection for some two minutes after its end, and kube-proxy gives it
/// room for no fewer than 131,072: all that we remember at this pace fits, and leaves the rest to others. It is 500
/// addresses at the usual interval; more are asked less often, and none is left out.
pub(super) const ATTEMPTS_PER_SECOND: u64 = 1_000;

/// What may begin at once after a rest: as many as there are places.
pub(super) const BURST: u64 = super::lanes::IN_FLIGHT_MAX as u64;

/// One attempt, in the unit of what is left: what a second gives is a whole number in each of its milliseconds.
const ATTEMPT: u64 = 1_000;

/// Holds how much of the pace is left.
#[derive(Debug)]
pub(super) struct Pace {
    left: u64,
    at_ms: u64,
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self { left: BURST * ATTEMPT, at_ms: 0 }
    }
}

impl Pace {
    /// From when on the next attempt may begin.
    pub(super) fn free_at_ms(&self) -> u64 {
        self.at_ms.saturating_add(ATTEMPT.saturating_sub(self.left).div_ceil(ATTEMPTS_PER_SECOND))
    }

    /// An attempt begins.
    pub(super) fn take(&mut self, now_ms: u64) {
        let gained = now_ms.saturating_sub(self.at_ms).saturating_mul(ATTEMPTS_PER_SECOND);
        self.left = self.left.saturating_add(gained).min(BURST * ATTEMPT).saturating_sub(ATTEMPT);
        self.at_ms = self.at_ms.max(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many begin from here to there, where all that may begin do.
    fn begin_all(pace: &mut Pace, from_ms: u64, to_ms: u64) -> u64 {
        let mut count = 0;
        let mut now_ms = from_ms.max(pace.free_at_ms());
        while now_ms < to_ms {
            pace.take(now_ms);
            count += 1;
            now_ms = now_ms.max(pace.free_at_ms());
        }
        count
    }

    #[test]
    fn no_more_begin_than_the_pace_allows_after_a_rest_of_any_length() {
        let mut pace = Pace::default();
        // Of the last one that is gained, the first millisecond is already over.
        assert_eq!(begin_all(&mut pace, 0, 1_000), BURST + ATTEMPTS_PER_SECOND - 1);
        assert_eq!(begin_all(&mut pace, 1_000, 3_000), 2 * ATTEMPTS_PER_SECOND);
        assert_eq!(begin_all(&mut pace, 900_000, 901_000), BURST + ATTEMPTS_PER_SECOND - 1);
    }
}
