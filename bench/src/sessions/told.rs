//! What the crowd was told, and when.

use std::{collections::HashMap, time::Duration};

use rollcall_results::Record;

use super::seen::Change;
use crate::report::Delays;

/// Holds the deliveries of the measured changes.
#[derive(Debug, Default)]
pub(crate) struct Told {
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

    /// Tells a record of all deliveries.
    pub(crate) fn tell(&self, record: &mut Record) -> anyhow::Result<()> {
        let all = self.all()?;
        self.each()?.tell(record);
        let more = [
            ("all_told_p50_us", all.at(0.5).as_micros() as f64),
            ("all_told_p99_us", all.at(0.99).as_micros() as f64),
            ("deliveries", self.delays_us.len() as f64),
            ("bytes", self.bytes as f64),
            ("bytes_by_ideal", self.bytes_by_ideal()),
        ];
        record.values.extend(more.map(|(name, value)| (name.to_owned(), value)));
        Ok(())
    }

    /// Of each change, the time until the last was told.
    pub(crate) fn all(&self) -> anyhow::Result<Delays> {
        delays(self.last_ns.values().map(|last_ns| Duration::from_nanos(*last_ns)))
    }

    /// The time of each single delivery.
    fn each(&self) -> anyhow::Result<Delays> {
        delays(self.delays_us.iter().map(|delay_us| Duration::from_micros((*delay_us).into())))
    }

    /// What came, by what the changed instances alone would have been.
    pub(crate) fn bytes_by_ideal(&self) -> f64 {
        self.bytes as f64 / self.ideal_bytes as f64
    }

    /// Deliveries of changes of the service that all hold.
    pub(crate) fn of_all(&self) -> usize {
        self.of_all
    }
}

fn delays(all: impl Iterator<Item = Duration>) -> anyhow::Result<Delays> {
    let mut delays = Delays::new()?;
    all.for_each(|delay| delays.push(delay));
    Ok(delays)
}
