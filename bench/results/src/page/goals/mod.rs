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

/// The measurements that have a figure; of several the first one that was made.
type Sources = &'static [(&'static str, Figure)];

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
        let (figure, met) = match measured {
            None => ("not measured yet".to_owned(), ""),
            Some((_, figure)) if goal.bound.holds(figure) => (told(figure), "yes"),
            Some((_, figure)) if figure.is_infinite() => ("never, at its worst".to_owned(), "**no**"),
            Some((_, figure)) => (told(figure), "**no**"),
        };
        let usual = goal.from.first().map(|(bench, _)| *bench).unwrap_or_default();
        let by = format!("`cargo xtask bench {}`", measured.map_or(usual, |(bench, _)| bench));
        let bound = match goal.bound {
            AtLeast(least) => format!("≥ {}", told(least)),
            AtMost(most) => format!("≤ {}", told(most)),
        };
        table.push(vec![goal.what.to_owned(), bound, figure, met.to_owned(), by]);
    }
    format!("\n{}\n", table.markdown())
}

// === impl Goal ===

impl Goal {
    /// By which measurement, and its figure.
    fn measured(&self, results: &BTreeMap<String, Results>) -> Option<(&'static str, f64)> {
        self.from.iter().find_map(|(bench, figure)| {
            let all = series(&results.get(*bench)?.records);
            Some((*bench, figure.of(&all, self.part, self.bound)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Class, Configuration, Record, Run};

    fn measured(bench: &str, records: Vec<Record>) -> BTreeMap<String, Results> {
        let text = String::new;
        let run = Run {
            bench: bench.to_owned(),
            command: text(),
            commit: text(),
            date: text(),
            machine: text(),
            kernel: text(),
            programs: Vec::new(),
        };
        BTreeMap::from([(bench.to_owned(), Results { run, records, missed: Vec::new() })])
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
                .with_value(if event == "settled" { "anonymous_mib" } else { "cpu_us_per_change" }, value)
        };
        let settled =
            [of("settled", 1_024, 0, 10.0), of("settled", 2_048, 0, 10.5), of("settled", 1_024, 9, 90.0)];
        let changes =
            [of("changes", 1_024, 0, 50.0), of("changes", 3_072, 0, 60.0), of("changes", 1_024, 9, 1.0)];
        let table = table(&measured("scale", [settled, changes].concat()));
        assert!(row_of(&table, "for each instance").contains("| 0.50 KiB | yes |"), "{table}");
        assert!(row_of(&table, "with fewest").contains("| 1.20× | yes |"), "{table}");
    }
}
