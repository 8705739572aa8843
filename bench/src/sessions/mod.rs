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
use crate::{fleet::uid, local::cpu, report, resident::Resident};

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
/// What takes longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(instances: u32, sizes: &[usize], shared: u32) -> anyhow::Result<()> {
    println!(
        "{instances} instances, {} services, each session holds {HELD}; {CHANGES_A_SECOND} changes/s, one of {shared} of a service that all hold",
        instances / crate::fleet::INSTANCES
    );
    println!(
        "never came: deliveries of that service's changes, to each session, that are missing {} s after the last; where a pod changed again before it was told, the first change counts as one, and has no delay",
        TAIL_MAX.as_secs()
    );
    println!("bytes/ideal: of the frames, TLS and HTTP/2 left out, by the changed instances alone as JSON");
    println!(
        "storms: all leave and come at once; warm: the same, with tickets and all that they held; cold: new ones, with neither; peak/before: of the controller's memory, before both storms"
    );
    println!(
        "sessions  opened s  controller MiB  KiB/session  all told p50 ms  p99 ms  each p50 ms  p99 ms    never came  CPU µs/change  bytes/ideal  warm s  peak/before  cold s  peak/before"
    );
    let mut writer = report::begin("sessions", Vec::new())?;
    for sessions in sizes {
        writer.push(&Runtime::new()?.block_on(measure(instances, *sessions, shared))?)?;
    }
    println!(
        "goals: all told p99 ≤ 50 ms at 100 and ≤ 250 ms at 2,000 sessions; ≤ 64 KiB/session; ≤ 192 MiB; bytes ≤ 1.5; storms ≤ 5 s, peaks < 2"
    );
    Ok(())
}

async fn measure(instances: u32, sessions: usize, shared: u32) -> anyhow::Result<Record> {
    let mut server = Server::start(instances, &Place::new(PORT)?)?;
    let pid = server.pid();
    let (empty, _) = Resident::settled(&[pid]).await?;
    let tokens = tokens(sessions)?;
    let crowd = Crowd::new("crowd", &server.door, instances, &tokens)?;
    let begin = Instant::now();
    crowd.connect();
    crowd.in_step(PATIENCE).await.context("not all are in step")?;
    let opened = begin.elapsed();
    // What first answers took is given back by and by.
    let (full, _) = Resident::settled(&[pid]).await?;

    crowd.measure(true);
    let before = cpu(pid)?;
    let changes_of_all = server.change(CHANGES_A_SECOND, MEASURED_FOR.as_secs(), shared)?;
    tokio::join!(sleep(TAIL_MIN), crowd.told_of_all(changes_of_all, TAIL_MAX));
    let busy = cpu(pid)? - before;
    crowd.measure(false);
    let told = crowd.told();
    let missing = (changes_of_all * sessions).saturating_sub(told.of_all());
    let changes = f64::from(CHANGES_A_SECOND) * MEASURED_FOR.as_secs_f64();

    let warm = storm(pid, &crowd, &crowd).await?;
    Resident::settled(&[pid]).await?;
    let new = Crowd::new("new", &server.door, instances, &tokens)?;
    let cold = storm(pid, &crowd, &new).await?;
    new.disconnect().await;

    let kib_a_session = (full.rss_mib - empty.rss_mib) * 1_024.0 / sessions as f64;
    let mut record = Record::new("rollcall controller's half", Class::C, Configuration::Default, 1)
        .with_case("instances", instances)
        .with_case("sessions", sessions as u64)
        .with_case("changes_a_second", CHANGES_A_SECOND)
        .with_value("opened_s", opened.as_secs_f64())
        .with_value("empty_rss_mib", empty.rss_mib)
        .with_value("rss_mib", full.rss_mib)
        .with_value("anonymous_mib", full.anonymous_mib)
        .with_value("kib_a_session", kib_a_session)
        .with_value("changes", changes)
        .with_value("cpu_us_per_change", busy.as_secs_f64() * 1e6 / changes)
        .with_value("missing", missing as f64);
    told.tell(&mut record)?;
    warm.tell("warm", &mut record);
    cold.tell("cold", &mut record);
    let all = told.all()?;
    let ms = |value: &str| record.values.get(value).copied().unwrap_or_default() / 1e3;
    println!(
        "{sessions:>8}  {:>8.1}  {:>14.1}  {kib_a_session:>11.1}  {:>15.1}  {:>6.1}  {:>11.1}  {:>6.1}  {:>12}  {:>13.0}  {:>11.2}  {:>6.2}  {:>11.2}  {:>6.2}  {:>11.2}",
        opened.as_secs_f64(),
        full.rss_mib,
        all.at(0.5).as_secs_f64() * 1e3,
        all.at(0.99).as_secs_f64() * 1e3,
        ms("p50_us"),
        ms("p99_us"),
        format!("{missing}/{}", changes_of_all * sessions),
        busy.as_secs_f64() * 1e6 / changes,
        told.bytes_by_ideal(),
        warm.took.as_secs_f64(),
        warm.peak_mib / full.rss_mib,
        cold.took.as_secs_f64(),
        cold.peak_mib / full.rss_mib,
    );
    Ok(record)
}

/// To the controller's half, every pod's uid is its token.
pub(crate) fn tokens(sessions: usize) -> anyhow::Result<Vec<String>> {
    Ok((0..u32::try_from(sessions)?).map(uid).collect())
}
