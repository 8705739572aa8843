//! Whether a controller under a long load stays as it was, and its sessions in step with it.

use std::fmt;

use rollcall_results::{Class, Configuration, Record, Steadiness, Trend, Value};

use crate::local::STOLEN_PERCENT_MAX;

/// What a change costs.
const CPU: &str = "cpu_us_per_change";
/// What must not grow: the CPU of one change, memory, and what is open.
const WATCHED: [&str; 5] = [CPU, "rss_mib", "anonymous_mib", "descriptors", "threads"];
/// How many sessions were in step in time behind each minute.
const IN_STEP: &str = "in_step";
/// What may change from the first judged minute to the last, as a share of the mean.
const ALLOWED: f64 = 0.1;
/// Of so many minutes the first is not judged: buffers grow to what the load needs.
const WARM_OF: usize = 5;

/// Holds what became of one thing that must not grow, or of the sessions, which must all be in step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    what: &'static str,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// None: there are too few minutes.
    Stays(Option<Steadiness>),
    /// Behind so many minutes some sessions were not in step in time; how many were, in the mean.
    InStep { late_minutes: usize, mean: f64 },
}

/// Judges the records of minutes, which are in their order, with so many sessions.
pub(super) fn judge(minutes: &[Record], sessions: u32) -> Vec<Judged> {
    let warm = minutes.get(minutes.len() / WARM_OF..).unwrap_or_default();
    let judged = |what: &'static str| {
        let points: Vec<_> = warm
            .iter()
            // What a change cost while the host took processors away says something of the host.
            .filter(|minute| what != CPU || !is_disturbed(minute))
            .filter_map(|minute| Some((at(minute)?, *minute.values.get(what)?)))
            .collect();
        Judged { what, verdict: Verdict::Stays(Steadiness::of(&points, ALLOWED)) }
    };
    WATCHED.into_iter().map(judged).chain(in_step(minutes, sessions)).collect()
}

/// Of all minutes, the first ones among them; none where there are none.
fn in_step(minutes: &[Record], sessions: u32) -> Option<Judged> {
    let counts: Vec<_> = minutes.iter().filter_map(|minute| minute.values.get(IN_STEP).copied()).collect();
    let late_minutes = counts.iter().filter(|count| **count < f64::from(sessions)).count();
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    (!counts.is_empty()).then_some(Judged { what: IN_STEP, verdict: Verdict::InStep { late_minutes, mean } })
}

fn is_disturbed(minute: &Record) -> bool {
    minute.values.get("stolen_percent").is_some_and(|stolen| *stolen > STOLEN_PERCENT_MAX)
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
        match self.verdict {
            // A bound without a limit is no number in a file.
            Verdict::Stays(Some(of)) if of.growth_bound.is_finite() => record
                .with_value("mean", of.mean)
                .with_value("growth_percent", of.growth * 100.0)
                .with_value("growth_bound_percent", of.growth_bound * 100.0),
            Verdict::Stays(_) => record,
            Verdict::InStep { late_minutes, mean } => {
                record.with_value("mean", mean).with_value("late_minutes", late_minutes as f64)
            }
        }
    }

    /// Whether a soak with it has failed. What is unclear is told, and was not shown to be bad.
    pub(super) fn is_bad(&self) -> bool {
        match self.verdict {
            Verdict::Stays(steadiness) => steadiness.is_some_and(|of| of.trend == Trend::Grows),
            Verdict::InStep { late_minutes, .. } => late_minutes > 0,
        }
    }

    fn trend(&self) -> &'static str {
        match self.verdict {
            Verdict::Stays(steadiness) => steadiness.map_or("unclear", |of| of.trend.name()),
            Verdict::InStep { late_minutes: 0, .. } => "all, always",
            Verdict::InStep { .. } => "not all",
        }
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.what, self.trend())?;
        match self.verdict {
            Verdict::Stays(None) => Ok(()),
            Verdict::Stays(Some(of)) => write!(
                to,
                ": {:+.1} % of {:.1} (±{:.1} %) from the first judged minute to the last",
                of.growth * 100.0,
                of.mean,
                of.growth_bound * 100.0
            ),
            Verdict::InStep { late_minutes, mean } => {
                write!(to, ": {mean:.1} in the mean; not all in time behind {late_minutes} minutes")
            }
        }
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
        judge(minutes, 500).iter().map(Judged::trend).collect()
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
            for judged in judge(&minutes(count, |_| [7.0; 5]), 500) {
                let record = judged.record("controller");
                assert!(record.values.values().all(|value| value.is_finite()), "{record:?}");
                assert_eq!(record.values.contains_key("growth_percent"), count == 30);
            }
        }
    }

    #[test]
    fn all_sessions_are_in_step_behind_each_minute_or_the_soak_has_failed() {
        let behind = |counts: &[f64]| {
            let minutes: Vec<_> = minutes(3, |_| [1.0; 5])
                .into_iter()
                .zip(counts)
                .map(|(minute, count)| minute.with_value(IN_STEP, *count))
                .collect();
            let judged = judge(&minutes, 500);
            judged.last().map(|last| (last.trend(), last.is_bad())).expect("judged")
        };
        assert_eq!(behind(&[500.0, 500.0, 500.0]), ("all, always", false));
        // The first minute counts as well.
        assert_eq!(behind(&[499.0, 500.0, 500.0]), ("not all", true));
    }

    #[test]
    fn minutes_of_which_the_host_took_too_much_say_nothing_of_the_cpu() {
        let all: Vec<_> = minutes(30, |minute| [if minute > 20.0 { 900.0 } else { 300.0 }; 5])
            .into_iter()
            .enumerate()
            .map(|(place, minute)| minute.with_value("stolen_percent", if place >= 20 { 9.0 } else { 0.0 }))
            .collect();
        let bad: Vec<_> = judge(&all, 500).iter().map(Judged::is_bad).collect();
        assert_eq!(bad, [false, true, true, true, true]);
    }
}
