//! A real controller on a real cluster that grows: what it holds, what a change costs it, how soon changes are seen, and what
//! all of that comes to with real sidecars' sessions, by the size of the cluster.
//!
//! ```text
//!   changes ─► API server ─┬─► controller (a process of its own) ══ TLS, HTTP/2 ══ crowd, by tokens of the pods
//!                          └─► a bare watch: the floor of the delays
//! ```

mod steps;

use anyhow::{Result, ensure};
use rollcall_results::{Line, Record, Value, Writer};

use crate::{
    filled::{Churn, Filled, in_a_cluster},
    fleet::{Fleet, INSTANCES},
    lists::Rounds,
    report,
};

/// Starts of a controller at each size.
const ROUNDS: u32 = 3;

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
    in_a_cluster(|filled| {
        let mut writer = report::begin("scale", Vec::new())?;
        let (mut churn, mut all) = (Churn::default(), Vec::new());
        for size in sizes {
            let records = measure(filled, Fleet { instances: *size }, sessions, &mut churn, &mut writer)?;
            all.extend(records);
        }
        SLOPES.iter().for_each(|slope| slope.tell(&all));
        Ok(())
    })
}

/// All steps at one size; what is measured is written at once.
fn measure(
    filled: &mut Filled,
    fleet: Fleet,
    sessions: u32,
    churn: &mut Churn,
    writer: &mut Writer,
) -> Result<Vec<Record>> {
    filled.fill(fleet)?;
    let (started, controller) = Rounds::measure(filled, ROUNDS)?;
    let mut records = Vec::new();
    let mut keep = |record: Record| -> Result<()> {
        if record.case.get("event") != Some(&Value::from("start")) {
            tell(&record);
        }
        writer.push(&record)?;
        records.push(record);
        Ok(())
    };
    started.records(fleet).into_iter().try_for_each(&mut keep)?;
    keep(steps::settled(filled, &controller)?)?;
    keep(steps::changes(filled, &controller, churn)?)?;
    // A session is a pod's.
    let sessions = sessions.min(fleet.instances);
    if sessions > 0 {
        let crowd = steps::Crowded::open(filled, &controller, sessions)?;
        keep(crowd.opened(filled, &controller)?)?;
        keep(crowd.told(filled, &controller, churn)?)?;
        keep(crowd.storms(filled, &controller)?)?;
        keep(crowd.recovery(filled, controller)?)?;
    }
    Ok(records)
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
