use std::collections::BTreeSet;

use rollcall_catalogue::{ValueError, Visibility};

use super::*;

/// What is reported now, each condition as `Type=Reason: message`.
fn reports(bench: &mut Bench) -> BTreeMap<String, Vec<String>> {
    bench.publish();
    let line = |finding: &rollcall_crds::Finding| format!("{}: {}", finding.reason.as_str(), finding.message);
    let reports = bench.index.take_reports(100).into_iter();
    reports
        .map(|report| {
            let mut lines: Vec<_> = report.findings.iter().map(line).collect();
            lines.push(format!("{}/{}", report.serving, report.total));
            (report.object.name.to_string(), lines)
        })
        .collect()
}

#[test]
fn a_registration_is_told_what_became_of_it() {
    let mut bench = Bench::new();
    bench.index.apply(registered("orders", select("a")));
    bench.index.apply(registered("orders", select("a")));
    assert_eq!(bench.index.known(Kind::Registration), 1);
    let none = "NoMatch: no pod of the namespace carries these labels";
    assert_eq!(reports(&mut bench)["orders"], ["Accepted: ", none, "NoInstances: ", "0/0"]);
    assert!(reports(&mut bench).is_empty(), "nothing new");
    bench.index.apply(seen(pod(1, "a", None)));
    assert_eq!(reports(&mut bench)["orders"], ["Accepted: ", "Resolved: ", "Serving: ", "1/1"]);
    let mut starting = pod(1, "a", None);
    starting.facts.life.ready = false;
    bench.apply([seen(starting)]);
    assert_eq!(reports(&mut bench)["orders"], ["Accepted: ", "Resolved: ", "NoneServing: 1 NotReady", "0/1"]);
    bench.index.report_all();
    assert_eq!(reports(&mut bench).len(), 1);
}

#[test]
fn nobody_waits_behind_those_that_always_have_something_new() {
    let mut bench = Bench::new();
    bench.index.apply(seen(pod(1, "a", None)));
    for number in 0..20 {
        let name = format!("a{number}");
        let busy = object(&name, "orders", select("a"));
        bench.index.apply(Change::Registration(named(&name), Box::new(busy)));
    }
    bench.index.apply(registered("zzz", select("none")));
    let mut told = BTreeSet::new();
    for look in 0..3 {
        let mut turning = pod(1, "a", None);
        turning.facts.life.ready = look % 2 == 1;
        bench.apply([seen(turning)]);
        told.extend(bench.index.take_reports(10).into_iter().map(|report| report.object.name));
    }
    assert!(told.contains("zzz") && told.len() == 21, "{told:?}");
}

#[test]
fn what_a_target_lacks_is_named() {
    let mut bench = Bench::new();
    bench.index.apply(registered("a", Target::Service("web".into())));
    bench.index.apply(registered("b", Target::Pod { name: "p9".into(), uid: "u9".into() }));
    let listed = Target::Addresses(vec![StaticAddress { address: ip(1), zone: None }]);
    bench.index.apply(seen(pod(1, "a", None)));
    bench.index.apply(registered("c", listed));
    let told = reports(&mut bench);
    assert_eq!(
        told["a"][1],
        "ServiceNotFound: there is no Service `web` in shop; create it, or correct target.service.name"
    );
    assert!(told["b"][1].starts_with("PodNotFound: pod `p9` of this uid is not in shop"), "{told:?}");
    assert!(told["c"][1].starts_with("AddressRefused: `10.0.0.1` is of a pod; "), "{told:?}");
    bench.index.apply(service("web"));
    assert_eq!(reports(&mut bench)["a"][1], "Resolved: ", "it came");
}

