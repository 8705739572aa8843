//! The index alone: what it keeps, and what a change costs it.

use std::{
    collections::HashSet,
    env, fs,
    hint::black_box,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rollcall_cluster::interrupt;
use rollcall_controller::index::Index;
use rollcall_results::{Class, Configuration, Record};

use crate::{
    fleet::{Fleet, INSTANCES, pod_seen, slice},
    kept::Kept,
};

/// Changes of each kind; the median of so many moves by less than a tenth from run to run.
const CHANGES: u32 = 3_000;
/// The goal of the design.
const BYTES_MAX: u64 = 1_024;

pub(crate) fn run(sizes: &[u32]) -> anyhow::Result<()> {
    println!(
        "instances  services  KiB/instance  lists ms  annotated µs  selected µs  adopted µs (medians of one change)"
    );
    interrupt::listen()?;
    let kept = Kept::begin("index", Vec::new())?;
    for size in sizes {
        let Some(record) = kept.keep(record(Fleet { instances: *size }), apart(*size))? else { continue };
        let value = |name: &str| record.values.get(name).copied().unwrap_or_default();
        println!(
            "{size:>9}  {:>8}  {:>12.2}  {:>8.0}  {:>12.1}  {:>11.1}  {:>10.1}",
            Fleet { instances: *size }.services(),
            value("index_mib") * 1_024.0 / f64::from(*size),
            value("lists_ms"),
            value("annotated_us"),
            value("selected_us"),
            value("adopted_us"),
        );
    }
    println!(
        "goal: at most {BYTES_MAX} B for each instance; the time of a change does not grow with the cluster"
    );
    kept.end()
}

/// In a process of its own.
fn apart(size: u32) -> anyhow::Result<Record> {
    let me = env::current_exe().context("where this program is")?;
    let one = Command::new(me).args(["index-of", &size.to_string()]).stderr(Stdio::inherit()).output()?;
    ensure!(one.status.success(), "{size} instances: {}", one.status);
    Ok(serde_json::from_slice(&one.stdout)?)
}

fn record(fleet: Fleet) -> Record {
    Record::new("rollcall index", Class::A, Configuration::Default, 1)
        .with_case("instances", fleet.instances)
        .with_case("services", fleet.services())
}

/// Says a record, for whoever started this process.
pub(crate) fn run_one(instances: u32) -> anyhow::Result<()> {
    let fleet = Fleet { instances };
    let before = resident_bytes();
    let mut index = Index::default();
    let begin = Instant::now();
    // One by one, as from the watches: none of the events is kept.
    fleet.lists().for_each(|change| {
        index.apply(change);
    });
    black_box(index.advance(1));
    let listed = begin.elapsed();
    let kept = resident_bytes().saturating_sub(before);
    let medians = [0, 1, 2].map(|kind| one_change(&mut index, fleet, kind));
    let [annotated, selected, adopted] = medians.map(|median| median.as_nanos() as f64 / 1e3);
    let record = record(fleet)
        .with_value("index_mib", kept as f64 / 1_048_576.0)
        .with_value("lists_ms", listed.as_secs_f64() * 1e3)
        .with_value("annotated_us", annotated)
        .with_value("selected_us", selected)
        .with_value("adopted_us", adopted);
    println!("{}", serde_json::to_string(&record)?);
    Ok(())
}

/// The median time of one pod's turn, with the slice that follows it where the service is adopted.
fn one_change(index: &mut Index, fleet: Fleet, kind: u32) -> Duration {
    let (mut times, mut unready) = (Vec::new(), HashSet::new());
    for turn in 0..CHANGES {
        // Far apart, so that nothing is in the processor's memory by chance.
        let service = turn.wrapping_mul(7_919) % (fleet.services() / 3) * 3 + kind;
        let pod = service * INSTANCES + turn % INSTANCES;
        let ready = !unready.remove(&pod);
        if ready {
            unready.insert(pod);
        }
        let changes: Vec<_> =
            [Some(pod_seen(pod, !ready)), (kind == 2).then(|| slice(service, ready.then_some(pod)))]
                .into_iter()
                .flatten()
                .collect();
        let begin = Instant::now();
        for change in changes {
            index.apply(change);
        }
        black_box(index.advance(u64::from(turn) + 2));
        times.push(begin.elapsed());
    }
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4_096
}
