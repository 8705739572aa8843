//! Nobody fails, and the machine is asked for twice the CPU that it has while packets are lost: whoever is evicted then was well.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use rollcall_cluster::companion::Companion;
use rollcall_controller_tests::network::Fault;
use rollcall_results::{Record, Writer};
use tokio::{task::JoinSet, time::timeout_at};

use super::{
    Ours, rules,
    victim::{Victim, Whom},
};
use crate::{
    local::processors,
    peers::{Data, Registry},
    propagation::{Row, Watchers},
};

/// Of each system.
pub(super) const WELL: u8 = 5;
const LOST: &str = "0.01";
const LOST_SHARE: f64 = 0.01;
/// Where all of them call from.
const FROM: &str = "127.10.0.0/16";
const MINUTES_IN_AN_HOUR: f64 = 60.0;

/// All systems beside each other, so that all suffer the same.
pub(super) async fn measure(
    rows: &[Row],
    ours: Option<&Ours>,
    minutes: u32,
    writer: &Mutex<Writer>,
) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    let mut prepared = Vec::new();
    for (row, number) in rows.iter().zip(1_u8..) {
        let heartbeat = row.heartbeat.clone().context("no heartbeat")?;
        let mut well = Vec::new();
        for one in 1..=WELL {
            let whom = Whom::Process(heartbeat.clone(), Ipv4Addr::new(127, 10, number, one));
            well.push(Victim::start(&whom, &Data::service(0)).await?);
        }
        let watchers = Watchers::open(&*heartbeat, &Data::service(0), 1).await?;
        prepared.push((row.registry.clone(), well, watchers));
    }
    if let Some(Ours { registry, pods }) = ours {
        let mut well = Vec::new();
        for pod in pods.iter().skip(1) {
            well.push(Victim::start(&Whom::Pod(registry.clone(), pod.clone()), &Data::service(0)).await?);
        }
        let watchers = Watchers::open(&**registry, &Data::service(0), 1).await?;
        prepared.push((registry.clone() as Arc<dyn Registry>, well, watchers));
        pods.iter().skip(1).try_for_each(|pod| pod.network.suffer(Fault::Lossy(LOST_SHARE)))?;
    }
    rules::lose(FROM, LOST)?;
    let processors = processors()?;
    let _burners = (0..2 * processors).map(|_| burner(processors)).collect::<anyhow::Result<Vec<_>>>()?;
    let until = Instant::now() + Duration::from_secs(60) * minutes;
    for (heartbeat, well, mut watchers) in prepared {
        running.spawn(async move {
            let mut count = Evictions::of(usize::from(WELL));
            while let Ok(news) = timeout_at(until.into(), watchers.next()).await {
                let news = news?;
                count.see(well.iter().filter(|one| news.has(&one.instance)).count());
            }
            drop(well);
            anyhow::Ok((heartbeat, count))
        });
    }
    while let Some(ended) = running.join_next().await {
        let (heartbeat, count) = ended??;
        let an_hour = f64::from(count.evicted) * MINUTES_IN_AN_HOUR / f64::from(minutes);
        println!(
            "{:36} {:?}: {} evicted though they were well, {an_hour:.1} an hour",
            heartbeat.name(),
            heartbeat.configuration(),
            count.evicted
        );
        let record = Record::new(heartbeat.name(), heartbeat.class(), heartbeat.configuration(), 1)
            .with_case("event", "overload")
            .with_case("instances", u64::from(WELL))
            .with_value("hours", f64::from(minutes) / MINUTES_IN_AN_HOUR)
            .with_value("false_evictions", f64::from(count.evicted))
            .with_value("false_evictions_an_hour", an_hour);
        writer.lock().unwrap_or_else(PoisonError::into_inner).push(&record)?;
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

/// Counts how often one of those who are well was missing. All were there when it began.
#[derive(Debug)]
struct Evictions {
    there: usize,
    evicted: u32,
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
