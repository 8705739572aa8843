//! `rollcall inject` as a process: what comes out of it, what it says, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

fn rollcall(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.arg("inject").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A process that refuses its arguments does not read.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    process.wait_with_output().unwrap()
}

/// What it prints, and what it says, of input that it takes.
fn injected(arguments: &[&str], input: &str) -> (String, String) {
    let output = rollcall(arguments, input);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

fn workload(api_version: &str, kind: &str, spec: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: orders}}\nspec: {spec}\n")
}

const POD: &str = "{containers: [{name: app, image: orders}]}";

#[test]
fn whatever_holds_pods_is_injected_and_the_rest_is_as_it_was() {
    let template = format!("{{template: {{spec: {POD}}}}}");
    for (api_version, kind, spec) in [
        ("v1", "Pod", POD.to_owned()),
        ("v1", "ReplicationController", template.clone()),
        ("apps/v1", "Deployment", template.clone()),
        ("apps/v1", "StatefulSet", template.clone()),
        ("apps/v1", "DaemonSet", template.clone()),
        ("apps/v1", "ReplicaSet", template.clone()),
        ("batch/v1", "Job", template.clone()),
        ("batch/v1", "CronJob", format!("{{jobTemplate: {{spec: {template}}}}}")),
    ] {
        let written = workload(api_version, kind, &spec);
        let (once, said) = injected(&["-"], &written);
        assert!(
            once.contains("name: rollcall-sidecar") && once.contains("rollcall.dev/status: injected"),
            "{once}"
        );
        assert_eq!(said, "", "{kind}");
        assert_eq!(injected(&["-"], &once).0, once, "twice is once");
        let list = format!(
            "apiVersion: v1\nkind: List\nitems: [{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a}}, spec: {spec}}}]\n"
        );
        assert!(injected(&["-"], &list).0.contains("name: rollcall-sidecar"), "{list}");
        // One of its kind says what its items are.
        let list = format!(
            "apiVersion: {api_version}\nkind: {kind}List\nitems: [{{metadata: {{name: a}}, spec: {spec}}}]\n"
        );
        assert!(injected(&["-"], &list).0.contains("name: rollcall-sidecar"), "{list}");
    }
    for other in [
        workload("example.com/v1", "Deployment", &template),
        format!("apiVersion: v1\nkind: List\nitems: [{{metadata: {{name: a}}, spec: {POD}}}]\n"),
        workload("v1", "Service", "{selector: {app: orders}}   # of orders"),
        "no: kind\n".to_owned(),
    ] {
        assert_eq!(injected(&["-"], &other), (other.clone(), String::new()));
    }
}

#[test]
fn documents_keep_their_order() {
    let service = workload("v1", "Service", "{}");
    let input = format!("# all of it\n{service}---\n{}---\n{service}", workload("v1", "Pod", POD));
    let (output, _) = injected(&["-"], &input);
    let documents: Vec<_> = output.split("---\n").collect();
    assert_eq!((documents[0], documents[2]), (format!("# all of it\n{service}").as_str(), service.as_str()));
    assert!(documents[1].contains("rollcall-sidecar"));
    let json = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "app"}]}}"#;
    assert!(injected(&["-"], json).0.contains("name: rollcall-sidecar"));
}

#[test]
fn who_is_left_alone_is_named() {
    let pod = |metadata: &str, spec: &str| {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {metadata}\nspec: {spec}\n")
    };
    for (pod, told) in [
        (
            pod("{name: a, annotations: {rollcall.dev/inject: \"false\"}}", POD),
            "Pod/a: left as it is: its annotation",
        ),
        (
            pod("{generateName: b-}", "{hostNetwork: true, containers: [{name: app}]}"),
            "Pod/b-: left as it is: no sidecar: it is in its node's network",
        ),
        (pod("{name: c, namespace: kube-system}", POD), "Pod/c: left as it is: in the namespace kube-system"),
    ] {
        let (output, said) = injected(&["-"], &pod);
        assert_eq!(output, pod);
        assert!(said.starts_with(told) && said.lines().count() == 1, "{said}");
    }
    let (output, said) =
        injected(&["-"], &pod("{name: d, annotations: {rollcall.dev/requires: Orders}}", POD));
    assert!(
        output.contains("rollcall-sidecar") && said.starts_with("Pod/d: rollcall.dev/requires: "),
        "{said}"
    );
}

#[test]
fn flags_say_where_the_controller_is_and_what_sidecars_are() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pod = file("pod.yaml", &workload("v1", "Pod", POD));
    let ca = file("ca.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let settings =
        file("injection.yaml", "image: registry.example/sidecar:7\nresources:\n  requests: {cpu: 1}\n");
    let (plain, _) = injected(&[&pod], "");
    assert!(plain.contains("configMapKeyRef") && plain.contains("key: ca.crt"), "{plain}");
    let (direct, _) =
        injected(&[&pod, "--controller", "[fd00::7]:7310", "--ca-file", &ca, "--settings", &settings], "");
    for expected in [
        "value: \"[fd00::7]:7310\"",
        "-----BEGIN CERTIFICATE-----\n",
        "image: registry.example/sidecar:7",
        "cpu: \"1\"",
    ] {
        assert!(direct.contains(expected), "{expected}: {direct}");
    }

    let resolver = fs::read_to_string(&pod)
        .unwrap()
        .replace("{name: orders}", "{name: orders, annotations: {rollcall.dev/dns: resolver}}");
    let (resolving, said) = injected(
        &["-", "-n", "shop", "--cluster-dns", "10.96.0.10", "--cluster-domain", "k8s.example"],
        &resolver,
    );
    assert!(
        resolving.contains("- shop.svc.k8s.example\n")
            && resolving.contains("- \"127.0.0.1\"\n    - \"10.96.0.10\"\n"),
        "{resolving}"
    );
    assert_eq!(said, "");
    assert!(injected(&["-"], &resolver).1.contains("the cluster's DNS is not known here"));

    let key = file("both.pem", "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n");
    let odd = file("odd.yaml", "images: x\n");
    let spaced = file("spaced.yaml", "image: a b\n");
    let deep = file("deep.yaml", &format!("guaranteed: {{cpu: {}{}}}\n", "[".repeat(20), "]".repeat(20)));
    for (arguments, code, told) in [
        (vec![], 2, "FILE"),
        (vec!["-", "--controller", "10.0.0.1:7310"], 2, "--ca-file"),
        (vec!["-", "--ca-file", &ca], 2, "--controller"),
        (vec!["-", "--controller", "controller:7310", "--ca-file", &ca], 2, "controller:7310"),
        (vec!["-", "-n", "No Namespace"], 2, "namespace"),
        (vec!["/nonexistent/pod.yaml"], 1, "/nonexistent/pod.yaml"),
        (vec![&pod, "--controller", "10.0.0.1:7310", "--ca-file", &key], 1, "certificates"),
        (vec![&pod, "--settings", &odd], 1, "images"),
        (vec![&pod, "--settings", &spaced], 1, "`a b` is no name of an image"),
        (vec![&pod, "--settings", &deep], 1, "depth"),
    ] {
        let output = rollcall(&arguments, "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(told) && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
    for (input, told) in [
        ("a: [\n", "-: document 1"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "Pod/a: spec.containers: "),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", "Deployment/a: has no pod"),
    ] {
        // The good one is not printed either: half of a manifest is none.
        let output = rollcall(&["-"], &format!("{input}---\n{}", workload("v1", "Pod", POD)));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty() && said.contains(told), "{said}");
    }
}
