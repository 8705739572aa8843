//! Whether the controller is there, whole, and of one version.

use std::{cmp::Ordering, collections::BTreeSet};

use super::{crd::compared, unseen};
use crate::{
    check::{
        facts::{Deployment, Facts, Service},
        finding::{Finding, Topic},
    },
    print::first_of,
    reach::{Replica, Seen},
};

/// What sidecars come for.
const SESSIONS_PORT: i32 = 7310;
/// What the API server comes for.
const ADMISSION_PORT: i32 = 7343;
const NAMED_MAX: usize = 3;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let system = &facts.system;
    match &facts.installation.deployment {
        Seen::Here(deployment) => {
            findings.push(Finding::ok(Topic::Deployment, format!("the controller is installed in {system}")));
            findings.push(replicas(deployment, facts));
            findings.extend(versions(facts));
            findings.push(command_version(deployment, &facts.build.version));
        }
        Seen::Missing => findings.push(Finding::fail(
            Topic::Deployment,
            format!("there is no Deployment rollcall-controller in {system}"),
            "install Rollcall by helm, or say where it is by --system-namespace",
        )),
        other => {
            let right = format!("get deployments in {system}");
            findings.extend(unseen(Topic::Deployment, "the Deployment", &right, other));
        }
    }
    findings.push(service(facts));
    findings
}

fn replicas(deployment: &Deployment, facts: &Facts) -> Finding {
    let Deployment { wanted, ready, .. } = *deployment;
    let topic = Topic::Replicas;
    let says = format!("{ready} of {wanted} controllers are ready");
    let describe = format!("`kubectl -n {} describe pods` says why the others are not", facts.system);
    let pods = facts.installation.replicas.here().map(Vec::as_slice).unwrap_or_default();
    let why: Vec<_> = pods.iter().filter(|one| !one.ready).map(Replica::told).collect();
    let why = match (why.as_slice(), &deployment.stuck) {
        ([], None) => String::new(),
        ([], Some(stuck)) => format!(": none is made: {stuck}"),
        (why, _) => format!(": {}", first_of(why, NAMED_MAX)),
    };
    if wanted == 0 {
        let remedy =
            format!("`kubectl -n {} scale deployment/rollcall-controller --replicas=2`", facts.system);
        return Finding::fail(topic, "the controller is scaled to 0: nobody hears of changes", remedy);
    }
    match ready {
        0 => Finding::fail(
            topic,
            format!("no controller is ready, and lookups go on from the last state{why}"),
            describe,
        ),
        ready if ready < wanted => Finding::warn(topic, format!("{says}{why}"), describe),
        _ => Finding::ok(topic, says),
    }
}

/// Of what the replicas are made.
fn versions(facts: &Facts) -> Option<Finding> {
    let topic = Topic::Versions;
    let Some(replicas) = facts.installation.replicas.here() else {
        let right = format!("list pods in {}", facts.system);
        return unseen(topic, "the controller's pods", &right, &facts.installation.replicas);
    };
    let images: BTreeSet<_> = replicas.iter().map(|replica| replica.image.clone()).collect();
    let images: Vec<_> = images.into_iter().collect();
    Some(match images.as_slice() {
        // That there is none is told as what it is.
        [] => return None,
        [image] => Finding::ok(topic, format!("all controllers run {image}")),
        images => Finding::warn(
            topic,
            format!("the controllers run {} images: {}", images.len(), first_of(images, NAMED_MAX)),
            format!(
                "wait for `kubectl -n {} rollout status deployment/rollcall-controller`, or undo the rollout",
                facts.system
            ),
        ),
    })
}

fn command_version(deployment: &Deployment, own: &str) -> Finding {
    let topic = Topic::CommandVersion;
    let Some(version) = &deployment.version else {
        let remedy = "install it by the chart, which labels what it installs";
        return Finding::skipped(topic, "the installation does not say which version it is", remedy);
    };
    match compared(version, own) {
        Some(Ordering::Equal) => {
            Finding::ok(topic, format!("this `rollcall` is of the installation's version, {own}"))
        }
        Some(Ordering::Less) => Finding::warn(
            topic,
            format!("the installation is {version}, and this `rollcall` {own}"),
            format!("upgrade the installation to {own}"),
        ),
        Some(Ordering::Greater) | None => Finding::warn(
            topic,
            format!("the installation is {version}, and this `rollcall` {own}"),
            format!("use a `rollcall` of {version}"),
        ),
    }
}

