//! Each alert has its section in the page on operations, and each section its alert.

use crate::{ALERTS, known};
use rollcall_monitoring::read;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = "docs/operations.md";
/// What each section answers, in this order.
const PARTS: [&str; 4] = ["**Means:**", "**Apps see:**", "**Look:**", "**Do:**"];

/// As pages name a heading: in small letters, with hyphens.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

/// `RollcallNobodyServes` as `rollcall-nobody-serves`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}

/// The sections on alerts by their anchors.
fn sections(page: &str) -> BTreeMap<String, String> {
    let (_, alerts) = page.split_once("\n## Alerts\n").unwrap();
    let alerts = alerts.split_once("\n## ").map_or(alerts, |(ours, _)| ours);
    let sections = alerts.split("\n### ").skip(1).map(|section| section.split_once('\n').unwrap());
    sections.map(|(heading, text)| (anchor(heading), text.to_owned())).collect()
}

#[test]
fn each_alert_has_its_section_and_each_section_its_alert() {
    let file: Value = serde_saphyr::from_str(&read(ALERTS).unwrap()).unwrap();
    let sections = sections(&read(PAGE).unwrap());
    let rules =
        file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let mut named = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let at = kebab(name);
        assert_eq!(rule["annotations"]["runbook_url"], format!("{PAGE}#{at}"));
        let section = sections.get(&at).unwrap_or_else(|| panic!("{PAGE} has no section {at}"));
        let severity = rule["labels"]["severity"].as_str().unwrap();
        let time = rule["for"].as_str().map_or("at once".to_owned(), |time| format!("after {time}"));
        let first = format!("`{name}`, {severity}, {time}.");
        assert!(section.trim_start().starts_with(&first), "{name} does not begin with {first}: {section}");
        let places: Vec<_> = PARTS.iter().map(|part| section.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name} lacks one of {PARTS:?}");
        named.insert(at);
    }
    assert_eq!(named, sections.into_keys().collect());
}

#[test]
fn every_metric_that_the_page_names_is_answered() {
    let (page, known) = (read(PAGE).unwrap(), known());
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = page.split(|letter| !is_of_a_name(letter)).filter(|word| word.starts_with("rollcall_"));
    // A histogram is told by its buckets.
    let unknown = words.filter(|word| !known.has(word) && !known.has(&format!("{word}_bucket")));
    let unknown: Vec<_> = unknown.collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
