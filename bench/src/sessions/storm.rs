//! All come at once: because they left at once, or because whom they were in session with has died.

use std::time::Duration;

use anyhow::{Context, ensure};
use rollcall_results::Record;
use tokio::time::{Instant, sleep};

use super::{
    PATIENCE,
    crowd::Crowd,
    process::{Place, Server},
};
use crate::resident::{Resident, forget_peak, peak_mib};

/// Holds what a storm took: the time until all were in step, and the most that was resident meanwhile.
pub(crate) struct Storm {
    pub(crate) took: Duration,
    pub(crate) peak_mib: f64,
}

/// How often it is looked who is in step.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// All that are there leave this controller at once, and as many come.
pub(crate) async fn storm(pid: u32, leaving: &Crowd, coming: &Crowd) -> anyhow::Result<Storm> {
    forget_peak(pid)?;
    let begin = Instant::now();
    leaving.disconnect().await;
    coming.connect();
    coming.in_step(PATIENCE).await.context("not all came")?;
    Ok(Storm { took: begin.elapsed(), peak_mib: peak_mib(pid)? })
}

/// A controller dies, and another one is started in its place at the same moment: from the death to where all of a crowd that
/// holds everything is in step with the other one.
pub(crate) async fn recovery(
    died: Server,
    place: &Place,
    instances: u32,
    crowd: &Crowd,
) -> anyhow::Result<(Server, Record)> {
    let (before, door) = (Resident::of(&[died.pid()])?, died.door.clone());
    let sessions = crowd.how_many_in_step();
    let begin = Instant::now();
    died.kill();
    let next = Server::start(instances, place)?;
    let listens = begin.elapsed();
    ensure!(next.door.address == door.address, "the next one listens at {}", next.door.address);
    // Its death is no news to them before their sockets say so, which takes them no time.
    while crowd.how_many_in_step() == sessions {
        ensure!(begin.elapsed() < PATIENCE, "nobody has noticed that the controller died");
        sleep(LOOK_EVERY).await;
    }
    crowd.in_step(PATIENCE).await.context("not all came back")?;
    let recovered = begin.elapsed();
    let record = Record::new(
        "rollcall controller's half",
        rollcall_results::Class::C,
        rollcall_results::Configuration::Default,
        1,
    )
    .with_case("event", "recovery")
    .with_case("instances", instances)
    .with_case("sessions", sessions as u64)
    .with_value("listens_s", listens.as_secs_f64())
    .with_value("recovered_s", recovered.as_secs_f64())
    .with_value("before_rss_mib", before.rss_mib)
    .with_value("peak_mib", peak_mib(next.pid())?);
    Ok((next, record))
}

// === impl Storm ===

impl Storm {
    /// Tells a record of it, under this name.
    pub(crate) fn tell(&self, name: &str, record: &mut Record) {
        record.values.insert(format!("{name}_s"), self.took.as_secs_f64());
        record.values.insert(format!("{name}_peak_mib"), self.peak_mib);
    }
}
