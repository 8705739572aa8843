use crate::{ci_files, helm, with, with_file};
use serde_json::Value;
use std::collections::BTreeSet;

/// Kinds that have no namespace.
const CLUSTER_WIDE: [&str; 4] =
    ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration"];

fn names(namespace: &str) -> BTreeSet<(String, String)> {
    let rendered = helm().rendered(namespace, &["--set", "crds.enabled=false"]).unwrap();
    let wide = rendered.0.iter().filter(|object| CLUSTER_WIDE.iter().any(|kind| object["kind"] == *kind));
    wide.map(|object| (object["kind"].to_string(), object["metadata"]["name"].to_string())).collect()
}

#[test]
fn two_installations_meet_nowhere() {
    let (one, other) = (names("rollcall-system"), names("registry"));
    assert_eq!(one.len(), 5);
    assert_eq!(one.intersection(&other).count(), 0);
}

#[test]
fn what_has_a_namespace_is_in_that_of_the_release() {
    for file in ci_files() {
        for object in with_file(&file).0 {
            let wide = CLUSTER_WIDE.iter().any(|kind| object["kind"] == *kind);
            let namespace = &object["metadata"]["namespace"];
            assert_eq!(
                *namespace,
                if wide { Value::Null } else { "rollcall-system".into() },
                "{}",
                object["kind"]
            );
        }
    }
}

#[test]
fn no_secret_is_rendered() {
    for file in ci_files() {
        assert_eq!(with_file(&file).of_kind("Secret").count(), 0);
    }
}

#[test]
fn everything_says_whose_it_is() {
    for object in with(&[]).0 {
        let labels = &object["metadata"]["labels"];
        let place = format!("{} {}", object["kind"], object["metadata"]["name"]);
        assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{place}");
        assert_eq!(labels["app.kubernetes.io/instance"], "rollcall", "{place}");
        assert_eq!(labels["app.kubernetes.io/version"], env!("CARGO_PKG_VERSION"), "{place}");
    }
}

#[test]
fn the_crd_outlives_the_release_unless_it_shall_not() {
    let kept = |settings: &[&str]| {
        with(settings).one("CustomResourceDefinition").unwrap()["metadata"]["annotations"]["helm.sh/resource-policy"].clone()
    };
    assert_eq!(kept(&[]), "keep");
    assert_eq!(kept(&["crds.keep=false"]), Value::Null);
    assert_eq!(with(&["crds.enabled=false"]).of_kind("CustomResourceDefinition").count(), 0);
}
