//! From the watch's event to the snapshot that everyone reads.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use rollcall_catalogue::State;
use rollcall_cluster::interrupt;
use rollcall_controller::{IndexHandle, index::Index, operate::Metrics, owner};
use rollcall_net::shutdown;
use rollcall_results::{Class, Configuration, Record};
use tokio::{
    runtime::Runtime,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    fleet::{Fleet, INSTANCES, key, pod_seen},
    kept::Kept,
    report::Delays,
};

/// Measured changes of each load.
const CHANGES: u32 = 500;
/// Between two of them, so that each finds the owner as idle as the load leaves it.
const APART: Duration = Duration::from_millis(15);
/// The goal of the issue.
const GOAL_MS: u32 = 20;

pub(crate) fn run(instances: u32, loads: &[u32]) -> anyhow::Result<()> {
    println!("instances  other changes/s  p50 ms  p99 ms  worst ms");
    interrupt::listen()?;
    let kept = Kept::begin("visible", Vec::new())?;
    for load in loads {
        let unmeasured = Record::new("rollcall controller's owner", Class::A, Configuration::Default, 1)
            .with_case("instances", instances)
            .with_case("changes_a_second", *load);
        let measured = measured(instances, *load, unmeasured.clone());
        let Some(record) = kept.keep(unmeasured, measured)? else { continue };
        let ms = |name: &str| record.values.get(name).copied().unwrap_or_default() / 1e3;
        println!(
            "{instances:>9}  {load:>15}  {:>6.2}  {:>6.2}  {:>8.2}",
            ms("p50_us"),
            ms("p99_us"),
            ms("max_us")
        );
    }
    println!("goal: at most {GOAL_MS} ms");
    kept.end()
}

fn measured(instances: u32, load: u32, mut record: Record) -> anyhow::Result<Record> {
    let mut delays = Delays::new()?;
    for time in Runtime::new()?.block_on(measure(Fleet { instances }, load))? {
        delays.push(time);
    }
    delays.tell(&mut record);
    Ok(record)
}

async fn measure(fleet: Fleet, load: u32) -> anyhow::Result<Vec<Duration>> {
    let (owner, index) = owner(Index::default(), Metrics::new());
    let (trigger, ear) = shutdown();
    let running = tokio::spawn(owner.run(ear));
    for change in fleet.lists() {
        index.apply(change).await?;
    }
    let mut view = index.view();
    view.wait_for(|view| view.complete).await?;
    let noise = tokio::spawn(disturb(index.clone(), fleet, load));
    let mut times = Vec::new();
    // The first pod of the first service is ours alone.
    for turn in 0..CHANGES {
        let ready = turn % 2 == 1;
        let begin = Instant::now();
        index.apply(pod_seen(0, ready)).await?;
        let shows = |view: &Arc<rollcall_controller::View>| {
            let service = view.catalogue.get(&key(0));
            let ours =
                service.and_then(|service| service.instances.iter().find(|one| one.address() == address()));
            ours.is_some_and(|one| (one.state == State::Serving) == ready)
        };
        view.wait_for(shows).await.context("the owner is gone")?;
        times.push(begin.elapsed());
        sleep(APART).await;
    }
    noise.abort();
    trigger.pull();
    running.await?;
    Ok(times)
}

fn address() -> std::net::IpAddr {
    [10, 0, 0, 0].into()
}

async fn disturb(index: IndexHandle, fleet: Fleet, load: u32) {
    let Some(period) = Duration::from_secs(1).checked_div(load) else { return };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let others = fleet.instances - INSTANCES;
    for turn in 0u32.. {
        ticks.tick().await;
        let pod = INSTANCES + turn.wrapping_mul(7_919) % others;
        let ready = (turn / others) % 2 == 1;
        if index.apply(pod_seen(pod, ready)).await.is_err() {
            return;
        }
    }
}
