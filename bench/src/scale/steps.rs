//! What is measured at each size.

use std::{
    process,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rollcall_cluster::Step;
use rollcall_controller_tests::controller::Controller;
use rollcall_results::{Class, Configuration, Record};
use tokio::time::sleep;

use crate::{
    filled::{Churn, Filled, Pace, Seen, Writes, tokens},
    fleet::Fleet,
    idle::Idle,
    local::{Ticks, Turns, cpu},
    resident::{Resident, descriptors, peak_mib, threads},
    rest::Rest,
    sessions::{Crowd, PATIENCE, storm},
};

pub(super) const SYSTEM: &str = "rollcall controller";
/// What a cluster's largest allowed size is told to change by.
const CHANGES_A_SECOND: u32 = 20;
const CHANGED_FOR: Duration = Duration::from_secs(30);
/// With a crowd: 200 changes are of what all hold, so that a p99 of those is not the longest of them.
const TOLD_FOR: Duration = Duration::from_secs(100);
/// Of so many changes one is of the service that all sessions hold.
const SHARED: u32 = 10;
/// What a change has set off is done by then, statuses included: two of an object are a second apart.
const TAIL_MIN: Duration = Duration::from_secs(3);
/// What was not told by then, after the last change, never comes.
const TAIL_MAX: Duration = Duration::from_secs(30);

/// Holds a crowd in session with the controller, by tokens that the API server gave out for their pods.
pub(super) struct Crowded {
    crowd: Crowd,
    tokens: Vec<String>,
    opened: Duration,
    writes: Vec<(String, f64)>,
    /// What the controller held before, at rest.
    before: Resident,
}

/// Holds what changes, and the record that is to say what that costs.
#[derive(Clone)]
struct Load {
    record: Record,
    pace: Pace,
}

/// A record with nothing measured yet.
pub(super) fn record_of(fleet: Fleet, event: &str) -> Record {
    Record::new(SYSTEM, Class::C, Configuration::Default, 1)
        .with_case("event", event)
        .with_case("instances", fleet.instances)
}

/// With nothing to do.
pub(super) fn settled(filled: &Filled, controller: &Controller, turns: &mut Turns) -> Result<(Record, Idle)> {
    let pid = controller.pid();
    filled.runtime.block_on(async {
        let Rest { resident, took } = Rest::of(&[pid]).await?;
        let (idle, stolen_percent) = turns.undisturbed(async || Idle::of(pid, None).await).await?;
        let mut record = record_of(filled.fleet(), "settled");
        // What never settled says so by having no such value.
        if let Some(took) = took {
            record.values.insert("settled_s".to_owned(), took.as_secs_f64());
        }
        idle.tell(&mut record);
        let record = record
            .with_value("rss_mib", resident.rss_mib)
            .with_value("anonymous_mib", resident.anonymous_mib)
            .with_value("peak_mib", peak_mib(pid)?)
            .with_value("stolen_percent", stolen_percent)
            .with_value("descriptors", descriptors(pid)? as f64)
            .with_value("threads", threads(pid)? as f64);
        Ok((record, idle))
    })
}

/// With changes of so many services, all of them where there are no more, and nobody to be told.
pub(super) fn changes(
    filled: &Filled,
    controller: &Controller,
    idle: Idle,
    churn: &mut Churn,
    services: u32,
    turns: &mut Turns,
) -> Result<Record> {
    let record = record_of(filled.fleet(), &changes_of(services, filled.fleet()));
    let load = Load { record, pace: pace(CHANGED_FOR, services) };
    filled.runtime.block_on(undisturbed(filled, controller, idle, churn, None, load, turns))
}

/// What that step is called.
pub(super) fn changes_of(services: u32, fleet: Fleet) -> String {
    match services < fleet.services() {
        true => format!("changes of {services} services"),
        false => "changes".to_owned(),
    }
}

fn pace(lasts: Duration, services: u32) -> Pace {
    Pace { a_second: CHANGES_A_SECOND, lasts, shared: SHARED, services }
}

/// Once more where the host disturbed it.
async fn undisturbed(
    filled: &Filled,
    controller: &Controller,
    idle: Idle,
    churn: &mut Churn,
    crowd: Option<&Crowd>,
    load: Load,
    turns: &mut Turns,
) -> Result<Record> {
    let once = async || changed(filled, controller, idle, churn, crowd, load.clone()).await;
    let (record, stolen_percent) = turns.undisturbed(once).await?;
    Ok(record.with_value("stolen_percent", stolen_percent))
}

/// With changes of which a crowd is told, where there is one.
async fn changed(
    filled: &Filled,
    controller: &Controller,
    idle: Idle,
    churn: &mut Churn,
    crowd: Option<&Crowd>,
    Load { record, pace }: Load,
) -> Result<Record> {
    let (pid, client) = (controller.pid(), filled.client().await?);
    let seen = Seen::begin(client.clone()).await?;
    if let Some(crowd) = crowd {
        crowd.told();
        crowd.measure(true);
    }
    let (begin, computed, written) = (Instant::now(), cpu(pid)?, Writes::of(controller)?);
    let (ticks, computed_here) = (Ticks::now()?, cpu(process::id())?);
    let made = churn.make(&client, filled.fleet(), pace).await?;
    let told_of_all = async {
        if let Some(crowd) = crowd {
            crowd.told_of_all(made.of_all, TAIL_MAX).await;
        }
    };
    tokio::join!(sleep(TAIL_MIN), told_of_all);
    let (busy, lasted) = (cpu(pid)?.saturating_sub(computed), begin.elapsed());
    let busy_here = cpu(process::id())?.saturating_sub(computed_here);
    let written = Writes::of(controller)?.since(written);
    let cpu_us_per_change = idle.beside(busy, lasted) / made.changes as f64;
    let mut record = record
        .with_value("changes", made.changes as f64)
        .with_value("a_second", made.changes as f64 / made.took.as_secs_f64())
        .with_value("cpu_us_per_change", cpu_us_per_change)
        .with_value("idle_and_cpu_us_per_change", busy.as_secs_f64() * 1e6 / made.changes as f64)
        .with_value("idle_cpu_us_a_second", idle.cpu_us_a_second)
        // All that runs here has the same processors: the controller, its clients, and all of Kubernetes.
        .with_value("machine_busy_percent", Ticks::now()?.busy_percent_since(ticks))
        .with_value("clients_processors", busy_here.as_secs_f64() / lasted.as_secs_f64())
        .with_value("write_p50_us", made.writes.at(0.5).as_micros() as f64)
        .with_value("write_p99_us", made.writes.at(0.99).as_micros() as f64);
    record.values.extend(written);
    let bare = seen.end().await?;
    record.values.insert("bare_watch_p50_us".to_owned(), bare.at(0.5).as_micros() as f64);
    record.values.insert("bare_watch_p99_us".to_owned(), bare.at(0.99).as_micros() as f64);
    match crowd {
        // The host's pace differs from one minute to the next, by half at times: the same work is done at each size by those
        // who make the changes and watch them, and what they need for it at that pace is the floor.
        None => {
            let clients_us = busy_here.as_secs_f64() * 1e6 / made.changes as f64;
            record.values.insert("cpu_by_clients".to_owned(), cpu_us_per_change / clients_us);
        }
        Some(crowd) => {
            crowd.measure(false);
            let told = crowd.told();
            let bytes_of_changes = idle.bytes_beside(told.bytes(), lasted);
            record.values.insert("bytes_of_changes".to_owned(), bytes_of_changes);
            told.tell(made.of_all, crowd.size(), &mut record)?;
        }
    }
    Ok(record)
}

// === impl Crowded ===

impl Crowded {
    /// Lets so many sidecars in, each by a token that the controller has not seen.
    pub(super) fn open(filled: &Filled, controller: &Controller, sessions: u32) -> Result<Self> {
        let step = Step::start(format!("asking for {sessions} tokens"));
        let door = filled.door()?;
        filled.runtime.block_on(async {
            let tokens = tokens(&filled.client().await?, sessions).await?;
            step.done();
            let crowd = Crowd::new("crowd", &door, filled.fleet().instances, &tokens)?;
            let before = Rest::of(&[controller.pid()]).await?.resident;
            let written = Writes::of(controller)?;
            let begin = Instant::now();
            crowd.connect();
            let came = crowd.in_step(PATIENCE).await;
            came.with_context(|| format!("not all are in step\n{}", controller.last_words()))?;
            let opened = begin.elapsed();
            let writes = Writes::of(controller)?.since(written).collect();
            Ok(Self { crowd, tokens, opened, writes, before })
        })
    }

    fn record(&self, filled: &Filled, event: &str) -> Record {
        record_of(filled.fleet(), event).with_case("sessions", self.tokens.len() as u64)
    }

    /// What they were let in by, what they hold, and what they cost with nothing to be told.
    pub(super) fn opened(
        &self,
        filled: &Filled,
        controller: &Controller,
        turns: &mut Turns,
    ) -> Result<(Record, Idle)> {
        let pid = controller.pid();
        let resident = filled.runtime.block_on(Rest::of(&[pid]))?.resident;
        let (idle, stolen_percent) =
            filled.runtime.block_on(turns.undisturbed(async || Idle::of(pid, Some(&self.crowd)).await))?;
        let more_kib = (resident.rss_mib - self.before.rss_mib) * 1_024.0;
        let mut record = self
            .record(filled, "opened")
            .with_value("opened_s", self.opened.as_secs_f64())
            .with_value("rss_mib", resident.rss_mib)
            .with_value("anonymous_mib", resident.anonymous_mib)
            .with_value("before_rss_mib", self.before.rss_mib)
            .with_value("kib_a_session", more_kib / self.tokens.len() as f64)
            .with_value("stolen_percent", stolen_percent)
            .with_value("descriptors", descriptors(pid)? as f64);
        idle.tell(&mut record);
        record.values.extend(self.writes.iter().cloned());
        Ok((record, idle))
    }

    /// With changes of which all are told.
    pub(super) fn told(
        &self,
        filled: &Filled,
        controller: &Controller,
        idle: Idle,
        churn: &mut Churn,
        turns: &mut Turns,
    ) -> Result<Record> {
        let pace = pace(TOLD_FOR, filled.fleet().services());
        let (load, crowd) = (Load { record: self.record(filled, "told"), pace }, Some(&self.crowd));
        filled.runtime.block_on(undisturbed(filled, controller, idle, churn, crowd, load, turns))
    }

    /// All leave at once and come back with all that they hold; then as many new processes with nothing.
    pub(super) fn storms(&self, filled: &Filled, controller: &Controller) -> Result<Record> {
        let (pid, door) = (controller.pid(), filled.door()?);
        let new = Crowd::new("new", &door, filled.fleet().instances, &self.tokens)?;
        filled.runtime.block_on(async {
            let before = Rest::of(&[pid]).await?.resident;
            let warm = storm(pid, &self.crowd, &self.crowd).await?;
            Rest::of(&[pid]).await?;
            let cold = storm(pid, &self.crowd, &new).await?;
            let mut record = self.record(filled, "storms").with_value("rss_mib", before.rss_mib);
            warm.tell("warm", &mut record);
            cold.tell("cold", &mut record);
            // Those of before come back, so that what follows begins as this did.
            storm(pid, &new, &self.crowd).await?;
            Ok(record)
        })
    }

    /// The controller is killed, and another one is started: from the death to where all are in step with that.
    pub(super) fn recovery(self, filled: &Filled, mut controller: Controller) -> Result<Record> {
        let begin = Instant::now();
        controller.kill();
        drop(controller);
        filled.runtime.block_on(self.crowd.all_lost(PATIENCE))?;
        let noticed = begin.elapsed();
        let next = filled.controller()?;
        let ready = begin.elapsed();
        filled.runtime.block_on(async {
            let came = self.crowd.in_step(PATIENCE).await;
            came.with_context(|| format!("not all came back\n{}", next.last_words()))?;
            let record = self
                .record(filled, "recovery")
                .with_value("noticed_s", noticed.as_secs_f64())
                .with_value("ready_s", ready.as_secs_f64())
                .with_value("recovered_s", begin.elapsed().as_secs_f64())
                .with_value("peak_mib", peak_mib(next.pid())?);
            self.crowd.disconnect().await;
            Ok(record)
        })
    }
}
