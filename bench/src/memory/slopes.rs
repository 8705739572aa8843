//! What memory comes to as lines: the fixed part, and what comes with each one more.

use std::collections::BTreeMap;

use rollcall_results::{Line, Record, Value};

use super::WATCHED_INSTANCES;

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

/// Of records of the most instances that have watchers, by these; of those without watchers, by instances.
fn slopes(records: &[Record]) -> Vec<Slope> {
    let number = |record: &Record, name: &str| match record.case.get(name) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    let mut groups = BTreeMap::<(&str, &'static str), BTreeMap<u64, f64>>::new();
    for record in records {
        let Some(mib) = record.values.get("anonymous_mib") else { continue };
        let [Some(services), Some(instances), Some(watchers)] =
            ["services", "instances", "watchers"].map(|name| number(record, name))
        else {
            continue;
        };
        let instances = services * instances;
        if watchers == 0 {
            groups.entry((&record.system, "instances")).or_default().insert(instances, *mib);
        }
        if instances == u64::from(WATCHED_INSTANCES) {
            groups.entry((&record.system, "watchers")).or_default().insert(watchers, *mib);
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

    fn held(system: &str, services: u32, watchers: u32, mib: f64) -> Record {
        Record::new(system, Class::C, Configuration::Default, 1)
            .with_case("services", services)
            .with_case("instances", 10_u32)
            .with_case("watchers", watchers)
            .with_value("anonymous_mib", mib)
    }

    #[test]
    fn instances_and_watchers_make_lines_of_their_own() {
        let records = [
            held("etcd", 0, 0, 5.0),
            held("etcd", 100, 0, 2_005.0),
            held("etcd", 1_000, 0, 20_005.0),
            held("consul", 1_000, 0, 99.0),
            held("etcd", 1_000, 50, 20_055.0),
        ];
        let lines: Vec<_> = slopes(&records)
            .into_iter()
            .map(|one| (one.system, one.by, one.line.intercept.round(), one.line.slope.round()))
            .collect();
        let of = |by, intercept, slope| ("etcd".to_owned(), by, intercept, slope);
        assert_eq!(lines, [of("instances", 5.0, 2.0), of("watchers", 20_005.0, 1.0)]);
    }
}
