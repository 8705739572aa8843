//! Failure: from the moment in which an app is killed, hangs, is cut off or is to end, until no watcher has it.
//!
//! All of it is in a network of its own, so that what is cut is nobody else's. The systems are measured beside each other: what
//! passes is time, and no work. In the same tables stands how often somebody was evicted who was well, on a machine that is
//! asked for twice the CPU that it has while packets are lost.

mod detection;
mod event;
mod isolated;
mod kubernetes;
mod overload;
mod pod;
mod rules;
mod victim;

use std::{env, net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use clap::Args;
use rollcall_cluster::interrupt;
use rollcall_results::{Class, Configuration, Program, Record, Results};
use tokio::{runtime::Builder, task::JoinSet};

pub(crate) use self::isolated::interruptible;
use self::{
    detection::{Detection, each_event},
    event::Event,
    pod::Pod,
    victim::Whom,
};
use crate::{
    contest::distinct,
    kept::Kept,
    ours::{Rollcall, Wish as OurWish},
    peers::{Peer, Registry, build},
    propagation::{NotStarted, OUT_WITHIN, Row, Wish as Common, every_peer},
};

/// The first port of what is started here.
const PORT: u16 = 28_550;
const ROUNDS: u32 = 10;
/// Of those that take minutes each time.
const ROUNDS_SLOW: u32 = 5;
/// Of one service; the last of them to know is what counts.
const WATCHERS: usize = 3;
/// Who is found by a lease of 90 s that counts twice, a look each minute, and two caches of half a minute.
const OUT_WITHIN_SLOW: Duration = Duration::from_secs(330);
/// Minutes of overload where nobody says.
const OVERLOAD_MINUTES: f64 = 5.0;
const OVERLOAD_MINUTES_QUICK: f64 = 0.25;
/// Names the file that has what was measured before, in a cluster, where anything was.
const KEPT_APART: &str = "ROLLCALL_BENCH_KEPT_APART";
/// What is called so happens to nobody: it tells how a registry was set.
const AS_SET: &str = "as set";
/// Whose failures are measured: so many addresses of loopback for each row.
const VICTIMS: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 0);
const VICTIMS_EACH: u32 = 256;

/// Holds what is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Wish {
    #[command(flatten)]
    common: Common,
    /// How long all are well, with twice the CPU asked for that there is and one packet in a hundred lost; 30 for a result, 5
    /// where nobody says, and 0 for nothing of it.
    #[arg(long)]
    overload_minutes: Option<f64>,
    /// Kubernetes' own readiness as well, in a cluster that is made for it.
    #[arg(long)]
    with_cluster: bool,
}

/// Holds Rollcall, and pods of it that fail: the first one alone, and all others under overload.
struct Ours {
    registry: Arc<Rollcall>,
    pods: Vec<Arc<Pod>>,
}

pub(crate) fn run(wish: &Wish) -> anyhow::Result<()> {
    if !isolated::is_here() {
        interrupt::listen()?;
        // Where it runs there is no network to build anything from.
        build(|system| wish.common.means(system))?;
        let folder = tempfile::tempdir()?;
        let apart = folder.path().join("kubernetes.jsonl");
        if wish.with_cluster {
            kubernetes::measure(&wish.common, &apart)?;
        }
        return isolated::run([(KEPT_APART, apart.into())]);
    }
    rules::begin()?;
    wish.common.prepare()?;
    // This thread alone comes before others, and so does all that waits for news.
    Builder::new_current_thread().enable_all().build()?.block_on(interruptible(all(wish)))
}

