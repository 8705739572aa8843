//! A namespace of the cluster, and what is done in it.

use std::{
    fs,
    process::{ChildStdout, Stdio},
};

use anyhow::{Context, Result};
use rollcall_cluster::{Kubectl, companion::Companion};
use serde_json::Value;

use crate::{eventually, workspace};

/// Pods whose logs a failed test shows: more would hide what they say.
const LOGS_MAX: usize = 12;

/// Holds a namespace by its name.
#[derive(Debug, Clone)]
pub struct Space {
    kubectl: Kubectl,
    name: String,
}

/// Holds a pod as the API server has it.
#[derive(Debug, Clone)]
pub struct Pod(pub Value);

// === impl Space ===

impl Space {
    pub(crate) fn new(kubectl: Kubectl, name: String) -> Self {
        Self { kubectl, name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        Ok(self.kubectl.call(&self.scoped(args))?)
    }

    pub fn json(&self, args: &[&str]) -> Result<Value> {
        Ok(self.kubectl.json(&self.scoped(args))?)
    }

    /// As `kubectl`, which is given something to read.
    pub fn given(&self, args: &[&str], input: &str) -> Result<String> {
        Ok(self.kubectl.given(&self.scoped(args), input)?)
    }

    /// As `kubectl`, for what goes on for as long as its value lives, and what it prints meanwhile.
    pub fn streaming(&self, args: &[&str]) -> Result<(Companion, ChildStdout)> {
        let args: Vec<_> = self.scoped(args).into_iter().map(str::to_owned).collect();
        let kubeconfig = self.kubectl.kubeconfig.clone();
        let mut process = Companion::start("starting kubectl", &self.kubectl.program, move |kubectl| {
            kubectl.args(args).env("KUBECONFIG", kubeconfig).stdin(Stdio::null()).stdout(Stdio::piped());
        })?;
        let output = process.take_stdout().context("kubectl without output")?;
        Ok((process, output))
    }

    /// Creates these objects, or changes them.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.given(&["apply", "-f", "-"], &list.to_string()).map(drop)
    }

    /// The same with a file of `manifests/`.
    pub fn apply_manifest(&self, name: &str, change: impl FnOnce(String) -> String) -> Result<()> {
        let path = workspace().join("tests/slice/manifests").join(name);
        let manifest = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        self.given(&["apply", "-f", "-"], &change(manifest)).map(drop)
    }

    /// What the API server would make of this; nothing is kept.
    pub fn dry_run(&self, manifest: &str) -> Result<Value> {
        let made = self.given(&["create", "--dry-run=server", "-o", "json", "-f", "-"], manifest)?;
        serde_json::from_str(&made).context(made)
    }

    pub fn pod(&self, name: &str) -> Result<Pod> {
        Ok(Pod(self.json(&["get", "pod", name])?))
    }

    /// All pods with this label `app`, or with any; those that end are not among them.
    pub fn pods(&self, app: Option<&str>) -> Result<Vec<Pod>> {
        let selector = app.map_or_else(|| "--selector=".to_owned(), |app| format!("--selector=app={app}"));
        let list = self.json(&["get", "pods", &selector])?;
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        Ok(pods.into_iter().map(Pod).filter(|pod| pod.0["metadata"]["deletionTimestamp"].is_null()).collect())
    }

    /// Waits until the pod is ready.
    pub fn ready(&self, pod: &str) -> Result<()> {
        eventually(&format!("{pod} is ready"), || Ok(self.pod(pod)?.is_ready()))
    }

    /// Waits until so many pods with this label are ready, and there are no others with it.
    pub fn all_ready(&self, app: &str, count: usize) -> Result<()> {
        eventually(&format!("{count} pods of {app} are ready"), || {
            let pods = self.pods(Some(app))?;
            Ok(pods.len() == count && pods.iter().all(Pod::is_ready))
        })
    }

    pub fn pod_ip(&self, pod: &str) -> Result<String> {
        self.kubectl(&["get", "pod", pod, "-o", "jsonpath={.status.podIP}"])
    }

    /// What this script prints in the pod's app; an error where it fails.
    pub fn run(&self, pod: &str, script: &str) -> Result<String> {
        self.kubectl(&["exec", pod, "-c", "app", "--", "/bin/busybox", "sh", "-c", script])
    }

