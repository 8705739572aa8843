//! Replicas come and go as people want it: a roll-out, and more or fewer of them.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{BROKEN_OFF, DEAD_FOR, TOLD_WITHIN};
use crate::{Lab, Trial, lab::REPLICAS};

/// Sessions move a few a second, once the fleet has been the same for 10 s.
const SPREAD_WITHIN: Duration = Duration::from_secs(60);

/// None is left for a moment: what is known must come from sidecars and Kubernetes anew.
pub fn all_killed() -> Result<()> {
    Lab::trial("all replicas killed", BROKEN_OFF, |trial| {
        let replicas = trial.lab.replicas()?;
        let processes =
            replicas.iter().map(|replica| trial.lab.controller(replica)).collect::<Result<Vec<_>>>()?;
        trial.lose_all_replicas();
        trial.fault("SIGKILL to the controllers of all replicas", |_| {
            Ok(processes.iter().try_for_each(|process| process.signal(Signal::SIGKILL))?)
        })?;
        trial.healed("their kubelets start others", |lab| {
            lab.within(SPREAD_WITHIN, "a replica is ready", |lab| {
                Ok(lab.replicas()?.iter().any(|replica| replica.is_ready && lab.controller(replica).is_ok()))
            })
        })?;
        trial.writes_resume(SPREAD_WITHIN)
    })
}

/// Every replica is replaced by another one.
pub fn rolled_out() -> Result<()> {
    Lab::trial("controller rolled out", BROKEN_OFF, |trial| {
        trial.act("helm upgrade, with other pods", |lab| {
            lab.install.upgrade(&[&format!("replicas={REPLICAS}"), "podAnnotations.rolled=out"])
        })?;
        trial.note("all replicas are new");
        let sessions = spread(trial)?;
        trial.note(&format!("sessions: {sessions:?}"));
        trial.lose_app("stock-2", DEAD_FOR, TOLD_WITHIN)
    })
}

/// Sessions follow: those of a replica that goes are elsewhere, and one that has far more than the others sends some away.
pub fn scaled() -> Result<()> {
    Lab::trial("replicas scaled", BROKEN_OFF, |trial| {
        for replicas in [5, 2, 1, REPLICAS] {
            trial.act(&format!("{replicas} replicas"), |lab| lab.install.scale_controller(replicas))?;
            let sessions = spread(trial)?;
            trial.note(&format!("sessions: {sessions:?}"));
        }
        Ok(())
    })
}

/// Waits until all sessions are there, and none has more than its share.
fn spread(trial: &mut Trial<'_>) -> Result<Vec<u64>> {
    let all = u64::try_from(trial.lab.pods().len())?;
    let mut last = Vec::new();
    let spread = trial.lab.within(SPREAD_WITHIN, "sessions are spread", |lab| {
        last = lab.replicas()?.iter().map(crate::Replica::sessions).collect::<Result<_>>()?;
        Ok(is_spread(&last, all))
    });
    trial.expect(spread.is_ok(), &format!("{all} sessions are not spread: {last:?}"));
    Ok(last)
}

/// No replica may keep more than 1.1 times the mean and 4 more.
fn is_spread(sessions: &[u64], all: u64) -> bool {
    let replicas = u64::try_from(sessions.len()).unwrap_or(u64::MAX).max(1);
    // All by ten times the number of replicas, so that nothing is rounded.
    sessions.iter().sum::<u64>() == all
        && sessions.iter().all(|own| own * 10 * replicas <= all * 11 + 40 * replicas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_what_no_replica_would_send_away() {
        for (sessions, all, expected) in [
            (&[3, 3, 3][..], 9, true),
            (&[7, 1, 1], 9, true),
            (&[9, 0, 0], 9, false),
            (&[9], 9, true),
            (&[3, 3, 2], 9, false),
            (&[], 9, false),
        ] {
            assert_eq!(is_spread(sessions, all), expected, "{sessions:?}");
        }
    }
}
