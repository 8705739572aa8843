//! What can fail, each as a trial of its own.

pub mod api_server;
pub mod cuts;
pub mod leader;
pub mod nodes;
pub mod replicas;

use std::time::Duration;

use crate::Promise;

/// Says how long what fails stays so.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A process stands still.
    pub paused: Duration,
    /// A replica is cut off from somebody.
    pub cut: Duration,
    /// The API server is away.
    pub away: Duration,
    /// What Kubernetes makes of that afterwards comes within this: it judges leases that nobody could renew.
    pub aftermath: Duration,
    /// A node is cut off.
    pub node_cut: Duration,
}

/// For every run of all tests.
pub const SHORT: Times = Times {
    paused: Duration::from_secs(20),
    cut: Duration::from_secs(15),
    away: Duration::from_secs(30),
    aftermath: Duration::from_secs(30),
    node_cut: Duration::from_secs(25),
};

/// For the report: longer than Kubernetes needs to give a node up (40 s), and than a sidecar's patience between two tries.
pub const LONG: Times = Times {
    paused: Duration::from_secs(60),
    cut: Duration::from_secs(60),
    away: Duration::from_secs(75),
    aftermath: Duration::from_secs(90),
    node_cut: Duration::from_secs(75),
};

/// A loss that breaks connections is known at once: all its sessions are current elsewhere within this.
const BROKEN_OFF: Promise = Promise { in_step_within: Duration::from_secs(5), back_within: BACK_WITHIN };
/// One that only says nothing any more is believed after 4.5 s; then a second of jitter, and two for who is asked first.
const SILENT: Promise = Promise { in_step_within: Duration::from_secs(8), back_within: BACK_WITHIN };
/// Who was cut off tries again within half a minute at most, however long it was; the rest is for a machine that is busy with
/// the return of a node.
const BACK_WITHIN: Duration = Duration::from_secs(40);
/// Word of an app that died comes to all that hear a replica; who has just lost his finds another one first.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// The Lease lasts 15 s, and whoever waits for it looks every 2.5 s.
const WRITES_WITHIN: Duration = Duration::from_secs(20);
/// An app is dead for so long.
const DEAD_FOR: Duration = Duration::from_secs(10);
