//! What Prometheus and Grafana are given.

use crate::{NAMESPACE, helm, with};
use rollcall_chart::{Rendered, chart};
use rollcall_injection::SIDECAR;
use serde_json::{Value, json};
use std::fs;

const KINDS: [&str; 3] = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];

/// What is rendered with these settings where the operator is installed.
fn with_operator(settings: &[&str]) -> Rendered {
    let kinds = KINDS.map(|kind| format!("monitoring.coreos.com/v1/{kind}"));
    let kinds = kinds.iter().flat_map(|kind| ["--api-versions", kind]);
    let settings = settings.iter().flat_map(|setting| ["--set-json", setting]);
    helm().rendered(NAMESPACE, &kinds.chain(settings).collect::<Vec<_>>()).unwrap()
}

fn file(name: &str) -> String {
    fs::read_to_string(chart().join("files").join(name)).unwrap()
}

#[test]
fn what_the_operator_reads_is_there_where_it_is_wanted_and_can_be_read() {
    for kind in KINDS {
        let value = kind[..1].to_lowercase() + &kind[1..];
        let wanted = format!("{value}.enabled=true");
        let labelled = format!(r#"{value}.labels={{"release":"prometheus"}}"#);
        assert_eq!(with_operator(&[]).of_kind(kind).count(), 0);
        assert_eq!(with(&[&wanted]).of_kind(kind).count(), 0);
        let rendered = with_operator(&[&wanted, &labelled]);
        let labels = &rendered.one(kind).unwrap()["metadata"]["labels"];
        assert_eq!(labels["release"], "prometheus");
        assert_eq!(labels["app.kubernetes.io/part-of"], "rollcall");
    }
}

#[test]
fn controllers_are_scraped_by_their_service() {
    let rendered = with_operator(&["serviceMonitor.enabled=true"]);
    let monitor = rendered.one("ServiceMonitor").unwrap();
    assert_eq!(
        monitor["spec"]["endpoints"],
        json!([{"port": "metrics", "path": "/metrics", "interval": "30s"}])
    );
    let service = &rendered.one("Service").unwrap()["metadata"]["labels"];
    let selector = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(selector.iter().all(|(key, value)| service[key] == *value));
}

#[test]
fn sidecars_are_scraped_in_all_namespaces_and_nothing_else_is() {
    let rendered = with_operator(&["podMonitor.enabled=true", r#"podMonitor.interval="1m""#]);
    let spec = &rendered.one("PodMonitor").unwrap()["spec"];
    assert_eq!(spec["selector"], json!({}));
    assert_eq!(spec["namespaceSelector"], json!({"any": true}));
    let [endpoint] = spec["podMetricsEndpoints"].as_array().unwrap().as_slice() else { panic!("{spec}") };
    assert_eq!(endpoint["port"], "rollcall");
    assert_eq!((&endpoint["path"], &endpoint["interval"]), (&json!("/metrics"), &json!("1m")));
    let kept = &endpoint["relabelings"][0];
    assert_eq!((&kept["action"], &kept["regex"]), (&json!("keep"), &json!(SIDECAR)));
}

#[test]
fn the_alerts_are_those_of_the_file_with_ones_own_runbook() {
    let plain: Value = serde_saphyr::from_str(&file("alerts.yaml")).unwrap();
    let rendered = with_operator(&["prometheusRule.enabled=true"]);
    assert_eq!(
        rendered.one("PrometheusRule").unwrap()["spec"],
        plain,
        "nothing of it is taken for a template"
    );

    let own = r#"prometheusRule.runbook="https://wiki.example.com/rollcall""#;
    let rendered = with_operator(&["prometheusRule.enabled=true", own]);
    let groups = rendered.one("PrometheusRule").unwrap()["spec"]["groups"].as_array().unwrap();
    let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let link = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(link.starts_with("https://wiki.example.com/rollcall#rollcall-"), "{link}");
    }
}

#[test]
fn the_dashboard_is_found_by_grafanas_sidecar() {
    assert_eq!(
        with(&[]).of_kind("ConfigMap").filter(|map| map["metadata"]["name"] == "rollcall-dashboard").count(),
        0
    );
    let folder = r#"grafanaDashboard.annotations={"grafana_folder":"Platform"}"#;
    let rendered = with(&["grafanaDashboard.enabled=true", folder]);
    let map =
        rendered.of_kind("ConfigMap").find(|map| map["metadata"]["name"] == "rollcall-dashboard").unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(map["metadata"]["annotations"], json!({"grafana_folder": "Platform"}));
    let held: Value = serde_json::from_str(map["data"]["rollcall.json"].as_str().unwrap()).unwrap();
    assert_eq!(held, serde_json::from_str::<Value>(&file("dashboard.json")).unwrap());
}