async fn all(wish: &Wish) -> anyhow::Result<()> {
    let mut failed = NotStarted::new();
    let mut rows = every_peer(&wish.common, &mut failed).await;
    rows.retain(|row| row.heartbeat.is_some());
    let mut ours = None;
    if wish.common.means("rollcall") {
        match Ours::start(wish).await {
            Ok(started) => ours = Some(started),
            Err(error) => {
                failed.push((Record::new("rollcall", Class::B, Configuration::Default, 1), error));
            }
        }
    }
    let apart = kept_apart()?;
    let is_any = !rows.is_empty() || ours.is_some() || !failed.is_empty() || wish.with_cluster;
    ensure!(is_any, "there is no such system");
    let mut programs = programs(&rows, ours.as_ref());
    programs.extend(apart.run.programs.iter().cloned());
    let kept = Arc::new(Kept::begin("failure", programs)?);
    kept.take(apart)?;
    for (record, error) in failed {
        kept.miss(record, &error)?;
    }
    let minutes = wish.overload_minutes();
    println!("{} rows: 20 min at most, and {minutes} min under overload", rows.len());
    let mut running = JoinSet::new();
    for (row, number) in rows.iter().zip(1_u32..) {
        for detection in of_row(row, number, wish, &kept)? {
            running.spawn(each_event(detection, kept.clone()));
        }
    }
    if let Some(Ours { registry, pods }) = &ours {
        let whom = Whom::Pod(registry.clone(), pods.first().context("no pod")?.clone());
        as_set(&whom, &kept)?;
        let (all_rounds, out_within) = (wish.common.rounds(ROUNDS), OUT_WITHIN);
        let (events, rounds) = (whom.events().to_vec(), 1..=all_rounds);
        let lives = vec![whom; events.len() * all_rounds as usize];
        let detection = Detection { lives, events, all_rounds, rounds, out_within, seed: 0 };
        running.spawn(each_event(detection, kept.clone()));
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    if minutes > 0.0 {
        overload::measure(&rows, ours.as_ref(), minutes, &kept).await?;
    }
    kept.end()
}

/// What was measured before; nothing where no cluster was asked for.
fn kept_apart() -> anyhow::Result<Results> {
    let path = env::var_os(KEPT_APART).map(PathBuf::from);
    Ok(match path.filter(|path| path.exists()) {
        Some(path) => Results::read(&path)?,
        None => Results::default(),
    })
}

fn programs(rows: &[Row], ours: Option<&Ours>) -> Vec<Program> {
    let theirs = rows.iter().flat_map(|row| row.registry.programs());
    distinct(theirs.chain(ours.iter().flat_map(|ours| ours.registry.programs())))
}

/// What is measured of a row; where it takes minutes to find who has failed, each round and event beside the others.
fn of_row(row: &Row, number: u32, wish: &Wish, kept: &Kept) -> anyhow::Result<Vec<Detection>> {
    let heartbeat = row.heartbeat.clone().context("no heartbeat")?;
    let first = u32::from(VICTIMS) + VICTIMS_EACH * number;
    let whom = |life: u32| Whom::Process(heartbeat.clone(), Ipv4Addr::from(first + life));
    let is_slow = row.is_slow();
    let out_within = if is_slow { OUT_WITHIN_SLOW } else { OUT_WITHIN };
    let events = if is_slow && wish.common.quick { Event::QUICK } else { Event::OF_PROCESS };
    let all_rounds = wish.common.rounds(if is_slow { ROUNDS_SLOW } else { ROUNDS });
    let lives = all_rounds * u32::try_from(events.len())?;
    ensure!(lives < VICTIMS_EACH, "{all_rounds} rounds are more than there are addresses for");
    as_set(&whom(1), kept)?;
    let detection = |lives: Vec<Whom>, events: &[Event], rounds| Detection {
        lives,
        events: events.to_vec(),
        all_rounds,
        rounds,
        out_within,
        seed: number,
    };
    if !is_slow {
        return Ok(vec![detection((1..=lives).map(whom).collect(), events, 1..=all_rounds)]);
    }
    let pairs = (1..=all_rounds).flat_map(|round| events.iter().map(move |event| (round, event)));
    let alone =
        |((round, event), life): ((u32, &Event), u32)| detection(vec![whom(life)], &[*event], round..=round);
    Ok(pairs.zip(1..).map(alone).collect())
}

/// How long a registry believes in who is silent, and how often who is well speaks.
fn as_set(whom: &Whom, kept: &Kept) -> anyhow::Result<()> {
    let pace = whom.pace();
    whom.witnesses().iter().try_for_each(|witness| {
        let record = record(&**witness, AS_SET, 1).with_value("ttl_ms", pace.ttl_ms as f64);
        kept.push(&record.with_value("beat_ms", pace.beat_ms as f64))
    })
}

/// All have the same case but for the event, so that all of a system is a row of one table.
fn record(registry: &dyn Registry, event: &str, round: u32) -> Record {
    Record::new(registry.name(), registry.class(), registry.configuration(), round)
        .with_case("event", event)
        .with_case("watchers", WATCHERS as u64)
}

// === impl Wish ===

impl Wish {
    fn overload_minutes(&self) -> f64 {
        let usual = if self.common.quick { OVERLOAD_MINUTES_QUICK } else { OVERLOAD_MINUTES };
        self.overload_minutes.unwrap_or(usual)
    }
}

// === impl Ours ===

impl Ours {
    async fn start(wish: &Wish) -> anyhow::Result<Self> {
        let pods = (0..=usize::from(overload::WELL)).map(Pod::new).collect::<anyhow::Result<Vec<_>>>()?;
        let guests = pods.iter().map(|pod| pod.address()).collect();
        let ours = OurWish {
            data: wish.common.data(),
            registrars: Vec::new(),
            guests,
            watching: u8::try_from(WATCHERS)?,
            // Who watched before may not have ended yet where others watch already.
            crowd: 2 * u32::try_from(WATCHERS)?,
            port: PORT,
        };
        // Whom each pod is watched by, it says itself.
        let [registry, _] = Rollcall::start(&ours).await?;
        Ok(Self { registry: Arc::new(registry), pods })
    }
}
