//! The registries that teams compare us with, started by us with the same data: one file or folder each. A measurement speaks
//! to all of them by these traits, and to the sidecar and the controller as well.
//!
//! In all of them an instance is known by its IPv4 address as text, which is also the name that it is registered by: nothing
//! else is in every registry's answers.

mod beat;
mod consul;
mod coredns;
mod data;
mod dns;
mod etcd;
mod eureka;
mod floor;
mod folder;
mod http;
mod jvm;
mod pool;
mod ports;
mod rollcall;
mod smoke;
mod spring;
mod zookeeper;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use futures::future::BoxFuture;
use rollcall_cluster::{CONSUL, COREDNS, ETCD, EUREKA, Error, Home, ZOOKEEPER, interrupt};
use rollcall_results::{Class, Configuration, Program};

pub(crate) use self::{
    beat::{BeatArguments, run as beat},
    data::{Data, METADATA, PORT, TAG, VERSION},
    dns::{Resolver, addresses, ports},
    floor::Floor,
    rollcall::{SidecarPeer, start_controller},
    smoke::run as smoke,
};

/// Is a registry under measurement: its processes run on the first processor, filled with services of so many instances each.
pub(crate) trait Peer: Send + Sync {
    /// What it is called in tables: `consul agent ?cached`.
    fn name(&self) -> &str;
    fn class(&self) -> Class;
    fn configuration(&self) -> Configuration;
    /// Who took part, for the file of results.
    fn programs(&self) -> Vec<Program>;
    /// All processes whose CPU and memory it costs.
    fn pids(&self) -> Vec<u32>;
    /// One more client, with a connection of its own that is kept.
    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>>;
}

/// Is one client of a registry, as an app has it.
pub(crate) trait Client: Send {
    /// Looks a service up by its number, and says whom it found: the addresses of its healthy instances, sorted as text.
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>>;
    /// The same as fast as can be, with what is read left unread: bytes of the answer, which must be a good one.
    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>>;
}

/// Is a registry to which instances come and from which they go.
pub(crate) trait Registry: Peer {
    /// Adds an instance, healthy at once, to a service; returns when the registry has said that it is done.
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>>;
    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>>;
    /// All processes that a change of one of these instances goes through, from who is told of it to who tells the watchers.
    fn pids_of_changes(&self, _instances: &[String]) -> Vec<u32> {
        self.pids()
    }
    /// One more watcher of a service, with a connection of its own, in the way that its makers mean it.
    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>>;
}

/// Is one who is told, or asks again and again, of a service.
pub(crate) trait Watcher: Send {
    /// The next state after the last one: the healthy instances that there are, sorted as text, and the moment at which this was
    /// known, read and parsed. The first is the state that there is. It waits for as long as nothing changes; two that follow
    /// each other may be equal.
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>>;
}

/// Is a registry that believes in an instance for as long as a process beats for it.
pub(crate) trait Heartbeat: Registry {
    /// How its makers mean it, by its configuration: as usual, or as fast as can be.
    fn pace(&self) -> Pace;
    /// The arguments of this program with which it registers the instance, and beats for it from that address of loopback until
    /// it is killed. [`beat`] has what it prints.
    fn beating(&self, service: &str, instance: &str, pace: Pace, from: Ipv4Addr) -> Vec<String>;
}

/// Is a peer that answers DNS, by names of its own.
pub(crate) trait NameServer: Peer {
    fn dns(&self) -> SocketAddr;
    /// The name that has the addresses of a service's instances, without the last dot.
    fn hosts(&self, service: u32) -> String;
    /// The name that has their ports, as SRV.
    fn ports(&self, service: u32) -> String;
}

/// Holds after how long without a beat an instance is out, and how often it beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) ttl_ms: u64,
    pub(crate) beat_ms: u64,
}

/// Holds one row of the tables, which runs, by all that it can do.
#[derive(Clone)]
pub(crate) struct Started {
    pub(crate) peer: Arc<dyn Peer>,
    pub(crate) registry: Option<Arc<dyn Registry>>,
    pub(crate) heartbeat: Option<Arc<dyn Heartbeat>>,
    pub(crate) names: Option<Arc<dyn NameServer>>,
}

/// Starts a system with this data in this configuration: all of its rows, which share its processes. They end with the last of
/// them. Default and tuned run beside each other, on ports of their own.
pub(crate) type Start = fn(Data, Configuration) -> BoxFuture<'static, anyhow::Result<Vec<Started>>>;

/// All systems, each under the name that it is asked for by.
pub(crate) const ALL: &[(&str, Start)] = &[
    ("consul", consul::start),
    ("etcd", etcd::start),
    ("zookeeper", zookeeper::start),
    ("eureka", eureka::start),
    ("coredns", coredns::start),
];

/// Builds a system's program, or finds that it is built.
type Build = fn(&Home) -> Result<PathBuf, Error>;

/// The programs of all systems, by the same names.
const BUILDS: &[(&str, Build)] = &[
    ("consul", |home| CONSUL.build(home)),
    ("etcd", |home| ETCD.build(home)),
    ("zookeeper", |home| ZOOKEEPER.build(home)),
    ("eureka", |home| EUREKA.build(home)),
    ("coredns", |home| COREDNS.build(home)),
];

/// Builds the programs of these systems where they are not yet, so that who starts them needs no network any more. Who cannot be
/// built is told here, and fails with a reason where it is started.
pub(crate) fn build(means: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let home = Home::of_this_user()?;
    for (name, build) in BUILDS.iter().filter(|(name, _)| means(name)) {
        interrupt::check()?;
        if let Err(error) = build(&home) {
            println!("NOT BUILT: {name}: {:#}", anyhow::Error::from(error));
        }
    }
    Ok(interrupt::check()?)
}

// === impl Started ===

impl Started {
    pub(crate) fn peer(peer: Arc<dyn Peer>) -> Self {
        Self { peer, registry: None, heartbeat: None, names: None }
    }

    pub(crate) fn registry(registry: Arc<dyn Registry>) -> Self {
        Self { registry: Some(registry.clone()), ..Self::peer(registry) }
    }

    pub(crate) fn heartbeat(heartbeat: Arc<dyn Heartbeat>) -> Self {
        Self { heartbeat: Some(heartbeat.clone()), ..Self::registry(heartbeat) }
    }

    pub(crate) fn with_names(self, names: Arc<dyn NameServer>) -> Self {
        Self { names: Some(names), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_started_can_be_built_before() {
        let started: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        let built: Vec<_> = BUILDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(built, started);
    }
}
