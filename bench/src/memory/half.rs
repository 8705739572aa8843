//! The controller's half: by its instances, as its peers are looked at, and by the sessions that it has.

use anyhow::{Context, Result};
use rollcall_results::{Class, Configuration, Record};

use super::{
    Asked, MemoryArguments, Sizes, WATCHED_INSTANCES,
    peers::{correct, data, with_case},
    settled,
};
use crate::{
    local::shop_keys,
    peers::{Data, Peer, start_controller},
    sessions::{Crowd, PATIENCE, PORT, tokens},
};

const SYSTEM: &str = "rollcall controller's half";

pub(super) async fn measure(arguments: &MemoryArguments, sizes: &mut Sizes) -> Result<()> {
    for instances in &arguments.instances {
        let data = data(*instances);
        for round in 1..=arguments.rounds_of(*instances) {
            let unmeasured = record(data, Asked::All, 0, round);
            sizes.turn(unmeasured, async || looked_up(data, round).await).await?;
        }
    }
    let data = data(WATCHED_INSTANCES);
    for sessions in &arguments.watchers {
        let record = record(data, Asked::Nothing, *sessions, 1);
        sizes
            .turn(record.clone(), async || Ok(vec![crowded(data, *sessions, record.clone()).await?]))
            .await?;
    }
    Ok(())
}

/// With nobody having asked for anything but the first service, and once all were looked up by its read API.
async fn looked_up(data: Data, round: u32) -> Result<Vec<Record>> {
    let controller = start_controller(data, PORT).await?;
    correct(&controller, data).await?;
    let pids = controller.pids();
    let unasked = settled(&pids, record(data, Asked::Nothing, 0, round)).await?;
    let mut client = controller.client().await?;
    for service in 0..data.services {
        client.lookup(service).await?;
    }
    Ok(vec![unasked, settled(&pids, record(data, Asked::All, 0, round)).await?])
}

/// Each size in a process of its own, which has nothing left of another crowd.
async fn crowded(data: Data, sessions: u32, record: Record) -> Result<Record> {
    let controller = start_controller(data, PORT).await?;
    let tokens = tokens(usize::try_from(sessions)?)?;
    let crowd = Crowd::of("crowd", &controller.door, &shop_keys(data)?, &tokens)?;
    crowd.connect();
    crowd.in_step(PATIENCE).await.context("not all are in step")?;
    let record = settled(&controller.pids(), record).await?;
    crowd.disconnect().await;
    Ok(record)
}

/// A session is what a watcher is elsewhere; each holds twenty services.
fn record(data: Data, asked: Asked, sessions: u32, round: u32) -> Record {
    with_case(Record::new(SYSTEM, Class::C, Configuration::Default, round), data, asked, sessions)
}
