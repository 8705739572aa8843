//! Failure: from the moment in which a process that beats is killed, stopped, cut off or asked to end, until no watcher has it.
//!
//! All of it is in a network of its own, so that what is cut is nobody else's. The systems are measured beside each other: what
//! passes is time, and no work. Each record stands beside those of `overload`, which has the same systems with all well: how
//! often somebody was evicted then.

mod event;
mod overload;
mod pod;
mod rules;
mod victim;

use std::{
    env,
    net::Ipv4Addr,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use rollcall_results::{Record, Writer};
use tokio::{
    runtime::Runtime,
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{
    event::Event,
    pod::Pod,
    victim::{Victim, Whom},
};
use crate::{
    ours::{Rollcall, Wish as OurWish},
    peers::{Data, Peer},
    propagation::{OUT_WITHIN, Rows, Tally, Watchers, Wish as Common},
    report,
};

/// The first port of what is started here.
const PORT: u16 = 28_550;
const ROUNDS: u32 = 10;
/// Of those that take minutes each time.
const ROUNDS_SLOW: u32 = 1;
/// Of one service; the last of them to know is what counts.
const WATCHERS: usize = 3;
/// Who is not seen by then never is.
const SEEN_MAX: Duration = Duration::from_secs(100);
/// Between two rounds, so that what the last one left is over.
const APART: Duration = Duration::from_secs(1);
/// A sidecar's, as it is built.
const BEAT_OF_A_SIDECAR: Duration = Duration::from_secs(3);
/// Says that the network is our own already.
const ISOLATED: &str = "ROLLCALL_BENCH_ISOLATED";
/// Whose failures are measured: an address of loopback for each row.
const VICTIMS: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 0);

/// Holds what is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Wish {
    #[command(flatten)]
    common: Common,
    /// How long all are well, with twice the CPU asked for that there is and one packet in a hundred lost; 30 for a result.
    #[arg(long, default_value_t = 5)]
    overload_minutes: u32,
}

/// Holds Rollcall, and pods of it that fail: the first one alone, and all others under overload.
struct Ours {
    registry: Arc<Rollcall>,
    pods: Vec<Arc<Pod>>,
}

pub(crate) fn run(wish: &Wish) -> anyhow::Result<()> {
    if env::var_os(ISOLATED).is_none() {
        // A process of its own, all of whose threads are there.
        let mut isolated = Command::new("unshare");
        isolated
            .args(["--net", "--"])
            .arg(env::current_exe()?)
            .args(env::args_os().skip(1))
            .env(ISOLATED, "1");
        let status = isolated.status().context("`unshare` is needed, and root; it is Debian's util-linux")?;
        ensure!(status.success(), "the measurement ended with {status}");
        return Ok(());
    }
    rules::begin()?;
    wish.common.prepare()?;
    Runtime::new()?.block_on(all(wish))
}

async fn all(wish: &Wish) -> anyhow::Result<()> {
    let mut rows = Rows::peers(wish.common.data(), &wish.common).await?;
    rows.retain(|row| row.heartbeat.is_some());
    let ours = match wish.common.means("rollcall") {
        true => Some(Ours::start(wish).await.context("starting Rollcall")?),
        false => None,
    };
    ensure!(!rows.is_empty() || ours.is_some(), "there is no such system");
    let programs = rows.iter().flat_map(|row| row.registry.programs());
    let programs = programs.chain(ours.iter().flat_map(|ours| ours.registry.programs())).collect();
    let writer = Arc::new(Mutex::new(report::begin("failure", programs)?));
    println!("{} rows: 25 min at most, and {} min under overload", rows.len(), wish.overload_minutes);
    let mut running = JoinSet::new();
    for (row, number) in rows.iter().zip(1_u32..) {
        let from = Ipv4Addr::from(u32::from(VICTIMS) + number);
        let heartbeat = row.heartbeat.clone().context("no heartbeat")?;
        let rounds = wish.common.rounds(if row.is_slow() { ROUNDS_SLOW } else { ROUNDS });
        running.spawn(each_event(Whom::Process(heartbeat, from), row.out_within(), rounds, writer.clone()));
    }
    if let Some(Ours { registry, pods }) = &ours {
        let pod = pods.first().context("no pod")?;
        let whom = Whom::Pod(registry.clone(), pod.clone());
        running.spawn(each_event(whom, OUT_WITHIN, wish.common.rounds(ROUNDS), writer.clone()));
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    if wish.overload_minutes > 0 {
        overload::measure(&rows, ours.as_ref(), wish.overload_minutes, &writer).await?;
    }
    Ok(())
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
            watching: 3,
            crowd: 0,
            port: PORT,
        };
        let [registry, _] = Rollcall::start(&ours).await?;
        Ok(Self { registry: Arc::new(registry), pods })
    }
}

