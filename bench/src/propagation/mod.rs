//! Propagation: from the call that registers an instance, or takes it back, to each watcher's next state with it, or without.
//! Both moments are of one process and one clock.
//!
//! ```text
//!  for each round, in an order of its own: each case on each system
//!    open so many watchers of one service ─► background changes of other services, at their pace, watched too
//!    ─► again and again, pod by pod: add, until all have seen it; remove, until all have seen that ─► close them
//! ```

mod background;
mod case;
mod floor;
mod kubernetes;
mod measure;
mod rows;
mod tally;
mod told;
mod watchers;

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use tokio::{runtime::Builder, time::sleep};

use self::{
    case::{Case, cases},
    measure::{Outcome, measure},
    rows::Rows,
    told::Told,
};
pub(crate) use self::{
    floor::serve as serve_floor,
    kubernetes::Watching,
    rows::{NotStarted, Row, every_peer},
    tally::Tally,
    watchers::Watchers,
};
use crate::{
    failure::interruptible,
    kept::Kept,
    local::{Draws, Turns, cpu_of, stand_aside},
    peers::Data,
};

/// Ports of what is started here: below those that the kernel gives to whoever calls, and nobody else's in this repository.
const PORT: u16 = 28_700;
/// What all systems are filled with.
pub(crate) const FULL: Data = Data { services: 1_000, instances: 10 };
pub(crate) const QUICK: Data = Data { services: 30, instances: 10 };
const ROUNDS: u32 = 3;
/// Of all turns, at most so many are repeated where the host takes too much.
const REPEATS: u32 = 20;
/// What is not counted, before all rounds.
const WARM_UP: Case = Case { watchers: 10, background: 0 };
/// All systems together take no more than this share of a processor when a case begins, or it was waited for so long.
const QUIET_MAX: f64 = 0.15;
const QUIET_FOR: Duration = Duration::from_millis(100);
const QUIET_WITHIN: Duration = Duration::from_secs(1);
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
    /// Kubernetes' own slices, and its DNS, as well, in a cluster that is made for it.
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
    // One thread, the one that was raised: those of another runtime would be no better than anybody's. It never spins.
    // With a cluster somebody listens for interruptions already, who would only write them down.
    Builder::new_current_thread().enable_all().build()?.block_on(interruptible(all(wish, cluster)))
}

async fn all(wish: &Wish, cluster: Option<&kubernetes::Reached>) -> anyhow::Result<()> {
    let (data, cases) = (wish.data(), cases(wish.quick));
    let crowd = cases.iter().map(|case| case.watchers).max().unwrap_or(1);
    let mut not_started = NotStarted::new();
    let mut rows = Rows::start(wish, PORT, u32::try_from(crowd)?, &mut not_started).await?;
    if let Some(cluster) = cluster {
        kubernetes::rows(cluster, data).await?.into_iter().for_each(|row| rows.push(row));
    }
    ensure!(!rows.all().is_empty() || !not_started.is_empty(), "there is no such system");
    let rounds = wish.rounds(ROUNDS);
    let minutes = expected(rows.all(), &cases, rounds, wish.quick).as_secs_f64() / 60.0;
    println!("{} rows, {rounds} rounds: about {minutes:.0} min", rows.all().len());
    let kept = Kept::begin("propagation", rows.programs())?;
    for (record, error) in not_started {
        kept.miss(record, &error)?;
    }
    let mut told = Told::new(kept);
    let mut turns = Turns::new(1, if wish.quick { 0 } else { REPEATS });
    let mut draws = Draws::new(1);
    let pids: Vec<_> = rows.all().iter().flat_map(|row| row.registry.pids()).collect();
    let begin = Instant::now();
    warm_up(rows.all(), &mut draws, wish.quick).await;
    for round in 1..=rounds {
        for (place, case) in due(rows.all(), &cases, round, &mut turns) {
            let Some(row) = rows.all().get(place) else { continue };
            if told.has_failed(place, case) {
                continue;
            }
            let mut once = async || -> anyhow::Result<(Outcome, f64)> {
                quiet(&pids).await;
                turns.undisturbed(async || measure(row, case, &mut draws, wish.quick).await).await
            };
            let mut measured = once().await;
            // Once more, since the host may have been the reason.
            if !is_good(&measured) {
                measured = once().await;
            }
            told.round((place, row), case, round, measured)?;
        }
    }
    println!("\n{}; it took {:.1} min", turns.told(), begin.elapsed().as_secs_f64() / 60.0);
    told.end(rows.all())
}

/// Whether all of it was measured, at the pace that was asked for.
fn is_good(measured: &anyhow::Result<(Outcome, f64)>) -> bool {
    measured.as_ref().is_ok_and(|(outcome, _)| outcome.background.is_kept().is_ok())
}

/// All that is measured in a round, in an order of its own: by rows' places and cases.
fn due(rows: &[Row], cases: &[Case], round: u32, turns: &mut Turns) -> Vec<(usize, Case)> {
    let of_row = |(place, row)| {
        cases.iter().filter(move |case| Row::takes(row, **case, round)).map(move |case| (place, *case))
    };
    let all: Vec<_> = rows.iter().enumerate().flat_map(of_row).collect();
    turns.order(all.len()).into_iter().filter_map(|place| all.get(place).copied()).collect()
}

/// What is compiled while it runs, or answers its first caller late, has done so before the first round. What fails here fails
/// there, and is told there.
async fn warm_up(rows: &[Row], draws: &mut Draws, quick: bool) {
    for row in rows.iter().filter(|row| row.manner.is_pushed()) {
        let _ = measure(row, WARM_UP, draws, quick).await;
    }
}

/// Returns once what was measured last costs nothing any more, or when that does not come.
async fn quiet(pids: &[u32]) {
    let begin = Instant::now();
    while begin.elapsed() < QUIET_WITHIN {
        let Ok(before) = cpu_of(pids) else { return };
        sleep(QUIET_FOR).await;
        if cpu_of(pids).is_ok_and(|now| now.saturating_sub(before) <= QUIET_FOR.mul_f64(QUIET_MAX)) {
            return;
        }
    }
}

/// Without what starting takes.
fn expected(rows: &[Row], cases: &[Case], rounds: u32, quick: bool) -> Duration {
    let once = |row: &Row, round: u32| -> Duration {
        cases
            .iter()
            .filter(|case| row.takes(**case, round))
            .map(|case| row.manner.lasts_about(*case, quick))
            .sum()
    };
    let of_round = |round: u32| -> Duration { rows.iter().map(|row| once(row, round)).sum() };
    (1..=rounds).map(of_round).sum()
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
