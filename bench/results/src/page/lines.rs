//! A section's tables of lines through what was measured: what comes with each instance or watcher.

use std::collections::BTreeMap;

use super::{
    sections::X,
    words::{self, who},
};
use crate::{
    fit::Line,
    number::number,
    record::{Class, Configuration, Value},
    series::Series,
    table::{Align, Table},
};

/// Points of one system, in the order of their x.
type Points = Vec<(f64, f64)>;

/// A line through two points says nothing of how far it is off.
const POINTS_MIN: usize = 3;

/// Whether a case has all of these.
pub(super) fn is_of(one: &Series<'_>, only: &[(&str, &str)]) -> bool {
    has_all(one.case, only)
}

pub(super) fn has_all(case: &BTreeMap<String, Value>, only: &[(&str, &str)]) -> bool {
    only.iter().all(|(name, wanted)| case.get(*name).is_some_and(|value| words::plain(value) == *wanted))
}

/// The product of these parts of a case; none where one is missing or no number.
pub(super) fn x_of(case: &BTreeMap<String, Value>, x: &[&str]) -> Option<f64> {
    x.iter().try_fold(1.0, |product, name| match case.get(*name)? {
        Value::Number(number) => Some(product * *number as f64),
        Value::Text(_) => None,
    })
}

/// Who has which points, by class, name and configuration.
pub(super) fn points<'a>(
    all: &[&'a Series<'a>],
    x: X,
    value: &str,
) -> BTreeMap<(Class, &'a str, Configuration), Points> {
    let mut found: BTreeMap<_, Points> = BTreeMap::new();
    for one in all {
        if let (Some(x), Some(spread)) = (x_of(one.case, x), one.spread(value)) {
            found.entry((one.class, one.system, one.configuration)).or_default().push((x, spread.median));
        }
    }
    found.values_mut().for_each(|points| points.sort_by(|one, other| one.0.total_cmp(&other.0)));
    found
}

/// What there is without any, and what comes with each; of values in MiB.
pub(super) fn slopes(all: &[&Series<'_>], x: X, value: &str, of_each: &str) -> String {
    let mut table = Table::default();
    for name in ["class", "system", "configuration"] {
        table = table.with_column(name, Align::Words);
    }
    for name in ["without any, MiB", &format!("KiB of each {of_each}"), "± (95 %)"] {
        table = table.with_column(name, Align::Numbers);
    }
    for ((class, system, configuration), points) in points(all, x, value) {
        let Some(line) = Line::through(&points).filter(|_| points.len() >= POINTS_MIN) else { continue };
        let words = [words::class(class), system, words::configuration(configuration)].map(str::to_owned);
        let numbers = [line.intercept, line.slope * 1_024.0, line.slope_bound * 1_024.0].map(number);
        table.push([words, numbers].concat());
    }
    if table.is_empty() {
        return String::new();
    }
    format!("\n**{}: a line through the points above**\n\n{}", words::title(value), table.markdown())
}

/// A name for each of these, with its class.
pub(super) fn named(one: &Series<'_>) -> String {
    match one.class {
        Class::Floor => format!("floor: {}", who(one)),
        class => format!("{}: {}", words::class(class), who(one)),
    }
}
