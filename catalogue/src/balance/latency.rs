//! How fast an instance answers: a moving average of its reports that rises at once and falls slowly.

/// Until when an estimate without new reports has faded to what is typical of the service. An instance that was
/// slow is then as good as any other and gets a request to show how it is now: at 10 requests a second one that
/// stays slow costs about one in a hundred.
const FADE_MS: u64 = 10_000;

/// What one better answer takes off the difference to it: eight good answers bring an estimate down to a tenth.
const FALL: f64 = 0.25;

/// What one answer moves the typical latency: slow enough that no single instance sets it.
const TYPICAL_STEP: f64 = 1.0 / 32.0;

/// The latency that a failure stands for, at least: an answer that nobody would wait for twice.
const FAILURE_MS: f64 = 1_000.0;

/// The fastest answer that is told apart from a faster one: reports count in milliseconds, and an estimate of 0
/// would make the load of an instance count for nothing.
const FASTEST_MS: f64 = 1.0;

/// Holds what one instance's reports say of its speed.
#[derive(Debug, Clone, Default)]
pub(super) struct Latency {
    /// The peak or average at the time of the last report; none before the first.
    last: Option<(f64, u64)>,
}

/// Holds the latency that is typical of all instances together, which is what an unknown one is taken for.
#[derive(Debug, Clone, Default)]
pub(super) struct Typical {
    average_ms: Option<f64>,
}

// === impl Latency ===

impl Latency {
    /// What the next answer is expected to take.
    pub(super) fn estimate_ms(&self, typical: &Typical, now_ms: u64) -> f64 {
        let Some((last_ms, heard_ms)) = self.last else { return typical.ms() };
        let silent_ms = now_ms.saturating_sub(heard_ms).min(FADE_MS);
        let kept = 1.0 - silent_ms as f64 / FADE_MS as f64;
        typical.ms() + (last_ms - typical.ms()) * kept
    }

    pub(super) fn hear_success(&mut self, latency_ms: u64, typical: &Typical, now_ms: u64) {
        let answer_ms = (latency_ms as f64).max(FASTEST_MS);
        let held_ms = match self.last {
            Some(_) => self.estimate_ms(typical, now_ms),
            None => answer_ms,
        };
        let next_ms = answer_ms.max(held_ms + (answer_ms - held_ms) * FALL);
        self.last = Some((next_ms, now_ms));
    }

    /// A failure counts as a slow answer, and never makes an instance look faster than it did.
    pub(super) fn hear_failure(&mut self, latency_ms: u64, typical: &Typical, now_ms: u64) {
        let held_ms = self.estimate_ms(typical, now_ms);
        self.last = Some((held_ms.max(FAILURE_MS).max(latency_ms as f64), now_ms));
    }
}

// === impl Typical ===

impl Typical {
    pub(super) fn hear(&mut self, latency_ms: u64) {
        let answer_ms = (latency_ms as f64).max(FASTEST_MS);
        let held_ms = self.average_ms.unwrap_or(answer_ms);
        self.average_ms = Some(held_ms + (answer_ms - held_ms) * TYPICAL_STEP);
    }

    fn ms(&self) -> f64 {
        self.average_ms.unwrap_or(FASTEST_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typical(latency_ms: u64) -> Typical {
        let mut typical = Typical::default();
        typical.hear(latency_ms);
        typical
    }

    #[test]
    fn an_unknown_instance_is_typical() {
        assert_eq!(Latency::default().estimate_ms(&typical(40), 5), 40.0);
        assert_eq!(Latency::default().estimate_ms(&Typical::default(), 5), FASTEST_MS);
    }

    #[test]
    fn it_rises_at_once_and_falls_slowly() {
        let typical = typical(10);
        let mut latency = Latency::default();
        latency.hear_success(10, &typical, 0);
        latency.hear_success(500, &typical, 0);
        assert_eq!(latency.estimate_ms(&typical, 0), 500.0);
        let mut held_ms = 500.0;
        for _ in 0..8 {
            latency.hear_success(10, &typical, 0);
            let next_ms = latency.estimate_ms(&typical, 0);
            assert!(next_ms < held_ms && next_ms > 10.0, "{next_ms}");
            held_ms = next_ms;
        }
        assert!(held_ms < 60.0, "{held_ms}");
    }

    #[test]
    fn silence_fades_it_to_what_is_typical() {
        let typical = typical(10);
        for first_ms in [1, 1_000] {
            let mut latency = Latency::default();
            latency.hear_success(first_ms, &typical, 1_000);
            let half_ms = latency.estimate_ms(&typical, 1_000 + FADE_MS / 2);
            assert_eq!(half_ms, (first_ms as f64 + 10.0) / 2.0);
            assert_eq!(latency.estimate_ms(&typical, 1_000 + FADE_MS), 10.0);
            assert_eq!(latency.estimate_ms(&typical, u64::MAX), 10.0);
            assert_eq!(latency.estimate_ms(&typical, 0), first_ms as f64, "a clock that went back");
        }
    }

    #[test]
    fn a_failure_never_looks_faster() {
        let typical = typical(10);
        for (before_ms, failure_ms, expected_ms) in
            [(10, 1, 1_000.0), (5_000, 1, 5_000.0), (10, 3_000, 3_000.0)]
        {
            let mut latency = Latency::default();
            latency.hear_success(before_ms, &typical, 0);
            latency.hear_failure(failure_ms, &typical, 0);
            assert_eq!(latency.estimate_ms(&typical, 0), expected_ms);
        }
    }
}
