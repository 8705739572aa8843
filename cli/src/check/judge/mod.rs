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
pub(crate) mod webhook;

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
    findings.extend(catalogue::findings(facts));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        facts::{Asked, Silence},
        finding::Level,
    };

    #[test]
    fn a_right_that_is_missing_is_no_fault_of_the_installation() {
        fn no<T>() -> Seen<T> {
            Seen::Forbidden("no".to_owned())
        }
        fn unasked(facts: &mut Facts) {
            let catalogue = &mut facts.catalogue;
            catalogue.sessions = Asked::Unanswered("forbidden".to_owned());
            catalogue.failing = Asked::Unanswered("forbidden".to_owned());
            catalogue.without_sidecar = Asked::Unanswered("forbidden".to_owned());
        }
        type Change = fn(&mut Facts);
        let rights: [(&str, Change, Topic); 11] = [
            ("nodes", |facts| facts.kubernetes.nodes = no(), Topic::NativeSidecars),
            ("the CRD", |facts| facts.crd = no(), Topic::CrdThere),
            ("deployments", |facts| facts.installation.deployment = no(), Topic::Deployment),
            (
                "the controllers' pods",
                |facts| {
                    facts.installation.replicas = no();
                    facts.catalogue.told.clear();
                    unasked(facts);
                },
                Topic::Answers,
            ),
            ("the Service", |facts| facts.installation.service = no(), Topic::Service),
            ("the ConfigMap", |facts| facts.installation.sidecar_image = no(), Topic::SidecarImages),
            ("the webhook", |facts| facts.webhook = no(), Topic::Webhook),
            ("the Secret", |facts| facts.authority = no(), Topic::Authority),
            (
                "portforward",
                |facts| {
                    for one in &mut facts.catalogue.told {
                        (one.dump, one.metrics) = (Err(Silence::Forbidden), Err(Silence::Forbidden));
                    }
                    unasked(facts);
                },
                Topic::Answers,
            ),
            ("registrations", |facts| facts.catalogue.registrations = no(), Topic::Registrations),
            ("pods", |facts| facts.pods = no(), Topic::SidecarImages),
        ];
        for (right, change, topic) in rights {
            let mut facts = sample::facts();
            change(&mut facts);
            let findings = judged(&facts);
            assert!(findings.iter().all(|one| one.level < Level::Warn), "{right}: {findings:?}");
            let of = findings.iter().find(|one| one.topic == topic).map(|one| one.level);
            assert_eq!(of, Some(Level::Skipped), "{right}");
        }
    }
}
