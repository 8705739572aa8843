//! A node is cut off: its pods must leave the lookups of all others, and go on with what they know.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{BACK_WITHIN, SILENT, Times};
use crate::{Lab, Replica, Trial, lab::REPLICAS};

const OUT_WITHIN: Duration = Duration::from_secs(10);
/// Before the silence of its sidecars counts, the replica itself must be given up that they may have been heard by.
const OUT_WITH_A_REPLICA_WITHIN: Duration = Duration::from_secs(20);

/// The node of the replica that holds the Lease.
pub fn with_a_replica(times: Times) -> Result<()> {
    Lab::trial("node with a replica cut", SILENT, |trial| {
        let node = trial.lab.leader()?.node;
        cut(trial, &node, OUT_WITH_A_REPLICA_WITHIN, times)
    })
}

/// A node on which no replica is, with two elsewhere.
pub fn without_a_replica(times: Times) -> Result<()> {
    Lab::trial("node without a replica cut", SILENT, |trial| {
        trial.lab.install.scale_controller(REPLICAS - 1)?;
        trial.note("two replicas are left");
        let replicas = trial.lab.replicas()?;
        let is_free = |node: &String| replicas.iter().all(|replica: &Replica| replica.node != *node);
        let mut nodes = trial.lab.hardware.status().into_iter().map(|node| node.name);
        let node = nodes.find(is_free).context("there is a replica on each node")?;
        cut(trial, &node, OUT_WITHIN, times)
    })
}

fn cut(trial: &mut Trial<'_>, node: &str, out_within: Duration, times: Times) -> Result<()> {
    trial.fault(&format!("{node} is cut off"), |lab| Ok(lab.hardware.cut(node)?))?;
    trial.lose_node(node, out_within, BACK_WITHIN);
    trial.endure(times.node_cut.max(out_within));
    trial.healed(&format!("{node} is connected again"), |lab| Ok(lab.hardware.heal(node)?))?;
    trial.endure(BACK_WITHIN);
    Ok(())
}
