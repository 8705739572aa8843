//! A Kubernetes that is there for a measurement alone.

use std::process;

use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rollcall_cluster::{Cluster, Collects, Home, Kubectl, Name, Wish, interrupt};
use serde_json::Value;

/// Holds such a cluster while it is there.
pub(crate) struct OwnCluster {
    pub(crate) home: Home,
    pub(crate) cluster: Cluster,
    pub(crate) kubectl: Kubectl,
}

/// Measures in a cluster of so many nodes that is gone afterwards, whatever came of it.
pub(crate) fn in_own_cluster(
    nodes: u8,
    collects: Collects,
    measure: impl FnOnce(&OwnCluster) -> Result<()>,
) -> Result<()> {
    interrupt::listen()?;
    let home = Home::of_this_user()?;
    Cluster::sweep(&home)?;
    let name = Name::parse(&format!("bench-{}", process::id()))?;
    let cluster = Cluster::up(&home, &Wish { collects, ..Wish::new(&name, nodes) })?;
    let kubectl = Kubectl { program: cluster.kubectl_program().to_owned(), kubeconfig: cluster.kubeconfig() };
    let own = OwnCluster { home, cluster, kubectl };
    let measured = measure(&own);
    let ended = Cluster::down(&own.home, &name);
    measured?;
    Ok(ended?)
}

/// A client with connections of its own.
pub(crate) async fn client(kubectl: &Kubectl) -> Result<Client> {
    let file = Kubeconfig::read_from(&kubectl.kubeconfig)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)?)
}

/// What its API server says that it is.
pub(crate) fn version(kubectl: &Kubectl) -> Result<String> {
    let said: Value = serde_json::from_str(&kubectl.call(&["get", "--raw", "/version"])?)?;
    let version = said.get("gitVersion").and_then(Value::as_str).context("the API server says no version")?;
    Ok(version.to_owned())
}
