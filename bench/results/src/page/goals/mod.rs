//! What Rollcall must reach, and what was measured of it.

mod figure;
mod list;

use std::collections::BTreeMap;

use self::{
    figure::{
        Bound::{self, AtLeast, AtMost},
        Figure, Part,
    },
    list::GOALS,
};
use crate::{
    file::Results,
    number::number,
    series::series,
    table::{Align, Table},
};

/// Holds a goal: one figure, and what it may be.
struct Goal {
    what: &'static str,
    bound: Bound,
    /// Behind the figure.
    unit: &'static str,
    /// Whose figure it is.
    part: Part,
    from: Sources,
}

/// Says by which measurements there is a figure.
enum Sources {
    /// By the first one that was made, or was to be made and failed.
    First(&'static [(&'static str, Figure)]),
    /// By all that were made: the worst counts.
    All(&'static [(&'static str, Figure)]),
}

/// Holds what a measurement says of a goal.
struct Measured {
    bench: &'static str,
    figure: Option<f64>,
    /// Why it is not of all that it should be of.
    lacks: Option<String>,
}

/// All goals, met or not.
pub(super) fn table(results: &BTreeMap<String, Results>) -> String {
    let mut table = Table::default().with_column("what", Align::Words);
    for name in ["goal", "measured"] {
        table = table.with_column(name, Align::Numbers);
    }
    table = table.with_column("met", Align::Words).with_column("by", Align::Words);
    for goal in &GOALS {
        let told = |figure: f64| format!("{}{}", number(figure), goal.unit);
        let measured = goal.measured(results);
        let (figure, lacks) =
            measured.as_ref().map_or((None, None), |one| (one.figure, one.lacks.as_deref()));
        let met = match (figure, lacks) {
            (_, Some(why)) => format!("**no**: not all was measured: {}", why.replace('|', "/")),
            (Some(figure), None) if goal.bound.holds(figure) => "yes".to_owned(),
            (Some(_), None) => "**no**".to_owned(),
            (None, None) => String::new(),
        };
        let figure = match figure {
            None if lacks.is_some() => "not measured".to_owned(),
            None => "not measured yet".to_owned(),
            Some(figure) if figure.is_infinite() => "never, at its worst".to_owned(),
            Some(figure) => told(figure),
        };
        let (Sources::First(all) | Sources::All(all)) = goal.from;
        let usual = all.first().map(|(bench, _)| *bench).unwrap_or_default();
        let by = format!("`cargo xtask bench {}`", measured.map_or(usual, |one| one.bench));
        let bound = match goal.bound {
            AtLeast(least) => format!("≥ {}", told(least)),
            AtMost(most) => format!("≤ {}", told(most)),
        };
        table.push(vec![goal.what.to_owned(), bound, figure, met, by]);
    }
    format!("\n{}\n", table.markdown())
}

// === impl Goal ===

impl Goal {
    /// None where nothing was measured, and nothing was to be.
    fn measured(&self, results: &BTreeMap<String, Results>) -> Option<Measured> {
        let by = |(bench, figure): &(&'static str, Figure)| {
            let results = results.get(*bench)?;
            let lacks = figure.lacks(results, self.part);
            let figure = figure.of(&series(&results.records), self.part, self.bound);
            (figure.is_some() || lacks.is_some()).then_some(Measured { bench, figure, lacks })
        };
        match &self.from {
            // Nothing else makes good what was to be measured and is missing.
            Sources::First(sources) => sources.iter().find_map(by),
            Sources::All(sources) => {
                sources.iter().filter_map(by).reduce(|one, other| self.worse(one, other))
            }
        }
    }

