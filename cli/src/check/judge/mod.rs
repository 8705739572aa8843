//! The findings: each a function of what was gathered, and of nothing else.

mod before;
mod catalogue;
mod certificates;
pub(crate) mod crd;
mod data_plane;
mod installation;
mod kubernetes;
#[cfg(test)]
mod sample;
mod webhook;

pub(crate) use self::crd::SERVED;
use super::{
    facts::{Before, Facts},
    finding::{Finding, Topic},
};
use crate::reach::Seen;

/// The oldest Kubernetes whose webhooks can be asked as ours asks to be.
pub(super) const MINOR_MIN: u64 = 30;

/// What an installation looks like.
pub(crate) fn judged(facts: &Facts) -> Vec<Finding> {
    let mut findings = kubernetes::findings(&facts.kubernetes);
    if facts.kubernetes.version.here().is_none() {
        // Nothing else could be asked either.
        return findings;
    }
    findings.extend(crd::findings(&facts.crd, &facts.build));
    findings.extend(installation::findings(facts));
    findings.extend(webhook::findings(facts));
    findings.extend(certificates::findings(facts));
    findings.extend(catalogue::findings(&facts.catalogue));
    findings.extend(data_plane::findings(facts));
    findings
}

/// What a cluster looks like before an install.
pub(crate) fn judged_before(facts: &Before) -> Vec<Finding> {
    let mut findings = kubernetes::findings(&facts.kubernetes);
    if facts.kubernetes.version.here().is_some() {
        findings.extend(before::findings(facts));
    }
    findings
}

/// What is said where something could not be seen, whose being there is a matter of its own.
fn unseen<T>(topic: Topic, what: &str, right: &str, seen: &Seen<T>) -> Option<Finding> {
    match seen {
        Seen::Here(_) | Seen::Missing => None,
        Seen::Forbidden(_) => Some(Finding::skipped(
            topic,
            format!("{what}: not looked at"),
            format!("you need the right to {right}"),
        )),
        Seen::Unknown(why) => Some(Finding::warn(
            topic,
            format!("{what}: could not be read: {why}"),
            "try again; give it longer by --timeout",
        )),
    }
}

/// Major and minor of a version of Kubernetes, which vendors write as `v1.33.4-eks-1` and `v1.33+`.
fn minor(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '+', '-']);
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}