fn service(facts: &Facts) -> Finding {
    let topic = Topic::Service;
    let upgrade = "upgrade the release by helm, which puts it back; new pods are told its address, and sidecars ask DNS for it";
    let there = match &facts.installation.service {
        Seen::Here(there) => there,
        Seen::Missing => {
            let says = format!("there is no Service rollcall-controller in {}", facts.system);
            return Finding::fail(topic, says, upgrade);
        }
        other => {
            let right = format!("get services in {}", facts.system);
            return unseen(topic, "the Service", &right, other)
                .unwrap_or_else(|| Finding::warn(topic, "the Service was not read", upgrade));
        }
    };
    let Service { cluster_ip, ports } = there;
    let injects = facts.installation.deployment.here().is_some_and(|deployment| deployment.injects);
    let needed = [Some(SESSIONS_PORT), injects.then_some(ADMISSION_PORT)];
    let lacks: Vec<_> = needed
        .into_iter()
        .flatten()
        .filter(|port| !ports.contains(port))
        .map(|port| port.to_string())
        .collect();
    match cluster_ip {
        None => Finding::fail(topic, "the Service has no address of its own", upgrade),
        Some(_) if !lacks.is_empty() => {
            Finding::fail(topic, format!("the Service lacks the port {}", lacks.join(" and ")), upgrade)
        }
        Some(address) => Finding::ok(topic, format!("sidecars find it at {address}:{SESSIONS_PORT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{finding::Level, judge::sample};

    fn level(facts: &Facts, topic: Topic) -> Option<Level> {
        findings(facts).into_iter().find(|one| one.topic == topic).map(|one| one.level)
    }

    fn with(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = sample::facts();
        change(&mut facts);
        facts
    }

    fn deployed(change: impl FnOnce(&mut Deployment)) -> Facts {
        with(|facts| {
            if let Seen::Here(deployment) = &mut facts.installation.deployment {
                change(deployment);
            }
        })
    }

    #[test]
    fn an_installation_that_is_well_has_nothing_to_say() {
        assert!(findings(&sample::facts()).iter().all(|one| one.level == Level::Ok));
    }

    #[test]
    fn what_is_wrong_with_an_installation_is_told() {
        let image = |facts: &mut Facts, image: &str| {
            if let Seen::Here(replicas) = &mut facts.installation.replicas {
                replicas[0].image = image.to_owned();
            }
        };
        for (facts, topic, expected) in [
            (with(|facts| facts.installation.deployment = Seen::Missing), Topic::Deployment, Level::Fail),
            (
                with(|facts| facts.installation.deployment = Seen::Forbidden(String::new())),
                Topic::Deployment,
                Level::Skipped,
            ),
            (deployed(|one| one.wanted = 0), Topic::Replicas, Level::Fail),
            (deployed(|one| one.ready = 0), Topic::Replicas, Level::Fail),
            (deployed(|one| one.ready = 1), Topic::Replicas, Level::Warn),
            (with(|facts| image(facts, "controller:0.0.9")), Topic::Versions, Level::Warn),
            (deployed(|one| one.version = Some("0.0.9".to_owned())), Topic::CommandVersion, Level::Warn),
            (deployed(|one| one.version = Some("9.0.0".to_owned())), Topic::CommandVersion, Level::Warn),
            (deployed(|one| one.version = None), Topic::CommandVersion, Level::Skipped),
            (with(|facts| facts.installation.service = Seen::Missing), Topic::Service, Level::Fail),
            (
                with(|facts| {
                    facts.installation.service =
                        Seen::Here(Service { cluster_ip: None, ports: vec![7310, 7343] });
                }),
                Topic::Service,
                Level::Fail,
            ),
            (
                with(|facts| {
                    let cluster_ip = Some("10.96.0.7".to_owned());
                    facts.installation.service = Seen::Here(Service { cluster_ip, ports: vec![7310] });
                }),
                Topic::Service,
                Level::Fail,
            ),
        ] {
            assert_eq!(level(&facts, topic), Some(expected), "{topic:?}");
        }
    }

    #[test]
    fn why_no_controller_is_ready_is_told_with_it() {
        let says = |facts: &Facts| {
            findings(facts).into_iter().find(|one| one.topic == Topic::Replicas).map(|one| one.says).unwrap()
        };
        let mut facts = deployed(|one| one.ready = 0);
        if let Seen::Here(replicas) = &mut facts.installation.replicas {
            for one in replicas {
                (one.ready, one.unready) = (false, vec!["controller (CrashLoopBackOff)".to_owned()]);
            }
        }
        assert!(says(&facts).contains("c-1: controller (CrashLoopBackOff), c-2: "), "{}", says(&facts));
        facts = deployed(|one| (one.ready, one.stuck) = (0, Some("exceeded quota".to_owned())));
        facts.installation.replicas = Seen::Here(Vec::new());
        assert!(says(&facts).ends_with("none is made: exceeded quota"), "{}", says(&facts));
    }
}
