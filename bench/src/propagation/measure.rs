//! One case on one system.

use std::{
    iter::repeat_n,
    ops::Add,
    process,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::time::{sleep, timeout};

use super::{
    background::{Background, Pace},
    case::Case,
    rows::{Row, measured_pod, theirs},
    tally::Tally,
    watchers::Watchers,
};
use crate::{
    local::{Draws, cpu, cpu_of},
    peers::Data,
    report::Delays,
};

/// Between two changes, this long at least: what the one before still costs is over.
const APART_MIN: Duration = Duration::from_millis(5);
/// What opening many watches still costs is over by then.
const OPENED_FOR: Duration = Duration::from_millis(100);
/// Who misses so many changes in one case is not waited for again.
const MISSED_MAX: u32 = 3;

/// Holds what one case on one system came to.
pub(super) struct Outcome {
    pub(super) added: Seen,
    pub(super) removed: Seen,
    /// What all processes that a change goes through computed for each, those of other services among them; none where they are
    /// not ours to ask.
    pub(super) cpu_us: Option<f64>,
    /// Changes of other services meanwhile.
    pub(super) background: Pace,
}

/// Holds when changes of one kind were seen. What a watcher never saw counts with the whole time for which it was waited for:
/// left out it would make who tells less look faster.
pub(super) struct Seen {
    pub(super) each: Delays,
    /// Of each change.
    pub(super) last: Delays,
    pub(super) changes: u32,
    /// What a watcher never saw, of all watchers.
    pub(super) missed: u32,
    /// Of those changes that all have seen.
    load: Load,
}

/// Holds what this process, which is all watchers, computed while changes were on their way to them, and how long that was.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    cpu: Duration,
    took: Duration,
}

/// Leaves nobody behind, whatever comes of it.
pub(super) async fn measure(
    row: &Row,
    case: Case,
    draws: &mut Draws,
    quick: bool,
) -> anyhow::Result<Outcome> {
    let measured = once(row, case, draws, quick).await;
    if measured.is_err() {
        for (service, instance) in theirs(case.background > 0) {
            // Who is not there need not go, and says so in some registries.
            let _ = row.registry.deregister(&service, &instance).await;
        }
    }
    measured
}

async fn once(row: &Row, case: Case, draws: &mut Draws, quick: bool) -> anyhow::Result<Outcome> {
    let service = Data::service(case.service());
    let mut watchers = Watchers::open(&*row.registry, &service, case.watchers).await?;
    let changing: Vec<_> = theirs(case.background > 0).map(|(_, instance)| instance).collect();
    let pids = row.registry.pids_of_changes(&changing);
    let background = Background::begin(&row.registry, case.background).await?;
    sleep(OPENED_FOR).await;
    let (before, begin) = (cpu_of(&pids)?, Instant::now());
    let (mut added, mut removed) = (Seen::nothing()?, Seen::nothing()?);
    let mut missed_by_some = 0;
    for turn in 0..row.manner.pairs(quick) {
        let instance = measured_pod(turn);
        for (comes, seen) in [(true, &mut added), (false, &mut removed)] {
            sleep(APART_MIN + row.manner.apart_max().mul_f64(draws.share())).await;
            let load_before = cpu(process::id())?;
            let since = Instant::now();
            match comes {
                true => row.registry.register(&service, &instance).await?,
                false => row.registry.deregister(&service, &instance).await?,
            }
            let mut tally = Tally::new(case.watchers, since);
            let until_all = until_all(&mut watchers, &mut tally, &instance, comes);
            // What is missing when the time is over is told.
            if let Ok(ended) = timeout(row.manner.patience(), until_all).await {
                ended?;
                let cpu = cpu(process::id())?.saturating_sub(load_before);
                seen.load = seen.load + Load { cpu, took: since.elapsed() };
            }
            missed_by_some += u32::from(tally.missing() > 0);
            ensure!(missed_by_some < MISSED_MAX, "{missed_by_some} changes were not seen by all");
            seen.take(&tally, row.manner.patience())?;
        }
    }
    let (computed, lasted) = (cpu_of(&pids)?.saturating_sub(before), begin.elapsed());
    let background = background.end().await?;
    let changes = f64::from(added.changes + removed.changes) + background.done_within(lasted);
    let cpu_us = (!pids.is_empty()).then(|| computed.as_secs_f64() * 1e6 / changes);
    ensure!(added.is_any() && removed.is_any(), "no watcher has seen anything");
    Ok(Outcome { added, removed, cpu_us, background })
}

