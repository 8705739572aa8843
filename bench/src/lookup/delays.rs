//! Delays of lookups that come evenly, while nothing changes, while much does, and while all is told anew.

use std::{collections::BTreeMap, time::Duration};

use rollcall_results::Record;

use super::Ours;
use crate::{
    contest::load::{self, Clients},
    kept::Kept,
    local::{Half, Keys, Outcome, Shop, median},
    peers::{Data, Peer},
};

/// Says what goes on meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum While {
    Quiet,
    Changes,
    ToldAnew,
}

/// Holds what each server's lookups came to, by what went on meanwhile.
type Results = BTreeMap<(&'static str, While), Vec<Outcome>>;

/// Lookups a second: a tenth of what one processor can answer.
const STEADY: u32 = 2_000;
const STEADY_CONNECTIONS: usize = 16;
const STEADY_FOR: Duration = Duration::from_secs(6);
const CHANGES_A_SECOND: u32 = 1_000;
/// So many loads in each round.
const LOADS: u32 = 5;
/// Each round tells all anew in a generation of its own, as far as changes in the one before can come.
const GENERATIONS_APART: u32 = 1_000_000;
const SIDECAR: &str = "sidecar";
const FLOOR: &str = "bare hyper";

/// How long all loads last.
pub(super) fn lasts(rounds: u32) -> Duration {
    STEADY_FOR * LOADS * rounds
}

async fn at_a_steady_pace(peer: &dyn Peer, keys: &Keys) -> anyhow::Result<Outcome> {
    let mut clients = Clients::connect(peer, STEADY_CONNECTIONS).await?;
    load::open(&mut clients, keys, STEADY, STEADY_FOR).await
}

/// Of the sidecar, and beside them those of bare hyper at the same times: what it loses while others change, it loses to the
/// machine, which has the controller's half to run behind the load, and the sidecar that takes the changes beside it.
pub(super) async fn delays(ours: Ours, data: Data, rounds: u32, kept: &Kept) -> anyhow::Result<()> {
    let Ours { pod, mut half, sidecar, floor } = ours;
    let keys = Keys::in_turn(data.services);
    let mut results = Results::new();
    for round in 1..=rounds {
        let steady = async |peer: &dyn Peer, name, meanwhile: While, results: &mut Results, kept: &Kept| {
            let outcome = at_a_steady_pace(peer, &keys).await?;
            kept.push(&record(peer, data, meanwhile, &outcome, round))?;
            results.entry((name, meanwhile)).or_default().push(outcome);
            anyhow::Ok(())
        };
        let (ours, bare): (&dyn Peer, &dyn Peer) = (&*sidecar, &*floor);
        let servers = [(SIDECAR, ours), (FLOOR, bare)];
        for (name, peer) in servers {
            steady(peer, name, While::Quiet, &mut results, kept).await?;
        }
        for (name, peer) in servers {
            half.change(CHANGES_A_SECOND, STEADY_FOR.as_secs())?;
            steady(peer, name, While::Changes, &mut results, kept).await?;
            half.changed()?;
            sidecar.sidecar.in_step().await?;
        }
        half = replaced(half, || pod.controller(Shop { data, generation: round * GENERATIONS_APART }))?;
        steady(ours, SIDECAR, While::ToldAnew, &mut results, kept).await?;
        sidecar.sidecar.in_step().await?;
    }
    print(&results, rounds);
    Ok(())
}

/// Another one in the place of this one, which ends first: both have the same port.
fn replaced(half: Half, other: impl FnOnce() -> anyhow::Result<Half>) -> anyhow::Result<Half> {
    drop(half);
    other()
}

fn record(peer: &dyn Peer, data: Data, meanwhile: While, outcome: &Outcome, round: u32) -> Record {
    let mut record = Record::new(peer.name(), peer.class(), peer.configuration(), round)
        .with_case("services", data.services)
        .with_case("instances", data.instances)
        .with_case("load", "open")
        .with_case("keys", "in turn")
        .with_case("connections", STEADY_CONNECTIONS as u64)
        .with_case("asked_a_second", STEADY)
        .with_case("while", meanwhile.name());
    outcome.tell(&mut record);
    record
}

fn print(results: &Results, rounds: u32) {
    println!(
        "\ndelays at {STEADY} requests/s over {STEADY_CONNECTIONS} connections, from when each was due; medians of {rounds} rounds of {} s; ratios to the same server's quiet are medians of each round's",
        STEADY_FOR.as_secs()
    );
    println!("server      while                  p50 us   p99 us  p99.9 us  p99/quiet");
    for ((server, meanwhile), outcomes) in results {
        let at = |share| median(outcomes.iter().map(|outcome| outcome.delay_us(share)).collect());
        let quiet = results.get(&(*server, While::Quiet)).into_iter().flatten();
        let by_quiet =
            outcomes.iter().zip(quiet).map(|(one, quiet)| one.delay_us(0.99) / quiet.delay_us(0.99));
        println!(
            "{server:<10}  {:<20}  {:>7.0}  {:>7.0}  {:>8.0}  {:>9.2}",
            meanwhile.name(),
            at(0.5),
            at(0.99),
            at(0.999),
            median(by_quiet.collect())
        );
    }
    println!("goal: p99 <= 2 x quiet");
}

// === impl While ===

impl While {
    fn name(self) -> &'static str {
        match self {
            Self::Quiet => "nothing changes",
            Self::Changes => "1,000 changes/s come",
            Self::ToldAnew => "all is told anew",
        }
    }
}
