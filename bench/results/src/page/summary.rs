//! The page in a minute: some figures beside the best that others have of the same class, and in how many we win and lose.

use std::{collections::BTreeMap, ptr};

use super::{
    lines::is_of,
    losses::{Loss, Verdict, best, is_compared, losses, verdict},
    section::compared,
    sections::SECTIONS,
    systems::{is_limited_by_load, limit},
    words::{self, is_ours},
};
use crate::{
    file::Results,
    number::{number, times},
    record::Configuration,
    series::{Series, series},
    table::{Align, Table},
};

/// Holds one figure that a newcomer asks for first.
struct Figure {
    what: &'static str,
    bench: &'static str,
    value: &'static str,
    /// Only cases that have these: one for each class.
    only: &'static [(&'static str, &'static str)],
}

#[rustfmt::skip]
const FIGURES: [Figure; 13] = [
    Figure { what: "a lookup", bench: "lookup", value: "cpu_us", only: CLOSED },
    Figure { what: "lookups", bench: "lookup", value: "a_second", only: CLOSED },
    Figure { what: "a lookup, 1,000 a second", bench: "lookup", value: "p99_us", only: OPEN },
    Figure { what: "an answer of DNS, A", bench: "dns", value: "cpu_us",
        only: &[("load", "closed"), ("keys", "zipf"), ("kind", "A")] },
    Figure { what: "the same, SRV", bench: "dns", value: "cpu_us",
        only: &[("load", "closed"), ("keys", "zipf"), ("kind", "SRV")] },
    Figure { what: "a registration, one at a time", bench: "registration", value: "p50_us",
        only: &[("together", "1")] },
    Figure { what: "an addition, until the last of 100 watchers knows", bench: "propagation", value: "last_p50_us",
        only: &[("event", "add"), ("watchers", "100"), ("changes_a_second", "0")] },
    Figure { what: "a removal, the same", bench: "propagation", value: "last_p50_us",
        only: &[("event", "remove"), ("watchers", "100"), ("changes_a_second", "0")] },
    Figure { what: "a killed app is out", bench: "failure", value: "out_ms", only: &[("event", "kill")] },
    Figure { what: "an app that hangs is out", bench: "failure", value: "out_ms", only: &[("event", "hung")] },
    Figure { what: "one that ends as it should is out", bench: "failure", value: "out_ms",
        only: &[("event", "deleted")] },
    Figure { what: "one on a node that is cut off is out", bench: "failure", value: "out_ms",
        only: &[("event", "cut")] },
    Figure { what: "1,000 services of 10 instances, held, all asked for", bench: "memory", value: "anonymous_mib",
        only: &[("services", "1000"), ("instances", "10"), ("watchers", "0"), ("asked", "all")] },
];
/// 1,000 services of 10 instances, 16 connections, some asked for more than others.
const CLOSED: &[(&str, &str)] =
    &[("load", "closed"), ("services", "1000"), ("instances", "10"), ("keys", "zipf"), ("connections", "16")];
const OPEN: &[(&str, &str)] =
    &[("load", "open"), ("services", "1000"), ("instances", "10"), ("asked_a_second", "1000")];

/// All of it, of whatever was kept.
pub(super) fn told(results: &BTreeMap<String, Results>) -> String {
    let (figures, counts) = (figures(results), counts(results));
    if counts.is_empty() {
        return "\nNothing was measured beside others yet.\n\n".to_owned();
    }
    format!("\n{}\n{}\n", figures.markdown(), counts.markdown())
}

fn figures(results: &BTreeMap<String, Results>) -> Table {
    let mut table = Table::default().with_columns([
        ("what", Align::Words),
        ("unit", Align::Words),
        ("class", Align::Words),
        ("ours", Align::Words),
        ("value", Align::Numbers),
        ("the best of the others", Align::Words),
        ("value", Align::Numbers),
        ("ours by theirs", Align::Numbers),
        ("we are", Align::Words),
    ]);
    for figure in &FIGURES {
        let Some(results) = results.get(figure.bench) else { continue };
        let all = series(&results.records);
        for ours in all.iter().filter(|one| is_of(one, figure.only) && is_usual(one)) {
            if let Some(row) = figure.row(ours, &all) {
                table.push(row);
            }
        }
    }
    table
}

/// In how many of the values that the page shows each measurement has us ahead, and in how many behind.
fn counts(results: &BTreeMap<String, Results>) -> Table {
    let mut table = Table::default().with_column("measurement", Align::Words);
    for name in ["compared with the best of the class", "better", "worse (▼)", "neither"] {
        table = table.with_column(name, Align::Numbers);
    }
    for section in &SECTIONS {
        let Some(results) = results.get(section.name) else { continue };
        let all = series(&results.records);
        let values = compared(section.views, &all);
        let losses = losses(section.name, &all, &values);
        let verdicts: Vec<_> = all
            .iter()
            .filter(|one| is_compared(one) && is_ours(one.system))
            .flat_map(|ours| values.iter().filter_map(|value| against_all(ours, &all, value, &losses)))
            .collect();
        if verdicts.is_empty() {
            continue;
        }
        let many = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count().to_string();
        let counted = [Verdict::Better, Verdict::Worse, Verdict::Alike].map(many);
        table.push([vec![section.name.to_owned(), verdicts.len().to_string()], counted.to_vec()].concat());
    }
    table
}

