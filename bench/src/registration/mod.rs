//! Registration: how many instances a registry takes in a second, and what its processes compute for each.
//!
//! Rollcall's row is for people alone here and is not kept: what apps register is an object of Kubernetes in the end, and a row
//! without the cost of the API server and of its etcd would be compared with registries that store what they are told.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rollcall_results::{Class, Record};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    local::{Draws, cpu_of},
    ours::{Rollcall, Wish as OurWish},
    peers::{Data, Registry},
    propagation::{Row, Rows, Wish},
    report::{self, Delays},
};

/// The first port of what is started here.
const PORT: u16 = 28_480;
const ROUNDS: u32 = 5;
/// Who register: each is one pod, with as many services as a pod may register, or fewer.
const PODS: u8 = 10;
const SERVICES_EACH: u32 = 8;
/// Registrations that are under way at a time.
const TOGETHER: [usize; 2] = [1, 16];
const LASTS: Duration = Duration::from_secs(3);
const LASTS_QUICK: Duration = Duration::from_millis(300);

/// Holds what registrations came to; that they were taken back is not counted.
struct Outcome {
    delays: Delays,
    took: Duration,
    cpu: Duration,
}

pub(crate) fn run(wish: &Wish) -> anyhow::Result<()> {
    wish.prepare()?;
    Runtime::new()?.block_on(all(wish))
}

async fn all(wish: &Wish) -> anyhow::Result<()> {
    let data = wish.data();
    let mut rows = Rows::peers(data, wish).await?;
    if wish.means("rollcall") {
        let registrars = (1..=PODS).map(|last| Ipv4Addr::new(10, 250, 1, last)).collect();
        let ours = OurWish { data, registrars, guests: Vec::new(), watching: 1, crowd: 0, port: PORT };
        let [sidecars, _] = Rollcall::start(&ours).await.context("starting Rollcall")?;
        rows.push(Row::of(Arc::new(sidecars)));
    }
    ensure!(!rows.is_empty(), "there is no such system");
    let (rounds, lasts) = (wish.rounds(ROUNDS), if wish.quick { LASTS_QUICK } else { LASTS });
    let minutes =
        rows.len() as f64 * TOGETHER.len() as f64 * f64::from(rounds) * 2.0 * lasts.as_secs_f64() / 60.0;
    println!("{} rows, {rounds} rounds: about {minutes:.0} min", rows.len());
    let programs = rows.iter().flat_map(|row| row.registry.programs()).collect();
    let mut writer = report::begin("registration", programs)?;
    let mut draws = Draws::new(1);
    for round in 1..=rounds {
        for together in TOGETHER {
            for place in draws.order(rows.len()) {
                let Some(registry) = rows.get(place).map(|row| &row.registry) else { continue };
                let outcome = measure(registry, together, lasts).await;
                let outcome = outcome.with_context(|| registry.name().to_owned())?;
                let many = outcome.delays.len() as f64;
                let (a_second, cpu_us) =
                    (many / outcome.took.as_secs_f64(), outcome.cpu.as_secs_f64() * 1e6 / many);
                let is_kept = !registry.name().starts_with("rollcall");
                println!(
                    "{round} {:36} {:?} {together:>3} at a time: {a_second:8.0}/s, {cpu_us:8.1} us of CPU, p50 {:8.2} ms, p99 {:8.2} ms{}",
                    registry.name(),
                    registry.configuration(),
                    outcome.delays.at(0.5).as_secs_f64() * 1e3,
                    outcome.delays.at(0.99).as_secs_f64() * 1e3,
                    if is_kept { "" } else { "; without its API server, and so not kept" },
                );
                if !is_kept {
                    continue;
                }
                let record = Record::new(registry.name(), Class::C, registry.configuration(), round);
                let mut record = record
                    .with_case("together", u64::try_from(together)?)
                    .with_value("a_second", a_second)
                    .with_value("cpu_us", cpu_us);
                outcome.delays.tell(&mut record);
                writer.push(&record)?;
            }
        }
    }
    Ok(())
}

/// Registers all, takes all back, and does so again until the time is over.
async fn measure(registry: &Arc<dyn Registry>, together: usize, lasts: Duration) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome { delays: Delays::new()?, took: Duration::ZERO, cpu: Duration::ZERO };
    let begin = Instant::now();
    while begin.elapsed() < lasts || outcome.delays.len() == 0 {
        let (before, since) = (cpu_of(&registry.pids())?, Instant::now());
        let delays = each(registry, together, true).await?;
        outcome.took += since.elapsed();
        outcome.cpu += cpu_of(&registry.pids())?.saturating_sub(before);
        outcome.delays.join(&delays)?;
        each(registry, together, false).await?;
    }
    Ok(outcome)
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
    use std::collections::BTreeSet;

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