async fn until_all(
    watchers: &mut Watchers,
    tally: &mut Tally,
    instance: &str,
    comes: bool,
) -> anyhow::Result<()> {
    while tally.missing() > 0 {
        let news = watchers.next().await?;
        if news.has(instance) == comes {
            tally.seen(news.watcher, news.at);
        }
    }
    Ok(())
}

// === impl Seen ===

impl Seen {
    pub(super) fn nothing() -> anyhow::Result<Self> {
        Ok(Self { each: Delays::new()?, last: Delays::new()?, changes: 0, missed: 0, load: Load::default() })
    }

    /// Takes another round in.
    pub(super) fn join(&mut self, other: &Self) -> anyhow::Result<()> {
        self.each.join(&other.each)?;
        self.last.join(&other.last)?;
        self.changes += other.changes;
        self.missed += other.missed;
        self.load = self.load + other.load;
        Ok(())
    }

    /// The share of its own processor that this process took from each change until its last watcher knew: where that is nearly
    /// all, it is what could do no more. None where no change was seen by all.
    pub(super) fn load_busy_percent(&self) -> Option<f64> {
        let Load { cpu, took } = self.load;
        (!took.is_zero()).then(|| cpu.as_secs_f64() / took.as_secs_f64() * 100.0)
    }

    /// One change, for which it was waited so long.
    fn take(&mut self, tally: &Tally, patience: Duration) -> anyhow::Result<()> {
        let never = repeat_n(patience, tally.missing());
        tally.each().chain(never).for_each(|after| self.each.push(after));
        self.last.push(tally.last().unwrap_or(patience));
        self.changes += 1;
        self.missed += u32::try_from(tally.missing())?;
        Ok(())
    }

    /// Whether any watcher has seen any of it.
    fn is_any(&self) -> bool {
        self.each.len() > u64::from(self.missed)
    }
}

// === impl Load ===

impl Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, took: self.took + other.took }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_as_busy_as_it_was_over_all_changes_that_all_have_seen() {
        let of = |cpu_ms, took_ms| {
            let load = Load { cpu: Duration::from_millis(cpu_ms), took: Duration::from_millis(took_ms) };
            Seen { load, ..Seen::nothing().expect("nothing") }
        };
        let joined = |one: Seen, other: &Seen| {
            let mut all = one;
            all.join(other).expect("joined");
            all.load_busy_percent().map(f64::round)
        };
        assert_eq!(joined(of(0, 0), &of(0, 0)), None);
        assert_eq!(joined(of(9, 10), &of(0, 0)), Some(90.0));
        assert_eq!(joined(of(9, 10), &of(1, 90)), Some(10.0));
    }

    #[test]
    fn what_a_watcher_never_saw_counts_as_the_worst_of_all() {
        const PATIENCE: Duration = Duration::from_secs(10);
        let since = Instant::now();
        // Who of two watchers has seen the change, after so many milliseconds; of these the changes, what is missing, whether any
        // was seen, and whether the slowest and its last are the patience.
        for (changes, missed, is_any, is_worst) in [
            (&[&[5, 7][..], &[6, 8]][..], 0, true, false),
            (&[&[5, 7], &[6]], 1, true, true),
            (&[&[]], 2, false, true),
        ] {
            let mut seen = Seen::nothing().expect("nothing");
            for after_ms in changes {
                let mut tally = Tally::new(2, since);
                for (watcher, ms) in after_ms.iter().enumerate() {
                    tally.seen(watcher, since + Duration::from_millis(*ms));
                }
                seen.take(&tally, PATIENCE).expect("taken");
            }
            let many = changes.len() as u64;
            assert_eq!((seen.each.len(), seen.last.len()), (many * 2, many), "{changes:?}");
            assert_eq!((seen.missed, seen.is_any()), (missed, is_any), "{changes:?}");
            for delays in [&seen.each, &seen.last] {
                assert_eq!(delays.at(1.0) >= PATIENCE, is_worst, "{changes:?}");
            }
        }
    }
}
