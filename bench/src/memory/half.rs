//! The controller's half: by its instances, and by the sessions that it has.

use anyhow::{Context, Result};
use rollcall_results::{Class, Configuration, Record};

use super::{Asked, MemoryArguments, Sizes, WATCHED_INSTANCES, settled};
use crate::{
    fleet::INSTANCES,
    sessions::{Crowd, PATIENCE, PORT, Place, Server, tokens},
};

const SYSTEM: &str = "rollcall controller's half";

pub(super) async fn measure(arguments: &MemoryArguments, sizes: &mut Sizes) -> Result<()> {
    for instances in &arguments.instances {
        for round in 1..=arguments.rounds_of(*instances) {
            let record = record(*instances, 0, round);
            sizes
                .turn(record.clone(), async || {
                    let server = Server::start(*instances, &Place::new(PORT)?)?;
                    Ok(vec![settled(&[server.pid()], record.clone()).await?])
                })
                .await?;
        }
    }
    for sessions in &arguments.watchers {
        let record = record(WATCHED_INSTANCES, *sessions, 1);
        sizes.turn(record.clone(), async || Ok(vec![crowded(*sessions, record.clone()).await?])).await?;
    }
    Ok(())
}

/// Each size in a process of its own, which has nothing left of another crowd.
async fn crowded(sessions: u32, record: Record) -> Result<Record> {
    let server = Server::start(WATCHED_INSTANCES, &Place::new(PORT)?)?;
    let tokens = tokens(usize::try_from(sessions)?)?;
    let crowd = Crowd::new("crowd", &server.door, WATCHED_INSTANCES, &tokens)?;
    crowd.connect();
    crowd.in_step(PATIENCE).await.context("not all are in step")?;
    let record = settled(&[server.pid()], record).await?;
    crowd.disconnect().await;
    Ok(record)
}

/// A session is what a watcher is elsewhere; each holds twenty services. It has all that there is, whoever asks.
fn record(instances: u32, sessions: u32, round: u32) -> Record {
    Record::new(SYSTEM, Class::C, Configuration::Default, round)
        .with_case("services", instances / INSTANCES)
        .with_case("instances", INSTANCES)
        .with_case("asked", Asked::Nothing.name())
        .with_case("watchers", sessions)
}