/// Worse wherever the tables say so: who is better in nearly all rounds need not be the one with the best median.
fn against_all(ours: &Series<'_>, all: &[Series<'_>], value: &str, losses: &[Loss<'_>]) -> Option<Verdict> {
    let is_lost = losses.iter().any(|loss| ptr::eq(loss.ours, ours) && loss.value == value);
    if is_lost { Some(Verdict::Worse) } else { verdict(ours, best(ours, all, value)?, value) }
}

/// Ours, as it is by default.
fn is_usual(one: &Series<'_>) -> bool {
    is_compared(one) && is_ours(one.system) && one.configuration == Configuration::Default
}

// === impl Figure ===

impl Figure {
    fn row<'a>(&self, ours: &'a Series<'a>, all: &'a [Series<'a>]) -> Option<Vec<String>> {
        let theirs = best(ours, all, self.value)?;
        let of = |one: &Series<'_>| {
            let median = one.share_us(self.value).or(Some(one.spread(self.value)?.median))?;
            let limit = if is_limited_by_load(one) { limit(self.value) } else { "" };
            Some(format!("{limit}{}", number(median)))
        };
        let ratio = ours.ratio(theirs, self.value).map(|ratio| match ratio.measured {
            1 => times(ratio.median),
            _ => format!("{} ({}–{})", times(ratio.median), number(ratio.low), number(ratio.high)),
        });
        let verdict = match verdict(ours, theirs, self.value)? {
            Verdict::Better => "better",
            Verdict::Worse => "**worse**",
            Verdict::Alike => "neither",
        };
        Some(vec![
            self.what.to_owned(),
            words::title(self.value),
            words::class(ours.class).to_owned(),
            words::who(ours),
            of(ours)?,
            words::who(theirs),
            of(theirs)?,
            ratio.unwrap_or_default(),
            verdict.to_owned(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Class, Record, Run};

    fn results(records: Vec<Record>) -> BTreeMap<String, Results> {
        let run = Run { bench: "lookup".to_owned(), ..Run::default() };
        BTreeMap::from([("lookup".to_owned(), Results { run, records, ..Results::default() })])
    }

    fn record(system: &str, class: Class, round: u32, cpu_us: f64) -> Record {
        CLOSED
            .iter()
            .fold(Record::new(system, class, Configuration::Default, round), |record, (name, value)| {
                match value.parse::<u32>() {
                    Ok(number) => record.with_case(name, number),
                    Err(_) => record.with_case(name, *value),
                }
            })
            .with_value("cpu_us", cpu_us)
    }

    #[test]
    fn ours_stands_beside_the_best_of_its_class_with_the_spread_of_the_ratio() {
        let round = |round, ours, agent, other| {
            [
                record("sidecar", Class::B, round, ours),
                record("agent", Class::B, round, agent),
                record("other agent", Class::B, round, other),
                record("server", Class::C, round, 1.0),
                record("bare", Class::Floor, round, 1.0),
            ]
        };
        let records = [round(1, 10.0, 100.0, 50.0), round(2, 10.0, 100.0, 40.0), round(3, 10.0, 100.0, 40.0)];
        let told = told(&results(records.concat()));
        let row =
            "| a lookup | CPU µs | B | sidecar | 10 | other agent | 40 | 0.25× (0.23–0.25) | better |\n";
        assert!(told.contains(row), "{told}");
        assert!(told.contains("| lookup | 1 | 1 | 0 | 0 |\n"), "{told}");
        assert!(!told.contains("server"), "{told}");
    }

    #[test]
    fn a_loss_to_anybody_is_counted_whoever_has_the_best_median() {
        // The one agent is best in most rounds and bad in two; the other one is a little better than we are in all of them.
        let rounds =
            [(10.0, 1.0, 9.0), (10.0, 1.0, 9.0), (10.0, 1.0, 9.0), (10.0, 50.0, 9.0), (10.0, 50.0, 9.0)];
        let of = |(round, (ours, agent, other)): (u32, (f64, f64, f64))| {
            [("sidecar", ours), ("agent", agent), ("other agent", other)]
                .map(|(system, cpu_us)| record(system, Class::B, round, cpu_us))
        };
        let told = told(&results((1..).zip(rounds).flat_map(of).collect()));
        assert!(told.contains("| agent | 1 |") && told.contains("| neither |\n"), "{told}");
        assert!(told.contains("| lookup | 1 | 0 | 1 | 0 |\n"), "{told}");
    }

    #[test]
    fn of_nothing_beside_others_nothing_is_said() {
        for records in
            [Vec::new(), vec![record("sidecar", Class::B, 1, 1.0), record("bare", Class::Floor, 1, 1.0)]]
        {
            assert!(told(&results(records)).contains("Nothing was measured beside others yet."));
        }
        assert!(told(&BTreeMap::new()).contains("Nothing was measured"));
    }
}
