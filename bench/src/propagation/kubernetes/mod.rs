//! Kubernetes itself as a registry, in three rows:
//!
//! ```text
//!  we write a slice ─────────────────────────────────► API server ─► watches of slices              (slices)
//!  we write that a pod is ready ─► API server ─► endpoints' controller ─► API server ┬► watches     (pods)
//!   as its kubelet does                                                              └► cluster DNS (pods, names)
//! ```
//!
//! The second one is what a client of EndpointSlices has, such as kube-proxy, once a kubelet has found a pod ready; the probe's
//! period comes on top of it, and what kube-proxy does. The third one is what an app has that resolves a headless Service.

mod names;
mod pods;
mod slices;

use std::process::{self, Command};

use anyhow::{Context, Result, ensure};
use kube::{
    Client as KubeClient, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rollcall_cluster::{Cluster, Home, Kubectl, Name, Wish, fake_nodes::FakeNodes, interrupt};
use rollcall_results::Program;
use serde_json::Value;

use self::pods::placement;
use super::rows::Row;
use crate::peers::Data;

/// Objects that are written at a time.
const WRITTEN_TOGETHER: usize = 8;
/// Names the fake nodes.
const MARK: &str = "propagation";

/// Holds how a cluster is reached.
#[derive(Clone)]
pub(crate) struct Reached {
    kubectl: Kubectl,
    version: String,
    /// Of the cluster's DNS.
    dns: String,
    /// What pods of no kubelet have in their spec.
    placement: Value,
}

/// With a cluster that is there for nothing else.
pub(crate) fn beside(act: impl FnOnce(&Reached) -> Result<()>) -> Result<()> {
    interrupt::listen()?;
    let home = Home::of_this_user()?;
    Cluster::sweep(&home)?;
    let name = Name::parse(&format!("bench-{}", process::id()))?;
    let cluster = Cluster::up(&home, &Wish { name: name.clone(), nodes: 1, ours_alone: true })?;
    let acted = within(&home, &cluster, act);
    let ended = Cluster::down(&home, &name);
    acted?;
    Ok(ended?)
}

fn within(home: &Home, cluster: &Cluster, act: impl FnOnce(&Reached) -> Result<()>) -> Result<()> {
    let kubectl = Kubectl { program: cluster.kubectl_program().to_owned(), kubeconfig: cluster.kubeconfig() };
    let dns = cluster.layout().dns_address();
    lead_to(&dns, &kubectl)?;
    let nodes = FakeNodes::start(home, &kubectl, MARK)?;
    let version = version(&kubectl)?;
    act(&Reached { placement: placement(&nodes), kubectl, version, dns })
}

fn version(kubectl: &Kubectl) -> Result<String> {
    let said: Value = serde_json::from_str(&kubectl.call(&["get", "--raw", "/version"])?)?;
    let version = said.get("gitVersion").and_then(Value::as_str).context("the API server says no version")?;
    Ok(version.to_owned())
}

/// The cluster's DNS answers to Services' addresses, which its nodes alone know. The route is gone with the cluster's link.
fn lead_to(dns: &str, kubectl: &Kubectl) -> Result<()> {
    let internal = r#"jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
    let node = kubectl.call(&["get", "nodes", "-o", internal])?;
    let status = Command::new("ip").args(["route", "replace", dns, "via", node.trim()]).status();
    ensure!(status.context("ip is needed")?.success(), "no route to the cluster's DNS");
    Ok(())
}

/// The rows of a cluster, once the slices and pods of all instances that are measured or change are there.
pub(super) async fn rows(reached: &Reached, data: Data) -> Result<Vec<Row>> {
    let mut rows = vec![slices::row(reached, data).await?];
    rows.extend(pods::rows(reached, data).await?);
    Ok(rows)
}

// === impl Reached ===

impl Reached {
    /// With a connection of its own.
    async fn client(&self) -> Result<KubeClient> {
        let file = Kubeconfig::read_from(&self.kubectl.kubeconfig)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(KubeClient::try_from(config)?)
    }

    fn program(&self, name: &str) -> Program {
        Program {
            name: name.to_owned(),
            version: self.version.clone(),
            command: "cargo xtask cluster up --nodes 1".to_owned(),
        }
    }
}