    /// What this pod's app gets from its sidecar; `options` are wget's.
    pub fn ask(&self, pod: &str, path: &str, options: &[&str]) -> Result<String> {
        let url = format!("http://127.0.0.1:7300{path}");
        let wget = ["exec", pod, "-c", "app", "--", "/bin/busybox", "wget", "-qO-"];
        let args: Vec<_> = wget.into_iter().chain(options.iter().copied()).chain([url.as_str()]).collect();
        self.kubectl(&args)
    }

    /// The instances that this pod is told of a service; none where it is told that there is no such service.
    pub fn lookup(&self, pod: &str, service: &str) -> Result<Vec<Value>> {
        // wget fails on a 404 and on a 503; what it says tells them apart.
        match self.ask(pod, &format!("/v1/services/{service}"), &[]) {
            Ok(text) => {
                let body: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
                Ok(body.get("instances").and_then(Value::as_array).cloned().unwrap_or_default())
            }
            Err(error) if error.to_string().contains(" 404") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Whether this pod's sidecar is in step with the controller: only then a lookup of this service is 0 s old.
    pub fn in_step(&self, pod: &str, service: &str) -> Result<bool> {
        match self.ask(pod, &format!("/v1/services/{service}?max-age=0"), &[]) {
            Ok(_) => Ok(true),
            Err(error) if error.to_string().contains(" 503") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What Events of this reason say of a pod.
    pub fn events(&self, reason: &str, pod: &str) -> Result<String> {
        let selector = format!("reason={reason},involvedObject.name={pod}");
        self.kubectl(&["get", "events", "--field-selector", &selector, "-o", "jsonpath={.items[*].message}"])
    }

    /// What a person would look at first.
    pub(crate) fn scene(&self) -> String {
        let look = |args: &[&str]| match self.kubectl(args) {
            Ok(text) => format!("--- kubectl -n {} {}\n{text}\n", self.name, args.join(" ")),
            Err(error) => format!("--- {error:#}\n"),
        };
        let mut scene = look(&["get", "pods", "-o", "wide"]);
        scene += &look(&["get", "events", "--sort-by=.lastTimestamp"]);
        let names = self.kubectl(&["get", "pods", "-o", "name"]).unwrap_or_default();
        for pod in names.lines().take(LOGS_MAX) {
            scene += &look(&["logs", pod, "--all-containers", "--prefix", "--tail=30"]);
        }
        scene
    }

    fn scoped<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        ["-n", self.name.as_str()].into_iter().chain(args.iter().copied()).collect()
    }
}

// === impl Pod ===

impl Pod {
    pub fn name(&self) -> &str {
        text(&self.0["metadata"], "name")
    }

    pub fn ip(&self) -> &str {
        text(&self.0["status"], "podIP")
    }

    pub fn is_ready(&self) -> bool {
        let conditions = self.0["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
    }

    /// Names of its containers that begin it, in their order.
    pub fn init_containers(&self) -> Vec<&str> {
        let containers = self.0["spec"]["initContainers"].as_array();
        containers.into_iter().flatten().map(|container| text(container, "name")).collect()
    }

    pub fn has_sidecar(&self) -> bool {
        self.init_containers().contains(&"rollcall-sidecar")
    }

    /// One of its containers, whichever kind it is of.
    pub fn container(&self, name: &str) -> Result<&Value> {
        let all = ["initContainers", "containers"].map(|kind| self.0["spec"][kind].as_array());
        let mut all = all.into_iter().flatten().flatten();
        all.find(|one| one["name"] == name).with_context(|| format!("{} has no {name}", self.name()))
    }

    /// How often its containers were started again.
    pub fn restarts(&self) -> u64 {
        let kinds = ["initContainerStatuses", "containerStatuses"];
        let all = kinds.map(|kind| self.0["status"][kind].as_array());
        all.into_iter().flatten().flatten().filter_map(|status| status["restartCount"].as_u64()).sum()
    }
}

/// A text of an object; empty where it has none.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The addresses of instances, in their order.
pub fn addresses(instances: &[Value]) -> Vec<String> {
    instances.iter().map(|instance| text(instance, "address").to_owned()).collect()
}
