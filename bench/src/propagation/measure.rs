//! One case on one system.

use std::{
    iter::repeat_n,
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
    local::{Draws, cpu_of},
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
    let service = Data::service(0);
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
            }
            missed_by_some += u32::from(tally.missing() > 0);
            ensure!(missed_by_some < MISSED_MAX, "{missed_by_some} changes were not seen by all");
            seen.take(&tally, row.manner.patience())?;
        }
    }
    let (cpu, lasted) = (cpu_of(&pids)?.saturating_sub(before), begin.elapsed());
    let background = background.end().await?;
    let changes = f64::from(added.changes + removed.changes) + background.done_within(lasted);
    let cpu_us = (!pids.is_empty()).then(|| cpu.as_secs_f64() * 1e6 / changes);
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
        Ok(Self { each: Delays::new()?, last: Delays::new()?, changes: 0, missed: 0 })
    }

    /// Takes another round in.
    pub(super) fn join(&mut self, other: &Self) -> anyhow::Result<()> {
        self.each.join(&other.each)?;
        self.last.join(&other.last)?;
        self.changes += other.changes;
        self.missed += other.missed;
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

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
