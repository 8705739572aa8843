//! What a load came to.

use std::{
    process,
    time::{Duration, Instant},
};

use rollcall_results::Record;

use super::process::cpu;
use crate::report::Delays;

/// Holds when a load began, and what this process, which makes it, had computed by then.
pub(crate) struct Begin {
    pub(crate) at: Instant,
    cpu: Duration,
}

/// Holds what a load came to.
pub(crate) struct Outcome {
    pub(crate) took: Duration,
    /// Of them there are fewer than delays where some were never asked for.
    pub(crate) answers: u64,
    pub(crate) delays: Delays,
    /// By how much requests were sent after they were due, though a connection was free: the load's own delay, and nobody
    /// else's. A load that keeps no pace has none.
    pub(crate) late: Delays,
    /// What this process computed meanwhile.
    load_cpu: Duration,
}

// === impl Begin ===

impl Begin {
    pub(crate) fn now() -> anyhow::Result<Self> {
        Ok(Self { at: Instant::now(), cpu: cpu(process::id())? })
    }

    /// The load is over now.
    pub(crate) fn came_to(self, answers: u64, delays: Delays, late: Delays) -> anyhow::Result<Outcome> {
        let load_cpu = cpu(process::id())?.saturating_sub(self.cpu);
        Ok(Outcome { took: self.at.elapsed(), answers, delays, late, load_cpu })
    }
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn a_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    /// The delay, in microseconds, that this share of the requests did not exceed.
    pub(crate) fn delay_us(&self, share: f64) -> f64 {
        self.delays.at(share).as_micros() as f64
    }

    /// The share of its own processor that the load took: where that is nearly all, it is the load that could do no more.
    pub(crate) fn load_busy_percent(&self) -> f64 {
        self.load_cpu.as_secs_f64() / self.took.as_secs_f64() * 100.0
    }

    /// Tells a record all of it.
    pub(crate) fn tell(&self, record: &mut Record) {
        self.delays.tell(record);
        let late = (self.late.len() > 0).then(|| ("late_p99_us", self.late.at(0.99).as_micros() as f64));
        let all = [("a_second", self.a_second()), ("load_busy_percent", self.load_busy_percent())];
        record.values.extend(all.into_iter().chain(late).map(|(name, value)| (name.to_owned(), value)));
    }
}
