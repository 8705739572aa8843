//! What was left of this machine's processors: what the host took, after which nothing that was measured meanwhile counts, and
//! how busy they were.

use std::fs;

use anyhow::Context;

/// Holds the processors' time since the machine's start, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    all: u64,
    idle: u64,
    stolen: u64,
}

/// Where the host took more than this, in percent, a load is measured again.
pub(crate) const STOLEN_PERCENT_MAX: f64 = 2.0;

// === impl Ticks ===

impl Ticks {
    pub(crate) fn now() -> anyhow::Result<Self> {
        Self::read(&fs::read_to_string("/proc/stat")?).context("/proc/stat has no line for all processors")
    }

    /// From the line of all processors: user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user.
    fn read(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self { all: ticks.iter().take(8).sum(), idle, stolen: *ticks.get(7)? })
    }

    /// The share in percent that was taken since then.
    pub(crate) fn stolen_percent_since(self, before: Self) -> f64 {
        self.percent_since(before, |ticks| ticks.stolen)
    }

    /// The share in percent in which somebody computed since then, or the host took it.
    pub(crate) fn busy_percent_since(self, before: Self) -> f64 {
        self.percent_since(before, |ticks| ticks.all.saturating_sub(ticks.idle))
    }

    fn percent_since(self, before: Self, of: fn(Self) -> u64) -> f64 {
        let all = self.all.saturating_sub(before.all);
        if all == 0 { 0.0 } else { of(self).saturating_sub(of(before)) as f64 / all as f64 * 100.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stolen_is_a_share_of_all_time() {
        let read = |text| Ticks::read(text).expect("a line");
        let before = read("cpu  100 0 50 800 10 0 5 20 7 0\ncpu0 1 2 3\n");
        assert_eq!(before, Ticks { all: 985, idle: 810, stolen: 20 });
        let after = read("cpu  140 0 60 840 10 0 5 30 9 0\n");
        assert!((after.stolen_percent_since(before) - 10.0).abs() < 1e-9);
        assert!((after.busy_percent_since(before) - 60.0).abs() < 1e-9);
        assert_eq!((before.stolen_percent_since(before), before.busy_percent_since(before)), (0.0, 0.0));
        assert_eq!(Ticks::read("intr 5\n"), None);
        assert_eq!(Ticks::read("cpu  1 2 3\n"), None);
    }
}
