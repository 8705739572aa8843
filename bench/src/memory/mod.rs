//! What each registry holds in memory: the fixed part, and what comes with each instance, each watcher and each session. Each
//! is looked at once its memory has settled, at sizes that are a decade apart.

mod half;
mod peers;
mod sidecar;
mod slopes;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use clap::Args;
use rollcall_cluster::interrupt;
use rollcall_results::Record;
use tokio::runtime::Runtime;

use crate::{kept::Kept, local::Turns, peers::ALL, rest::Rest};

/// Holds what is looked at.
#[derive(Args, Clone, Debug)]
pub(crate) struct MemoryArguments {
    /// Instances in all, as services of ten, and of a hundred from 100,000 on.
    #[arg(long, default_values_t = [0, 1_000, 10_000, 100_000])]
    instances: Vec<u32>,
    /// Of each peer, with 10,000 instances; of the controller as many sessions.
    #[arg(long, default_values_t = [0, 100, 1_000])]
    watchers: Vec<u32>,
    /// Of 10,000 instances, with nobody watching; all other sizes are looked at once, and lie on a line.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Two sizes, one round, no watchers: whether all of it works.
    #[arg(long)]
    quick: bool,
    /// Who is looked at: `controller`, `sidecar`, or the name of a peer; all of them where none is named.
    #[arg(long)]
    only: Vec<String>,
}

/// Holds the file that is written, all that was written into it, and what may be measured again.
struct Sizes {
    kept: Kept,
    turns: Turns,
    records: Vec<Record>,
}

/// Says what was asked for of all that is held: a cache holds what somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// Each service: once, and of a sidecar twice, since it keeps an answer for who asks again.
    All,
}

/// What the controller's half and the sidecar are called here.
const CONTROLLER: &str = "controller";
const SIDECAR: &str = "sidecar";
/// With so many instances watchers and sessions are counted.
const WATCHED_INSTANCES: u32 = 10_000;
/// Sizes that may be measured again, where the host disturbed them.
const REPEATS: u32 = 10;

pub(crate) fn run(arguments: &MemoryArguments) -> Result<()> {
    let known: Vec<_> = [CONTROLLER, SIDECAR].into_iter().chain(ALL.iter().map(|(name, _)| *name)).collect();
    for name in &arguments.only {
        ensure!(known.contains(&name.as_str()), "there is no {name}: there are {}", known.join(", "));
    }
    let is_wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let quick =
        MemoryArguments { instances: vec![0, 1_000], watchers: Vec::new(), rounds: 1, ..arguments.clone() };
    let arguments = if arguments.quick { &quick } else { arguments };
    interrupt::listen()?;
    let kept = Kept::begin("memory", Vec::new())?;
    let mut sizes = Sizes { kept, turns: Turns::new(0, REPEATS), records: Vec::new() };
    println!("system, case: RSS MiB, anonymous MiB");
    Runtime::new()?.block_on(async {
        if is_wanted(CONTROLLER) {
            half::measure(arguments, &mut sizes).await?;
        }
        if is_wanted(SIDECAR) {
            sidecar::measure(arguments, &mut sizes).await?;
        }
        for (name, start) in ALL.iter().filter(|(name, _)| is_wanted(name)) {
            peers::measure(name, *start, arguments, &mut sizes).await?;
        }
        anyhow::Ok(())
    })?;
    slopes::tell(&sizes.records);
    sizes.kept.end()
}

/// A record of what these processes hold once they are at rest.
async fn settled(pids: &[u32], record: Record) -> Result<Record> {
    let Rest { resident, took } = Rest::of(pids).await?;
    let record =
        record.with_value("rss_mib", resident.rss_mib).with_value("anonymous_mib", resident.anonymous_mib);
    // What never settled says so by having no such value.
    Ok(match took.as_ref().map(Duration::as_secs_f64) {
        Some(settled_s) => record.with_value("settled_s", settled_s),
        None => record,
    })
}

// === impl MemoryArguments ===

impl MemoryArguments {
    fn rounds_of(&self, instances: u32) -> u32 {
        if instances == WATCHED_INSTANCES { self.rounds } else { 1 }
    }
}

// === impl Asked ===

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::All => "all",
        }
    }
}

// === impl Sizes ===

impl Sizes {
    /// All records of one turn, with the share that the host took of it, or why there are none; once more where that was too
    /// much.
    async fn turn(
        &mut self,
        unmeasured: Record,
        turn: impl AsyncFnMut() -> Result<Vec<Record>>,
    ) -> Result<()> {
        match self.turns.undisturbed(turn).await {
            Ok((records, stolen_percent)) => {
                for record in records {
                    self.push(record.with_value("stolen_percent", stolen_percent))?;
                }
                Ok(())
            }
            Err(error) => self.kept.keep(unmeasured, Err(error)).map(drop),
        }
    }

    fn push(&mut self, record: Record) -> Result<()> {
        let value = |name: &str| record.values.get(name).copied().unwrap_or_default();
        let case: Vec<_> = record.case.iter().map(|(name, value)| format!("{name} {value:?}")).collect();
        println!(
            "{}, {}: {:.1}, {:.1}",
            record.system,
            case.join(", "),
            value("rss_mib"),
            value("anonymous_mib")
        );
        let unmeasured = Record { values: BTreeMap::new(), ..record.clone() };
        self.records.extend(self.kept.keep(unmeasured, Ok(record))?);
        Ok(())
    }
}
