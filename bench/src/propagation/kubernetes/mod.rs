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

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::Client as KubeClient;
use rollcall_cluster::{Collects, Kubectl, fake_nodes::FakeNodes};
use rollcall_results::Program;
use serde_json::Value;

use self::pods::placement;
pub(crate) use self::slices::Watching;
use super::rows::Row;
use crate::{
    own_cluster::{OwnCluster, client, in_own_cluster, version},
    peers::Data,
};

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
    in_own_cluster(1, Collects::AsShipped, |OwnCluster { home, cluster, kubectl }| {
        let dns = cluster.layout().dns_address();
        lead_to(&dns, kubectl)?;
        let nodes = FakeNodes::start(home, kubectl, MARK)?;
        let (kubectl, version) = (kubectl.clone(), version(kubectl)?);
        act(&Reached { placement: placement(&nodes), kubectl, version, dns })
    })
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
        client(&self.kubectl).await
    }

    fn program(&self, name: &str) -> Program {
        Program {
            name: name.to_owned(),
            version: self.version.clone(),
            command: "cargo xtask cluster up --nodes 1".to_owned(),
        }
    }
}
