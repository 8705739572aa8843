//! The kit's cluster beneath an installation: no other one has nodes and pods that can be reached from here.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use rollcall_cluster::{Cluster, Home, Process};
use rollcall_slice::text;
use serde_json::Value;

/// The kit's own, that holds a pod's network for as long as the pod lives.
const HOLDER: &str = "rollcall-init";

/// The cluster that KUBECONFIG names, with so many nodes; where there is none, the error says what makes one.
pub fn hardware(nodes: u8, remedy: &str) -> Result<Cluster> {
    let path: PathBuf =
        env::var_os("KUBECONFIG").with_context(|| format!("KUBECONFIG is not set; {remedy}"))?.into();
    let file = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let file: Value =
        serde_json::from_str(&file).with_context(|| format!("not of the kit's own; {remedy}"))?;
    let cluster = &file["clusters"][0]["cluster"];
    let found = Cluster::of_authority(&Home::of_this_user()?, text(cluster, "certificate-authority-data"))?;
    let hardware = found.with_context(|| format!("no cluster of the kit; {remedy}"))?;
    ensure!(hardware.nodes() == nodes, "{} nodes; {remedy}", hardware.nodes());
    Ok(hardware)
}

/// A process in the network of the pod with this UID, that is there for as long as the pod is.
pub fn holder(hardware: &Cluster, uid: &str) -> Result<Process> {
    let mut processes = hardware.processes_of_pod(uid).into_iter();
    processes.find(|process| process.program() == HOLDER).context("nothing runs in the pod")
}
