//! The `rollcall` command on a real cluster: all is ok after an install, and what is broken one thing after another is named.
//!
//! Needs `KUBECONFIG`, and on the nodes the images that `README.md` names.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Context, Result, bail, ensure};
use rollcall_slice::{Cluster, SERVES, WAITS, eventually, pod, with_annotations, workspace};
use serde_json::{Value, json};

/// What of a cluster other installations and tests have a say in.
const OF_OTHERS: [&str; 5] =
    ["registrations", "sidecar-images", "sidecar-sessions", "sidecar-address", "failing-apps"];

/// Holds the command, and the installation that it asks.
struct Rollcall<'a> {
    program: PathBuf,
    cluster: &'a Cluster,
}

#[test]
fn people_see_what_is_there_and_what_is_wrong() -> Result<()> {
    Cluster::try_with(&[], |cluster| {
        let rollcall = Rollcall { program: built()?, cluster };
        let says = |port: &str| json!({"rollcall.dev/service": "orders", "rollcall.dev/port": port, "rollcall.dev/version": "1.4.2"});
        cluster.shop.apply(&[
            with_annotations(pod("orders-1", SERVES), &says("http:8080")),
            with_annotations(pod("orders-2", SERVES), &says("http:8080")),
            pod("storefront-1", WAITS),
        ])?;
        for name in ["orders-1", "orders-2", "storefront-1"] {
            cluster.shop.ready(name)?;
        }
        for (what, step) in [
            ("what is there", what_is_there as fn(&Rollcall<'_>) -> Result<()>),
            ("all is ok", all_is_ok),
            ("drain", drain),
            ("broken pods", broken_pods),
            ("webhook", without_webhook),
            ("no controller", without_controller),
        ] {
            step(&rollcall).with_context(|| format!("step: {what}"))?;
            println!("{what}: as it should be");
        }
        Ok(())
    })
}

fn what_is_there(rollcall: &Rollcall<'_>) -> Result<()> {
    let shop = &rollcall.cluster.shop;
    let mut expected = Vec::new();
    for name in ["orders-1", "orders-2"] {
        expected.push(format!("{}:8080", shop.pod_ip(name)?));
    }
    expected.sort();
    eventually("both are resolved", || {
        let (code, said) = rollcall.run(&["resolve", "orders"])?;
        Ok(code == 0 && said.lines().eq(expected.iter().map(String::as_str)))
    })?;
    ensure!(rollcall.run(&["resolve", "orders@^1.4"])?.0 == 0, "a version that is there");
    ensure!(rollcall.run(&["resolve", "orders@9.0.0"])?.0 == 1, "a version that is not");
    ensure!(rollcall.run(&["resolve", "orders@1.4.2.3"])?.0 == 2, "no version");
    let (code, said) = rollcall.run(&["resolve", "ordres"])?;
    ensure!(code == 1 && said.contains("did you mean `orders."), "{code}: {said}");

    let services = rollcall.json(&["services"])?;
    ensure!(services["services"][0]["service"] == "orders", "{services}");
    let (code, wide) = rollcall.run(&["services", "-o", "wide"])?;
    ensure!(code == 0 && wide.contains("CONSUMERS"), "{wide}");
    let (code, said) = rollcall.run(&["sidecars"])?;
    ensure!(code == 0 && said.contains("storefront-1") && said.contains("orders-2"), "{said}");
    let (code, said) = rollcall.run(&["explain", "orders"])?;
    ensure!(code == 0 && said.contains("2 of 2 served"), "{said}");
    for name in ["pod/orders-1", "pod/storefront-1"] {
        let (code, said) = rollcall.run(&["explain", name])?;
        ensure!(code == 0 && said.contains("no link is broken"), "{said}");
    }
    Ok(())
}

fn all_is_ok(rollcall: &Rollcall<'_>) -> Result<()> {
    // Each API server and each sidecar hears of an installation in its own time.
    eventually("all is ok", || {
        let findings = rollcall.findings(0)?;
        let bad: Vec<_> = findings
            .iter()
            .filter(|one| one["level"] != "ok" && !OF_OTHERS.iter().any(|other| one["check"] == *other))
            .collect();
        if bad.is_empty() { Ok(true) } else { bail!("{bad:?}") }
    })
}

fn drain(rollcall: &Rollcall<'_>) -> Result<()> {
    let (code, said) = rollcall.run(&["drain", "orders-2"])?;
    ensure!(code == 0 && said.contains("out of the lookups"), "{code}: {said}");
    rollcall.broken("orders-2", "catalogue", "DrainRequested")?;
    ensure!(rollcall.run(&["drain", "orders-2", "--stop"])?.0 == 0, "taken back");
    eventually("it is served again", || Ok(rollcall.run(&["explain", "pod/orders-2"])?.0 == 0))
}

fn broken_pods(rollcall: &Rollcall<'_>) -> Result<()> {
    let shop = &rollcall.cluster.shop;
    let wrong_port = json!({"rollcall.dev/service": "cart", "rollcall.dev/port": "http:9999"});
    let misspelt = json!({"rollcall.dev/sevice": "cart"});
    let declines = json!({"rollcall.dev/inject": "false"});
    let mut unready = with_annotations(pod("unready-1", SERVES), &json!({"rollcall.dev/service": "cart2"}));
    unready["spec"]["containers"][0]["readinessProbe"] =
        json!({"tcpSocket": {"port": 9999}, "periodSeconds": 1});
    let hidden = json!({"rollcall.dev/service": "secret", "rollcall.dev/visibility": "namespace"});
    shop.apply(&[
        with_annotations(pod("port-1", SERVES), &wrong_port),
        with_annotations(pod("misspelt-1", SERVES), &misspelt),
        with_annotations(pod("declines-1", WAITS), &declines),
        unready,
        with_annotations(pod("hidden-1", SERVES), &hidden),
    ])?;
    shop.ready("hidden-1")?;
    rollcall.broken("port-1", "probe", "port 9999")?;
    rollcall.broken("misspelt-1", "annotation", "rollcall.dev/service?")?;
    rollcall.broken("declines-1", "injection", "")?;
    rollcall.broken("unready-1", "readiness", "app")?;
    eventually("the namespace that may not see it is told", || {
        let (code, said) = rollcall.run(&["explain", "pod/hidden-1", "--from", "bank"])?;
        Ok(code == 1 && said.contains("pods of bank may not see"))
    })
}

fn without_webhook(rollcall: &Rollcall<'_>) -> Result<()> {
    let name = format!("{}-injection", rollcall.cluster.system.name());
    rollcall.cluster.kubectl(&["delete", "mutatingwebhookconfiguration", &name])?;
    let findings = rollcall.findings(1)?;
    let told = findings.iter().find(|one| one["check"] == "webhook-there").context("not looked at")?;
    ensure!(told["level"] == "fail", "{told}");
    Ok(())
}

fn without_controller(rollcall: &Rollcall<'_>) -> Result<()> {
    rollcall.cluster.scale_controller(0)?;
    let findings = rollcall.findings(1)?;
    ensure!(findings.iter().any(|one| one["check"] == "replicas" && one["level"] == "fail"), "{findings:?}");
    let (code, said) = rollcall.run(&["services"])?;
    ensure!(code == 3 && said.contains("controller"), "{code}: {said}");
    rollcall.broken("orders-1", "controller", "")
}

impl Rollcall<'_> {
    /// How it ended, and all that it said.
    fn run(&self, args: &[&str]) -> Result<(i32, String)> {
        let output = self.output(args)?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8(said)?))
    }

    fn output(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(args).args(["--namespace", self.cluster.shop.name()]);
        command.args(["--system-namespace", self.cluster.system.name()]);
        command.output().with_context(|| self.program.display().to_string())
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.output(&[args, &["-o", "json"]].concat())?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What `check` finds; an error where it ends otherwise.
    fn findings(&self, code: i32) -> Result<Vec<Value>> {
        let output = self.output(&["check", "-o", "json"])?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.code() == Some(code), "{:?}: {said}", output.status);
        let body: Value = serde_json::from_str(&said)?;
        Ok(body["findings"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until the way of this pod ends there, and this is said of it.
    fn broken(&self, pod: &str, link: &str, says: &str) -> Result<()> {
        eventually(&format!("{pod} is broken at {link}"), || {
            let told = self.json(&["explain", &format!("pod/{pod}")])?;
            let said = told["steps"].as_array().and_then(|steps| steps.last()).map(Value::to_string);
            if told["broken"] == link && said.is_some_and(|said| said.contains(says)) {
                return Ok(true);
            }
            bail!("{told}")
        })
    }
}

/// The command of this tree. Cargo builds no program of another package for a test.
fn built() -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    let built =
        cargo.args(["build", "--quiet", "--package", "rollcall"]).current_dir(workspace()).status()?;
    ensure!(built.success(), "the command cannot be built");
    // A test is `deps/NAME` beside it.
    let tests = env::current_exe()?;
    let target = tests.ancestors().nth(2).context("a test outside of a target directory")?;
    Ok(target.join("rollcall"))
}
