use std::collections::BTreeMap;

use rollcall_catalogue::Visibility;

use super::*;
use crate::check::facts::Refused;

/// A pod that is served.
fn served() -> PodFacts {
    PodFacts {
        namespace: "shop".to_owned(),
        pod: "orders-1".to_owned(),
        controllers: Controllers::Ready(2),
        crd: Some(Age::Same),
        annotations: BTreeMap::from([("rollcall.dev/service".to_owned(), "orders".to_owned())]),
        problems: Vec::new(),
        wish: Wish::Asked,
        exempt: None,
        sidecar: Some(Sidecar {
            running: true,
            why: String::new(),
            audience: Some("rollcall".to_owned()),
            session: Some("live".to_owned()),
            last_error: None,
        }),
        ending: false,
        phase: "Running".to_owned(),
        unready: Vec::new(),
        declared_ports: vec![8080],
        instances: Some(vec![Member {
            service: "orders".to_owned(),
            namespace: "shop".to_owned(),
            port: 8080,
            served: true,
            state: "Serving".to_owned(),
            reason: "Ready".to_owned(),
            probe: "passing".to_owned(),
            visibility: Some(Visibility::Cluster),
        }]),
        refused: Vec::new(),
        caller: None,
    }
}

/// Where the way ends, and everything that is said there.
fn broken(facts: &PodFacts) -> Option<(Link, String)> {
    let steps = walk(facts);
    let step = steps.iter().find(|step| step.state == State::Broken)?;
    assert_eq!(steps.last(), Some(step), "nothing is said behind a broken link");
    Some((step.link, format!("{} | {}", step.says, step.remedy.as_deref().unwrap_or_default())))
}

fn member(facts: &mut PodFacts) -> &mut Member {
    &mut facts.instances.as_mut().unwrap()[0]
}

fn sidecar_of(facts: &mut PodFacts) -> &mut Sidecar {
    facts.sidecar.as_mut().unwrap()
}

fn unheard(facts: &mut PodFacts, error: Option<&str>) {
    sidecar_of(facts).session = Some("never-came".to_owned());
    sidecar_of(facts).last_error = error.map(str::to_owned);
}

#[test]
fn a_pod_that_is_served_has_no_broken_link() {
    let steps = walk(&served());
    assert!(steps.iter().all(|step| step.state == State::Good), "{steps:?}");
    assert_eq!(steps.last().unwrap().link, Link::Catalogue);
}

