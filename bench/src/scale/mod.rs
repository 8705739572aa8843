//! A real controller on a real cluster that grows: what it holds, what a change costs it, how soon changes are seen, and what
//! all of that comes to with real sidecars' sessions, by the size of the cluster.
//!
//! ```text
//!   changes ─► API server ─┬─► controller (a process of its own) ══ TLS, HTTP/2 ══ crowd, by tokens of the pods
//!                          └─► a bare watch: the floor of the delays
//! ```

mod steps;

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Result, ensure};
use rollcall_cluster::Collects;
use rollcall_results::{Line, Record, Value};

use crate::{
    filled::{Churn, Filled, in_a_cluster},
    fleet::{Fleet, INSTANCES},
    kept::Kept,
    lists::Rounds,
    local::Turns,
    sessions::blame_missing,
};

/// Starts of a controller at each size.
const ROUNDS: u32 = 3;
/// As many as there are at the smallest size. Where fewer services are hit, each is hit more often, and changes of one that
/// follow each other share the write of its status: with as many at each size, nothing differs but the size.
const FEW_SERVICES: u32 = 50;
/// Loads that may be measured again, where the host disturbed them.
const REPEATS: u32 = 6;

/// Holds what is written, what all sizes have in common, and what was measured so far.
struct Bench {
    kept: Kept,
    churn: Churn,
    turns: Turns,
    all: Vec<Record>,
}

/// Holds what is told to people as a line through all sizes: a value of the records of one event.
struct Slope {
    what: &'static str,
    event: &'static str,
    of: &'static str,
}

const SLOPES: [Slope; 4] = [
    Slope { what: "ready, s", event: "start", of: "ready_s" },
    Slope { what: "settled memory, MiB", event: "settled", of: "anonymous_mib" },
    Slope { what: "CPU µs a change, no session", event: "changes", of: "cpu_us_per_change" },
    Slope { what: "CPU µs a change", event: "told", of: "cpu_us_per_change" },
];

pub(crate) fn run(sizes: &[u32], sessions: u32) -> Result<()> {
    ensure!(!sizes.is_empty(), "nothing to measure");
    ensure!(
        sizes.iter().all(|size| size.is_multiple_of(INSTANCES)),
        "whole services: {INSTANCES} instances each"
    );
    in_a_cluster(Collects::Seldom, |filled| {
        let begin = Instant::now();
        let mut bench = Bench {
            kept: Kept::begin("scale", Vec::new())?,
            churn: Churn::default(),
            turns: Turns::new(0, REPEATS),
            all: Vec::new(),
        };
        for size in sizes {
            let fleet = Fleet { instances: *size };
            if let Err(error) = filled.fill(fleet) {
                // What a larger one would begin with is not there, or not all of it.
                bench.keep(steps::record_of(fleet, "start"), Err(error))?;
                break;
            }
            bench.measure(filled, fleet, sessions)?;
            println!("  {size} instances: done after {:.1} min", begin.elapsed().as_secs_f64() / 60.0);
        }
        SLOPES.iter().for_each(|slope| slope.tell(&bench.all));
        bench.kept.end()
    })
}

// === impl Bench ===

impl Bench {
    /// All steps at one size; what is measured is written at once. A step that fails is told, and the others go on where they
    /// can.
    fn measure(&mut self, filled: &Filled, fleet: Fleet, sessions: u32) -> Result<()> {
        let record = |event: &str| steps::record_of(fleet, event);
        let controller = match Rounds::measure(filled, ROUNDS) {
            Ok((started, controller)) => {
                started.records(fleet).into_iter().try_for_each(|record| {
                    let unmeasured = Record { values: BTreeMap::new(), ..record.clone() };
                    self.keep(unmeasured, Ok(record)).map(drop)
                })?;
                controller
            }
            Err(error) => {
                self.keep(record("start"), Err(error))?;
                return Ok(());
            }
        };
        let settled = steps::settled(filled, &controller, &mut self.turns);
        let (settled, idle) = apart(settled);
        self.keep(record("settled"), settled)?;
        if let Some(idle) = idle {
            let mut services = vec![fleet.services()];
            services.extend((FEW_SERVICES < fleet.services()).then_some(FEW_SERVICES));
            for services in services {
                let (churn, turns) = (&mut self.churn, &mut self.turns);
                let changes = steps::changes(filled, &controller, idle, churn, services, turns);
                self.keep(record(&steps::changes_of(services, fleet)), changes)?;
            }
        }
        // A session is a pod's.
        let sessions = sessions.min(fleet.instances);
        if sessions == 0 {
            return Ok(());
        }
        let record = |event: &str| record(event).with_case("sessions", sessions);
        let crowd = match steps::Crowded::open(filled, &controller, sessions) {
            Ok(crowd) => crowd,
            Err(error) => {
                self.keep(record("opened"), Err(error))?;
                return Ok(());
            }
        };
        let (opened, idle) = apart(crowd.opened(filled, &controller, &mut self.turns));
        self.keep(record("opened"), opened)?;
        if let Some(idle) = idle {
            let told = crowd.told(filled, &controller, idle, &mut self.churn, &mut self.turns);
            if let Some(told) = self.keep(record("told"), told)? {
                blame_missing(&self.kept, &told);
            }
        }
        let storms = crowd.storms(filled, &controller);
        self.keep(record("storms"), storms)?;
        let recovery = crowd.recovery(filled, controller);
        self.keep(record("recovery"), recovery)?;
        Ok(())
    }

    fn keep(&mut self, unmeasured: Record, measured: Result<Record>) -> Result<Option<Record>> {
        let kept = self.kept.keep(unmeasured, measured)?;
        if let Some(record) = &kept {
            if record.case.get("event") != Some(&Value::from("start")) {
                tell(record);
            }
            self.all.push(record.clone());
        }
        Ok(kept)
    }
}

fn apart<T>(measured: Result<(Record, T)>) -> (Result<Record>, Option<T>) {
    match measured {
        Ok((record, more)) => (Ok(record), Some(more)),
        Err(error) => (Err(error), None),
    }
}

fn tell(record: &Record) {
    let named = |(name, value): (&String, &Value)| match value {
        Value::Number(number) => format!("{name} {number}"),
        Value::Text(text) => text.clone(),
    };
    let case: Vec<_> = record.case.iter().map(named).collect();
    let values: Vec<_> = record.values.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
    println!("  {}: {}", case.join(", "), values.join(", "));
}

// === impl Slope ===

impl Slope {
    fn tell(&self, records: &[Record]) {
        let thousands = |record: &Record| match record.case.get("instances") {
            Some(Value::Number(number)) => Some(*number as f64 / 1e3),
            _ => None,
        };
        let of_it = records.iter().filter(|record| {
            record.case.get("event") == Some(&Value::from(self.event)) && record.system == steps::SYSTEM
        });
        let points: Vec<_> =
            of_it.filter_map(|record| Some((thousands(record)?, *record.values.get(self.of)?))).collect();
        let Some(line) = Line::through(&points) else { return };
        println!(
            "{}: {:.2} + {:.3} for each 1,000 instances (±{:.3}; {:.0} % explained)",
            self.what,
            line.intercept,
            line.slope,
            line.slope_bound,
            line.explained * 100.0,
        );
    }
}
