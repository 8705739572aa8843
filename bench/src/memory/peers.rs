//! The peers: by their instances, once all of these were looked up, and by those who watch.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use rollcall_results::{Class, Configuration, Record};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use super::{Asked, MemoryArguments, Sizes, WATCHED_INSTANCES, settled};
use crate::peers::{Data, Peer, Registry, Start, Started};

/// Who has no first state by then never gets one.
const FIRST_MAX: Duration = Duration::from_secs(120);
/// A cache may lag behind what it is filled with.
const CORRECT_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// At all sizes, and with all numbers of watchers, as its makers ship it.
pub(super) async fn measure(
    name: &str,
    start: Start,
    arguments: &MemoryArguments,
    sizes: &mut Sizes,
) -> Result<()> {
    // Who has several rows is not started, and so has no names, where it fails.
    let unmeasured = |data: Data, asked: Asked, watchers: u32, round: u32| {
        with_case(Record::new(name, Class::C, Configuration::Default, round), data, asked, watchers)
    };
    for instances in &arguments.instances {
        let data = data(*instances);
        for round in 1..=arguments.rounds_of(*instances) {
            let failed = unmeasured(data, Asked::All, 0, round);
            sizes.turn(failed, async || looked_up(start, data, round).await).await?;
        }
    }
    let data = data(WATCHED_INSTANCES);
    for watchers in &arguments.watchers {
        let failed = unmeasured(data, Asked::Nothing, *watchers, 1);
        sizes.turn(failed, async || watched(start, data, *watchers).await).await?;
    }
    Ok(())
}

/// With nobody having asked for anything but the first service, and once all were looked up.
async fn looked_up(start: Start, data: Data, round: u32) -> Result<Vec<Record>> {
    let begin = Instant::now();
    let rows = start(data, Configuration::Default).await?;
    let mut records = Vec::new();
    for row in apart(&rows) {
        let peer = &*row.peer;
        correct(peer, data).await?;
        let started_s = begin.elapsed().as_secs_f64();
        let pids = peer.pids();
        let unasked = record(peer, data, Asked::Nothing, 0, round).with_value("started_s", started_s);
        records.push(settled(&pids, unasked).await?);
        let mut client = peer.client().await?;
        for service in 0..data.services {
            client.lookup(service).await?;
        }
        records.push(settled(&pids, record(peer, data, Asked::All, 0, round)).await?);
    }
    Ok(records)
}

/// With so many who watch, and nobody who looks anything up.
async fn watched(start: Start, data: Data, watchers: u32) -> Result<Vec<Record>> {
    let rows = start(data, Configuration::Default).await?;
    let mut records = Vec::new();
    for row in apart(&rows) {
        let Some(registry) = &row.registry else { continue };
        let watching = watch(&**registry, data, watchers).await?;
        let record = record(&*row.peer, data, Asked::Nothing, watchers, 1);
        records.push(settled(&row.peer.pids(), record).await?);
        drop(watching);
    }
    Ok(records)
}

fn record(peer: &dyn Peer, data: Data, asked: Asked, watchers: u32, round: u32) -> Record {
    let record = Record::new(peer.name(), peer.class(), peer.configuration(), round);
    with_case(record, data, asked, watchers)
}

pub(super) fn with_case(record: Record, data: Data, asked: Asked, watchers: u32) -> Record {
    record
        .with_case("services", data.services)
        .with_case("instances", data.instances)
        .with_case("asked", asked.name())
        .with_case("watchers", watchers)
}

/// So many instances; one where none is wanted, since an answer of nothing proves nothing.
pub(super) fn data(instances: u32) -> Data {
    match instances {
        0 => Data { services: 1, instances: 1 },
        1..100_000 => Data { services: instances.div_ceil(10), instances: 10 },
        _ => Data { services: instances.div_ceil(100), instances: 100 },
    }
}

/// One row of each group of processes: rows that differ in how they are asked hold the same.
fn apart(rows: &[Started]) -> Vec<&Started> {
    let mut seen = BTreeSet::new();
    let mut is_new = |row: &&Started| {
        let mut pids = row.peer.pids();
        pids.sort_unstable();
        seen.insert(pids)
    };
    rows.iter().filter(|row| is_new(row)).collect()
}

/// Returns once the first service is answered as it should be.
pub(super) async fn correct(peer: &dyn Peer, data: Data) -> Result<()> {
    let mut expected: Vec<_> = data.addresses(0).collect();
    expected.sort();
    let (begin, mut client) = (Instant::now(), peer.client().await?);
    while client.instances(0).await? != expected {
        ensure!(begin.elapsed() < CORRECT_MAX, "{}: the first service is never answered", peer.name());
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// So many watchers, evenly of all services; each has had its first state, and waits for the next until this is dropped.
async fn watch(registry: &dyn Registry, data: Data, watchers: u32) -> Result<JoinSet<()>> {
    let mut watching = JoinSet::new();
    for number in 0..watchers {
        let mut watcher = registry.watch(&Data::service(number % data.services)).await?;
        timeout(FIRST_MAX, watcher.next()).await.context("a watcher has no first state")??;
        // Whoever is done waiting has nothing more to say here.
        watching.spawn(async move { while watcher.next().await.is_ok() {} });
    }
    Ok(watching)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_services_of_ten_and_of_a_hundred() {
        for (instances, services, each) in
            [(0, 1, 1), (1_000, 100, 10), (10_000, 1_000, 10), (100_000, 1_000, 100), (15, 2, 10)]
        {
            assert_eq!(data(instances), Data { services, instances: each }, "{instances}");
        }
    }
}
