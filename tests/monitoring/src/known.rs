//! Which names, labels and values there are, read from what is answered to a scraper.

use crate::engine::{Matcher, Query};
use std::collections::{BTreeMap, BTreeSet};

/// What Prometheus adds to each series by the chart's ServiceMonitor and PodMonitor.
const OF_TARGETS: [&str; 7] = ["namespace", "pod", "container", "service", "job", "endpoint", "instance"];

/// Holds the values of each label of each metric.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

// === impl Known ===

impl Known {
    /// Reads texts in which no label's value has a quote or a comma; ours have none.
    pub fn of(texts: &[String]) -> Self {
        let mut known = Self::default();
        let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with('#'));
        for sample in lines.filter_map(|line| Some(line.rsplit_once(' ')?.0)) {
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let held = known.0.entry(name.to_owned()).or_default();
            for (label, value) in
                labels.trim_end_matches('}').split(',').filter_map(|one| one.split_once('='))
            {
                held.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
        known
    }

    pub fn has(&self, metric: &str) -> bool {
        self.0.contains_key(metric)
    }

    /// The names of what has a sample.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What an expression reads that is not there, a sentence each.
    pub fn strangers(&self, query: &Query) -> Vec<String> {
        let mut strangers = Vec::new();
        let mut labels: BTreeSet<&str> = OF_TARGETS.into();
        for selector in &query.selectors {
            let Some(held) = self.0.get(&selector.metric) else {
                strangers.push(format!("no metric {}", selector.metric));
                continue;
            };
            labels.extend(held.keys().map(String::as_str));
            for matcher in selector.matchers.iter().filter(|one| !OF_TARGETS.contains(&one.label.as_str())) {
                match held.get(&matcher.label) {
                    None => strangers.push(format!("{} has no label {}", selector.metric, matcher.label)),
                    Some(values) => strangers.extend(
                        matcher
                            .values()
                            .filter(|value| !values.contains(*value))
                            .map(|value| format!("{} has no {}={value}", selector.metric, matcher.label)),
                    ),
                }
            }
        }
        strangers.extend(
            query
                .labels
                .iter()
                .filter(|label| !labels.contains(label.as_str()))
                .map(|label| format!("nothing that is read has a label {label}")),
        );
        strangers
    }
}

// === impl Matcher ===

impl Matcher {
    /// The values that are named: of a pattern, its alternatives.
    fn values(&self) -> impl Iterator<Item = &str> {
        let is_pattern = self.how.ends_with('~');
        self.value.split(move |letter| is_pattern && letter == '|')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Selector;

    fn query(metric: &str, label: &str, how: &str, value: &str, by: &str) -> Query {
        let matcher = Matcher { label: label.to_owned(), how: how.to_owned(), value: value.to_owned() };
        Query {
            name: String::new(),
            text: String::new(),
            selectors: vec![Selector { metric: metric.to_owned(), matchers: vec![matcher] }],
            labels: vec![by.to_owned()],
            series: Vec::new(),
        }
    }

    #[test]
    fn what_is_misspelt_is_a_stranger() {
        let text = "# TYPE a_total counter\na_total{reason=\"x\"} 1\na_total{reason=\"y\"} 2\nb 3\n";
        let known = Known::of(&[text.to_owned()]);
        assert!(known.has("b") && !known.has("a"));
        for (query, strangers) in [
            (query("a_total", "reason", "=", "x", "reason"), 0),
            (query("a_total", "reason", "=~", "x|y", "pod"), 0),
            (query("a_total", "namespace", "=~", "any", "namespace"), 0),
            (query("a", "reason", "=", "x", "pod"), 1),
            (query("a_total", "reasons", "=", "x", "pod"), 1),
            (query("a_total", "reason", "=", "z", "pod"), 1),
            (query("a_total", "reason", "!=", "z", "pod"), 1),
            (query("a_total", "reason", "=~", "x|z", "pod"), 1),
            (query("a_total", "reason", "=", "x", "kind"), 1),
        ] {
            assert_eq!(known.strangers(&query).len(), strangers, "{query:?}");
        }
    }
}
