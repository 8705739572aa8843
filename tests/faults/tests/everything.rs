//! All failures there are, for as long as they last in the field: `cargo xtask bench faults`, which prints the report.

use anyhow::Result;
use rollcall_faults::scenes::{LONG, api_server, cuts, leader, nodes, replicas};

#[test]
fn leader_killed() -> Result<()> {
    leader::killed()
}

#[test]
fn leader_deleted_by_force() -> Result<()> {
    leader::deleted()
}

#[test]
fn leader_paused() -> Result<()> {
    leader::paused(LONG)
}

#[test]
fn leader_cut_from_the_api_server() -> Result<()> {
    cuts::from_the_api_server(LONG)
}

#[test]
fn replica_cut_from_its_peers() -> Result<()> {
    cuts::from_its_peers(LONG)
}

#[test]
fn replica_cut_from_its_sidecars() -> Result<()> {
    cuts::from_its_sidecars(LONG)
}

#[test]
fn leader_cut_from_everything() -> Result<()> {
    cuts::from_everything(LONG)
}

#[test]
fn api_server_restarted() -> Result<()> {
    api_server::restarted(LONG)
}

#[test]
fn api_server_slow() -> Result<()> {
    api_server::slow(LONG)
}

#[test]
fn api_server_away() -> Result<()> {
    api_server::away(LONG)
}

#[test]
fn api_server_away_and_a_replica_killed() -> Result<()> {
    api_server::away_and_a_replica_killed(LONG)
}

#[test]
fn node_without_a_replica_cut() -> Result<()> {
    nodes::without_a_replica(LONG)
}

#[test]
fn node_with_a_replica_cut() -> Result<()> {
    nodes::with_a_replica(LONG)
}

#[test]
fn all_replicas_killed() -> Result<()> {
    replicas::all_killed()
}

#[test]
fn controller_rolled_out() -> Result<()> {
    replicas::rolled_out()
}

#[test]
fn replicas_scaled() -> Result<()> {
    replicas::scaled()
}
