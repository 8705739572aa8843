//! How long to wait before trying again, so that a fleet that lost its controller does not come back in step.

use std::time::Duration;

use crate::surroundings::entropy;

/// The first retry is spread over this: enough to spread a fleet of thousands, too short to be missed.
const FIRST_MAX: Duration = Duration::from_secs(1);
/// While the loss is fresh, a peer is most likely on its way back.
const EARLY_MAX: Duration = Duration::from_secs(2);
/// For how long the loss counts as fresh.
const EARLY_FOR: Duration = Duration::from_secs(10);
/// Never slower than this: a controller that is back must have its sidecars back within half a minute.
const LATE_MAX: Duration = Duration::from_secs(30);

/// Holds how long a peer has been unreachable.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    attempts: u32,
    waited: Duration,
}

/// Holds the state of a small generator (SplitMix64): for spreading in time, never for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

// === impl Backoff ===

impl Backoff {
    /// The pause before the next attempt: 0–1 s first, up to 2 s for 10 s, then up to 30 s, each drawn from the
    /// whole range.
    pub fn next(&mut self, jitter: &mut Jitter) -> Duration {
        let ceiling = match self.attempts {
            0 => FIRST_MAX,
            _ if self.waited < EARLY_FOR => EARLY_MAX,
            _ => LATE_MAX,
        };
        let pause = jitter.up_to(ceiling);
        self.attempts = self.attempts.saturating_add(1);
        // Half of the range on average is waited; counting the ceiling would end the early phase too soon.
        self.waited += pause;
        pause
    }

    /// The peer is back.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

// === impl Jitter ===

impl Jitter {
    /// Seeded by the operating system's randomness.
    pub fn from_entropy() -> Self {
        Self::new(entropy())
    }

    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Any time up to `ceiling`, all equally likely.
    pub fn up_to(&mut self, ceiling: Duration) -> Duration {
        // The upper 32 bits, so that the product stays exact.
        let fraction = f64::from((self.next_u64() >> 32) as u32) / f64::from(u32::MAX);
        ceiling.mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_keep_to_their_ranges_and_are_spread() {
        let mut firsts = Vec::new();
        for seed in 0..1_000 {
            let mut jitter = Jitter::new(seed);
            let mut backoff = Backoff::default();
            let first = backoff.next(&mut jitter);
            assert!(first <= FIRST_MAX);
            firsts.push(first);
            let mut waited = first;
            while waited < EARLY_FOR {
                let pause = backoff.next(&mut jitter);
                assert!(pause <= EARLY_MAX);
                waited += pause;
            }
            assert!(backoff.next(&mut jitter) <= LATE_MAX);
        }
        let mean = firsts.iter().sum::<Duration>() / 1_000;
        assert!((Duration::from_millis(450)..Duration::from_millis(550)).contains(&mean), "{mean:?}");
    }

    #[test]
    fn later_pauses_grow_and_a_reset_begins_anew() {
        let mut jitter = Jitter::new(7);
        let mut backoff = Backoff::default();
        let longest = (0..200).map(|_| backoff.next(&mut jitter)).max().unwrap();
        assert!(longest > Duration::from_secs(25));
        backoff.reset();
        assert!(backoff.next(&mut jitter) <= FIRST_MAX);
    }
}
