//! What a load came to.

use std::time::{Duration, Instant};

use crate::report::Delays;

/// Holds what a load came to.
pub(crate) struct Outcome {
    pub(crate) took: Duration,
    /// Of them there are fewer than delays where some were never asked for.
    pub(crate) answers: u64,
    pub(crate) delays: Delays,
}

// === impl Outcome ===

impl Outcome {
    /// Of a load that began then and is over now.
    pub(crate) fn of(begin: Instant, answers: u64, delays: Delays) -> Self {
        Self { took: begin.elapsed(), answers, delays }
    }

    pub(crate) fn a_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    /// The delay, in microseconds, that this share of the requests did not exceed.
    pub(crate) fn delay_us(&self, share: f64) -> f64 {
        self.delays.at(share).as_micros() as f64
    }
}
