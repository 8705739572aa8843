//! Whether a controller under a long load stays as it was.

use rollcall_results::{Class, Configuration, Record, Steadiness, Value};

/// What must not grow: the CPU of one change, memory, and what is open.
const WATCHED: [&str; 5] = ["cpu_us_per_change", "rss_mib", "anonymous_mib", "descriptors", "threads"];
/// What may change from the first judged minute to the last, as a share of the mean.
const ALLOWED: f64 = 0.1;
/// Of so many minutes the first is not judged: buffers grow to what the load needs.
const WARM_OF: usize = 5;

/// Holds what became of one thing that must not grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) what: &'static str,
    /// None: there are too few minutes.
    pub(super) steadiness: Option<Steadiness>,
}

/// Judges the records of minutes, which are in their order.
pub(super) fn judge(minutes: &[Record]) -> Vec<Judged> {
    let warm = minutes.get(minutes.len() / WARM_OF..).unwrap_or_default();
    let judged = |what: &'static str| {
        let points: Vec<_> =
            warm.iter().filter_map(|minute| Some((at(minute)?, *minute.values.get(what)?))).collect();
        Judged { what, steadiness: Steadiness::of(&points, ALLOWED) }
    };
    WATCHED.into_iter().map(judged).collect()
}

fn at(minute: &Record) -> Option<f64> {
    match minute.case.get("minute") {
        Some(Value::Number(number)) => Some(*number as f64),
        _ => None,
    }
}

// === impl Judged ===

impl Judged {
    pub(super) fn record(&self, system: &str) -> Record {
        let record = Record::new(system, Class::C, Configuration::Default, 1)
            .with_case("judged", self.what)
            .with_case("trend", self.trend());
        match self.steadiness {
            // A bound without a limit is no number in a file.
            Some(of) if of.growth_bound.is_finite() => record
                .with_value("mean", of.mean)
                .with_value("growth_percent", of.growth * 100.0)
                .with_value("growth_bound_percent", of.growth_bound * 100.0),
            _ => record,
        }
    }

    pub(super) fn trend(&self) -> &'static str {
        self.steadiness.map_or("unclear", |of| of.trend.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many minutes of what `of` says of each.
    fn minutes(count: u32, of: fn(f64) -> [f64; 5]) -> Vec<Record> {
        let minute = |number: u32| {
            let record = Record::new("x", Class::C, Configuration::Default, 1).with_case("minute", number);
            WATCHED
                .iter()
                .zip(of(f64::from(number)))
                .fold(record, |record, (name, value)| record.with_value(name, value))
        };
        (1..=count).map(minute).collect()
    }

    fn trends(minutes: &[Record]) -> Vec<&'static str> {
        judge(minutes).iter().map(Judged::trend).collect()
    }

    #[test]
    fn what_grows_is_told_from_what_is_noise_and_from_what_only_warmed_up() {
        let all = minutes(30, |minute| {
            let noise = if minute % 2.0 == 0.0 { 1.02 } else { 0.98 };
            // It leaks 1 MiB a minute, on top of 60.
            let leaks = 60.0 + minute;
            // It grew to what it needs in five minutes.
            let warms = if minute <= 5.0 { 20.0 + minute } else { 25.0 };
            [300.0 * noise, leaks, warms, 2_040.0, 6.0]
        });
        assert_eq!(trends(&all), ["flat", "grows", "flat", "flat", "flat"]);
    }

    #[test]
    fn too_few_minutes_say_nothing() {
        for count in 0..=2 {
            let trends = trends(&minutes(count, |_| [1.0; 5]));
            assert_eq!(trends, ["unclear"; 5], "{count}");
        }
    }

    #[test]
    fn a_judgement_is_a_record_that_can_be_written() {
        for count in [0, 2, 30] {
            for judged in judge(&minutes(count, |_| [7.0; 5])) {
                let record = judged.record("controller");
                assert!(record.values.values().all(|value| value.is_finite()), "{record:?}");
                assert_eq!(record.values.contains_key("growth_percent"), count == 30);
            }
        }
    }
}
