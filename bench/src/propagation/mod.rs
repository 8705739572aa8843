//! Propagation: from the call that registers an instance, or takes it back, to each watcher's next state with it, or without.
//! Both moments are of one process and one clock.
//!
//! ```text
//!  for each round, for each case, in an order of its own each time: a system
//!    open so many watchers of one service ─► background changes of other services, at their pace
//!    ─► again and again: add, until all have seen it; remove, until all have seen that ─► close them
//! ```

mod background;
mod case;
mod floor;
mod kubernetes;
mod measure;
mod rows;
mod tally;
mod watchers;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use rollcall_results::{Record, Writer};
use tokio::runtime::Runtime;

use self::{
    case::{Case, cases},
    measure::{Outcome, Seen, measure},
};
pub(crate) use self::{
    floor::serve as serve_floor,
    rows::{Row, Rows},
    tally::Tally,
    watchers::Watchers,
};
use crate::{
    local::{Draws, stand_aside},
    peers::Data,
    report,
};

/// Ports of what is started here: below those that the kernel gives to whoever calls, and nobody else's in this repository.
const PORT: u16 = 28_400;
/// What all systems are filled with.
pub(crate) const FULL: Data = Data { services: 1_000, instances: 10 };
pub(crate) const QUICK: Data = Data { services: 20, instances: 10 };
const ROUNDS: u32 = 5;
/// By then everybody knows who is gone, by what registries of their kind promise.
pub(crate) const OUT_WITHIN: Duration = Duration::from_secs(45);

/// Holds what is measured, and on whom.
#[derive(Args, Clone, Debug)]
// Who has it as a part of their own wish would else be a second group of its name.
#[group(skip)]
pub(crate) struct Wish {
    /// A small run that shows that all of it works; its numbers are worth nothing.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Without a processor of its own and the right to come first, beside others' work; its numbers are worth nothing.
    #[arg(long)]
    pub(crate) unpinned: bool,
    /// These systems alone, by the names that `peers` knows, `rollcall` or `floor`; all by default.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
}

/// Holds what is asked for of this one.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    #[command(flatten)]
    wish: Wish,
    /// Kubernetes' slices as well, in a cluster that is made for it.
    #[arg(long)]
    with_cluster: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { wish, with_cluster } = arguments;
    if *with_cluster {
        return kubernetes::beside(|cluster| begin(wish, Some(cluster)));
    }
    begin(wish, None)
}

fn begin(wish: &Wish, cluster: Option<&kubernetes::Reached>) -> anyhow::Result<()> {
    wish.prepare()?;
    Runtime::new()?.block_on(all(wish, cluster))
}

async fn all(wish: &Wish, cluster: Option<&kubernetes::Reached>) -> anyhow::Result<()> {
    let (data, cases) = (wish.data(), cases(wish.quick));
    let crowd = cases.iter().map(|case| case.watchers).max().unwrap_or(1);
    let mut rows = Rows::start(data, wish, PORT, u32::try_from(crowd)?).await?;
    if let Some(cluster) = cluster {
        rows.push(kubernetes::row(cluster, data).await?);
    }
    ensure!(!rows.all().is_empty(), "there is no such system");
    let rounds = wish.rounds(ROUNDS);
    let expected = expected(rows.all(), &cases, rounds);
    println!("{} rows, {rounds} rounds: about {:.0} min", rows.all().len(), expected.as_secs_f64() / 60.0);
    println!(
        "ms of each watcher, p50 and p99; of the last one of each change, p50 and p99; what a watcher never saw"
    );
    let mut writer = report::begin("propagation", rows.programs())?;
    let mut draws = Draws::new(1);
    for round in 1..=rounds {
        for case in &cases {
            for place in draws.order(rows.all().len()) {
                let Some(row) = rows.all().get(place) else { continue };
                if !row.takes(*case, round) {
                    continue;
                }
                let begin = Instant::now();
                let measured = measure(row, *case, &mut draws, wish.quick).await;
                let outcome = measured.with_context(|| format!("{}, {case:?}", row.registry.name()))?;
                tell(row, *case, round, &outcome, begin.elapsed(), &mut writer)?;
            }
        }
    }
    Ok(())
}

fn expected(rows: &[Row], cases: &[Case], rounds: u32) -> Duration {
    let once = |row: &Row, round: u32| -> Duration {
        cases.iter().filter(|case| row.takes(**case, round)).map(|_| row.manner.lasts_about()).sum()
    };
    let of_round = |round: u32| -> Duration { rows.iter().map(|row| once(row, round)).sum() };
    (1..=rounds).map(of_round).sum()
}

fn tell(
    row: &Row,
    case: Case,
    round: u32,
    outcome: &Outcome,
    took: Duration,
    writer: &mut Writer,
) -> anyhow::Result<()> {
    let registry = &row.registry;
    for (event, seen) in [("add", &outcome.added), ("remove", &outcome.removed)] {
        let record = Record::new(registry.name(), registry.class(), registry.configuration(), round);
        let last_us = |share: f64| seen.last.at(share).as_micros() as f64;
        let mut record = record
            .with_case("watchers", u64::try_from(case.watchers)?)
            .with_case("changes_a_second", u64::from(case.background))
            .with_case("event", event)
            .with_value("last_p50_us", last_us(0.5))
            .with_value("last_p99_us", last_us(0.99))
            .with_value("changes", f64::from(seen.changes))
            .with_value("never_seen", f64::from(seen.missed))
            .with_value("other_changes_a_second", outcome.background_a_second);
        if let Some(cpu_us) = outcome.cpu_us {
            record = record.with_value("cpu_us", cpu_us);
        }
        seen.each.tell(&mut record);
        writer.push(&record)?;
        let ms = |delay: Duration| delay.as_secs_f64() * 1e3;
        let Seen { each, last, missed, .. } = seen;
        println!(
            "{round} {:36} {:8} {:>5} watchers {:>4}/s {event:6}: {:9.2} {:9.2}   {:9.2} {:9.2}  {missed}  ({:.1} s)",
            registry.name(),
            format!("{:?}", registry.configuration()),
            case.watchers,
            case.background,
            ms(each.at(0.5)),
            ms(each.at(0.99)),
            ms(last.at(0.5)),
            ms(last.at(0.99)),
            took.as_secs_f64(),
        );
    }
    Ok(())
}

// === impl Wish ===

impl Wish {
    /// Before anything is started.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        if self.unpinned { Ok(()) } else { stand_aside() }
    }

    pub(crate) fn data(&self) -> Data {
        if self.quick { QUICK } else { FULL }
    }

    /// So many, where nobody says.
    pub(crate) fn rounds(&self, usual: u32) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { usual })
    }

    pub(crate) fn means(&self, system: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == system)
    }
}

// === impl Row ===

impl Row {
    /// It takes minutes to know who is gone.
    pub(crate) fn is_slow(&self) -> bool {
        self.manner == case::Manner::PolledRarely
    }

    /// Whether it is asked this in that round.
    fn takes(&self, case: Case, round: u32) -> bool {
        case.watchers <= self.watchers_max && self.manner.takes(case, round)
    }
}