#[test]
fn the_newer_of_two_that_disagree_is_told_and_keeps_the_rest() {
    let mut bench = Bench::new();
    let other = |port: u16, visibility| {
        let mut object = object("newer", "orders", select("a"));
        let registration = Arc::make_mut(object.registration.as_mut().unwrap());
        registration.source = Source::Object { created_ms: 2, name: "newer".into() };
        registration.attributes.ports = vec![Port::tcp(Some("http"), port)];
        registration.visibility = visibility;
        Change::Registration(named("newer"), Box::new(object))
    };
    bench.index.apply(registered("orders", select("a")));
    for change in [other(9090, None), seen(pod(1, "a", None)), seen(pod(2, "a", None))] {
        bench.index.apply(change);
    }
    let told = reports(&mut bench);
    assert!(told["newer"][0].starts_with("PortConflict: ports: `http` is 8080/TCP by an older"), "{told:?}");
    assert_eq!((told["newer"][3].as_str(), told["orders"][0].as_str()), ("2/2", "Accepted: "));
    bench.index.apply(other(8080, Some(Visibility::Cluster)));
    let mut narrow = object("orders", "orders", select("a"));
    Arc::make_mut(narrow.registration.as_mut().unwrap()).visibility =
        Some(Visibility::Namespaces(BTreeSet::new()));
    bench.index.apply(Change::Registration(named("orders"), Box::new(narrow)));
    let told = reports(&mut bench);
    assert!(told["newer"][0].starts_with("VisibilityNarrowed: "), "{told:?}");
    assert_eq!(told["orders"][0], "Accepted: ");
}

#[test]
fn ours_tell_of_the_pods_of_their_version_alone() {
    let mut bench = Bench::new();
    let mut ours = object("orders", "orders", select("a"));
    ours.managed = true;
    bench.index.apply(Change::Registration(named("orders"), Box::new(ours)));
    let mut versioned = pod(2, "a", Some("orders"));
    let word = Arc::make_mut(versioned.facts.registration.as_mut().unwrap());
    word.attributes.version = "2.0.0".parse().ok();
    for pod in [pod(1, "a", Some("orders")), versioned, pod(3, "a", None)] {
        bench.index.apply(seen(pod));
    }
    assert_eq!(reports(&mut bench)["orders"], ["Accepted: ", "Resolved: ", "Serving: ", "1/1"]);
}

#[test]
fn a_refused_spec_has_no_part_in_anything_and_is_told_why() {
    let mut bench = Bench::new();
    bench.apply([registered("orders", select("a")), seen(pod(1, "a", None))]);
    let refused = Change::Registration(named("orders"), Box::new(refused("orders")));
    assert_eq!(bench.apply([refused.clone(), refused]), expect(&[]));
    let told = reports(&mut bench);
    assert!(told["orders"][0].starts_with("Invalid: metadata.namespace is missing"), "{told:?}");
    assert_eq!(told["orders"][1], "NotAccepted: ");
    let notices = bench.index.take_notices(10);
    assert_eq!(
        notices.iter().map(|notice| notice.reason).collect::<Vec<_>>(),
        [NoticeReason::RegistrationRefused]
    );
    assert_eq!(
        bench.apply([registered("orders", select("a"))])["orders.shop"].len(),
        1,
        "and back when fixed"
    );
}

#[test]
fn a_bad_annotation_is_told_once() {
    let mut bench = Bench::new();
    let mut one = pod(1, "a", Some("orders"));
    let problem = |problem: &str| ValueError {
        field: "rollcall.dev/weight",
        problem: problem.into(),
        remedy: "use 0 to 1000",
    };
    one.problems = vec![problem("`a` is no weight"), problem("again")];
    bench.apply([seen(one.clone()), seen(one.clone())]);
    one.facts.life.ready = false;
    bench.apply([seen(one)]);
    let notices = bench.index.take_notices(10);
    assert_eq!(notices.len(), 1);
    assert_eq!(
        notices[0].message,
        "rollcall.dev/weight: `a` is no weight; use 0 to 1000; and rollcall.dev/weight: again; use 0 to 1000"
    );
    let mut bench = Bench::new();
    for number in 0..=u8::MAX {
        for round in 0..5 {
            let mut one = pod(number, "a", None);
            one.problems = vec![problem(&round.to_string())];
            bench.index.apply(seen(one));
        }
    }
    assert_eq!(bench.index.take_notices(usize::MAX).len(), NOTICES_MAX, "nobody took them");
}
