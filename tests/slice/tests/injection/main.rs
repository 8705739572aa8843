//! What a pod gets that asks for a sidecar, and what it can do with it, on a real cluster.
//!
//! Needs `KUBECONFIG`, and on the nodes the images that `README.md` names.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

mod doors;
mod gates;
mod orders;
mod rights;
mod shapes;

use anyhow::Result;
use rollcall_slice::{Cluster, WAITS, pod};

/// The pod that asks.
const ASKER: &str = "storefront-1";

#[test]
fn pods_that_ask_get_a_sidecar_and_live_with_it() -> Result<()> {
    let values = [format!("sidecar.requiresTimeoutSeconds={}", gates::TIMEOUT_S)];
    Cluster::try_with(&values.each_ref().map(String::as_str), |cluster| {
        // What takes its time begins first.
        gates::wait_for_what_never_comes(cluster)?;
        cluster.shop.apply(&[pod(ASKER, WAITS), orders::deployment()])?;
        shapes::make(cluster)?;
        orders::have_what_injection_gives(cluster)?;
        gates::open_when_all_is_there(cluster)?;
        gates::a_job_looks_up_and_ends(cluster)?;
        shapes::are_as_they_should_be(cluster)?;
        rights::are_those_of_the_golden_file(cluster)?;
        doors::are_closed(cluster)?;
        orders::are_found_while_they_serve(cluster)?;
        gates::opened_at_the_timeout(cluster)
    })
}
