//! Manifests without an API server: what that refuses is refused here, with a line, and what it takes is taken.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers are tests too")]

use std::{fs, path::Path};

use rollcall_catalogue::{Namespace, Reach};
use rollcall_crds::{Problem, What, manifests};

/// Numbers whose digits a pattern of the schema counts more simply than their value.
const SEEN_BY_THE_SCHEMA_ALONE: [&str; 1] = ["invalid-version-20-digits.yaml"];

fn home() -> Namespace {
    "default".parse().unwrap()
}

fn samples(prefix: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let mut all: Vec<_> = named.filter(|(name, _)| name.starts_with(prefix)).collect();
    all.sort();
    all.into_iter().map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect()
}

fn problems(text: &str, reach: Reach) -> Vec<Problem> {
    let bad = manifests(text, &home(), reach).into_iter().filter_map(|read| match read.what {
        What::Bad { problems, .. } => Some(problems),
        What::Registration { .. } | What::Other { .. } => None,
    });
    bad.flatten().collect()
}

#[test]
fn what_the_api_server_refuses_is_refused_with_its_line() {
    let samples = samples("invalid-");
    assert!(samples.len() > 50);
    for (name, text) in samples {
        let problems = problems(&text, Reach::Cluster);
        if SEEN_BY_THE_SCHEMA_ALONE.contains(&name.as_str()) {
            continue;
        }
        assert!(!problems.is_empty(), "{name} is taken");
        for Problem { line, sentence } in problems {
            let count = text.lines().count();
            assert!(line >= 1 && line <= count, "{name}: line {line} of {count}");
            // A sentence names the field, and says more than that.
            assert!(
                sentence.starts_with("spec") && sentence.contains(": ") || sentence.contains("; "),
                "{name}: {sentence}"
            );
        }
    }
}

#[test]
fn what_the_api_server_takes_is_taken_here_too() {
    for (name, text) in samples("valid-") {
        let read = manifests(&text, &home(), Reach::Machine);
        assert!(!read.is_empty(), "{name}");
        for read in read {
            assert!(matches!(read.what, What::Registration { .. }), "{name}: {read:?}");
        }
    }
}

#[test]
fn a_line_is_that_of_the_field() {
    let text = "\
# two of them
apiVersion: rollcall.dev/v1alpha1
kind: ServiceRegistration
metadata: {name: orders}
spec:
  target:
    addresses:
    - address: 127.0.0.1
  version: v1
  ports:
  - {name: http, port: 8080}
---
apiVersion: rollcall.dev/v1alpha1
kind: ServiceRegistration
metadata: {name: billing}
spec:
  prots: []
  target: {addresses: [{address: 127.0.0.1}]}
---
kind: Deployment
apiVersion: apps/v1
---
apiVersion: rollcall.dev/v1beta1
kind: ServiceRegistration
---
apiVersion: rollcall.dev/v1alpha1
kind: ServiceRegistration
metadata: {name: good}
spec: {target: {addresses: [{address: 127.0.0.1}]}, ports: [{name: http, port: 80}]}
---
a: [
";
    let lines: Vec<_> = problems(text, Reach::Machine).iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [9, 17, 17, 23, 31], "{:#?}", problems(text, Reach::Machine));
    let all = manifests(text, &home(), Reach::Machine);
    let kinds: Vec<_> = all
        .iter()
        .map(|read| match &read.what {
            What::Registration { name, registration } => format!("{name} {}", registration.key),
            What::Bad { named, .. } => named.as_ref().map_or("bad", |(_, name)| name).to_owned(),
            What::Other { kind } => kind.clone(),
        })
        .collect();
    assert_eq!(kinds, ["orders", "billing", "Deployment", "bad", "good good.default", "bad"]);
    let broken = problems(text, Reach::Machine).pop().unwrap();
    assert_eq!(broken.sentence, "cannot be read: unclosed bracket '['");
    let loopback = problems(text, Reach::Cluster);
    assert!(
        loopback.iter().any(|problem| problem.line == 8 && problem.sentence.contains("is loopback")),
        "{loopback:#?}"
    );
}
