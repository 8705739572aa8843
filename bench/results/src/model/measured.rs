//! The slopes that the model goes by, each from the records of one measurement.

use std::collections::BTreeMap;

use crate::{
    file::Results,
    fit::Line,
    number::number,
    record::{Record, Value},
};

/// Holds where a slope comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// The measurement, and the file of its results.
    pub(super) bench: &'static str,
    system: &'static str,
    /// What the records are of, where a measurement has several.
    event: Option<&'static str>,
    x: X,
    y: Y,
}

/// Says what a line is over.
#[derive(Clone, Copy, Debug)]
enum X {
    Case(&'static str),
    /// Of two values, the first for each of the second.
    Ratio(&'static str, &'static str),
}

/// Says what a line is of.
#[derive(Clone, Copy, Debug)]
enum Y {
    Value(&'static str),
    Ratio(&'static str, &'static str),
}

const CONTROLLER: &str = "rollcall controller";
const HALF: &str = "rollcall controller's half";

const fn scale(event: &'static str, y: Y) -> Source {
    Source { bench: "scale", system: CONTROLLER, event: Some(event), x: X::Case("instances"), y }
}

const fn sessions(x: X, y: Y) -> Source {
    Source { bench: "sessions", system: HALF, event: None, x, y }
}

pub(super) const INDEX_MIB: Source = Source {
    bench: "index",
    system: "rollcall index",
    event: None,
    x: X::Case("instances"),
    y: Y::Value("index_mib"),
};
pub(super) const MEMORY_MIB: Source = scale("settled", Y::Value("rss_mib"));
pub(super) const READY_S: Source = scale("start", Y::Value("ready_s"));
pub(super) const START_PEAK_MIB: Source = scale("start", Y::Value("peak_mib"));
pub(super) const LISTED_MIB: Source =
    Source { system: "bare lists", ..scale("start", Y::Value("listed_mib")) };
/// A second, with nothing to do: of a controller without sessions, and of those with them.
pub(super) const IDLE_CPU_US: Source = scale("settled", Y::Value("idle_cpu_us_a_second"));
pub(super) const IDLE_CPU_US_OF_SESSION: Source =
    sessions(X::Case("sessions"), Y::Value("idle_cpu_us_a_second"));
pub(super) const IDLE_BYTES_TO_SESSION: Source =
    sessions(X::Case("sessions"), Y::Value("idle_bytes_a_second"));
pub(super) const IDLE_BYTES_FROM_SESSION: Source =
    sessions(X::Case("sessions"), Y::Value("idle_up_bytes_a_second"));
/// Changes and deliveries are told without what is there while nothing changes.
pub(super) const CPU_US_OF_CHANGE: Source = scale("changes", Y::Value("cpu_us_per_change"));
pub(super) const STATUSES_OF_CHANGE: Source = scale("changes", Y::Ratio("status_writes", "changes"));
pub(super) const SESSION_MIB: Source = sessions(X::Case("sessions"), Y::Value("rss_mib"));
pub(super) const WARM_S: Source = sessions(X::Case("sessions"), Y::Value("warm_s"));
pub(super) const COLD_S: Source = sessions(X::Case("sessions"), Y::Value("cold_s"));
pub(super) const COLD_PEAK_MIB: Source = sessions(X::Case("sessions"), Y::Value("cold_peak_mib"));
pub(super) const CPU_US_OF_DELIVERY: Source =
    sessions(X::Ratio("deliveries", "changes"), Y::Value("cpu_us_per_change"));
pub(super) const BYTES_OF_DELIVERY: Source =
    sessions(X::Ratio("deliveries", "changes"), Y::Ratio("bytes_of_changes", "changes"));

// === impl Source ===

impl Source {
    /// The line through what was measured; none where that is not there, or does not make one.
    pub(super) fn line(&self, kept: &BTreeMap<String, Results>) -> Option<Line> {
        let records = &kept.get(self.bench)?.records;
        let points: Vec<_> = records.iter().filter_map(|record| self.point(record)).collect();
        Line::through(&points)
    }

    /// The largest of what it was measured over.
    pub(super) fn up_to(&self, kept: &BTreeMap<String, Results>) -> Option<f64> {
        let records = kept.get(self.bench)?.records.iter();
        records.filter_map(|record| Some(self.point(record)?.0)).reduce(f64::max)
    }

    /// The same in words, where the measured range ends.
    pub(super) fn range(&self, kept: &BTreeMap<String, Results>) -> Option<String> {
        let what = match self.x {
            X::Case(name) => name.to_owned(),
            X::Ratio(one, other) => format!("{one} for each of the {other}"),
        };
        Some(format!("{} {what}", number(self.up_to(kept)?)))
    }

    /// What was measured at this place itself.
    pub(super) fn at(&self, kept: &BTreeMap<String, Results>, x: f64) -> Option<f64> {
        let mut points = kept.get(self.bench)?.records.iter().filter_map(|record| self.point(record));
        points.find(|point| (point.0 - x).abs() < f64::EPSILON).map(|point| point.1)
    }

    fn point(&self, record: &Record) -> Option<(f64, f64)> {
        let event = match record.case.get("event") {
            Some(Value::Text(event)) => Some(event.as_str()),
            _ => None,
        };
        if record.system != self.system || event != self.event {
            return None;
        }
        let value = |name: &str| record.values.get(name).copied();
        let ratio = |one, other| Some(value(one)? / value(other)?);
        let x = match self.x {
            X::Case(name) => match record.case.get(name) {
                Some(Value::Number(number)) => *number as f64,
                _ => return None,
            },
            X::Ratio(one, other) => ratio(one, other)?,
        };
        let y = match self.y {
            Y::Value(name) => value(name)?,
            Y::Ratio(one, other) => ratio(one, other)?,
        };
        Some((x, y))
    }
}
