//! Registration: how many instances a registry takes in a second, and what its processes compute for each.
//!
//! What apps register with Rollcall is an object of Kubernetes in the end: its row is there with a cluster alone, and has what
//! the API server and its etcd compute in it. A row without them would be compared with registries that store what they are told.

mod cluster;

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use rollcall_results::{Class, Record};
use tokio::{runtime::Builder, task::JoinSet, time::sleep};

use self::cluster::{Installed, WithApiServer};
use crate::{
    contest::distinct,
    failure::interruptible,
    kept::Kept,
    local::{Draws, cpu_of},
    peers::{Data, Registry},
    propagation::{NotStarted, Wish, every_peer},
    report::Delays,
};

const ROUNDS: u32 = 5;
/// Who register: each is one pod, with as many services as a pod may register, or fewer.
const PODS: u8 = 10;
const SERVICES_EACH: u32 = 8;
/// Registrations that are under way at a time.
const TOGETHER: [usize; 2] = [1, 16];
const LASTS: Duration = Duration::from_secs(5);
const LASTS_QUICK: Duration = Duration::from_millis(300);
/// For so long nobody registers, and what a registry computes then is no registration's.
const IDLE: Duration = Duration::from_secs(1);
/// What a registry has put off is done by then, as a store's writes of each 100 ms.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Who computes no more than this share of a processor beside what it always does has done what it was told.
const QUIET_MAX: f64 = 0.02;
const QUIET_WITHIN: Duration = Duration::from_secs(10);
/// Until the controller has written all that it was told of, and all of that is gone again.
const LASTS_WITH_API_SERVER: Duration = Duration::from_secs(30);

/// Holds what is asked for.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    wish: Wish,
    /// Rollcall as well, with a real API server and etcd, in a cluster that is made for it.
    #[arg(long)]
    with_cluster: bool,
}

/// Holds what registrations came to; that they were taken back is not counted.
struct Outcome {
    delays: Delays,
    /// Until the last answers.
    took: Duration,
    /// Until nothing of it was left to be done, each time.
    counted: Duration,
    /// In all of that.
    cpu: Duration,
}

pub(crate) fn run(Arguments { wish, with_cluster }: &Arguments) -> anyhow::Result<()> {
    if *with_cluster {
        return cluster::beside(wish.data(), |installed| begin(wish, Some(installed)));
    }
    println!("Rollcall's registrations are objects of Kubernetes: their row needs --with-cluster");
    begin(wish, None)
}

fn begin(wish: &Wish, installed: Option<&Installed<'_>>) -> anyhow::Result<()> {
    wish.prepare()?;
    // This thread alone comes before others.
    Builder::new_current_thread().enable_all().build()?.block_on(interruptible(all(wish, installed)))
}

async fn all(wish: &Wish, installed: Option<&Installed<'_>>) -> anyhow::Result<()> {
    let mut failed = NotStarted::new();
    let rows = every_peer(wish, &mut failed).await;
    let mut ours = None;
    if let Some(installed) = installed {
        match WithApiServer::start(installed, !wish.unpinned).await {
            Ok(started) => ours = Some(started),
            Err(error) => failed.push((cluster::nothing(), error)),
        }
    }
    ensure!(!rows.is_empty() || ours.is_some() || !failed.is_empty(), "there is no such system");
    let (rounds, lasts) = (wish.rounds(ROUNDS), if wish.quick { LASTS_QUICK } else { LASTS });
    let theirs = 2.0 * lasts.as_secs_f64() * rows.len() as f64;
    let with = if ours.is_some() { LASTS_WITH_API_SERVER.as_secs_f64() } else { 0.0 };
    let minutes = (theirs + with) * TOGETHER.len() as f64 * f64::from(rounds) / 60.0;
    println!("{} rows, {rounds} rounds: about {minutes:.0} min", rows.len() + usize::from(ours.is_some()));
    let programs = rows.iter().flat_map(|row| row.registry.programs());
    let programs = distinct(programs.chain(ours.iter().flat_map(WithApiServer::programs)));
    let kept = Kept::begin("registration", programs)?;
    for (record, error) in failed {
        kept.miss(record, &error)?;
    }
    let mut draws = Draws::new(1);
    for round in 1..=rounds {
        for together in TOGETHER {
            // The last place is ours.
            for place in draws.order(rows.len() + usize::from(ours.is_some())) {
                let (nothing, measured) = match (rows.get(place), &mut ours) {
                    (Some(row), _) => {
                        let nothing = record(&*row.registry, together, round);
                        (nothing.clone(), measure(&row.registry, together, lasts, nothing).await)
                    }
                    (None, Some(ours)) => {
                        let nothing = cluster::record(together, round);
                        (nothing.clone(), ours.measure(together, nothing).await)
                    }
                    (None, None) => continue,
                };
                match measured {
                    Ok(record) => {
                        tell(&record, together);
                        kept.push(&record)?;
                    }
                    Err(error) => kept.miss(nothing, &error)?,
                }
            }
        }
    }
    kept.end()
}

