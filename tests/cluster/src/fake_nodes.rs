//! Nodes and pods that are nothing but words in the API: thousands of them cost no more than their objects.
//!
//! kwok plays their kubelets. Everything else (scheduler, Deployments, EndpointSlices, deletion) is Kubernetes' own.

use crate::companion::Companion;
use crate::progress::Step;
use crate::run::{Poll, read_tail, wait_for};
use crate::{Error, Home, KWOK, Kubectl};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// Pods with this annotation have no kubelet, not even a fake one: a test writes their status, and ends them.
pub const BY_HAND: &str = "rollcall.test/by-hand";

/// What kwok does with nodes and pods.
const STAGES: &str = include_str!("fake_nodes.yaml");
/// Names the fake nodes of one test, as annotation, label and taint.
const MARK: &str = "rollcall.test/fake";
/// So many, each with room for some thousand pods.
pub const NODES: u8 = 4;
/// A loaded machine gets them ready in seconds.
const READY_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A few fake nodes of a cluster, whichever; gone with this value.
#[derive(Debug)]
pub struct FakeNodes {
    mark: String,
    kubectl: Kubectl,
    folder: PathBuf,
    kwok: Companion,
}

impl FakeNodes {
    /// Starts [`NODES`] of them, `MARK-1` and so on, in the zones a and b. `mark` must be nobody else's in the cluster.
    pub fn start(home: &Home, kubectl: &Kubectl, mark: &str) -> Result<Self, Error> {
        let program = KWOK.build(home)?;
        let step = Step::start("starting fake nodes");
        let folder = home.folder("fake-nodes")?.join(mark);
        fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
        let (stages, log) = (folder.join("stages.yaml"), folder.join("kwok.log"));
        fs::write(&stages, STAGES).map_err(Error::file("write", &stages))?;
        let output = File::create(&log).map_err(Error::file("write", &log))?;
        let errors = output.try_clone().map_err(Error::file("write", &log))?;
        let arguments = [
            format!("--kubeconfig={}", kubectl.kubeconfig.display()),
            format!("--config={}", stages.display()),
            format!("--manage-nodes-with-annotation-selector={MARK}={mark}"),
            "--node-lease-duration-seconds=40".to_owned(),
        ];
        let kwok = Companion::start("starting kwok", &program, move |kwok| {
            kwok.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        })?;
        let nodes = Self { mark: mark.to_owned(), kubectl: kubectl.clone(), folder, kwok };
        nodes.kubectl.given(&["create", "-f", "-"], &nodes.manifest().to_string())?;
        wait_for("fake nodes", READY_LIMIT, LOOK_EVERY, &log, || {
            if let Some(ended) = nodes.kwok.ended() {
                let said = read_tail(&log);
                return Err(Error::unmet(format!("kwok ended: {ended}\n{said}"), "see what it says"));
            }
            let marked = format!("{MARK}={mark}");
            let ready = nodes.kubectl.call(&["get", "nodes", "-l", &marked, "-o", READY_STATUS])?;
            Ok(match ready.split_whitespace().filter(|status| *status == "True").count() {
                all if all == usize::from(NODES) => Poll::Ready(()),
                some => Poll::NotYet(format!("{some} of {NODES} are ready")),
            })
        })?;
        step.done();
        Ok(nodes)
    }

    /// What a pod's spec must have in order to come here, and not to a node that would start it: its node selector and
    /// its tolerations.
    pub fn placement(&self) -> (serde_json::Value, serde_json::Value) {
        (
            serde_json::json!({MARK: self.mark}),
            serde_json::json!([{"key": MARK, "operator": "Equal", "value": self.mark, "effect": "NoSchedule"}]),
        )
    }

    /// The name of one, counted from 1.
    pub fn name(&self, number: u8) -> String {
        format!("{}-{number}", self.mark)
    }

    fn manifest(&self) -> serde_json::Value {
        let node = |number: u8| {
            // Of the range for benchmarks between networks (RFC 2544): nobody's in particular.
            let range = format!("198.18.{}.0/20", u16::from(number - 1) * 16);
            let zone = if number % 2 == 1 { "a" } else { "b" };
            serde_json::json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {
                    "name": self.name(number),
                    "annotations": {MARK: self.mark},
                    "labels": {MARK: self.mark, "topology.kubernetes.io/zone": zone},
                },
                "spec": {
                    "podCIDR": range, "podCIDRs": [range],
                    "taints": [{"key": MARK, "value": self.mark, "effect": "NoSchedule"}],
                },
            })
        };
        serde_json::json!({"apiVersion": "v1", "kind": "List", "items": (1..=NODES).map(node).collect::<Vec<_>>()})
    }
}

const READY_STATUS: &str =
    r#"jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{" "}{end}"#;

impl Drop for FakeNodes {
    fn drop(&mut self) {
        let delete = ["delete", "nodes", "-l", &format!("{MARK}={}", self.mark), "--ignore-not-found"];
        if let Err(error) = self.kubectl.call(&delete) {
            eprintln!("left behind: {error}");
        }
        self.kwok.kill();
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("left behind: {}: {error}", self.folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_speak_of_the_annotation_that_keeps_them_away() {
        assert_eq!(STAGES.matches(&format!(r#".metadata.annotations["{BY_HAND}"]"#)).count(), 2);
    }
}
