//! The controller's half of it: what changes there, and what it costs.

use std::{fs, net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use rollcall_controller::{IndexHandle, index::Change};
use tokio::{
    runtime::Runtime,
    time::{MissedTickBehavior, interval},
};

use super::{ALL_HOLD, crowd::now_ns, seen::MADE};
use crate::{
    fleet::{Fleet, INSTANCES, pod_seen},
    half::{self, questions, say},
};

/// Holds how much changes; of `shared` changes, one is of the service that all hold.
struct Pace {
    a_second: u32,
    seconds: u32,
    shared: u32,
}

pub(crate) fn serve(instances: u32) -> anyhow::Result<()> {
    let fleet = Fleet { instances };
    Runtime::new()?
        .block_on(half::serve(fleet.lists(), (Ipv4Addr::LOCALHOST, 0).into(), |index| obey(index, fleet)))
}

async fn obey(index: IndexHandle, fleet: Fleet) -> anyhow::Result<()> {
    let mut questions = questions();
    let mut turn = 0;
    while let Some(line) = questions.recv().await {
        let words: Vec<_> = line.split(' ').collect();
        let answer = match words.as_slice() {
            ["memory"] => status("VmRSS:")?,
            ["peak"] => status("VmHWM:")?,
            ["forget-peak"] => {
                fs::write("/proc/self/clear_refs", "5")?;
                String::new()
            }
            ["cpu"] => cpu_ms()?.to_string(),
            ["change", a_second, seconds, shared] => {
                let pace =
                    Pace { a_second: a_second.parse()?, seconds: seconds.parse()?, shared: shared.parse()? };
                change(&index, fleet, pace, &mut turn).await?.to_string()
            }
            other => bail!("{other:?}: nothing that could be done"),
        };
        say(&answer)?;
    }
    Ok(())
}

/// Says how many of the changes were of the service that all hold, whose turn comes among the others too.
async fn change(index: &IndexHandle, fleet: Fleet, pace: Pace, turn: &mut u32) -> anyhow::Result<usize> {
    let Pace { a_second, seconds, shared } = pace;
    let mut of_all = 0;
    let mut ticks = interval(Duration::from_secs(1) / a_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..a_second * seconds {
        ticks.tick().await;
        *turn += 1;
        // Those that register themselves, since what they say carries the moment: every third service.
        let service = match turn.is_multiple_of(shared) {
            true => ALL_HOLD,
            false => turn.wrapping_mul(7_919) % (fleet.services() / 3) * 3,
        };
        let pod = service * INSTANCES + *turn % INSTANCES;
        index.apply(marked(pod)).await?;
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

/// What this process has computed.
fn cpu_ms() -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").context("no end of the name")?.1.split(' ');
    // utime and stime, in ticks of 10 ms on every Linux that there is.
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks * 10)
}

/// A line of this process' status, in KiB.
fn status(name: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").to_owned())
}
