//! The controller's half: by its instances, and by the sessions that it has.

use anyhow::{Context, Result};
use rollcall_results::{Class, Configuration, Record};

use super::{Kept, MemoryArguments, WATCHED_INSTANCES, settled};
use crate::{
    fleet::INSTANCES,
    sessions::{Crowd, PATIENCE, PORT, Place, Server, tokens},
};

const SYSTEM: &str = "rollcall controller's half";

pub(super) async fn measure(arguments: &MemoryArguments, kept: &mut Kept) -> Result<()> {
    for instances in &arguments.instances {
        let server = Server::start(*instances, &Place::new(PORT)?)?;
        kept.push(settled(&[server.pid()], record(*instances, 0)).await?)?;
    }
    for sessions in &arguments.watchers {
        // Each size in a process of its own, which has nothing left of another crowd.
        let server = Server::start(WATCHED_INSTANCES, &Place::new(PORT)?)?;
        let tokens = tokens(usize::try_from(*sessions)?)?;
        let crowd = Crowd::new("crowd", &server.door, WATCHED_INSTANCES, &tokens)?;
        crowd.connect();
        crowd.in_step(PATIENCE).await.context("not all are in step")?;
        kept.push(settled(&[server.pid()], record(WATCHED_INSTANCES, *sessions)).await?)?;
        crowd.disconnect().await;
    }
    Ok(())
}

/// A session is what a watcher is elsewhere; each holds twenty services.
fn record(instances: u32, sessions: u32) -> Record {
    Record::new(SYSTEM, Class::C, Configuration::Default, 1)
        .with_case("services", instances / INSTANCES)
        .with_case("instances", INSTANCES)
        .with_case("watchers", sessions)
}
