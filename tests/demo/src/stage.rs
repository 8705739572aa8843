//! The cluster that the demo plays on.

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::Result;
use rollcall_cluster::{Cluster as Hardware, Kubectl, output_of};
use serde_json::Value;

/// The namespace of the chart.
pub(crate) const SYSTEM: &str = "rollcall-system";
/// The namespace of the shop, as its manifest has it.
pub(crate) const SHOP: &str = "rollcall-demo";

/// Holds a cluster, and how it is reached.
pub struct Stage {
    kubectl: Kubectl,
    helm: PathBuf,
    /// The kit's own cluster: no other one has nodes that can be cut off from here.
    hardware: Option<Hardware>,
    /// Values of the chart, as `key=value`: which images.
    values: Vec<String>,
    /// All times of the demo count from here.
    began: Instant,
}

// === impl Stage ===

impl Stage {
    pub fn new(kubectl: Kubectl, helm: PathBuf, hardware: Option<Hardware>, values: Vec<String>) -> Self {
        Self { kubectl, helm, hardware, values, began: Instant::now() }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn hardware(&self) -> Option<&Hardware> {
        self.hardware.as_ref()
    }

    pub(crate) fn values(&self) -> &[String] {
        &self.values
    }

    pub(crate) fn tool(&self) -> &Kubectl {
        &self.kubectl
    }

    /// kubectl, for what has no namespace.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        Ok(self.kubectl.call(args)?)
    }

    /// kubectl in the shop.
    pub(crate) fn shop(&self, args: &[&str]) -> Result<String> {
        self.kubectl(&[&["-n", SHOP], args].concat())
    }

    /// kubectl in the controller's namespace.
    pub(crate) fn system(&self, args: &[&str]) -> Result<String> {
        self.kubectl(&[&["-n", SYSTEM], args].concat())
    }

    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        self.kubectl.given(&["apply", "-f", "-"], manifest)?;
        Ok(())
    }

    /// The pods of a namespace with these labels; those that end are among them.
    pub(crate) fn pods(&self, namespace: &str, labels: &str) -> Result<Vec<Pod>> {
        let list = self.kubectl.json(&["-n", namespace, "get", "pods", "-l", labels])?;
        Ok(list["items"].as_array().into_iter().flatten().map(Pod::of).collect())
    }

    /// What a script prints in the app of a pod.
    pub(crate) fn run(&self, pod: &str, script: &str) -> Result<String> {
        self.shop(&["exec", pod, "-c", "app", "--", "sh", "-c", script])
    }

    pub(crate) fn helm(&self, args: &[&str]) -> Result<String> {
        let mut helm = Command::new(&self.helm);
        helm.env("KUBECONFIG", &self.kubectl.kubeconfig).args(["--namespace", SYSTEM]).args(args);
        Ok(output_of("helm", &mut helm)?)
    }
}

/// Holds what is asked of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) node: String,
    pub(crate) service: String,
    pub(crate) is_ready: bool,
    pub(crate) ends: bool,
    pub(crate) has_sidecar: bool,
}

// === impl Pod ===

impl Pod {
    fn of(object: &Value) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let conditions = object["status"]["conditions"].as_array();
        let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        Self {
            name: text("/metadata/name"),
            address: text("/status/podIP"),
            node: text("/spec/nodeName"),
            service: text("/metadata/labels/app.kubernetes.io~1name"),
            is_ready: conditions.is_some_and(|all| all.iter().any(is_ready)),
            ends: !object["metadata"]["deletionTimestamp"].is_null(),
            has_sidecar: text("/metadata/annotations/rollcall.dev~1status") == "injected",
        }
    }
}
