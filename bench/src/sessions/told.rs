//! What the crowd was told, and when.

use std::collections::HashMap;

use super::seen::Change;

/// Holds the deliveries of the measured changes.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// By the moment of the change: how long it took until the last was told.
    last_ns: HashMap<u64, u64>,
    /// Deliveries of changes of the service that all hold.
    of_all: usize,
    delays_us: Vec<u32>,
    bytes: u64,
    ideal_bytes: u64,
}

// === impl Told ===

impl Told {
    /// One of the crowd has applied this change, in nanoseconds since 1970.
    pub(super) fn one(&mut self, change: &Change, now_ns: u64, is_of_all: bool) {
        let delay_ns = now_ns.saturating_sub(change.made_ns);
        let last_ns = self.last_ns.entry(change.made_ns).or_default();
        *last_ns = delay_ns.max(*last_ns);
        self.of_all += usize::from(is_of_all);
        self.delays_us.push(u32::try_from(delay_ns / 1_000).unwrap_or(u32::MAX));
        self.ideal_bytes += change.ideal_bytes as u64;
    }

    pub(super) fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The median and the 99th percentile of the time until the last was told, in ms.
    pub(super) fn all(&self) -> (f64, f64) {
        quantiles(self.last_ns.values().map(|last_ns| *last_ns as f64 / 1e6))
    }

    /// The same of single deliveries.
    pub(super) fn each(&self) -> (f64, f64) {
        quantiles(self.delays_us.iter().map(|delay| f64::from(*delay) / 1e3))
    }

    /// What came, by what the changed instances alone would have been.
    pub(super) fn bytes_by_ideal(&self) -> f64 {
        self.bytes as f64 / self.ideal_bytes as f64
    }

    /// Deliveries of changes of the service that all hold.
    pub(super) fn of_all(&self) -> usize {
        self.of_all
    }
}

fn quantiles(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut sorted: Vec<_> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last());
    (at(0.5).copied().unwrap_or_default(), at(0.99).copied().unwrap_or_default())
}
