//! From the controller's start to its first lists, against the bare lists of the same objects: on a real API server,
//! in a cluster that is there for nothing else.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rollcall_cluster::{Collects, interrupt};
use rollcall_controller_tests::controller::{Controller, Cost};
use rollcall_results::{Class, Configuration, Ended, Record};

use crate::{
    filled::{Filled, Listed, in_a_cluster},
    fleet::Fleet,
    report,
};

/// The goal of the design.
const RATIO_MAX: f64 = 1.5;

/// Holds what one start of a controller came to, and the lists beside it.
struct Round {
    bare: Duration,
    controller: Duration,
    cost: Cost,
}

/// Holds what the rounds have measured.
pub(crate) struct Rounds {
    listed: Listed,
    rounds: Vec<Round>,
}

pub(crate) fn run(instances: u32, rounds: u32) -> Result<()> {
    ensure!(instances > 0 && rounds > 0, "nothing to measure");
    in_a_cluster(Collects::Seldom, |filled| {
        filled.fill(Fleet { instances })?;
        let (measured, _) = Rounds::measure(filled, rounds)?;
        let mut writer = report::begin("lists", Vec::new())?;
        measured.records(filled.fleet()).iter().try_for_each(|record| writer.push(record))?;
        measured.tell(filled.fleet());
        Ok(writer.end(Ended::default())?)
    })
}

// === impl Rounds ===

impl Rounds {
    /// Each lists barely, and starts a controller; the last one runs on.
    pub(crate) fn measure(filled: &Filled, rounds: u32) -> Result<(Self, Controller)> {
        let fleet = filled.fleet();
        let listed = filled.bare_lists()?.1;
        println!(
            "{} instances in {} services: {:.1} MiB in {} pages",
            fleet.instances,
            fleet.services(),
            listed.bytes as f64 / f64::from(1 << 20),
            listed.pages,
        );
        let (mut measured, mut last) = (Self { listed, rounds: Vec::new() }, None);
        for round in 1..=rounds {
            interrupt::check()?;
            // The one before is gone before the next one begins.
            drop(last.take());
            let (bare, again) = filled.bare_lists()?;
            ensure!(again.pages == listed.pages, "the lists have changed: {listed:?}, then {again:?}");
            let begin = Instant::now();
            let controller = filled.controller()?;
            let took = begin.elapsed();
            let cost = controller.cost()?;
            let instances = controller.metric("rollcall_instances", "")?;
            ensure!(instances == f64::from(fleet.instances), "ready with {instances} instances");
            println!(
                "  {round}: bare {:.2} s, controller {:.2} s, {} ms of CPU",
                bare.as_secs_f64(),
                took.as_secs_f64(),
                cost.cpu_ms,
            );
            measured.rounds.push(Round { bare, controller: took, cost });
            last = Some(controller);
        }
        match last {
            Some(controller) => Ok((measured, controller)),
            None => anyhow::bail!("no rounds"),
        }
    }

    /// Of each round two: the bare lists, and the controller.
    pub(crate) fn records(&self, fleet: Fleet) -> Vec<Record> {
        let record = |system: &str, class, round| {
            Record::new(system, class, Configuration::Default, round)
                .with_case("event", "start")
                .with_case("instances", fleet.instances)
        };
        let of = |(round, one): (u32, &Round)| {
            let bare = record("bare lists", Class::Floor, round)
                .with_value("ready_s", one.bare.as_secs_f64())
                .with_value("listed_mib", self.listed.bytes as f64 / f64::from(1 << 20))
                .with_value("pages", f64::from(self.listed.pages));
            let controller = record("rollcall controller", Class::C, round)
                .with_value("ready_s", one.controller.as_secs_f64())
                .with_value("cpu_ms", one.cost.cpu_ms as f64)
                .with_value("rss_mib", one.cost.memory_kib as f64 / 1_024.0)
                .with_value("peak_mib", one.cost.memory_peak_kib as f64 / 1_024.0);
            [bare, controller]
        };
        (1..).zip(&self.rounds).flat_map(of).collect()
    }

    fn tell(&self, fleet: Fleet) {
        let seconds = |of: fn(&Round) -> Duration| self.median(of).as_secs_f64();
        let (bare, controller) = (seconds(|round| round.bare), seconds(|round| round.controller));
        let resident = self.median(|round| round.cost.memory_kib) as f64;
        println!(
            "medians of {}: bare lists {bare:.2} s, controller {controller:.2} s with {:.2} s of CPU: ratio {:.2}",
            self.rounds.len(),
            self.median(|round| round.cost.cpu_ms) as f64 / 1e3,
            controller / bare,
        );
        println!(
            "memory when ready: {:.1} MiB ({:.2} KiB/instance), {:.1} MiB at most",
            resident / 1_024.0,
            resident / f64::from(fleet.instances),
            self.median(|round| round.cost.memory_peak_kib) as f64 / 1_024.0,
        );
        println!("goal: at most {RATIO_MAX} times the bare lists");
    }

    fn median<T: Ord + Default>(&self, of: fn(&Round) -> T) -> T {
        let mut values: Vec<_> = self.rounds.iter().map(of).collect();
        values.sort_unstable();
        let middle = values.len() / 2;
        values.into_iter().nth(middle).unwrap_or_default()
    }
}
