//! What a page shows as output, and what was printed: the same in its form, since names and numbers differ.

use serde_json::Value;
use std::collections::BTreeSet;

/// How a step of the command may go.
const WENT: [&str; 6] = ["ok", "warn", "fail", "skip", "unknown", "broken"];

/// Says what of an output is the same wherever it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A table of kubectl's kind: the names of its columns, in their order.
    Table(Vec<String>),
    /// A JSON object: its members, with those of members within, as `instances.address`.
    Json(BTreeSet<String>),
    /// Findings of `rollcall check` or links of `rollcall explain`: how each went, and what it is called.
    Steps(Vec<String>),
    /// Nothing that could be compared.
    Free,
}

// === impl Shape ===

impl Shape {
    /// Of what a page shows.
    pub fn of(shown: &str) -> Self {
        if let Ok(value) = serde_json::from_str(shown) {
            return Self::Json(members(&value));
        }
        let first = shown.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        match (columns(first), steps(shown)) {
            (Some(columns), _) => Self::Table(columns),
            (None, steps) if !steps.is_empty() => Self::Steps(steps),
            _ => Self::Free,
        }
    }

    /// What the page shows and was not printed; none where all is there.
    pub fn missing_in(&self, printed: &str) -> Option<String> {
        match self {
            Self::Table(columns_shown) => {
                let found = printed.lines().filter_map(columns).any(|columns| columns == *columns_shown);
                (!found).then(|| format!("a table with the columns {}", columns_shown.join(" ")))
            }
            Self::Json(shown) => {
                let values = serde_json::Deserializer::from_str(printed).into_iter::<Value>();
                let all: BTreeSet<_> =
                    values.map_while(Result::ok).flat_map(|value| members(&value)).collect();
                let missing: Vec<_> = shown.difference(&all).map(String::as_str).collect();
                (!missing.is_empty()).then(|| format!("the members {}", missing.join(", ")))
            }
            Self::Steps(shown) => {
                let mut printed = steps(printed).into_iter();
                let missing = shown.iter().find(|step| !printed.any(|other| other == **step));
                missing.map(|step| format!("the line `{step}` in its place"))
            }
            Self::Free => None,
        }
    }
}

/// The columns that a line heads: two words or more, all of them in capitals.
fn columns(line: &str) -> Option<Vec<String>> {
    let is_capital = |letter: char| letter.is_ascii_uppercase() || matches!(letter, '-' | '_' | '/');
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    (words.len() > 1 && words.iter().all(|word| word.chars().all(is_capital))).then_some(words)
}

/// The first two words of each line that says how something went.
fn steps(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (went, name) = (words.next()?, words.next()?);
        (WENT.contains(&went) && line.starts_with(went)).then(|| format!("{went} {name}"))
    });
    lines.collect()
}

fn members(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect("", value, &mut found);
    found
}

fn collect(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, value, found);
                found.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(path, value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICES: &str = "NAMESPACE   SERVICE   SERVING\nshop        orders    3\n";

    #[test]
    fn what_is_shown_is_looked_for_in_its_form() {
        let instance = r#"{"service":"orders","instances":[{"address":"10.0.0.1","ports":{"http":1}}]}"#;
        let table = [
            (SERVICES, "a note\nNAMESPACE SERVICE  SERVING\nx  y  9\n", None),
            (
                SERVICES,
                "NAMESPACE SERVICE SERVING TOTAL\n",
                Some("a table with the columns NAMESPACE SERVICE SERVING"),
            ),
            (
                instance,
                r#"{"service":"x","more":1,"instances":[{"address":"y","ports":{"http":2}},{}]}"#,
                None,
            ),
            (
                instance,
                r#"{"service":"x","instances":[{"address":"y"}]}"#,
                Some("the members instances.ports, instances.ports.http"),
            ),
            (
                instance,
                "404",
                Some(
                    "the members instances, instances.address, instances.ports, instances.ports.http, service",
                ),
            ),
            ("10.0.0.1:8080\n", "anything", None),
            (
                "ok  controller  2 ready\nbroken probe  x\n  remedy\n",
                "a\nok controller 3\nok token\nbroken probe y\n",
                None,
            ),
            (
                "ok  controller  2 ready\nbroken probe  x\n",
                "broken probe\nok controller\n",
                Some("the line `broken probe` in its place"),
            ),
        ];
        for (shown, printed, missing) in table {
            assert_eq!(Shape::of(shown).missing_in(printed).as_deref(), missing, "{shown} in {printed}");
        }
    }
}
