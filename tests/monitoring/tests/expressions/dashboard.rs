//! Every panel of the dashboard shows something while all is well.

use crate::{known, quiet, told};
use rollcall_monitoring::{Series, read};
use serde_json::Value;
use std::collections::BTreeSet;

/// The panels that ask something, with their expressions.
fn panels(dashboard: &Value) -> Vec<(&str, Vec<&str>)> {
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    panels
        .map(|panel| {
            let targets = panel["targets"].as_array().unwrap().iter();
            (
                panel["title"].as_str().unwrap(),
                targets.map(|target| target["expr"].as_str().unwrap()).collect(),
            )
        })
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("charts/rollcall/files/dashboard.json").unwrap()).unwrap()
}

/// What Grafana asks Prometheus, given what is chosen at first.
fn asked(expression: &str) -> String {
    let asked = expression
        .replace("$__rate_interval", "2m")
        .replace("$namespace", "rollcall-system")
        .replace("$apps", ".*");
    assert!(!asked.contains('$'), "{asked}");
    asked
}

#[test]
fn every_panel_shows_numbers_while_all_is_well() {
    let dashboard = dashboard();
    let panels = panels(&dashboard);
    let queries: Vec<_> = panels.iter().flat_map(|(_, all)| all).map(|one| asked(one)).collect();
    let answer = told(quiet(), &queries);
    let known = known();
    for (query, text) in answer.queries.iter().zip(&queries) {
        assert_eq!(query.text, *text);
        let strangers = known.strangers(query);
        assert!(strangers.is_empty(), "{text}: {strangers:?}");
        assert!(!query.series.is_empty() && query.series.iter().any(Series::has_numbers), "{text}");
    }
    assert_eq!(answer.queries.len(), queries.len());
    assert!(panels.iter().all(|(_, expressions)| !expressions.is_empty()));
}

#[test]
fn whoever_looks_chooses_the_prometheus_and_the_namespaces() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 38, "Grafana 10");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "namespace", "apps"]);
    assert_eq!(variables[0]["type"], "datasource");
    let known = known();
    for variable in &variables[1..] {
        let query = variable["query"]["query"].as_str().unwrap();
        let (metric, label) =
            query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().split_once(", ").unwrap();
        assert!(known.has(metric) && label == "namespace", "{query}");
        assert_eq!(variable["datasource"]["uid"], "${datasource}");
    }
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        for source in [&panel["datasource"], &panel["targets"][0]["datasource"]] {
            assert_eq!(source["uid"], "${datasource}", "{}", panel["title"]);
        }
        assert!(panel["description"].as_str().unwrap().ends_with('.'), "{}", panel["title"]);
        for expression in panel["targets"].as_array().unwrap() {
            let text = expression["expr"].as_str().unwrap();
            assert!(text.contains("$namespace") || text.contains("$apps"), "{text}");
        }
    }
}

#[test]
fn no_panel_lies_on_another() {
    let dashboard = dashboard();
    let (mut places, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(places.insert((x, y)), "{} at {x}, {y}", panel["title"]);
            }
        }
    }
}
