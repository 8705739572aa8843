//! What a load came to.

use std::time::{Duration, Instant};

/// Holds what a load came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answers: u64,
    pub(crate) took: Duration,
    delays_us: Vec<u32>,
}

// === impl Outcome ===

impl Outcome {
    /// Of a load that began then and is over now.
    pub(crate) fn of(begin: Instant, mut delays_us: Vec<u32>) -> Self {
        let took = begin.elapsed();
        delays_us.sort_unstable();
        Self { answers: delays_us.len() as u64, took, delays_us }
    }

    pub(crate) fn a_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    /// The delay, in microseconds, that this share of the requests did not exceed.
    pub(crate) fn delay_us(&self, share: f64) -> f64 {
        let place = (self.delays_us.len() as f64 * share) as usize;
        self.delays_us.get(place).or(self.delays_us.last()).copied().map_or(0.0, f64::from)
    }
}

pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
