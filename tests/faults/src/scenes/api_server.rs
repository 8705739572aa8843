//! The API server is restarted, slow, or away: sessions go on without it, and Kubernetes' confusion afterwards is no evidence.

use std::time::Duration;

use anyhow::Result;

use super::{BROKEN_OFF, DEAD_FOR, TOLD_WITHIN, Times, WRITES_WITHIN};
use crate::{Lab, Slow, Trial};

/// An outage is over when it answers, which takes it seconds.
const AWAY_BUT_BACK: Duration = Duration::from_secs(30);
/// What a question waits for at most where the API server is slow, on top of what it always takes.
const STOPPED: Duration = Duration::from_millis(1_800);
const RUNS: Duration = Duration::from_millis(200);

/// It dies, and is there again at once.
pub fn restarted(times: Times) -> Result<()> {
    Lab::trial("API server restarted", BROKEN_OFF, |trial| {
        kill(trial)?;
        start(trial)?;
        trial.writes_resume(WRITES_WITHIN + AWAY_BUT_BACK)?;
        trial.lose_app("stock-2", DEAD_FOR, TOLD_WITHIN)?;
        trial.endure(times.aftermath);
        Ok(())
    })
}

/// It is away for longer than a Lease lasts, and with the long times for longer than nodes' leases do: afterwards Kubernetes
/// calls all nodes Unknown, and all pods not ready.
pub fn away(times: Times) -> Result<()> {
    Lab::trial("API server away", BROKEN_OFF, |trial| {
        kill(trial)?;
        // Word of what sidecars see needs no API server.
        trial.lose_app("stock-2", DEAD_FOR, TOLD_WITHIN)?;
        trial.wait_until_after_the_fault(times.away);
        start(trial)?;
        trial.writes_resume(times.away + WRITES_WITHIN + AWAY_BUT_BACK)?;
        trial.endure(times.aftermath);
        Ok(())
    })
}

/// A replica is lost while it is away: nobody can be asked for the Lease, for tokens, or who else there is.
pub fn away_and_a_replica_killed(times: Times) -> Result<()> {
    Lab::trial("API server away and a replica killed", BROKEN_OFF, |trial| {
        // Before: afterwards nobody can say who holds the Lease.
        let leader = trial.lab.leader()?;
        let process = trial.lab.controller(&leader)?;
        kill(trial)?;
        trial.endure(Duration::from_secs(5));
        trial.again(&format!("SIGKILL to the controller of {}", leader.name), |_| {
            Ok(process.signal(nix::sys::signal::Signal::SIGKILL)?)
        })?;
        trial.lose_app("stock-3", DEAD_FOR, TOLD_WITHIN)?;
        trial.endure(times.away.saturating_sub(DEAD_FOR));
        start(trial)?;
        trial.endure(times.aftermath);
        Ok(())
    })
}

/// It stands still for nine tenths of the time.
pub fn slow(times: Times) -> Result<()> {
    Lab::trial("API server slow", BROKEN_OFF, |trial| {
        let process = trial.lab.hardware.api_server()?;
        let mut slow = None;
        trial.fault("the API server runs for a tenth of the time", |_| {
            slow = Some(Slow::begin(process, STOPPED, RUNS));
            Ok(())
        })?;
        trial.lose_app("stock-1", DEAD_FOR, TOLD_WITHIN)?;
        trial.endure(times.away);
        drop(slow);
        trial.note("it runs as ever");
        trial.endure(times.aftermath);
        Ok(())
    })
}

fn kill(trial: &mut Trial<'_>) -> Result<()> {
    trial.fault("SIGKILL to the API server", |lab| Ok(lab.hardware.kill_api_server()?))
}

fn start(trial: &mut Trial<'_>) -> Result<()> {
    trial.healed("the API server is started again", |lab| Ok(lab.hardware.start_api_server()?))
}
