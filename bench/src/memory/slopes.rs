//! What memory comes to as lines: the fixed part, and what comes with each one more.

use std::collections::BTreeMap;

use rollcall_results::{Line, Record, Value};

/// Holds one line through the records of one system: its anonymous memory by instances, or by watchers.
#[derive(Clone, Debug, PartialEq)]
struct Slope {
    system: String,
    by: &'static str,
    /// In MiB.
    line: Line,
}

pub(super) fn tell(records: &[Record]) {
    println!("anonymous memory as a line:");
    for Slope { system, by, line } in slopes(records) {
        println!(
            "{system}: {:.1} MiB and {:.0} B for each of {by} (±{:.0}; {:.0} % explained)",
            line.intercept,
            line.slope * 1_048_576.0,
            line.slope_bound * 1_048_576.0,
            line.explained * 100.0,
        );
    }
}

/// Where there are watchers the records differ in these alone, and in instances where there are none.
fn slopes(records: &[Record]) -> Vec<Slope> {
    let mut groups = BTreeMap::<(&str, &'static str), BTreeMap<u64, f64>>::new();
    for record in records {
        let by = if record.case.contains_key("watchers") { "watchers" } else { "instances" };
        let (size, held) = (record.case.get(by), record.values.get("anonymous_mib"));
        if let (Some(Value::Number(size)), Some(mib)) = (size, held) {
            // What was looked at last at a size holds the most: all of it was looked up.
            groups.entry((&record.system, by)).or_default().insert(*size, *mib);
        }
    }
    let slope = |((system, by), points): ((&str, &'static str), BTreeMap<u64, f64>)| {
        let points: Vec<_> = points.into_iter().map(|(size, mib)| (size as f64, mib)).collect();
        Some(Slope { system: system.to_owned(), by, line: Line::through(&points)? })
    };
    groups.into_iter().filter_map(slope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_results::{Class, Configuration};

    fn held(system: &str, case: &[(&str, u32)], mib: f64) -> Record {
        let record =
            Record::new(system, Class::C, Configuration::Default, 1).with_value("anonymous_mib", mib);
        case.iter().fold(record, |record, (name, value)| record.with_case(name, *value))
    }

    #[test]
    fn instances_and_watchers_make_lines_of_their_own() {
        let records = [
            held("etcd", &[("instances", 0), ("looked_up", 1)], 4.0),
            held("etcd", &[("instances", 0), ("looked_up", 1)], 5.0),
            held("etcd", &[("instances", 10), ("looked_up", 1)], 14.0),
            held("etcd", &[("instances", 10), ("looked_up", 10)], 25.0),
            held("consul", &[("instances", 10), ("looked_up", 1)], 99.0),
            held("etcd", &[("instances", 10), ("watchers", 0)], 25.0),
            held("etcd", &[("instances", 10), ("watchers", 50)], 75.0),
        ];
        let lines: Vec<_> = slopes(&records)
            .into_iter()
            .map(|one| (one.system, one.by, one.line.intercept, one.line.slope))
            .collect();
        let of = |by, intercept, slope| ("etcd".to_owned(), by, intercept, slope);
        assert_eq!(lines, [of("instances", 5.0, 2.0), of("watchers", 25.0, 1.0)]);
    }
}
