//! The sessions: what a crowd of sidecars costs the controller, and how soon all of them know of a change.
//!
//! ```text
//!  controller (a process of its own) ══ TLS, HTTP/2 ══ crowd (this process): N clients of the wire
//!    changes carry the moment at which they were made ───► until the last of the crowd has applied it
//! ```

mod crowd;
mod link;
mod process;
mod seen;
mod server;
mod storm;
mod told;

use std::time::Duration;

use anyhow::Context;
use rollcall_cluster::interrupt;
use rollcall_results::{Class, Configuration, Record};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep},
};

pub(crate) use self::{
    crowd::{Crowd, Door, now_ns},
    link::{News, converse},
    process::{Place, Server},
    seen::MADE,
    server::serve,
    storm::storm,
};
use crate::{
    fleet::uid,
    idle::Idle,
    kept::Kept,
    local::{Turns, cpu},
    rest::Rest,
};

/// Where all controllers of these measurements listen.
pub(crate) const PORT: u16 = 28_600;
/// Services that each session holds, one of which all hold.
const HELD: u32 = 20;
/// The service, by its number, that all hold.
pub(crate) const ALL_HOLD: u32 = 0;
/// How long changes are made and measured.
const MEASURED_FOR: Duration = Duration::from_secs(15);
/// Changes a second.
const CHANGES_A_SECOND: u32 = 20;
/// Changes of the other services may be under way still when this is over after the last one; nobody counts them.
const TAIL_MIN: Duration = Duration::from_secs(1);
/// What was not told by then, after the last change, never comes.
const TAIL_MAX: Duration = Duration::from_secs(10);
/// Loads that may be measured again, where the host disturbed them.
const REPEATS: u32 = 4;
/// What takes longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(instances: u32, sizes: &[usize], shared: u32) -> anyhow::Result<()> {
    println!(
        "{instances} instances, {} services, each session holds {HELD}; {CHANGES_A_SECOND} changes/s, one of {shared} of a service that all hold",
        instances / crate::fleet::INSTANCES
    );
    println!(
        "all told: of that service's changes, until the last session was told; others told: of the other changes, until the last that holds it was; never came: deliveries of that service's changes, to each session, that are missing {} s after the last",
        TAIL_MAX.as_secs()
    );
    println!(
        "idle: what is computed for one session in a second, and said to it, with no changes; CPU/change: without that"
    );
    println!("bytes/ideal: of the frames, TLS and HTTP/2 left out, by the changed instances alone as JSON");
    println!(
        "storms: all leave and come at once; warm: the same, with tickets and all that they held; cold: new ones, with neither; peak/before: of the controller's memory, before both storms"
    );
    println!(
        "sessions  opened s  controller MiB  KiB/session  idle µs/s  idle B/s  all told p50 ms  p99 ms  others told p99 ms  each p50 ms  p99 ms    never came  CPU µs/change  bytes/ideal  warm s  peak/before  cold s  peak/before"
    );
    interrupt::listen()?;
    let kept = Kept::begin("sessions", Vec::new())?;
    for sessions in sizes {
        let measured = Runtime::new()?.block_on(measure(instances, *sessions, shared));
        let Some(record) = kept.keep(record(instances, *sessions), measured)? else { continue };
        tell(*sessions, &record);
        blame_missing(&kept, &record);
    }
    println!(
        "goals: all told p99 ≤ 50 ms at 100 and ≤ 250 ms at 2,000 sessions; ≤ 64 KiB/session; ≤ 192 MiB; bytes ≤ 1.5; storms ≤ 5 s, peaks < 2"
    );
    kept.end()
}

/// Where somebody was never told, the row says nothing good, whatever the others took.
pub(crate) fn blame_missing(kept: &Kept, record: &Record) {
    if let Some(missing) = record.values.get("missing").filter(|missing| **missing > 0.0) {
        kept.blame(record, &format!("{missing} deliveries never came"));
    }
}

fn record(instances: u32, sessions: usize) -> Record {
    Record::new("rollcall controller's half", Class::C, Configuration::Default, 1)
        .with_case("instances", instances)
        .with_case("sessions", sessions as u64)
        .with_case("changes_a_second", CHANGES_A_SECOND)
}

