//! A replica is cut off: from the API server, from the other replicas, from sidecars, from everything.

use std::net::IpAddr;

use anyhow::Result;

use super::{BROKEN_OFF, DEAD_FOR, SILENT, TOLD_WITHIN, Times, WRITES_WITHIN};
use crate::{Cut, Lab, Replica, Trial};

/// Whoever holds the Lease cannot renew it; another one writes, and nobody's session ends.
pub fn from_the_api_server(times: Times) -> Result<()> {
    Lab::trial("leader cut from the API server", BROKEN_OFF, |trial| {
        let leader = trial.lab.leader()?;
        let cut = trial.lab.api_server()?;
        trial.fault(&format!("{} is cut from the API server", leader.name), |lab| lab.cut(&leader, &cut))?;
        trial.app_dies("stock-2", TOLD_WITHIN)?;
        trial.writes_resume(WRITES_WITHIN)?;
        trial.wait_until_after_the_fault(times.cut);
        trial.app_is_back("stock-2")?;
        reconnect(trial, &leader)
    })
}

/// It and the others hear of each other through the API server alone: nobody takes the other for dead.
pub fn from_its_peers(times: Times) -> Result<()> {
    Lab::trial("replica cut from its peers", BROKEN_OFF, |trial| {
        let (replica, others) = trial.lab.busiest()?;
        let cut = Cut::From(addresses(&others));
        trial.fault(&format!("{} is cut from its peers", replica.name), |lab| lab.cut(&replica, &cut))?;
        trial.lose_app("stock-1", DEAD_FOR, TOLD_WITHIN)?;
        trial.wait_until_after_the_fault(times.cut);
        reconnect(trial, &replica)
    })
}

/// Its sessions go silent, and are elsewhere soon; those who come to it by the Service go on to others.
pub fn from_its_sidecars(times: Times) -> Result<()> {
    Lab::trial("replica cut from its sidecars", SILENT, |trial| {
        let (replica, others) = trial.lab.busiest()?;
        let cut = Cut::FromSidecars { peers: addresses(&others) };
        trial.fault(&format!("{} is cut from its sidecars", replica.name), |lab| lab.cut(&replica, &cut))?;
        trial.lose_app("stock-3", DEAD_FOR, TOLD_WITHIN)?;
        trial.wait_until_after_the_fault(times.cut);
        reconnect(trial, &replica)
    })
}

/// As where its cable is pulled, and its sidecars' are not.
pub fn from_everything(times: Times) -> Result<()> {
    Lab::trial("leader cut from everything", SILENT, |trial| {
        let leader = trial.lab.leader()?;
        trial.fault(&format!("{} is cut from everything", leader.name), |lab| {
            lab.cut(&leader, &Cut::FromEverything)
        })?;
        trial.app_dies("billing-2", TOLD_WITHIN)?;
        trial.writes_resume(WRITES_WITHIN)?;
        trial.wait_until_after_the_fault(times.cut);
        trial.app_is_back("billing-2")?;
        reconnect(trial, &leader)
    })
}

fn reconnect(trial: &mut Trial<'_>, replica: &Replica) -> Result<()> {
    trial.healed(&format!("{} is connected again", replica.name), |lab| lab.reconnect(replica))?;
    // What it missed meanwhile it must have heard by now, and tell nobody otherwise.
    trial.lose_app("orders-2", DEAD_FOR, TOLD_WITHIN)
}

fn addresses(replicas: &[Replica]) -> Vec<IpAddr> {
    replicas.iter().map(|replica| replica.address).collect()
}
