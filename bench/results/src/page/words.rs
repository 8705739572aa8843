//! How values and cases are told, whatever they are called: names carry their units.

use std::collections::BTreeMap;

use crate::{
    number::number,
    record::{Class, Configuration, Value},
    series::Series,
};

/// Says which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

/// The part of a case that says how answers are asked for.
const LOAD: &str = "load";
/// As fast as they come.
const CLOSED: &str = "closed";
/// Names by which our own parts go, with whatever behind them.
const OURS: [&str; 3] = ["sidecar", "controller", "rollcall"];
/// What ends with such a unit costs something.
const COSTS: [(&str, &str); 8] = [
    ("_us_per_change", " µs a change"),
    ("_us", " µs"),
    ("_ms", " ms"),
    ("_s", " s"),
    ("_mib", " MiB"),
    ("_kib", " KiB"),
    ("_bytes", " bytes"),
    ("_millicores", " millicores"),
];

/// A value's name for the head of a table; of one that nobody has thought of, the name as it is, in words.
pub(super) fn title(value: &str) -> String {
    if value == "a_second" {
        return "a second".to_owned();
    }
    let unit = COSTS.iter().find_map(|(end, unit)| Some((value.strip_suffix(end)?, *unit)));
    let (name, unit) = unit.unwrap_or((value, ""));
    let words = name.split('_').map(|word| match word {
        "cpu" => "CPU",
        "rss" => "RSS",
        "p999" => "p99.9",
        "kib" => "KiB",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ") + unit
}

/// None of what is neither good nor bad, or not known, or says too little to be compared in such a case.
pub(super) fn better(value: &str, case: &BTreeMap<String, Value>) -> Option<Better> {
    match value {
        // Of any other load it is what was asked for: a pace, or a share of what each can do.
        "a_second" => {
            let is_all_it_can = case.get(LOAD).is_none_or(|load| plain(load) == CLOSED);
            is_all_it_can.then_some(Better::More)
        }
        // A few answers decide them, and the next run has others.
        "p999_us" | "max_us" => None,
        // How somebody was set, which what was measured follows from.
        "ttl_ms" | "beat_ms" => None,
        // They are the load's, or of what comes before the measurement.
        "late_p99_us" | "warm_up_s" | "settled_s" => None,
        "false_evictions" | "lookups_without_one" | "lookups_wrong" | "never_seen" | "descriptors" => {
            Some(Better::Less)
        }
        _ => COSTS.iter().any(|(end, _)| value.ends_with(end)).then_some(Better::Less),
    }
}

pub(super) fn is_ours(system: &str) -> bool {
    OURS.iter().any(|name| {
        let rest = system.strip_prefix(name);
        rest.is_some_and(|rest| !rest.starts_with(|sign: char| sign.is_alphanumeric()))
    })
}

/// `connections 16, load closed`.
pub(super) fn case(case: &BTreeMap<String, Value>) -> String {
    let told: Vec<_> = case.iter().map(|(name, value)| format!("{} {}", spaced(name), word(value))).collect();
    told.join(", ")
}

pub(super) fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Number(value) => number(*value as f64),
        // What would be a tag of HTML in a page.
        Value::Text(text) => text.replace('<', "‹").replace('>', "›"),
    }
}

/// As filters have it: without commas.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Number(value) => value.to_string(),
        Value::Text(text) => text.clone(),
    }
}

pub(super) fn class(class: Class) -> &'static str {
    match class {
        Class::Floor => "floor",
        Class::A => "A",
        Class::B => "B",
        Class::C => "C",
    }
}

pub(super) fn configuration(configuration: Configuration) -> &'static str {
    match configuration {
        Configuration::Default => "default",
        Configuration::Tuned => "tuned",
    }
}

/// A system with its configuration, where that is not the usual one.
pub(super) fn who(series: &Series<'_>) -> String {
    match series.configuration {
        Configuration::Default => series.system.to_owned(),
        Configuration::Tuned => format!("{}, tuned", series.system),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_by_their_names() {
        let cases = [
            ("a_second", "a second", Some(Better::More)),
            ("cpu_us", "CPU µs", Some(Better::Less)),
            ("p999_us", "p99.9 µs", None),
            ("kib_a_session", "KiB a session", None),
            ("late_p99_us", "late p99 µs", None),
            ("warm_up_s", "warm up s", None),
            ("settled_s", "settled s", None),
            ("rss_mib", "RSS MiB", Some(Better::Less)),
            ("cpu_us_per_change", "CPU µs a change", Some(Better::Less)),
            ("false_evictions", "false evictions", Some(Better::Less)),
            ("lookups_without_one", "lookups without one", Some(Better::Less)),
            ("lookups_wrong", "lookups wrong", Some(Better::Less)),
            ("hours", "hours", None),
            ("ttl_ms", "ttl ms", None),
            ("never_heard_of", "never heard of", None),
        ];
        for (value, expected, which) in cases {
            assert_eq!(
                (title(value).as_str(), better(value, &BTreeMap::new())),
                (expected, which),
                "{value}"
            );
        }
    }

    #[test]
    fn answers_a_second_are_compared_only_where_as_many_as_can_be_are_asked_for() {
        let cases = [
            ("a_second", Some("closed"), Some(Better::More)),
            ("a_second", Some("open"), None),
            ("a_second", Some("share"), None),
            ("a_second", None, Some(Better::More)),
            ("cpu_us", Some("open"), Some(Better::Less)),
            ("cpu_us", Some("closed"), Some(Better::Less)),
        ];
        for (value, load, expected) in cases {
            let case = load.map(|load| (LOAD.to_owned(), Value::from(load)));
            assert_eq!(better(value, &case.into_iter().collect()), expected, "{value}, {load:?}");
        }
    }

    #[test]
    fn our_own_parts_are_known_by_their_names() {
        for ours in ["sidecar", "sidecar, DNS", "controller", "rollcall sidecar"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in ["consul agent ?cached", "bare hyper", "sidecars of others", "kubernetes"] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn a_case_is_told_in_words() {
        let told = BTreeMap::from([
            ("changes_a_second".to_owned(), Value::from(1_000_u32)),
            ("event".to_owned(), Value::from("add")),
        ]);
        assert_eq!(case(&told), "changes a second 1,000, event add");
    }
}
