//! One case on one system.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::{sleep, timeout};

use super::{
    background::Background,
    case::Case,
    rows::{MEASURED, Row},
    tally::Tally,
    watchers::Watchers,
};
use crate::{
    local::{Draws, cpu_of},
    peers::Data,
    report::Delays,
};

/// Between two changes, this long at least: what the one before still costs is over.
const APART_MIN: Duration = Duration::from_millis(20);
/// Pairs of changes of a short try.
const PAIRS_QUICK: u32 = 3;

/// Holds what one case on one system came to.
pub(super) struct Outcome {
    pub(super) added: Seen,
    pub(super) removed: Seen,
    /// What its processes computed for each change, those of other services among them; none where they are not ours to ask.
    pub(super) cpu_us: Option<f64>,
    /// Changes of other services meanwhile.
    pub(super) background_a_second: f64,
}

/// Holds when changes of one kind were seen.
pub(super) struct Seen {
    pub(super) each: Delays,
    /// Of those changes that all have seen.
    pub(super) last: Delays,
    pub(super) changes: u32,
    /// What a watcher never saw, of all watchers.
    pub(super) missed: u32,
}

pub(super) async fn measure(
    row: &Row,
    case: Case,
    draws: &mut Draws,
    quick: bool,
) -> anyhow::Result<Outcome> {
    let service = Data::service(0);
    let mut watchers = Watchers::open(&*row.registry, &service, case.watchers).await?;
    let pids = row.registry.pids();
    let (before, begin) = (cpu_of(&pids)?, Instant::now());
    let background = Background::begin(&row.registry, case.background);
    let (mut added, mut removed) = (Seen::nothing()?, Seen::nothing()?);
    let pairs = if quick { PAIRS_QUICK.min(row.manner.pairs()) } else { row.manner.pairs() };
    for _ in 0..pairs {
        for (comes, seen) in [(true, &mut added), (false, &mut removed)] {
            sleep(APART_MIN + row.manner.apart_max().mul_f64(draws.share())).await;
            let since = Instant::now();
            match comes {
                true => row.registry.register(&service, MEASURED).await?,
                false => row.registry.deregister(&service, MEASURED).await?,
            }
            let mut tally = Tally::new(case.watchers, since);
            // What is missing when the time is over is told.
            if let Ok(ended) =
                timeout(row.manner.patience(), until_all(&mut watchers, &mut tally, comes)).await
            {
                ended?;
            }
            seen.take(&tally)?;
        }
    }
    let (cpu, lasted) = (cpu_of(&pids)?.saturating_sub(before), begin.elapsed());
    let background_a_second = background.end().await?;
    let changes = f64::from(added.changes + removed.changes) + background_a_second * lasted.as_secs_f64();
    let cpu_us = (!pids.is_empty()).then(|| cpu.as_secs_f64() * 1e6 / changes);
    ensure!(added.each.len() > 0, "no watcher has seen anything");
    Ok(Outcome { added, removed, cpu_us, background_a_second })
}

async fn until_all(watchers: &mut Watchers, tally: &mut Tally, comes: bool) -> anyhow::Result<()> {
    while tally.missing() > 0 {
        let news = watchers.next().await?;
        if news.has(MEASURED) == comes {
            tally.seen(news.watcher, news.at);
        }
    }
    Ok(())
}

// === impl Seen ===

impl Seen {
    fn nothing() -> anyhow::Result<Self> {
        Ok(Self { each: Delays::new()?, last: Delays::new()?, changes: 0, missed: 0 })
    }

    fn take(&mut self, tally: &Tally) -> anyhow::Result<()> {
        tally.each().for_each(|after| self.each.push(after));
        if let Some(last) = tally.last() {
            self.last.push(last);
        }
        self.changes += 1;
        self.missed += u32::try_from(tally.missing())?;
        Ok(())
    }
}
