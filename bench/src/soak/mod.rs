//! A controller under ten times the churn that a cluster of the largest size is told to have, for long: whether what a change
//! costs it, its memory and what it has open stay as they are.

mod judge;
mod subject;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollcall_cluster::{Collects, interrupt};
use rollcall_results::{Class, Configuration, Record};
use rollcall_wire::limits::HEARTBEAT_EVERY;
use tokio::time::{Instant, sleep};

use self::{judge::judge, subject::Subject};
use crate::{
    filled::in_a_cluster,
    fleet::Fleet,
    idle::Idle,
    kept::Kept,
    local::{Ticks, cpu},
    resident::{Resident, descriptors, threads},
    rest::Rest,
    sessions::{Crowd, PATIENCE},
};

const MINUTE: Duration = Duration::from_secs(60);
/// So long after a minute's changes all sessions know of all of them.
const IN_STEP_MAX: Duration = Duration::from_secs(10);

/// Holds what is asked of a controller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Soak {
    pub(crate) minutes: u32,
    pub(crate) fleet: Fleet,
    pub(crate) sessions: u32,
    pub(crate) a_second: u32,
}

/// Of a real controller in a cluster of its own, or of a controller's half, which is told of changes by us.
pub(crate) fn run(soak: Soak, half: bool) -> Result<()> {
    ensure!(soak.minutes > 0 && soak.a_second > 0, "nothing to measure");
    if half {
        interrupt::listen()?;
        return soak.measure(Subject::half(soak)?);
    }
    in_a_cluster(Collects::Seldom, |filled| {
        filled.fill(soak.fleet)?;
        soak.measure(Subject::real(filled, soak)?)
    })
}

// === impl Soak ===

impl Soak {
    fn measure(self, mut subject: Subject<'_>) -> Result<()> {
        let (system, pid) = (subject.name(), subject.pid());
        println!(
            "{system}: {} instances, {} sessions, {} changes/s for {} minutes",
            self.fleet.instances, self.sessions, self.a_second, self.minutes
        );
        println!(
            "CPU/change: without what an idle controller with these sessions computes; in step after: until all sessions are, from the end of the minute's changes on; {} s at most",
            IN_STEP_MAX.as_secs()
        );
        println!(
            "minute  changes/s  CPU µs/change  RSS MiB  anonymous MiB  descriptors  threads  in step  after s  stolen %"
        );
        let kept = Kept::begin("soak", Vec::new())?;
        let runtime = subject.runtime();
        let (door, tokens) = (subject.door()?, subject.tokens()?);
        let crowd = Crowd::new("crowd", &door, self.fleet.instances, &tokens)?;
        let idle = runtime.block_on(async {
            crowd.connect();
            crowd.in_step(PATIENCE).await.context("not all are in step")?;
            Rest::of(&[pid]).await?;
            Idle::of(pid, Some(&crowd)).await
        })?;
        let mut minutes = Vec::new();
        for number in 1..=self.minutes {
            let unmeasured = self.record(system, number);
            let measured = minute(&mut subject, &crowd, idle, unmeasured.clone());
            match kept.keep(unmeasured, measured)? {
                Some(record) => {
                    tell(number, &record);
                    minutes.push(record);
                }
                // Without a controller there is nothing more to soak.
                None if cpu(pid).is_err() => break,
                None => {}
            }
        }
        for judged in judge(&minutes, self.sessions) {
            println!("{judged}");
            let record = judged.record(system);
            kept.keep(record.clone(), Ok(record.clone()))?;
            if judged.is_bad() {
                kept.blame(&record, &judged.to_string());
            }
        }
        runtime.block_on(crowd.disconnect());
        kept.end()
    }

    fn record(self, system: &str, minute: u32) -> Record {
        Record::new(system, Class::C, Configuration::Default, 1)
            .with_case("minute", minute)
            .with_case("instances", self.fleet.instances)
            .with_case("sessions", self.sessions)
    }
}

/// A minute of changes, and until all sessions are in step with them.
fn minute(subject: &mut Subject<'_>, crowd: &Crowd, idle: Idle, mut record: Record) -> Result<Record> {
    let pid = subject.pid();
    let (begin, computed, ticks) = (Instant::now(), cpu(pid)?, Ticks::now()?);
    let changes = subject.change(MINUTE)?;
    let (took, busy) = (begin.elapsed(), cpu(pid)?.saturating_sub(computed));
    let stolen_percent = Ticks::now()?.stolen_percent_since(ticks);
    let resident = Resident::of(&[pid])?;
    let (ended, each) = (Instant::now(), 1.0 / changes.max(1) as f64);
    let in_step = subject.runtime().block_on(async {
        // Who is behind knows of it by then, at the latest.
        sleep(HEARTBEAT_EVERY).await;
        crowd.in_step(IN_STEP_MAX).await
    });
    interrupt::check()?;
    // Who is not in step by then is counted, and judged in the end.
    if in_step.is_ok() {
        record.values.insert("in_step_after_s".to_owned(), ended.elapsed().as_secs_f64());
    }
    Ok(record
        .with_value("changes", changes as f64)
        .with_value("a_second", changes as f64 / took.as_secs_f64())
        .with_value("cpu_us_per_change", idle.beside(busy, took) * each)
        .with_value("idle_and_cpu_us_per_change", busy.as_secs_f64() * 1e6 * each)
        .with_value("idle_cpu_us_a_second", idle.cpu_us_a_second)
        .with_value("stolen_percent", stolen_percent)
        .with_value("rss_mib", resident.rss_mib)
        .with_value("anonymous_mib", resident.anonymous_mib)
        .with_value("descriptors", descriptors(pid)? as f64)
        .with_value("threads", threads(pid)? as f64)
        .with_value("in_step", crowd.how_many_in_step() as f64))
}

fn tell(number: u32, record: &Record) {
    // What is not there did not happen in time.
    let value = |name: &str| record.values.get(name).copied().unwrap_or(f64::NAN);
    println!(
        "{number:>6}  {:>9.1}  {:>13.0}  {:>7.1}  {:>13.1}  {:>11}  {:>7}  {:>7}  {:>7.2}  {:>8.1}",
        value("a_second"),
        value("cpu_us_per_change"),
        value("rss_mib"),
        value("anonymous_mib"),
        value("descriptors"),
        value("threads"),
        value("in_step"),
        value("in_step_after_s"),
        value("stolen_percent"),
    );
}