    /// Of both the worse figure, and what either lacks.
    fn worse(&self, one: Measured, other: Measured) -> Measured {
        let lacks = one.lacks.or(other.lacks);
        let (figure, bench) = match (one.figure, other.figure) {
            (Some(of_one), Some(of_other)) => {
                let worst = self.bound.worst([of_one, of_other].into_iter());
                (worst, if worst == Some(of_one) { one.bench } else { other.bench })
            }
            (None, Some(figure)) => (Some(figure), other.bench),
            (figure, None) => (figure, one.bench),
        };
        Measured { bench, figure, lacks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Class, Configuration, Record, Run};

    fn measured(bench: &str, records: Vec<Record>) -> BTreeMap<String, Results> {
        let run = Run { bench: bench.to_owned(), ..Run::default() };
        BTreeMap::from([(bench.to_owned(), Results { run, records, ..Results::default() })])
    }

    fn lookup(system: &str, class: Class, connections: u32, cpu_us: f64) -> Record {
        Record::new(system, class, Configuration::Default, 1)
            .with_case("connections", connections)
            .with_case("load", "closed")
            .with_case("services", 1_000_u32)
            .with_case("instances", 10_u32)
            .with_value("cpu_us", cpu_us)
    }

    fn row_of<'a>(table: &'a str, what: &str) -> &'a str {
        table.lines().find(|line| line.contains(what)).expect("a row")
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let table = table(&BTreeMap::new());
        assert_eq!(table.matches("| not measured yet |").count(), GOALS.len());
        assert_eq!(table.matches("yes").count() + table.matches("**no**").count(), 0);
    }

    #[test]
    fn the_worst_case_of_ours_counts_against_the_floor_and_against_others() {
        let results = measured(
            "lookup",
            vec![
                lookup("bare", Class::Floor, 1, 10.0),
                lookup("sidecar", Class::B, 1, 11.0),
                lookup("Consul agent ?cached", Class::B, 1, 220.0),
                lookup("bare", Class::Floor, 16, 5.0),
                lookup("sidecar", Class::B, 16, 6.0),
                lookup("Consul agent ?cached", Class::B, 16, 60.0),
                // Neither is the sidecar.
                lookup("rollcall controller", Class::C, 16, 5_000.0),
                lookup("consul server", Class::C, 16, 6.0),
            ],
        );
        let table = table(&results);
        assert!(row_of(&table, "of a lookup, by").contains("| ≤ 1.15× | 1.20× | **no** |"), "{table}");
        assert!(row_of(&table, "a Consul agent's").contains("| ≥ 12× | 10× | **no** |"), "{table}");
        assert!(row_of(&table, "the same of Eureka").contains("not measured yet"), "{table}");
    }

    #[test]
    fn the_worst_round_counts_where_at_most_is_said() {
        let round = |round, out_ms| {
            Record::new("sidecar", Class::B, Configuration::Default, round)
                .with_case("event", "kill")
                .with_value("out_ms", out_ms)
        };
        let table = table(&measured("failure", vec![round(1, 90.0), round(2, 100.0), round(3, 300.0)]));
        assert!(row_of(&table, "crashed app").contains("| 300 ms | **no** |"), "{table}");
    }

    #[test]
    fn slopes_and_growths_are_of_the_same_system_and_case() {
        let of = |event: &str, instances: u32, sessions: u32, value: f64| {
            Record::new("rollcall controller", Class::C, Configuration::Default, 1)
                .with_case("event", event)
                .with_case("instances", instances)
                .with_case("sessions", sessions)
                .with_value(if event == "settled" { "anonymous_mib" } else { "cpu_by_clients" }, value)
        };
        let settled =
            [of("settled", 1_024, 0, 10.0), of("settled", 2_048, 0, 10.5), of("settled", 1_024, 9, 90.0)];
        let changes =
            [of("changes", 1_000, 0, 50.0), of("changes", 20_000, 0, 60.0), of("changes", 1_000, 9, 1.0)];
        let table = table(&measured("scale", [settled, changes].concat()));
        assert!(row_of(&table, "for each instance").contains("| 0.50 KiB | yes |"), "{table}");
        assert!(row_of(&table, "same with fewest").contains("| 1.20× | yes |"), "{table}");
    }

    #[test]
    fn a_growth_is_of_both_ends_or_of_none() {
        let of = |instances: u32, by_clients: f64| {
            Record::new("rollcall controller", Class::C, Configuration::Default, 1)
                .with_case("event", "changes")
                .with_case("instances", instances)
                .with_value("cpu_by_clients", by_clients)
        };
        for (most, expected) in [(5_000, "| not measured yet |  |"), (20_000, "| 1.10× | yes |")] {
            let table = table(&measured("scale", vec![of(1_000, 10.0), of(most, 11.0)]));
            assert!(row_of(&table, "same with fewest").contains(expected), "{most}: {table}");
        }
    }

    #[test]
    fn what_is_missing_is_not_made_good_by_another_measurement() {
        let of = |system: &str, event: &str, sessions: u32| {
            Record::new(system, Class::C, Configuration::Default, 1)
                .with_case("event", event)
                .with_case("sessions", sessions)
        };
        let told = |sessions| of("rollcall controller", "told", sessions);
        let good = told(2_000).with_value("all_told_p99_us", 100_000.0);
        let failed = |record: Record| record.without_any("it ended");
        let no = "**no**: not all was measured: ";
        for (of_scale, expected) in [
            (vec![], "| 100 ms | yes | `cargo xtask bench sessions` |".to_owned()),
            (
                vec![failed(told(2_000))],
                format!("| not measured | {no}it ended | `cargo xtask bench scale` |"),
            ),
            (
                vec![failed(of("rollcall controller", "opened", 2_000))],
                format!("| not measured | {no}it ended |"),
            ),
            (
                vec![Record::new("rollcall", Class::C, Configuration::Default, 1).without_any("it ended")],
                format!("| not measured | {no}it ended |"),
            ),
            (vec![good.clone(), failed(told(2_000))], format!("| 100 ms | {no}it ended |")),
            (vec![good.clone().with_value("missing", 3.0)], format!("| 100 ms | {no}3 were never told |")),
            (vec![good.clone().with_value("missing", 0.0)], "| 100 ms | yes |".to_owned()),
            // Others' and other cases' are none of it.
            (vec![good.clone(), failed(told(100))], "| 100 ms | yes |".to_owned()),
            (
                vec![good.clone(), failed(of("rollcall controller", "storms", 2_000))],
                "| 100 ms | yes |".to_owned(),
            ),
            (vec![good.clone(), failed(of("etcd", "told", 2_000))], "| 100 ms | yes |".to_owned()),
        ] {
            let (missed, records) = of_scale.into_iter().partition(|one| one.not_measured.is_some());
            let mut results = measured("sessions", vec![good.clone()]);
            results.extend(measured("scale", records));
            results.get_mut("scale").expect("it is there").missed = missed;
            let table = table(&results);
            assert!(row_of(&table, "same of 2,000 sidecars").contains(&expected), "{expected}: {table}");
        }
    }

    #[test]
    fn false_evictions_are_the_worst_that_anything_counted() {
        let of = |value: &str, count: f64| {
            Record::new("rollcall sidecars", Class::B, Configuration::Default, 1)
                .with_case("event", "overload")
                .with_value(value, count)
        };
        let evicted = |count| of("false_evictions", count);
        for (overload, failure, expected) in [
            (evicted(0.0), evicted(0.0), "| 0 | yes | `cargo xtask bench overload` |"),
            (evicted(0.0), evicted(2.0), "| 2 | **no** | `cargo xtask bench failure` |"),
            (evicted(3.0), evicted(2.0), "| 3 | **no** | `cargo xtask bench overload` |"),
            (evicted(0.0).with_value("lookups_without_one", 1.0), evicted(0.0), "| 1 | **no** |"),
            (evicted(0.0).with_value("lookups_wrong", 4.0), evicted(2.0), "| 4 | **no** |"),
            (
                evicted(0.0),
                evicted(0.0).without_any("it ended"),
                "| 0 | **no**: not all was measured: it ended |",
            ),
        ] {
            let mut results = measured("overload", vec![overload]);
            let (missed, records) = [failure].into_iter().partition(|one| one.not_measured.is_some());
            results.extend(measured("failure", records));
            results.get_mut("failure").expect("it is there").missed = missed;
            let table = table(&results);
            assert!(row_of(&table, "false evictions").contains(expected), "{expected}: {table}");
        }
    }
}
