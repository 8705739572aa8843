//! Set-ups that are broken, each as somebody may come to it, on one real installation: `rollcall explain` or `rollcall check` must
//! name the cause, in words, and end as a script expects.
//!
//! Needs `KUBECONFIG`, and on the nodes the images that `README.md` names.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

mod crd;
mod network;
mod pods;
mod registrations;
mod system;

use anyhow::{Context, Result};
use rollcall_slice::{Cluster, Rollcall};

/// A step, and what it is about.
type Step = (&'static str, fn(&Rollcall, &Cluster) -> Result<()>);

/// What is made first: it starts while the others are made.
const MADE: [Step; 4] = [
    ("pods", |_, cluster| pods::make(cluster)),
    ("a token for others", network::wrong_audience_is_made),
    ("no way to the controllers", |_, cluster| network::cut_off_are_made(cluster)),
    ("registrations", |_, cluster| registrations::make(cluster)),
];

/// What must be named. The last ones leave nothing as it was.
const NAMED: [Step; 12] = [
    ("wrong annotations", pods::wrong_annotations),
    ("no sidecar", pods::without_a_sidecar),
    ("wrong audience", network::wrong_audience),
    ("unready pods", pods::unready),
    ("wrong ports", pods::wrong_ports),
    ("a namespace that may not see it", registrations::hidden),
    ("two registrations that disagree, labels with a slip", registrations::disagree),
    ("egress to port 7310", network::cut_off),
    ("a stale CRD, and two targets that it lets in", crd::stale),
    ("no CRD", crd::missing),
    ("no webhook", system::without_webhook),
    ("controllers that are down", system::controllers_down),
];

#[test]
fn what_is_broken_is_named_with_its_cause() -> Result<()> {
    Cluster::try_with(&[], |cluster| {
        let rollcall = Rollcall::built(cluster)?;
        for (what, step) in MADE.into_iter().chain(NAMED) {
            step(&rollcall, cluster).with_context(|| format!("step: {what}"))?;
            println!("{what}: as it should be");
        }
        Ok(())
    })
}
