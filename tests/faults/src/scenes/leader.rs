//! The replica that holds the Lease, and so writes to Kubernetes, is lost or stands still.

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{BROKEN_OFF, DEAD_FOR, SILENT, TOLD_WITHIN, Times, WRITES_WITHIN};
use crate::Lab;

/// Its process is killed; its pod stays, and starts another.
pub fn killed() -> Result<()> {
    Lab::trial("leader killed", BROKEN_OFF, |trial| {
        let leader = trial.lab.leader()?;
        let process = trial.lab.controller(&leader)?;
        let what = format!("SIGKILL to the controller of {} on {}", leader.name, leader.node);
        trial.fault(&what, |_| Ok(process.signal(Signal::SIGKILL)?))?;
        trial.app_dies("stock-2", TOLD_WITHIN)?;
        trial.writes_resume(WRITES_WITHIN)?;
        trial.endure(DEAD_FOR);
        trial.app_is_back("stock-2")
    })
}

/// Its pod is deleted at once, with everything in it.
pub fn deleted() -> Result<()> {
    Lab::trial("leader deleted by force", BROKEN_OFF, |trial| {
        let leader = trial.lab.leader()?;
        trial.fault(&format!("{} is deleted by force", leader.name), |lab| {
            let delete = ["delete", "pod", &leader.name, "--force", "--grace-period=0", "--wait=false"];
            lab.install.system.kubectl(&delete).map(drop)
        })?;
        trial.app_dies("stock-1", TOLD_WITHIN)?;
        trial.writes_resume(WRITES_WITHIN)?;
        trial.endure(DEAD_FOR);
        trial.app_is_back("stock-1")
    })
}

/// It stands still for a while, as on a machine that is suspended, and wakes to a world that has gone on.
pub fn paused(times: Times) -> Result<()> {
    Lab::trial("leader paused", SILENT, |trial| {
        let leader = trial.lab.leader()?;
        let process = trial.lab.controller(&leader)?;
        let what = format!("SIGSTOP to the controller of {} on {}", leader.name, leader.node);
        trial.fault(&what, |_| Ok(process.signal(Signal::SIGSTOP)?))?;
        // While it sleeps: what it wakes with is not so any more.
        trial.app_dies("stock-3", TOLD_WITHIN)?;
        trial.writes_resume(WRITES_WITHIN)?;
        trial.wait_until_after_the_fault(times.paused);
        trial.app_is_back("stock-3")?;
        // Its kubelet gives up on it after half a minute: then there is nobody to be woken.
        match process.signal(Signal::SIGCONT) {
            Ok(()) => trial.note("SIGCONT"),
            Err(error) => trial.note(&error.to_string()),
        }
        trial.lose_app("orders-3", DEAD_FOR, TOLD_WITHIN)
    })
}
