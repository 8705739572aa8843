//! What the crowd was told, and when.

use std::collections::HashMap;

/// Holds the deliveries of the measured changes.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// By the moment of the change: how many were told, and when the last of them was.
    changes: HashMap<u64, (usize, u64)>,
    delays_us: Vec<u32>,
    bytes: u64,
    ideal_bytes: u64,
}

// === impl Told ===

impl Told {
    /// One of the crowd has applied the change of this moment; all in nanoseconds since 1970.
    pub(super) fn one(&mut self, made_ns: u64, now_ns: u64, ideal_bytes: usize) {
        let delay_ns = now_ns.saturating_sub(made_ns);
        let (count, last) = self.changes.entry(made_ns).or_default();
        *count += 1;
        *last = delay_ns.max(*last);
        self.delays_us.push(u32::try_from(delay_ns / 1_000).unwrap_or(u32::MAX));
        self.ideal_bytes += ideal_bytes as u64;
    }

    pub(super) fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The median and the 99th percentile of the time until the last was told, in ms.
    pub(super) fn all(&self) -> (f64, f64) {
        quantiles(self.changes.values().map(|(_, last_ns)| *last_ns as f64 / 1e6))
    }

    /// The same of single deliveries.
    pub(super) fn each(&self) -> (f64, f64) {
        quantiles(self.delays_us.iter().map(|delay| f64::from(*delay) / 1e3))
    }

    /// What came, by what the changed instances alone would have been.
    pub(super) fn bytes_by_ideal(&self) -> f64 {
        self.bytes as f64 / self.ideal_bytes as f64
    }

    /// Changes of the service that all hold and that not all were told of: joined with later ones, or lost.
    pub(super) fn say_what_is_missing(&self, sessions: usize) {
        let most = self.changes.values().filter(|(count, _)| *count > sessions / 2);
        let partial = most.filter(|(count, _)| *count < sessions).count();
        if partial > 0 {
            println!("          {partial} changes reached some only together with the next one");
        }
    }
}

fn quantiles(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut sorted: Vec<_> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last());
    (at(0.5).copied().unwrap_or_default(), at(0.99).copied().unwrap_or_default())
}
