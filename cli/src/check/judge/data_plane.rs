//! Whether the sidecars are what the installation gives, and heard.

use std::{collections::BTreeSet, net::SocketAddr};

use super::unseen;
use crate::{
    check::{
        facts::{Asked, Facts, Sidecar},
        finding::{Finding, Topic},
    },
    print::{counted, first_of},
    reach::{Listed, Seen},
};

/// What sidecars come for.
const SESSIONS_PORT: u16 = 7310;
const NAMED_MAX: usize = 5;
/// A sidecar keeps its image for as long as its pod lives.
const RESTART: &str =
    "`kubectl -n NAMESPACE rollout restart deployment/NAME` gives their pods the installation's";

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let Some(pods) = facts.pods.here() else {
        return unseen(Topic::SidecarImages, "the pods", "list pods in all namespaces", &facts.pods)
            .into_iter()
            .collect();
    };
    [images(facts, pods), Some(sessions(facts)), address(facts, &pods.items)].into_iter().flatten().collect()
}

fn names<'a>(pods: impl Iterator<Item = &'a Sidecar>) -> Vec<String> {
    pods.map(|one| format!("{}/{}", one.namespace, one.pod)).collect()
}

fn images(facts: &Facts, pods: &Listed<Sidecar>) -> Option<Finding> {
    let topic = Topic::SidecarImages;
    let wanted = match &facts.installation.sidecar_image {
        Seen::Here(Some(wanted)) => wanted,
        Seen::Here(None) | Seen::Missing => return None,
        other => {
            let right = format!("get the ConfigMap rollcall-controller in {}", facts.system);
            return unseen(topic, "what sidecars are to be", &right, other);
        }
    };
    let other = names(pods.items.iter().filter(|one| one.image != *wanted));
    let seen = if pods.truncated { " of those that were looked at" } else { "" };
    Some(match other.as_slice() {
        [] => Finding::ok(topic, format!("{} of {wanted}{seen}", counted(pods.items.len(), "sidecar"))),
        other => Finding::warn(
            topic,
            format!(
                "{} of {}{seen} are not of {wanted}: {}",
                other.len(),
                counted(pods.items.len(), "sidecar"),
                first_of(other, NAMED_MAX)
            ),
            RESTART,
        ),
    })
}

fn sessions(facts: &Facts) -> Finding {
    let topic = Topic::SidecarSessions;
    let told = match &facts.catalogue.sessions {
        Asked::Told(told) => told,
        Asked::NotKnown => {
            return Finding::skipped(topic, "the controllers do not tell who is in session", "upgrade them");
        }
        Asked::Unanswered(why) => {
            let remedy = "see the findings on the controllers";
            return Finding::skipped(topic, format!("nobody says who is in session: {why}"), remedy);
        }
    };
    let silent: Vec<_> = told
        .pods
        .iter()
        .filter(|one| !one.is_heard())
        .map(|one| format!("{}/{} ({})", one.namespace, one.pod, one.session))
        .collect();
    match silent.as_slice() {
        [] => Finding::ok(topic, format!("{} in session", counted(told.total, "sidecar"))),
        silent if !facts.walls.is_empty() => Finding::fail(
            topic,
            format!(
                "{} not in session, and a NetworkPolicy of {} lets nobody in at port {SESSIONS_PORT}: {}",
                counted(silent.len(), "sidecar"),
                facts.system,
                first_of(&facts.walls, NAMED_MAX)
            ),
            format!(
                "let the pods with sidecars reach port {SESSIONS_PORT} of the controllers (docs/security.md)"
            ),
        ),
        // Of one alone it may be that it has just started.
        silent if silent.len() == told.pods.len() && silent.len() > 1 => Finding::fail(
            topic,
            format!("no controller hears any sidecar: {}", first_of(silent, NAMED_MAX)),
            format!(
                "let them reach port {SESSIONS_PORT} of the controllers; `rollcall explain pod/NAME -n NAMESPACE` says what each of them met"
            ),
        ),
        silent => Finding::warn(
            topic,
            format!("{} not in session: {}", counted(silent.len(), "sidecar"), first_of(silent, NAMED_MAX)),
            "`rollcall explain pod/NAME -n NAMESPACE` says why; one that has just started is given a moment",
        ),
    }
}