#[test]
fn each_broken_set_up_is_named_by_its_cause() {
    type Change = fn(&mut PodFacts);
    let table: &[(&str, Change, Link, &str)] = &[
        (
            "an annotation that is misspelt",
            |facts| drop(facts.annotations.insert("rollcall.dev/sevice".into(), "orders".into())),
            Link::Annotation,
            "rollcall.dev/service?",
        ),
        (
            "an annotation that cannot be read",
            |facts| facts.problems = vec!["rollcall.dev/port: `http` is no port".into()],
            Link::Annotation,
            "`http` is no port",
        ),
        ("no sidecar", |facts| facts.sidecar = None, Link::Injection, "delete it"),
        (
            "nobody asked",
            |facts| (facts.sidecar, facts.wish, facts.instances) = (None, Wish::None, Some(vec![])),
            Link::Injection,
            "kubectl label namespace shop",
        ),
        (
            "declined",
            |facts| (facts.sidecar, facts.wish, facts.instances) = (None, Wish::Declined, Some(vec![])),
            Link::Injection,
            "declines",
        ),
        (
            "the host's network",
            |facts| (facts.sidecar, facts.exempt) = (None, Some("it is in the host's network".into())),
            Link::Injection,
            "ServiceRegistration",
        ),
        (
            "an image that is not there",
            |facts| (sidecar_of(facts).running, sidecar_of(facts).why) = (false, "ImagePullBackOff".into()),
            Link::Sidecar,
            "ImagePullBackOff",
        ),
        (
            "a wrong audience",
            |facts| sidecar_of(facts).audience = Some("vault".into()),
            Link::Token,
            "`vault`",
        ),
        ("no token", |facts| sidecar_of(facts).audience = None, Link::Token, "no token"),
        (
            "egress to 7310 blocked",
            |facts| unheard(facts, Some("controller 10.96.0.7:7310: did not answer in time")),
            Link::Session,
            "NetworkPolicy for egress",
        ),
        (
            "a refused token",
            |facts| unheard(facts, Some("controller: refused the session with 401 Unauthorized")),
            Link::Session,
            "token is not taken",
        ),
        ("a session that nobody explains", |facts| unheard(facts, None), Link::Session, "port 7310"),
        (
            "an unready pod",
            |facts| facts.unready = vec!["app (CrashLoopBackOff)".into()],
            Link::Readiness,
            "CrashLoopBackOff",
        ),
        ("a pod that ends", |facts| facts.ending = true, Link::Readiness, "successor"),
        (
            "a wrong port",
            |facts| (member(facts).probe, member(facts).port) = ("dead".into(), 9999),
            Link::Probe,
            "declare 8080: correct rollcall.dev/port",
        ),
        ("an app on loopback", |facts| member(facts).probe = "loopback-only".into(), Link::Probe, "0.0.0.0"),
        (
            "a namespace that may not see it",
            |facts| {
                member(facts).visibility = Some(Visibility::own());
                facts.caller = Some("bank".into());
            },
            Link::Visibility,
            "pods of bank may not see `orders.shop`",
        ),
        (
            "two targets",
            |facts| {
                facts.instances = Some(Vec::new());
                facts.refused = vec![Refused {
                    namespace: "shop".into(),
                    name: "orders".into(),
                    message: "spec.target: exactly one".into(),
                }];
            },
            Link::Registration,
            "exactly one",
        ),
        (
            "no port",
            |facts| (facts.instances, facts.declared_ports) = (Some(Vec::new()), Vec::new()),
            Link::Registration,
            "rollcall.dev/port",
        ),
        (
            "a stale CRD",
            |facts| (facts.instances, facts.crd) = (Some(Vec::new()), Some(Age::Older)),
            Link::Crd,
            "upgrade the installation",
        ),
        (
            "no controller that is ready",
            |facts| facts.controllers = Controllers::NoneReady(2),
            Link::Controller,
            "rollcall check",
        ),
        ("no controller", |facts| facts.controllers = Controllers::NotInstalled, Link::Controller, "install"),
        (
            "a pod that drains",
            |facts| {
                let member = member(facts);
                (member.served, member.state, member.reason) =
                    (false, "Draining".into(), "DrainRequested".into());
            },
            Link::Catalogue,
            "DrainRequested",
        ),
    ];
    for (what, change, link, told) in table {
        let mut facts = served();
        change(&mut facts);
        let (found, says) = broken(&facts).unwrap_or_else(|| panic!("{what}: nothing is broken"));
        assert_eq!(found, *link, "{what}: {says}");
        assert!(says.contains(told), "{what}: {says}");
    }
}

#[test]
fn what_nobody_knows_breaks_nothing() {
    type Change = fn(&mut PodFacts);
    let table: [Change; 5] = [
        |facts| facts.controllers = Controllers::NotSeen("forbidden".into()),
        |facts| sidecar_of(facts).session = None,
        |facts| facts.instances = None,
        |facts| member(facts).visibility = None,
        |facts| facts.crd = None,
    ];
    for change in table {
        let mut facts = served();
        change(&mut facts);
        assert_eq!(broken(&facts), None);
    }
}

#[test]
fn a_pod_that_only_looks_others_up_is_well() {
    let mut facts = served();
    facts.annotations.clear();
    facts.instances = Some(Vec::new());
    assert_eq!(broken(&facts), None);
    assert!(walk(&facts).last().unwrap().says.contains("only looks others up"));
}

#[test]
fn a_pod_without_a_sidecar_that_a_registration_names_is_well() {
    let mut facts = served();
    (facts.sidecar, facts.wish) = (None, Wish::None);
    facts.annotations.clear();
    assert_eq!(broken(&facts), None);
}
