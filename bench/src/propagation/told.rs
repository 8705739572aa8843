//! What is told of each round, for people and in records, and of all rounds in the end: a round alone has too few changes for its
//! slowest hundredth to mean anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rollcall_results::Record;

use super::{
    case::Case,
    measure::{Outcome, Seen},
    rows::Row,
};
use crate::kept::Kept;

/// Holds what all rounds came to, by the rows' places and their cases, and what could not be measured.
pub(super) struct Told {
    kept: Kept,
    of_all: BTreeMap<(usize, Case), Rounds>,
    failed: BTreeSet<(usize, Case)>,
}

/// Holds all rounds of one case on one row.
struct Rounds {
    added: Seen,
    removed: Seen,
    last: u32,
}

/// Said of all rounds at once.
const SHARES_OF_ALL: [&str; 2] = ["p99_us", "p999_us"];

// === impl Told ===

impl Told {
    pub(super) fn new(kept: Kept) -> Self {
        println!(
            "ms of each watcher, p50 and p99; of the last one of each change, p50 and p99; what a watcher never saw; us of CPU a change"
        );
        Self { kept, of_all: BTreeMap::new(), failed: BTreeSet::new() }
    }

    /// What has failed is not asked in the next rounds.
    pub(super) fn has_failed(&self, place: usize, case: Case) -> bool {
        self.failed.contains(&(place, case))
    }

    /// Of this round, which is a failure where the other changes did not come at their pace.
    pub(super) fn round(
        &mut self,
        (place, row): (usize, &Row),
        case: Case,
        round: u32,
        measured: anyhow::Result<(Outcome, f64)>,
    ) -> anyhow::Result<()> {
        let mut records = ["add", "remove"].map(|event| record(row, case, event, round));
        let kept = measured.and_then(|(outcome, stolen_percent)| {
            for record in &mut records {
                let arrived = outcome.background.arrived_a_second();
                record.values.insert("arrived_a_second".to_owned(), arrived);
                record.values.insert("stolen_percent".to_owned(), stolen_percent);
            }
            outcome.background.is_kept().map(|()| outcome)
        });
        let outcome = match kept {
            Ok(outcome) => outcome,
            Err(error) => {
                self.failed.insert((place, case));
                return records.into_iter().try_for_each(|record| self.kept.miss(record, &error));
            }
        };
        for (mut record, seen) in records.into_iter().zip([&outcome.added, &outcome.removed]) {
            let event = event_of(&record);
            println!("{round} {}: {}", name(row, case, &event), told(seen, outcome.cpu_us));
            seen.each.tell(&mut record);
            for share in SHARES_OF_ALL {
                record.values.remove(share);
            }
            let mut record = record
                .with_value("last_p50_us", us(seen.last.at(0.5)))
                .with_value("changes", f64::from(seen.changes))
                .with_value("never_seen", f64::from(seen.missed));
            if let Some(busy_percent) = seen.load_busy_percent() {
                record = record.with_value("load_busy_percent", busy_percent);
            }
            if let Some(cpu_us) = outcome.cpu_us {
                record = record.with_value("cpu_us_per_change", cpu_us);
            }
            self.kept.push(&record)?;
        }
        let rounds = match self.of_all.remove(&(place, case)) {
            None => Rounds { added: outcome.added, removed: outcome.removed, last: round },
            Some(mut rounds) => {
                rounds.added.join(&outcome.added)?;
                rounds.removed.join(&outcome.removed)?;
                Rounds { last: round, ..rounds }
            }
        };
        self.of_all.insert((place, case), rounds);
        Ok(())
    }

    /// Of all rounds; fails where something was not measured.
    pub(super) fn end(self, rows: &[Row]) -> anyhow::Result<()> {
        println!("\nall rounds:");
        for ((place, case), rounds) in &self.of_all {
            let Some(row) = rows.get(*place) else { continue };
            for (event, seen) in [("add", &rounds.added), ("remove", &rounds.removed)] {
                println!("{}: {}; {} changes", name(row, *case, event), told(seen, None), seen.changes);
                let record = record(row, *case, event, rounds.last)
                    .with_value("p99_us", us(seen.each.at(0.99)))
                    .with_value("last_p99_us", us(seen.last.at(0.99)))
                    .with_value("changes_in_all", f64::from(seen.changes));
                self.kept.push(&record)?;
            }
        }
        self.kept.end()
    }
}

fn record(row: &Row, case: Case, event: &str, round: u32) -> Record {
    let registry = &row.registry;
    Record::new(registry.name(), registry.class(), registry.configuration(), round)
        .with_case("watchers", case.watchers as u64)
        .with_case("changes_a_second", case.background)
        .with_case("event", event)
}

fn event_of(record: &Record) -> String {
    match record.case.get("event") {
        Some(rollcall_results::Value::Text(event)) => event.clone(),
        _ => String::new(),
    }
}

fn name(row: &Row, case: Case, event: &str) -> String {
    format!(
        "{:41} {:8} {:>5} watchers {:>4}/s {event:6}",
        row.registry.name(),
        format!("{:?}", row.registry.configuration()),
        case.watchers,
        case.background
    )
}

fn told(seen: &Seen, cpu_us: Option<f64>) -> String {
    let ms = |delay: Duration| format!("{:9.2}", delay.as_secs_f64() * 1e3);
    let Seen { each, last, missed, .. } = seen;
    let cpu = cpu_us.map(|cpu_us| format!("  {cpu_us:8.0}")).unwrap_or_default();
    let [p50, p99, last_p50, last_p99] = [each.at(0.5), each.at(0.99), last.at(0.5), last.at(0.99)].map(ms);
    format!("{p50} {p99}   {last_p50} {last_p99}  {missed}{cpu}")
}

fn us(delay: Duration) -> f64 {
    delay.as_micros() as f64
}
