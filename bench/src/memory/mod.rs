//! What each registry holds in memory: the fixed part, and what comes with each instance, each watcher and each session. Each
//! is looked at once its memory has settled, at sizes that are a decade apart.

mod half;
mod peers;
mod sidecar;
mod slopes;

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use rollcall_results::{Record, Writer};
use tokio::runtime::Runtime;

use crate::{peers::ALL, report, resident::Resident};

/// Holds what is looked at.
#[derive(Args, Clone, Debug)]
pub(crate) struct MemoryArguments {
    /// Instances in all; of the peers, as services of ten, and of a hundred from 100,000 on.
    #[arg(long, default_values_t = [0, 1_000, 10_000, 100_000])]
    instances: Vec<u32>,
    /// Of each peer, with 10,000 instances; of the controller as many sessions.
    #[arg(long, default_values_t = [0, 100, 1_000])]
    watchers: Vec<u32>,
    /// Who is looked at: `controller`, `sidecar`, or the name of a peer; all of them where none is named.
    #[arg(long)]
    only: Vec<String>,
}

/// Holds the file that is written, and all that was written into it.
struct Kept {
    writer: Writer,
    records: Vec<Record>,
}

/// What the controller's half and the sidecar are called here.
const CONTROLLER: &str = "controller";
const SIDECAR: &str = "sidecar";
/// With so many instances watchers and sessions are counted.
const WATCHED_INSTANCES: u32 = 10_000;

pub(crate) fn run(arguments: &MemoryArguments) -> Result<()> {
    let known: Vec<_> = [CONTROLLER, SIDECAR].into_iter().chain(ALL.iter().map(|(name, _)| *name)).collect();
    for name in &arguments.only {
        ensure!(known.contains(&name.as_str()), "there is no {name}: there are {}", known.join(", "));
    }
    let is_wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let mut kept = Kept { writer: report::begin("memory", Vec::new())?, records: Vec::new() };
    println!("system, case: RSS MiB, anonymous MiB");
    Runtime::new()?.block_on(async {
        if is_wanted(CONTROLLER) {
            half::measure(arguments, &mut kept).await?;
        }
        if is_wanted(SIDECAR) {
            sidecar::measure(&mut kept).await?;
        }
        for (_, start) in ALL.iter().filter(|(name, _)| is_wanted(name)) {
            peers::measure(*start, arguments, &mut kept).await?;
        }
        anyhow::Ok(())
    })?;
    slopes::tell(&kept.records);
    Ok(())
}

/// A record of what these processes hold once that has settled.
async fn settled(pids: &[u32], record: Record) -> Result<Record> {
    let (resident, took) = Resident::settled(pids).await?;
    let record =
        record.with_value("rss_mib", resident.rss_mib).with_value("anonymous_mib", resident.anonymous_mib);
    // What never settled says so by having no such value.
    Ok(match took.as_ref().map(Duration::as_secs_f64) {
        Some(settled_s) => record.with_value("settled_s", settled_s),
        None => record,
    })
}

// === impl Kept ===

impl Kept {
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
        self.writer.push(&record)?;
        self.records.push(record);
        Ok(())
    }
}
