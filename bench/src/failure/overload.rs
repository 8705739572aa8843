//! Nobody fails, and the machine is asked for twice the CPU that it has while packets are lost: whoever is evicted then was well.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use rollcall_cluster::companion::Companion;
use tokio::{task::JoinSet, time::timeout_at};

use super::{
    Ours, WATCHERS, record, rules,
    victim::{Victim, Whom},
};
use crate::{
    kept::Kept,
    local::processors,
    peers::{Data, Registry},
    propagation::{Row, Watchers},
};

/// Of each system.
pub(super) const WELL: u8 = 5;
/// The event by which it stands beside what fails.
const OVERLOAD: &str = "overload";
const LOST: &str = "0.01";
const LOST_SHARE: f64 = 0.01;
/// Where all of them call from.
const FROM: &str = "127.10.0.0/16";
const MINUTES_IN_AN_HOUR: f64 = 60.0;

/// Holds a system whose instances are well, and who watches them in one way.
struct Prepared {
    registry: Arc<dyn Registry>,
    well: Arc<Vec<Victim>>,
    watchers: Watchers,
}

/// All systems beside each other, so that all suffer the same.
pub(super) async fn measure(
    rows: &[Row],
    ours: Option<&Ours>,
    minutes: f64,
    kept: &Kept,
) -> anyhow::Result<()> {
    let mut prepared = Vec::new();
    for (row, number) in rows.iter().zip(1_u8..) {
        let heartbeat = row.heartbeat.clone().context("no heartbeat")?;
        let whom = |one| Whom::Process(heartbeat.clone(), Ipv4Addr::new(127, 10, number, one));
        match Prepared::start((1..=WELL).map(whom).collect()).await {
            Ok(some) => prepared.extend(some),
            Err(error) => kept.miss(record(&*row.registry, OVERLOAD, 1), &error)?,
        }
    }
    if let Some(Ours { registry, pods }) = ours {
        let well = pods.get(1..).unwrap_or_default();
        let whom = well.iter().map(|pod| Whom::Pod(registry.clone(), pod.clone()));
        match Prepared::start(whom.collect()).await {
            Ok(both) => prepared.extend(both),
            Err(error) => {
                for witness in registry.witnesses() {
                    kept.miss(record(&witness, OVERLOAD, 1), &error)?;
                }
            }
        }
        // As theirs: on the way in, at either end.
        for pod in well {
            pod.network.lose_what_comes(LOST_SHARE)?;
            rules::lose(&pod.address().to_string(), LOST)?;
        }
    }
    rules::lose(FROM, LOST)?;
    let processors = processors()?;
    let _burners = (0..2 * processors).map(|_| burner(processors)).collect::<anyhow::Result<Vec<_>>>()?;
    let until = Instant::now() + Duration::from_secs(60).mul_f64(minutes);
    let mut running = JoinSet::new();
    for one in prepared {
        running.spawn(one.until(until));
    }
    while let Some(ended) = running.join_next().await {
        let (registry, evicted) = ended?;
        let record = record(&*registry, OVERLOAD, 1);
        let evicted = match evicted {
            Ok(evicted) => f64::from(evicted),
            Err(error) => {
                kept.miss(record, &error)?;
                continue;
            }
        };
        let hours = minutes / MINUTES_IN_AN_HOUR;
        println!(
            "{:36} {:?}: {evicted} evicted though they were well, {:.1} an hour",
            record.system,
            record.configuration,
            evicted / hours
        );
        kept.push(
            &record
                .with_value("hours", hours)
                .with_value("well_instances", f64::from(WELL))
                .with_value("false_evictions", evicted)
                .with_value("false_evictions_an_hour", evicted / hours),
        )?;
    }
    Ok(())
}

/// Does nothing, as fast as it can.
fn burner(processors: usize) -> anyhow::Result<Companion> {
    Ok(Companion::start("burning CPU", Path::new("taskset"), move |sh| {
        let processors = format!("0-{}", processors.saturating_sub(1));
        sh.args(["-c", &processors, "sh", "-c", "while :; do :; done"]).stdin(Stdio::null());
    })?)
}

/// Counts how often one of those who are well was missing at a watcher. All were there when it began.
#[derive(Clone, Debug)]
struct Evictions {
    there: usize,
    evicted: u32,
}

// === impl Prepared ===

impl Prepared {
    /// Returns once all are registered: for each way to watch them one.
    async fn start(whom: Vec<Whom>) -> anyhow::Result<Vec<Self>> {
        let service = Data::service(0);
        let mut well = Vec::new();
        for one in &whom {
            well.push(Victim::start(one, &service).await?);
        }
        let (well, mut all) = (Arc::new(well), Vec::new());
        for registry in whom.first().context("nobody")?.witnesses() {
            let watchers = Watchers::open(&*registry, &service, WATCHERS).await?;
            all.push(Self { registry, well: well.clone(), watchers });
        }
        Ok(all)
    }

    /// How many evictions the watcher saw who saw most.
    async fn until(mut self, until: Instant) -> (Arc<dyn Registry>, anyhow::Result<u32>) {
        let mut counts = vec![Evictions::of(self.well.len()); WATCHERS];
        while let Ok(news) = timeout_at(until.into(), self.watchers.next()).await {
            let news = match news {
                Ok(news) => news,
                Err(error) => return (self.registry, Err(error)),
            };
            let there = self.well.iter().filter(|one| news.has(&one.instance)).count();
            if let Some(count) = counts.get_mut(news.watcher) {
                count.see(there);
            }
        }
        (self.registry, Ok(counts.iter().map(|count| count.evicted).max().unwrap_or_default()))
    }
}

// === impl Evictions ===

impl Evictions {
    fn of(there: usize) -> Self {
        Self { there, evicted: 0 }
    }

    /// So many of them are there now.
    fn see(&mut self, there: usize) {
        self.evicted += u32::try_from(self.there.saturating_sub(there)).unwrap_or(u32::MAX);
        self.there = there;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_is_no_eviction_and_who_goes_twice_is_two() {
        let mut count = Evictions::of(5);
        [4, 5, 5, 4, 5, 3, 5].into_iter().for_each(|there| count.see(there));
        assert_eq!(count.evicted, 4);
    }
}
