use std::collections::BTreeMap;

use rollcall_catalogue::Visibility;
use rollcall_injection::Wish;

use super::*;
use crate::{
    check::judge::crd::Age,
    explain::{
        astray::Astray,
        facts::{Crd, Declared, Injection, LastWord, Member, Sidecar},
        registrations::{Aim, Registration},
    },
};

/// A pod that is served.
fn served() -> PodFacts {
    PodFacts {
        namespace: "shop".to_owned(),
        pod: "orders-1".to_owned(),
        controllers: Controllers::Ready(2),
        crd: Crd::Seen(Age::Same, Vec::new()),
        annotations: BTreeMap::from([("rollcall.dev/service".to_owned(), "orders".to_owned())]),
        astray: None,
        problems: Vec::new(),
        wish: Wish::Asked,
        injection: Injection::default(),
        exempt: None,
        anew: "`kubectl rollout restart`".to_owned(),
        sidecar: Some(Sidecar {
            running: true,
            why: None,
            audience: Some("rollcall".to_owned()),
            session: Some("live".to_owned()),
            last_word: LastWord::Nothing,
        }),
        ending: false,
        phase: "Running".to_owned(),
        unready: Vec::new(),
        declared_ports: vec![Declared { port: 8080, protocol: "TCP".to_owned() }],
        instances: Some(vec![Member {
            service: "orders".to_owned(),
            namespace: "shop".to_owned(),
            port: 8080,
            served: true,
            state: "Serving".to_owned(),
            reason: "Ready".to_owned(),
            probe: "passing".to_owned(),
            visibility: Some(Visibility::Cluster),
            shut_out: Vec::new(),
        }]),
        registrations: Some(Vec::new()),
        walls: Vec::new(),
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
    let said = |error: &str| LastWord::NoSession(error.to_owned());
    sidecar_of(facts).last_word = error.map_or(LastWord::Nothing, said);
}

/// A registration of its service that the controllers take.
fn registration(aim: Aim) -> Registration {
    Registration {
        name: "other".to_owned(),
        service: "orders".to_owned(),
        aim,
        refused: None,
        unresolved: None,
        is_judged: true,
        visibility: None,
    }
}

/// A pod that nobody names, with this registration beside it.
fn unnamed(facts: &mut PodFacts, registration: Registration) {
    facts.annotations.clear();
    (facts.instances, facts.registrations) = (Some(Vec::new()), Some(vec![registration]));
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
            "an annotation that nobody reads",
            |facts| {
                let (says, remedy) = ("rollcall.io/service means nothing".into(), "did you mean it?".into());
                facts.astray = Some(Astray { says, remedy });
            },
            Link::Annotation,
            "rollcall.io/service means nothing | did you mean",
        ),
        (
            "an annotation that cannot be read",
            |facts| facts.problems = vec!["rollcall.dev/port: `http` is no port".into()],
            Link::Annotation,
            "`http` is no port",
        ),
        ("no sidecar", |facts| facts.sidecar = None, Link::Injection, "while the webhook did not answer"),
        (
            "no webhook",
            |facts| {
                facts.sidecar = None;
                facts.injection.webhook = Some(("there is no webhook".into(), "upgrade".into()));
            },
            Link::Injection,
            "has none: there is no webhook | upgrade; then make the pod anew",
        ),
        (
            "older than the label",
            |facts| (facts.sidecar, facts.injection.is_older_than_label) = (None, true),
            Link::Injection,
            "older than the label of its namespace | make it anew: `kubectl rollout restart`",
        ),
        (
            "nobody asked",
            |facts| (facts.sidecar, facts.wish, facts.instances) = (None, Wish::None, Some(vec![])),
            Link::Injection,
            "kubectl label namespace shop",
        ),
        (
            "nobody asked, and others find it all the same",
            |facts| (facts.sidecar, facts.wish) = (None, Wish::None),
            Link::Injection,
            "rollcall.dev/inject: \"false\"",
        ),
        (
            "a label with another value",
            |facts| {
                (facts.sidecar, facts.wish) = (None, Wish::None);
                facts.injection.label = Some("true".into());
            },
            Link::Injection,
            "is `true`, and must be `enabled`",
        ),
        (
            "an annotation of the namespace",
            |facts| (facts.sidecar, facts.wish, facts.injection.is_annotation) = (None, Wish::None, true),
            Link::Injection,
            "must be its label",
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
            |facts| {
                (sidecar_of(facts).running, sidecar_of(facts).why) = (false, Some("ImagePullBackOff".into()));
            },
            Link::Sidecar,
            "ImagePullBackOff",
        ),
        (
            "a pod that no node takes",
            |facts| {
                sidecar_of(facts).running = false;
                facts.unready = vec!["no node takes it (0/2 nodes)".into()];
            },
            Link::Readiness,
            "no node takes it",
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
            "no way to port 7310 of the controllers",
        ),
        (
            "egress to 7310 blocked by a policy",
            |facts| {
                unheard(facts, Some("controller 10.96.0.7:7310: cannot be reached"));
                facts.walls = vec!["deny-all of shop lets it reach no controller".into()];
            },
            Link::Session,
            "a NetworkPolicy forbids it: deny-all of shop",
        ),
        (
            "egress to 7310 blocked, and a log that is not read",
            |facts| {
                unheard(facts, None);
                sidecar_of(facts).last_word = LastWord::NotRead("forbidden".into());
                facts.walls = vec!["deny-all".into()];
            },
            Link::Session,
            "a NetworkPolicy forbids it: deny-all",
        ),
        (
            "another authority",
            |facts| unheard(facts, Some("controller: its certificate is not of our authority")),
            Link::Session,
            "docs/certificates.md",
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
        (
            "a port of UDP",
            |facts| {
                member(facts).probe = "dead".into();
                facts.declared_ports[0].protocol = "UDP".into();
            },
            Link::Probe,
            "an annotation means TCP",
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
            "a namespace that another registration hides it from",
            |facts| {
                member(facts).visibility = Some(Visibility::own());
                facts.caller = Some("bank".into());
                let hides = Registration { visibility: Some(Visibility::own()), ..registration(Aim::This) };
                facts.registrations = Some(vec![hides]);
            },
            Link::Visibility,
            "(namespace), by the registration other",
        ),
        (
            "two targets",
            |facts| {
                let refused = Some("Invalid: spec.target: exactly one".into());
                unnamed(facts, Registration { refused, ..registration(Aim::Unclear) });
            },
            Link::Registration,
            "a registration that means it is refused: other: Invalid: spec.target: exactly one",
        ),
        (
            "two registrations that disagree",
            |facts| {
                let refused = Some("PortConflict: http is 8080 already".into());
                facts.registrations = Some(vec![Registration { refused, ..registration(Aim::This) }]);
            },
            Link::Registration,
            "PortConflict",
        ),
        (
            "labels with a slip",
            |facts| unnamed(facts, registration(Aim::Other(Some("wants the label app=ordres".into())))),
            Link::Registration,
            "other wants the label app=ordres",
        ),
        (
            "a registration that nobody has looked at",
            |facts| unnamed(facts, Registration { is_judged: false, ..registration(Aim::This) }),
            Link::Registration,
            "no controller has looked at it",
        ),
        (
            "no port",
            |facts| (facts.instances, facts.declared_ports) = (Some(Vec::new()), Vec::new()),
            Link::Registration,
            "rollcall.dev/port",
        ),
        (
            "a stale CRD",
            |facts| {
                facts.instances = Some(Vec::new());
                facts.crd = Crd::Seen(Age::Older, vec!["spec.weight".into()]);
            },
            Link::Crd,
            "drops what is written in spec.weight | upgrade the installation",
        ),
        (
            "no CRD",
            |facts| {
                unnamed(facts, registration(Aim::Other(None)));
                facts.crd = Crd::Missing;
            },
            Link::Crd,
            "there is no CRD",
        ),
        (
            "no controller that is ready",
            |facts| facts.controllers = Controllers::NoneReady(vec!["c-1: CrashLoopBackOff".into()]),
            Link::Controller,
            "(c-1: CrashLoopBackOff)",
        ),
        (
            "none wanted",
            |facts| facts.controllers = Controllers::ScaledToZero,
            Link::Controller,
            "scaled to 0",
        ),
        (
            "none made",
            |facts| facts.controllers = Controllers::NotMade(Some("exceeded quota".into())),
            Link::Controller,
            "no controller is made (exceeded quota)",
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
        |facts| facts.crd = Crd::NotSeen,
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

/// What is noted of it, while no link is broken.
fn noted(change: impl FnOnce(&mut PodFacts)) -> Vec<(Link, String)> {
    let mut facts = served();
    change(&mut facts);
    assert_eq!(broken(&facts), None);
    let notes = walk(&facts).into_iter().filter(|step| step.state == State::Note);
    notes.map(|step| (step.link, format!("{} | {}", step.says, step.remedy.unwrap_or_default()))).collect()
}

#[test]
fn what_somebody_should_know_is_noted_and_breaks_nothing() {
    type Change = fn(&mut PodFacts);
    let table: [(Change, Link, &str); 5] = [
        (
            |facts| facts.crd = Crd::Seen(Age::Older, vec!["spec.weight".into()]),
            Link::Crd,
            "drops what is written in spec.weight",
        ),
        (|facts| facts.crd = Crd::Missing, Link::Crd, "there is no CRD"),
        (
            |facts| member(facts).shut_out = vec!["bank/web-1".into()],
            Link::Visibility,
            "`orders.shop` is looked up by pods that may not see it: bank/web-1",
        ),
        (
            |facts| (member(facts).probe, member(facts).port) = ("not-asked".into(), 9999),
            Link::Probe,
            "nobody has asked whether the app listens at port 9999 | its containers declare 8080",
        ),
        (
            |facts| {
                let unresolved = Some("NoMatch: no pod carries app=cart".into());
                unnamed(facts, Registration { unresolved, ..registration(Aim::Other(None)) });
            },
            Link::Registration,
            "these mean nobody: other (NoMatch",
        ),
    ];
    for (change, link, told) in table {
        let notes = noted(change);
        assert!(notes.len() == 1 && notes[0].0 == link && notes[0].1.contains(told), "{told}: {notes:?}");
    }
    assert_eq!(noted(|_| {}), []);
    assert_eq!(noted(|facts| (member(facts).probe, member(facts).port) = ("passing".into(), 9999)), []);
}

#[test]
fn a_pod_that_can_have_no_sidecar_and_never_asked_goes_its_way_without_one() {
    let mut facts = served();
    (facts.sidecar, facts.wish, facts.exempt) =
        (None, Wish::None, Some("it is in its node's network".into()));
    assert_eq!(broken(&facts), None);
    let mut facts = served();
    (facts.sidecar, facts.wish) = (None, Wish::Declined);
    assert_eq!(broken(&facts), None, "who declines means it");
}

#[test]
fn a_pod_that_has_ended_is_told_so_and_not_by_its_sidecar() {
    let mut facts = served();
    facts.phase = "Succeeded".to_owned();
    sidecar_of(&mut facts).running = false;
    assert_eq!(broken(&facts).unwrap().0, Link::Readiness);
}