/// Whether they find the controller. The address that a pod was made with is where its sidecar begins: in each session it is
/// told the one of now, so that an old one matters to those alone that nobody hears.
fn address(facts: &Facts, pods: &[Sidecar]) -> Option<Finding> {
    let topic = Topic::SidecarAddress;
    let service = facts.installation.service.here()?.cluster_ip.as_ref()?;
    let now = SocketAddr::new(service.parse().ok()?, SESSIONS_PORT);
    let is_other = |one: &&Sidecar| {
        let given = one.controller.as_ref().and_then(|given| given.parse::<SocketAddr>().ok());
        given.is_some_and(|given| given != now)
    };
    let astray: Vec<_> = pods.iter().filter(is_other).collect();
    if astray.is_empty() {
        return Some(Finding::ok(
            topic,
            format!("all of them were made with the controller's address, {now}"),
        ));
    }
    let made = format!("made with another address of the controller than {now}");
    let Asked::Told(told) = &facts.catalogue.sessions else {
        let says = format!(
            "{} {made}; whether they know the new one is not known",
            counted(astray.len(), "sidecar")
        );
        return Some(Finding::skipped(topic, says, "see the finding on their sessions"));
    };
    let heard: BTreeSet<_> = told
        .pods
        .iter()
        .filter(|one| one.is_heard())
        .map(|one| (one.namespace.as_str(), one.pod.as_str()))
        .collect();
    let is_lost = |one: &&Sidecar| !heard.contains(&(one.namespace.as_str(), one.pod.as_str()));
    let lost = names(astray.iter().copied().filter(is_lost));
    Some(match lost.as_slice() {
        [] => Finding::ok(
            topic,
            format!("{} {made}, and in session, where they are told it", counted(astray.len(), "sidecar")),
        ),
        lost => Finding::warn(
            topic,
            format!("{made}, and not in session: {}", first_of(lost, NAMED_MAX)),
            "let them reach the cluster's DNS (UDP 53), by which they find it within half a minute; making their pods anew helps in any case",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{facts::Many, finding::Level, judge::sample};

    fn found(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
        let mut facts = sample::facts();
        change(&mut facts);
        findings(&facts)
    }

    fn level(findings: &[Finding], topic: Topic) -> Option<Level> {
        findings.iter().find(|one| one.topic == topic).map(|one| one.level)
    }

    fn first(facts: &mut Facts) -> &mut Sidecar {
        match &mut facts.pods {
            Seen::Here(listed) => &mut listed.items[0],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sidecars_are_to_be_the_installations_and_heard() {
        assert!(found(|_| {}).iter().all(|one| one.level == Level::Ok));
        type Change = fn(&mut Facts);
        let table: [(Change, Topic, Option<Level>); 13] = [
            (|facts| first(facts).image = "sidecar:0.0.9".into(), Topic::SidecarImages, Some(Level::Warn)),
            (|facts| facts.installation.sidecar_image = Seen::Missing, Topic::SidecarImages, None),
            (|facts| facts.pods = Seen::Forbidden(String::new()), Topic::SidecarImages, Some(Level::Skipped)),
            (|facts| facts.catalogue.sessions = silent(1), Topic::SidecarSessions, Some(Level::Warn)),
            (|facts| facts.catalogue.sessions = silent(2), Topic::SidecarSessions, Some(Level::Fail)),
            (
                |facts| {
                    (facts.catalogue.sessions, facts.walls) = (silent(1), vec!["deny".into()]);
                },
                Topic::SidecarSessions,
                Some(Level::Fail),
            ),
            (
                |facts| facts.catalogue.sessions = Asked::NotKnown,
                Topic::SidecarSessions,
                Some(Level::Skipped),
            ),
            (|facts| moved(facts, Some("live")), Topic::SidecarAddress, Some(Level::Ok)),
            (|facts| moved(facts, Some("heard-by-peer")), Topic::SidecarAddress, Some(Level::Ok)),
            (|facts| moved(facts, Some("lost-long")), Topic::SidecarAddress, Some(Level::Warn)),
            (|facts| moved(facts, None), Topic::SidecarAddress, Some(Level::Skipped)),
            (
                |facts| {
                    moved(facts, Some("lost-long"));
                    first(facts).controller = Some("somewhere".into());
                },
                Topic::SidecarAddress,
                Some(Level::Ok),
            ),
            (|facts| first(facts).controller = None, Topic::SidecarAddress, Some(Level::Ok)),
        ];
        for (change, topic, expected) in table {
            let found = found(change);
            assert_eq!(level(&found, topic), expected, "{topic:?}: {found:?}");
        }
    }

    #[test]
    fn who_is_out_of_step_is_named_with_the_remedy() {
        let found = found(|facts| first(facts).image = "sidecar:0.0.9".into());
        let images = found.iter().find(|one| one.topic == Topic::SidecarImages).unwrap();
        assert_eq!(images.says, "1 of 2 sidecars are not of rollcall.dev/sidecar:0.1.0: shop/orders-1");
        assert!(images.remedy.as_ref().unwrap().contains("rollout restart"));
    }

    /// The controller has another address than the pod was made with, and its session stands like this.
    fn moved(facts: &mut Facts, session: Option<&str>) {
        first(facts).controller = Some("10.96.0.8:7310".into());
        facts.catalogue.sessions = match session {
            Some(word) => {
                let heard = crate::verbs::Heard {
                    namespace: "shop".into(),
                    pod: "orders-1".into(),
                    session: word.to_owned(),
                    since_seconds: None,
                };
                Asked::Told(Many { pods: vec![heard], total: 1 })
            }
            None => Asked::Unanswered("late".to_owned()),
        };
    }

    /// So many sidecars, and none of them is heard.
    fn silent(number: usize) -> Asked<Many<crate::verbs::Heard>> {
        let one = |number| crate::verbs::Heard {
            namespace: "shop".into(),
            pod: format!("orders-{number}"),
            session: "lost-long".into(),
            since_seconds: None,
        };
        Asked::Told(Many { pods: (0..number).map(one).collect(), total: number })
    }
}
