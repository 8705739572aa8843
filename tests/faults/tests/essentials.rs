//! The failures that every run of all tests goes through.

use anyhow::Result;
use rollcall_faults::scenes::{SHORT, api_server, cuts, leader, nodes};

#[test]
fn leader_killed() -> Result<()> {
    leader::killed()
}

#[test]
fn leader_paused() -> Result<()> {
    leader::paused(SHORT)
}

#[test]
fn replica_cut_from_its_peers() -> Result<()> {
    cuts::from_its_peers(SHORT)
}

#[test]
fn api_server_away() -> Result<()> {
    api_server::away(SHORT)
}

#[test]
fn node_with_a_replica_cut() -> Result<()> {
    nodes::with_a_replica(SHORT)
}
