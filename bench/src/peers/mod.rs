//! The registries that teams compare us with, started by us with the same data: one file or folder each. A measurement speaks
//! to all of them by these traits, and to the sidecar and the controller as well.

mod data;

use std::time::Instant;

use futures::future::BoxFuture;
use rollcall_results::{Class, Configuration, Program};

pub(crate) use self::data::{Data, METADATA, PORT, TAG, VERSION};

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
    /// Looks a service up by its number, and says whom it found: the addresses of its healthy instances, to be compared.
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>>;
    /// The same as fast as can be, with what is read left unread: bytes of the answer, which must be a good one.
    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>>;
}

/// Is a registry to which instances come and from which they go.
pub(crate) trait Registry: Peer {
    /// Adds an instance, healthy at once, to a service; returns when the registry has said that it is done.
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>>;
    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>>;
    /// One more watcher of a service, with a connection of its own, in the way that its makers mean it.
    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>>;
}

/// Is one who is told, or asks again and again, of a service.
pub(crate) trait Watcher: Send {
    /// The next state after the last one: the instances that there are, and the moment at which this was known, read and parsed.
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>>;
}