async fn each_event(
    whom: Whom,
    out_within: Duration,
    rounds: u32,
    writer: Arc<Mutex<Writer>>,
) -> anyhow::Result<()> {
    let service = Data::service(0);
    let name = whom.registry().name().to_owned();
    let mut watchers = Watchers::open(whom.registry(), &service, WATCHERS).await.context(name.clone())?;
    for round in 1..=rounds {
        for event in whom.events().iter().copied() {
            let beat = whom.pace().map_or(BEAT_OF_A_SIDECAR, |pace| Duration::from_millis(pace.beat_ms));
            let wait = APART + beat.mul_f64(share_of(round));
            let out = once(&whom, &service, event, wait, out_within, &mut watchers).await;
            let out = out.with_context(|| format!("{name}, {}", event.name()))?;
            let (class, configuration) = (whom.registry().class(), whom.registry().configuration());
            println!(
                "{round} {name:36} {configuration:?} {:9}: {}",
                event.name(),
                event::told(out, out_within)
            );
            let record = Record::new(&name, class, configuration, round);
            let mut record = record
                .with_case("event", event.name())
                .with_case("watchers", u64::try_from(WATCHERS)?)
                .with_value("never_within_s", if out.is_none() { out_within.as_secs_f64() } else { 0.0 });
            if let Some(pace) = whom.pace() {
                record = record
                    .with_value("ttl_ms", pace.ttl_ms as f64)
                    .with_value("beat_ms", pace.beat_ms as f64);
            }
            if let Some(out) = out {
                record = record.with_value("out_ms", out.as_secs_f64() * 1e3);
            }
            writer.lock().unwrap_or_else(PoisonError::into_inner).push(&record)?;
        }
    }
    Ok(())
}

/// Where between two beats it fails in this round: rounds are spread evenly, however many there are.
fn share_of(round: u32) -> f64 {
    /// The golden ratio's, whose multiples fill every gap.
    const STEP: f64 = 0.618_033_988_749_895;
    (f64::from(round) * STEP).fract()
}

/// None where it never was out.
async fn once(
    whom: &Whom,
    service: &str,
    event: Event,
    wait: Duration,
    out_within: Duration,
    watchers: &mut Watchers,
) -> anyhow::Result<Option<Duration>> {
    let mut victim = Victim::start(whom, service).await?;
    let mut came = Tally::new(WATCHERS, victim.since);
    timeout(SEEN_MAX, until_all(watchers, &mut came, &victim.instance, true))
        .await
        .context("never seen")??;
    // Somewhere between two of its beats.
    sleep(wait).await;
    let since = Instant::now();
    victim.suffer(event)?;
    let mut gone = Tally::new(WATCHERS, since);
    // That it never is out is a value too.
    if let Ok(ended) = timeout(out_within, until_all(watchers, &mut gone, &victim.instance, false)).await {
        ended?;
    }
    let instance = victim.instance.clone();
    victim.end()?;
    whom.forget(service, &instance).await;
    let mut left = Tally::new(WATCHERS, since);
    if gone.last().is_none() {
        timeout(SEEN_MAX, until_all(watchers, &mut left, &instance, false))
            .await
            .context("never taken back")??;
    }
    Ok(gone.last())
}

async fn until_all(
    watchers: &mut Watchers,
    tally: &mut Tally,
    instance: &str,
    is_there: bool,
) -> anyhow::Result<()> {
    while tally.missing() > 0 {
        let news = watchers.next().await?;
        if news.has(instance) == is_there {
            tally.seen(news.watcher, news.at);
        }
    }
    Ok(())
}