async fn measure(instances: u32, sessions: usize, shared: u32) -> anyhow::Result<Record> {
    let mut server = Server::start(instances, &Place::new(PORT)?)?;
    let pid = server.pid();
    let empty = Rest::of(&[pid]).await?.resident;
    let tokens = tokens(sessions)?;
    let crowd = Crowd::new("crowd", &server.door, instances, &tokens)?;
    let begin = Instant::now();
    crowd.connect();
    crowd.in_step(PATIENCE).await.context("not all are in step")?;
    let opened = begin.elapsed();
    // What first answers took is given back by and by.
    let full = Rest::of(&[pid]).await?.resident;
    let mut turns = Turns::new(0, REPEATS);
    let (idle, _) = turns.undisturbed(async || Idle::of(pid, Some(&crowd)).await).await?;
    let kib_a_session = (full.rss_mib - empty.rss_mib) * 1_024.0 / sessions as f64;
    let mut record = record(instances, sessions)
        .with_value("opened_s", opened.as_secs_f64())
        .with_value("empty_rss_mib", empty.rss_mib)
        .with_value("rss_mib", full.rss_mib)
        .with_value("anonymous_mib", full.anonymous_mib)
        .with_value("kib_a_session", kib_a_session);
    idle.tell(&mut record);
    let (values, stolen_percent) =
        turns.undisturbed(async || changed(&mut server, &crowd, idle, shared).await).await?;
    record.delays_us = values.delays_us;
    record.values.extend(values.values);
    record.values.insert("stolen_percent".to_owned(), stolen_percent);

    let warm = storm(pid, &crowd, &crowd).await?;
    Rest::of(&[pid]).await?;
    let new = Crowd::new("new", &server.door, instances, &tokens)?;
    let cold = storm(pid, &crowd, &new).await?;
    new.disconnect().await;
    warm.tell("warm", &mut record);
    cold.tell("cold", &mut record);
    Ok(record)
}

/// What changes come to, as a record that has values alone.
async fn changed(server: &mut Server, crowd: &Crowd, idle: Idle, shared: u32) -> anyhow::Result<Record> {
    let pid = server.pid();
    crowd.told();
    crowd.measure(true);
    let (begin, before) = (Instant::now(), cpu(pid)?);
    let of_all = server.change(CHANGES_A_SECOND, MEASURED_FOR.as_secs(), shared)?;
    tokio::join!(sleep(TAIL_MIN), crowd.told_of_all(of_all, TAIL_MAX));
    let (busy, lasted) = (cpu(pid)?.saturating_sub(before), begin.elapsed());
    crowd.measure(false);
    let told = crowd.told();
    let changes = f64::from(CHANGES_A_SECOND) * MEASURED_FOR.as_secs_f64();
    let mut record = Record::new("", Class::C, Configuration::Default, 1)
        .with_value("changes", changes)
        .with_value("cpu_us_per_change", idle.beside(busy, lasted) / changes)
        .with_value("idle_and_cpu_us_per_change", busy.as_secs_f64() * 1e6 / changes)
        .with_value("bytes_of_changes", idle.bytes_beside(told.bytes(), lasted));
    told.tell(of_all, crowd.size(), &mut record)?;
    record.values.extend(told.bytes_by_ideal().map(|ratio| ("bytes_by_ideal".to_owned(), ratio)));
    Ok(record)
}

fn tell(sessions: usize, record: &Record) {
    // What is not there was not measured.
    let value = |name: &str| record.values.get(name).copied().unwrap_or(f64::NAN);
    let (ms, each) = (|name: &str| value(name) / 1e3, |name: &str| value(name) / sessions as f64);
    let full = value("rss_mib");
    println!(
        "{sessions:>8}  {:>8.1}  {full:>14.1}  {:>11.1}  {:>9.0}  {:>8.0}  {:>15.1}  {:>6.1}  {:>18.1}  {:>11.1}  {:>6.1}  {:>12}  {:>13.0}  {:>11.2}  {:>6.2}  {:>11.2}  {:>6.2}  {:>11.2}",
        value("opened_s"),
        value("kib_a_session"),
        each("idle_cpu_us_a_second"),
        each("idle_bytes_a_second"),
        ms("all_told_p50_us"),
        ms("all_told_p99_us"),
        ms("others_told_p99_us"),
        ms("p50_us"),
        ms("p99_us"),
        value("missing"),
        value("cpu_us_per_change"),
        value("bytes_by_ideal"),
        value("warm_s"),
        value("warm_peak_mib") / full,
        value("cold_s"),
        value("cold_peak_mib") / full,
    );
}

/// To the controller's half, every pod's uid is its token.
pub(crate) fn tokens(sessions: usize) -> anyhow::Result<Vec<String>> {
    Ok((0..u32::try_from(sessions)?).map(uid).collect())
}
