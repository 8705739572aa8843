//! The controller's half of it: what changes there, and what it costs.

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use anyhow::bail;
use rollcall_controller::{IndexHandle, index::Change};
use tokio::{
    runtime::Runtime,
    time::{MissedTickBehavior, interval},
};

use super::{ALL_HOLD, crowd::now_ns, seen::MADE};
use crate::{
    fleet::{Fleet, INSTANCES, pod_seen},
    half::{self, Identity, questions, say},
};

/// Holds how much changes; of `shared` changes, one is of the service that all hold.
struct Pace {
    a_second: u32,
    seconds: u32,
    shared: u32,
}

/// Holds whose turn it was last: of all changes, and of those of the service that all hold.
#[derive(Debug, Default)]
struct Turns {
    any: u32,
    of_all: u32,
}

/// On this port of loopback, as who is in this folder.
pub(crate) fn serve(instances: u32, port: u16, identity: &Path) -> anyhow::Result<()> {
    let (fleet, identity) = (Fleet { instances }, Identity::kept(identity)?);
    let listen = (Ipv4Addr::LOCALHOST, port).into();
    Runtime::new()?.block_on(half::serve_as(&identity, fleet.lists(), listen, |index| obey(index, fleet)))
}

async fn obey(index: IndexHandle, fleet: Fleet) -> anyhow::Result<()> {
    let mut questions = questions();
    let mut turns = Turns::default();
    while let Some(line) = questions.recv().await {
        let words: Vec<_> = line.split(' ').collect();
        let answer = match words.as_slice() {
            ["change", a_second, seconds, shared] => {
                let pace =
                    Pace { a_second: a_second.parse()?, seconds: seconds.parse()?, shared: shared.parse()? };
                change(&index, fleet, pace, &mut turns).await?.to_string()
            }
            other => bail!("{other:?}: nothing that could be done"),
        };
        say(&answer)?;
    }
    Ok(())
}

/// Says how many of the changes were of the service that all hold, whose turn comes among the others too.
async fn change(index: &IndexHandle, fleet: Fleet, pace: Pace, turns: &mut Turns) -> anyhow::Result<usize> {
    let Pace { a_second, seconds, shared } = pace;
    let mut of_all = 0;
    let mut ticks = interval(Duration::from_secs(1) / a_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..a_second * seconds {
        ticks.tick().await;
        turns.any += 1;
        // Those that register themselves, since what they say carries the moment: every third service.
        let service = match turns.any.is_multiple_of(shared) {
            true => ALL_HOLD,
            false => turns.any.wrapping_mul(7_919) % (fleet.services() / 3) * 3,
        };
        let place = match service {
            // One after the other: whoever changed again before all were told would have been told of one change only.
            ALL_HOLD => {
                turns.of_all += 1;
                turns.of_all
            }
            _ => turns.any,
        };
        index.apply(marked(service * INSTANCES + place % INSTANCES)).await?;
        of_all += usize::from(service == ALL_HOLD);
    }
    Ok(of_all)
}

/// This pod, which says when it changed.
fn marked(pod: u32) -> Change {
    let mut change = pod_seen(pod, true);
    if let Change::Pod(seen) = &mut change
        && let Some(word) = &mut seen.facts.registration
    {
        Arc::make_mut(word).attributes.metadata =
            [("team", "payments".to_owned()), (MADE, now_ns().to_string())].into();
    }
    change
}
