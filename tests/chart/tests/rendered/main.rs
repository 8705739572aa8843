//! The chart as helm renders it, without a cluster.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod cluster_wide;
mod controller;
mod injection;
mod lint;
mod monitoring;
mod rules;
mod shown;
mod switches;
mod values;

use rollcall_chart::{Helm, Rendered, chart};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The namespace that an installation has by its own instructions.
const NAMESPACE: &str = "rollcall-system";

fn helm() -> Helm {
    Helm::new(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

/// What is rendered with these settings, each as `--set` takes it.
fn with(settings: &[&str]) -> Rendered {
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set-json", setting]).collect();
    helm().rendered(NAMESPACE, &arguments).unwrap()
}

/// What is rendered with a file of values.
fn with_file(file: &Path) -> Rendered {
    helm().rendered(NAMESPACE, &["--values", file.to_str().unwrap()]).unwrap()
}

/// The files of values that the chart is linted, and by others installed, with.
fn ci_files() -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(chart().join("ci")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The controller's pod template.
fn pod(rendered: &Rendered) -> &Value {
    &rendered.one("Deployment").unwrap()["spec"]["template"]
}

/// The controller's container.
fn container(rendered: &Rendered) -> &Value {
    let containers = pod(rendered)["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

/// Its environment, without what is only known in a pod.
fn environment(rendered: &Rendered) -> BTreeMap<&str, &str> {
    let all = container(rendered)["env"].as_array().unwrap();
    all.iter()
        .filter_map(|variable| Some((variable["name"].as_str()?, variable["value"].as_str()?)))
        .collect()
}

/// A list of texts.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}
