//! An installation as people have it, for the tests on a real cluster: the chart by helm, namespaces whose pods get a
//! sidecar, and plain apps in them.
//!
//! Needs `KUBECONFIG`, and on the nodes the images that `README.md` names.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

mod apps;
mod cluster;
mod command;
mod space;

use std::{
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

pub use self::{
    apps::{SERVES, WAITS, deployment, pod, with_annotations},
    cluster::{Cluster, REPLICAS},
    command::Rollcall,
    space::{Pod, Space, addresses, text},
};

/// A slow machine pulls nothing and starts a pod in seconds; what takes a minute does not happen.
const EVENTUALLY: Duration = Duration::from_secs(60);
/// Each poll is a process; more often would slow down what is waited for.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Waits until this holds. Errors on the way are kept for the end: much fails while a pod starts.
pub fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    let mut last = None;
    while begin.elapsed() < EVENTUALLY {
        match holds() {
            Ok(true) => return Ok(()),
            Ok(false) => last = None,
            Err(error) => last = Some(error),
        }
        sleep(POLL_EVERY);
    }
    let last = last.map(|error| format!("; last error: {error:#}")).unwrap_or_default();
    bail!("never happened: {what}{last}")
}

/// The workspace: this package is two folders below it.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
}
