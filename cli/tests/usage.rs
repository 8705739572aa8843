//! The verbs as a process: what is no use of them, and what becomes of a cluster that is not there.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

/// How it ends, what it prints, and what it says.
fn rollcall(args: &[&str], kubeconfig: Option<&PathBuf>) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(args).env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").env("HOME", "/nowhere");
    if let Some(path) = kubeconfig {
        command.env("KUBECONFIG", path);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A kubeconfig whose API server is nobody.
fn nobody(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("config");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n\
        users: [{name: u, user: {}}]\n\
        contexts: [{name: here, context: {cluster: c, user: u, namespace: shop}}]\n";
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn what_is_no_use_of_a_verb_ends_with_two_and_a_sentence() {
    let directory = TempDir::new().unwrap();
    let config = nobody(&directory);
    let config_flag = config.to_str().unwrap();
    for (args, told) in [
        (&["nothing"][..], "nothing"),
        (&["check", "orders"], "orders"),
        (&["check", "-o", "wide"], "json"),
        (&["check", "--timeout", "1h"], "10s"),
        (&["services", "orders"], "orders"),
        (&["services", "-A", "-n", "shop"], "--namespace"),
        (&["services", "-n", "Shop"], "Shop"),
        (&["services", "-o", "yaml"], "json"),
        (&["consumers"], "NAME"),
        (&["consumers", "orders@1.4.2"], "NAME.NAMESPACE"),
        (&["consumers", "orders", "-o", "wide"], "json"),
        (&["resolve"], "NAME"),
        (&["resolve", "Orders"], "NAME.NAMESPACE"),
        (&["resolve", "orders@"], "orders@1.4.2"),
        (&["resolve", "orders", "-o", "wide"], "json"),
        (&["resolve", "orders", "-A"], "-A"),
        (&["explain"], "NAME"),
        (&["explain", "node/n1"], "pod/NAME"),
        (&["explain", "pod/"], "kubectl get pods"),
        (&["explain", "pod/orders-1", "id"], "leave it out"),
        (&["explain", "orders", "--from", "Bank"], "Bank"),
        (&["sidecars", "--timeout", "0s"], "10s"),
        (&["sidecars", "orders"], "orders"),
        (&["watch"], "NAME"),
        (&["watch", "a.b.c"], "NAME.NAMESPACE"),
        (&["drain"], "POD"),
        (&["drain", "orders_1"], "kubectl get pods"),
        (&["drain", ".."], "kubectl get pods"),
        (&["explain", "pod/.."], "kubectl get pods"),
        (&["drain", "orders-1", "--deadline", "2m"], "60s"),
        (&["drain", "orders-1", "--stop", "--deadline", "2s"], "--deadline"),
        (&["services", "--kubeconfig", "/nowhere/config"], "kubeconfig"),
        (&["services", "--kubeconfig", config_flag, "--context", "there"], "there"),
    ] {
        let (code, printed, said) = rollcall(args, Some(&config));
        assert_eq!(code, 2, "{args:?}: {said}");
        assert!(said.contains(told), "{args:?}: {said}");
        assert_eq!(printed, "", "{args:?}");
    }
}

#[test]
fn where_nobody_answers_it_ends_with_three_and_says_so() {
    let directory = TempDir::new().unwrap();
    let config = nobody(&directory);
    for args in [
        &["check"][..],
        &["check", "--pre"],
        &["services"],
        &["services", "-A", "-o", "json"],
        &["consumers", "orders"],
        &["resolve", "orders"],
        &["explain", "orders"],
        &["explain", "pod/orders-1"],
        &["sidecars"],
        &["watch", "orders"],
        &["drain", "orders-1"],
    ] {
        let (code, _, said) = rollcall(args, Some(&config));
        assert_eq!(code, 3, "{args:?}: {said}");
        assert!(said.contains("API server") && said.contains("kubectl version"), "{args:?}: {said}");
    }
    let (code, _, said) = rollcall(&["services"], None);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("--kubeconfig"), "{said}");
}

#[test]
fn a_list_of_kubeconfigs_may_name_one_that_is_not_there() {
    let directory = TempDir::new().unwrap();
    let there = nobody(&directory);
    let list = std::env::join_paths([directory.path().join("missing"), there]).unwrap();
    let (code, _, said) = rollcall(&["services"], Some(&list.into()));
    assert!(
        code == 3 && said.contains("kubectl version"),
        "asked the server of the one that is there: {said}"
    );
    let broken = directory.path().join("broken");
    fs::write(&broken, "clusters: [").unwrap();
    let (code, _, said) = rollcall(&["services"], Some(&broken));
    assert!(code == 2 && !said.contains("in-cluster"), "{said}");
}

#[test]
fn where_nobody_hears_what_went_wrong_the_code_still_tells() {
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = command.arg("services").env("KUBECONFIG", nobody(&directory)).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_check_without_a_cluster_says_what_failed() {
    let directory = TempDir::new().unwrap();
    let (_, printed, _) = rollcall(&["check", "-o", "json"], Some(&nobody(&directory)));
    let body: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&body["ok"], &body["findings"][0]["check"]), (&false.into(), &"kubernetes-reachable".into()));
    let (_, printed, _) = rollcall(&["check"], Some(&nobody(&directory)));
    assert!(printed.starts_with("Kubernetes\n  fail  the API server gives no answer"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "no colours where there is no terminal");
}

#[test]
fn as_a_plugin_of_kubectl_it_goes_by_that_name() {
    let directory = TempDir::new().unwrap();
    let plugin = directory.path().join("kubectl-rollcall");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rollcall"), &plugin).unwrap();
    let output = Command::new(&plugin).args(["resolve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && help.contains("kubectl rollcall resolve"), "{help}");
}
