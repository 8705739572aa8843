//! A controller under ten times the churn that a cluster of the largest size is told to have, for long: whether what a change
//! costs it, its memory and what it has open stay as they are.

mod judge;
mod subject;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollcall_cluster::interrupt;
use rollcall_results::{Class, Configuration, Record};
use tokio::time::Instant;

use self::{judge::judge, subject::Subject};
use crate::{
    filled::in_a_cluster,
    fleet::Fleet,
    local::cpu,
    report,
    resident::{Resident, descriptors, threads},
    sessions::{Crowd, PATIENCE},
};

const MINUTE: Duration = Duration::from_secs(60);

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
    in_a_cluster(|filled| {
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
        println!("minute  changes/s  CPU µs/change  RSS MiB  anonymous MiB  descriptors  threads");
        let mut writer = report::begin("soak", Vec::new())?;
        let runtime = subject.runtime();
        let (door, tokens) = (subject.door()?, subject.tokens()?);
        let crowd = Crowd::new("crowd", &door, self.fleet.instances, &tokens)?;
        runtime.block_on(async {
            crowd.connect();
            crowd.in_step(PATIENCE).await.context("not all are in step")
        })?;
        let mut minutes = Vec::new();
        for number in 1..=self.minutes {
            interrupt::check()?;
            let (begin, computed) = (Instant::now(), cpu(pid)?);
            let changes = subject.change(MINUTE)?;
            let (took, busy) = (begin.elapsed(), cpu(pid)? - computed);
            let resident = Resident::of(&[pid])?;
            let record = Record::new(system, Class::C, Configuration::Default, 1)
                .with_case("minute", number)
                .with_case("instances", self.fleet.instances)
                .with_case("sessions", self.sessions)
                .with_value("changes", changes as f64)
                .with_value("a_second", changes as f64 / took.as_secs_f64())
                .with_value("cpu_us_per_change", busy.as_secs_f64() * 1e6 / changes.max(1) as f64)
                .with_value("rss_mib", resident.rss_mib)
                .with_value("anonymous_mib", resident.anonymous_mib)
                .with_value("descriptors", descriptors(pid)? as f64)
                .with_value("threads", threads(pid)? as f64)
                .with_value("in_step", crowd.how_many_in_step() as f64);
            let value = |name: &str| record.values.get(name).copied().unwrap_or_default();
            println!(
                "{number:>6}  {:>9.1}  {:>13.0}  {:>7.1}  {:>13.1}  {:>11}  {:>7}",
                value("a_second"),
                value("cpu_us_per_change"),
                resident.rss_mib,
                resident.anonymous_mib,
                value("descriptors"),
                value("threads"),
            );
            writer.push(&record)?;
            minutes.push(record);
        }
        for judged in judge(&minutes) {
            let said = judged.steadiness.map_or_else(String::new, |of| {
                format!(
                    ": {:+.1} % of {:.1} (±{:.1} %) from the first judged minute to the last",
                    of.growth * 100.0,
                    of.mean,
                    of.growth_bound * 100.0
                )
            });
            println!("{}: {}{said}", judged.what, judged.trend());
            writer.push(&judged.record(system))?;
        }
        runtime.block_on(crowd.disconnect());
        Ok(())
    }
}