/// With nothing measured yet.
fn record(registry: &dyn Registry, together: usize, round: u32) -> Record {
    Record::new(registry.name(), Class::C, registry.configuration(), round)
        .with_case("together", together as u64)
}

fn tell(record: &Record, together: usize) {
    let value = |name: &str| record.values.get(name).copied().unwrap_or_default();
    println!(
        "{} {:36} {:?} {together:>3} at a time: {:8.0}/s, {:8.1} us of CPU, p50 {:8.2} ms, p99 {:8.2} ms",
        record.round,
        record.system,
        record.configuration,
        value("a_second"),
        value("cpu_us"),
        value("p50_us") / 1e3,
        value("p99_us") / 1e3,
    );
}

/// Registers all, takes all back, and does so again until the time is over.
async fn measure(
    registry: &Arc<dyn Registry>,
    together: usize,
    lasts: Duration,
    mut record: Record,
) -> anyhow::Result<Record> {
    let none = Duration::ZERO;
    let mut outcome = Outcome { delays: Delays::new()?, took: none, counted: none, cpu: none };
    let instances: Vec<_> =
        pairs().map(|(_, instance)| instance).collect::<BTreeSet<_>>().into_iter().collect();
    let pids = registry.pids_of_changes(&instances);
    let (before, begin) = (cpu_of(&pids)?, Instant::now());
    sleep(IDLE).await;
    let idle = cpu_of(&pids)?.saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    while begin.elapsed() < lasts || outcome.delays.len() == 0 {
        let (before, since) = (cpu_of(&pids)?, Instant::now());
        let delays = each(registry, together, true).await?;
        outcome.took += since.elapsed();
        quiet(&pids, idle).await?;
        outcome.cpu += cpu_of(&pids)?.saturating_sub(before);
        outcome.counted += since.elapsed();
        outcome.delays.join(&delays)?;
        each(registry, together, false).await?;
        // What is left of that is no registration's.
        quiet(&pids, idle).await?;
    }
    let many = outcome.delays.len() as f64;
    let cpu = outcome.cpu.saturating_sub(outcome.counted.mul_f64(idle));
    outcome.delays.tell(&mut record);
    Ok(record
        .with_value("a_second", many / outcome.took.as_secs_f64())
        .with_value("cpu_us", cpu.as_secs_f64() * 1e6 / many))
}

/// Returns once these processes compute what they do while nobody registers, or when that does not come.
async fn quiet(pids: &[u32], idle: f64) -> anyhow::Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < QUIET_WITHIN {
        let (before, since) = (cpu_of(pids)?, Instant::now());
        sleep(LOOK_EVERY).await;
        if is_quiet(cpu_of(pids)?.saturating_sub(before), since.elapsed(), idle) {
            break;
        }
    }
    Ok(())
}

/// Whether who has computed so much in this time did no more than it always does, which is this share of a processor.
fn is_quiet(computed: Duration, lasted: Duration, idle: f64) -> bool {
    computed <= lasted.mul_f64(idle + QUIET_MAX)
}

async fn each(registry: &Arc<dyn Registry>, together: usize, comes: bool) -> anyhow::Result<Delays> {
    let mut workers = JoinSet::new();
    for worker in 0..together {
        let registry = registry.clone();
        workers.spawn(async move {
            let mut delays = Delays::new()?;
            for (service, instance) in pairs().skip(worker).step_by(together) {
                let since = Instant::now();
                match comes {
                    true => registry.register(&service, &instance).await?,
                    false => registry.deregister(&service, &instance).await?,
                }
                delays.push(since.elapsed());
            }
            anyhow::Ok(delays)
        });
    }
    let mut all = Delays::new()?;
    while let Some(delays) = workers.join_next().await {
        all.join(&delays??)?;
    }
    Ok(all)
}

/// Whom each registry is told of: services and the addresses of their instances.
fn pairs() -> impl Iterator<Item = (String, String)> {
    (1..=SERVICES_EACH).flat_map(|service| {
        (1..=PODS).map(move |last| (Data::service(service), Ipv4Addr::new(10, 250, 1, last).to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_computes_what_it_always_does_is_quiet() {
        let lasted = Duration::from_millis(100);
        for (computed_ms, idle, expected) in
            [(0, 0.0, true), (2, 0.0, true), (3, 0.0, false), (3, 0.01, true)]
        {
            assert_eq!(
                is_quiet(Duration::from_millis(computed_ms), lasted, idle),
                expected,
                "{computed_ms} {idle}"
            );
        }
    }

    #[test]
    fn all_pairs_differ_and_a_pod_registers_no_more_than_it_may() {
        /// By docs/registering.md.
        const REGISTRATIONS_MAX: usize = 16;
        let all: BTreeSet<_> = pairs().collect();
        assert_eq!(all.len(), pairs().count());
        let of_one = all.iter().filter(|(_, pod)| pod == "10.250.1.1").count();
        assert!((1..=REGISTRATIONS_MAX).contains(&of_one), "{of_one}");
        assert!(all.iter().all(|(service, _)| *service != Data::service(0)));
    }
}
