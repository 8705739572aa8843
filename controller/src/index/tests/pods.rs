use rollcall_catalogue::{Reason, State, liveness::Phase};

use super::*;

#[test]
fn a_pods_life() {
    let mut bench = Bench::new();
    let mut one = pod(1, "a", Some("orders"));
    one.facts.has_sidecar = true;
    assert_eq!(bench.apply([seen(one.clone())]), expect(&[("orders", &["p1:8080 SessionNeverCame"])]));
    let uid = one.facts.uid.clone();
    assert_eq!(bench.index.open_session(&uid, &Hello::default(), 2), Some(Opening::Open(vec![])));
    assert_eq!(bench.publish(), expect(&[("orders", &["p1:8080 Ready"])]));
    bench.index.session_ended(&uid, 2, true, 3);
    assert_eq!(bench.publish(), expect(&[("orders", &["p1:8080 SidecarLost"])]));

    one.facts.life.deleting = true;
    bench.apply([seen(one)]);
    let draining = bench.instance("orders.shop");
    assert_eq!((draining.state, &draining.reason), (State::Draining, &Reason::Terminating));
    assert!(bench.index.take_orphans().is_empty());
    assert_eq!(bench.apply([gone_pod(1)]), expect(&[]));
    assert_eq!(bench.index.take_orphans(), [uid]);
    assert!(bench.index.take_orphans().is_empty());
    nothing_stays_behind(&bench);
}

pub(super) fn nothing_stays_behind(bench: &Bench) {
    assert_eq!(bench.index.known(Kind::Registration), 0);
    let Index {
        pods,
        nodes,
        namespaces,
        slices,
        addresses,
        written,
        services,
        dirty,
        outside,
        answers,
        reports,
        clock,
        lookout,
        failing,
        asides,
        sharing,
        ..
    } = &bench.index;
    assert!(pods.len() == 0 && nodes.is_empty() && slices.is_empty() && dirty.is_empty());
    assert!(clock.is_empty() && written.is_empty(), "{clock:?} {written:?}");
    assert!(sharing.is_empty(), "{sharing:?}");
    assert!(failing.is_empty(), "{failing:?}");
    assert!(lookout.is_empty() && asides.is_empty(), "{lookout:?} {asides:?}");
    assert!(namespaces.is_empty(), "{namespaces:?}");
    assert!(services.is_empty(), "{services:?}");
    assert!(addresses.is_empty() && outside.is_empty() && answers.is_empty() && reports.is_empty());
}

#[test]
fn selectors_join_from_both_sides() {
    let mut bench = Bench::new();
    let seen_now = bench.apply([registered("billing", select("b")), seen(pod(1, "b", None))]);
    assert_eq!(seen_now, expect(&[("billing", &["p1:8080 Ready"])]));
    let seen_now = bench.apply([seen(pod(1, "c", None))]);
    assert_eq!(seen_now, expect(&[("billing", &[])]), "its label changed: known, with nothing");
    let renamed =
        Change::Registration(named("billing"), Box::new(object("billing", "invoices", select("c"))));
    assert_eq!(
        bench.apply([renamed]),
        expect(&[("invoices", &["p1:8080 Ready"])]),
        "renamed and re-selected"
    );
    let gone = [Change::Gone(Key::Registration(named("billing"))), gone_pod(1)];
    assert_eq!(bench.apply(gone), expect(&[]));
    nothing_stays_behind(&bench);
}

#[test]
fn a_pod_by_its_uid_is_no_successor_of_it() {
    let mut bench = Bench::new();
    let target = Target::Pod { name: "p1".into(), uid: "u1".into() };
    let mut other = pod(2, "a", None);
    other.facts.name = "p1".into();
    let seen_now = bench.apply([registered("orders", target), seen(other), seen(pod(1, "a", None))]);
    assert_eq!(seen_now, expect(&[("orders", &["p1:8080 Ready"])]));
    assert_eq!(bench.instance("orders.shop").address(), ip(1));
    assert_eq!(bench.apply([gone_pod(1)]), expect(&[("orders", &[])]));
}

#[test]
fn a_pod_that_two_ways_lead_to_is_one_instance() {
    let mut bench = Bench::new();
    let changes = [
        registered("orders", select("a")),
        Change::Registration(named("again"), Box::new(object("again", "orders", select("a")))),
        seen(pod(1, "a", Some("orders"))),
    ];
    assert_eq!(bench.apply(changes), expect(&[("orders", &["p1:8080 Ready"])]));
    assert_eq!(bench.apply([seen(pod(1, "b", Some("orders")))]), expect(&[("orders", &["p1:8080 Ready"])]));
    assert_eq!(bench.apply([seen(pod(1, "b", None))]), expect(&[("orders", &[])]));
}

#[test]
fn a_list_removes_what_it_does_not_hold_and_keeps_what_cannot_be_read() {
    let mut bench = Bench::new();
    bench.apply((1..=3).map(|n| seen(pod(n, "a", Some("orders")))));
    let half = bench.apply([
        Change::ListBegins(Kind::Pod),
        seen(pod(1, "a", Some("orders"))),
        Change::Unreadable(Key::Pod("u2".into())),
    ]);
    assert_eq!(half["orders.shop"].len(), 3, "a list that has not ended removes nothing");
    assert_eq!(
        bench.apply([Change::ListBegins(Kind::Pod)])["orders.shop"].len(),
        3,
        "nor does one begun anew"
    );
    let whole = [seen(pod(1, "a", Some("orders"))), Change::Unreadable(Key::Pod("u2".into()))];
    bench.apply(whole);
    assert_eq!(bench.apply([Change::ListEnds(Kind::Pod)])["orders.shop"].len(), 2);
    assert_eq!(
        bench.apply([Change::ListEnds(Kind::Pod)])["orders.shop"].len(),
        2,
        "an end alone proves nothing"
    );
}

#[test]
fn a_list_that_is_not_believed_removes_nothing_and_is_compared_with_the_next() {
    let mut bench = Bench::new();
    bench.apply((1..=4).map(|n| seen(pod(n, "a", Some("orders")))));
    let tally = |bench: &Bench| {
        let Tally { known, lacking, unconfirmed, is_second } = bench.index.tally(Kind::Pod);
        (known, lacking, unconfirmed, is_second)
    };
    assert_eq!(tally(&bench), (4, 0, 0, false), "no list is under way");
    bench.apply([Change::ListBegins(Kind::Pod), seen(pod(1, "a", Some("orders")))]);
    bench.apply([seen(pod(5, "a", Some("orders"))), Change::Unreadable(Key::Pod("u2".into()))]);
    assert_eq!(tally(&bench), (5, 2, 2, false));
    bench.index.distrust(Kind::Pod);
    let all = bench.apply([Change::ListEnds(Kind::Pod)]);
    assert_eq!(all["orders.shop"].len(), 5, "what it had counts, and its end is none");
    bench.apply([Change::ListBegins(Kind::Pod), seen(pod(2, "a", Some("orders")))]);
    assert_eq!(
        tally(&bench),
        (5, 4, 2, true),
        "3 and 4 are lacking again, 1 and 5 are not there for the first time"
    );
    bench.apply([seen(pod(1, "a", Some("orders"))), seen(pod(5, "a", Some("orders")))]);
    assert_eq!(tally(&bench), (5, 2, 0, true));
    assert_eq!(bench.apply([Change::ListEnds(Kind::Pod)])["orders.shop"].len(), 3);
    bench.apply([Change::ListBegins(Kind::Pod)]);
    assert_eq!(tally(&bench), (3, 3, 3, false), "a list that ended is compared with none");
}

#[test]
fn an_address_that_is_used_again_is_the_new_pods() {
    let mut bench = Bench::new();
    let mut successor = pod(2, "b", Some("billing"));
    successor.facts.addresses = [ip(1)].into();
    let mut ended = pod(1, "a", Some("orders"));
    bench.apply([seen(ended.clone())]);
    ended.facts.life.phase = Phase::Succeeded;
    let both = bench.apply([seen(ended), seen(successor)]);
    assert_eq!(both, expect(&[("billing", &["p2:8080 Ready"]), ("orders", &[])]));
}

#[test]
fn a_uid_in_another_namespace_is_another_pod() {
    let mut bench = Bench::new();
    bench.apply((1..=3).map(|number| seen(pod(number, "a", Some("orders")))));
    let hello = Hello { incarnation: "i".into(), sequence: 1, registrations: Vec::new() };
    assert!(bench.index.open_session(&"u1".into(), &hello, 1).is_some());
    let mut elsewhere = pod(1, "a", None);
    elsewhere.facts.namespace = namespace("bank");
    let left = bench.apply([seen(elsewhere)]);
    assert_eq!(left, expect(&[("orders", &["p2:8080 Ready", "p3:8080 Ready"])]));
    assert_eq!(bench.index.take_orphans(), [PodUid::from("u1")], "its session was that of the first");
    assert!(bench.index.pods_know_their_places());
    bench.apply((1..=3).map(gone_pod));
    nothing_stays_behind(&bench);
}

#[test]
fn a_node_tells_its_zone_and_that_it_is_lost() {
    let mut bench = Bench::new();
    let mut one = pod(1, "a", Some("orders"));
    one.facts.node = Some("n1".into());
    // Two others that are seen: one of three that is lost is no illness of Kubernetes'.
    let others = ["n2", "n3"].map(|name| {
        Change::Node(
            name.into(),
            NodeFacts { zone: None, unknown: false, pod_ranges: Vec::new(), addresses: Vec::new() },
        )
    });
    bench.apply(others);
    let unseen = bench.apply([seen(one)]);
    assert_eq!(unseen, expect(&[("orders", &["p1:8080 NodeLost"])]), "there is no such node");
    assert_eq!(bench.instance("orders.shop").zone, None);
    bench.apply([node(Some("a"), false)]);
    assert_eq!(bench.instance("orders.shop").zone.as_deref(), Some("a"));
    let lost = bench.apply([node(Some("a"), true)]);
    assert_eq!(
        lost,
        expect(&[("orders", &["p1:8080 NodeLost"])]),
        "a pod without a sidecar follows Kubernetes"
    );
    assert_eq!(bench.apply([node(Some("a"), false)]), expect(&[("orders", &["p1:8080 Ready"])]));
    let gone = bench.apply([node(Some("a"), true), Change::Gone(Key::Node("n1".into()))]);
    assert_eq!(gone, expect(&[("orders", &["p1:8080 NodeLost"])]), "to delete a dead node revives nobody");
    bench.apply([gone_pod(1), Change::Gone(Key::Node("n2".into())), Change::Gone(Key::Node("n3".into()))]);
    nothing_stays_behind(&bench);
}

#[test]
fn a_pod_that_turns_is_measured_once() {
    let mut bench = Bench::new();
    let mut one = pod(1, "a", Some("orders"));
    bench.apply([seen(one.clone())]);
    assert_eq!(bench.index.take_turned(), [1_000]);
    one.facts.asks_to_drain = true;
    bench.apply([seen(one.clone())]);
    assert!(bench.index.take_turned().is_empty(), "it has not turned");
    one.facts.life.ready = false;
    one.turned_ms = Some(2_000);
    bench.apply([seen(one.clone()), seen(one)]);
    assert_eq!(bench.index.take_turned(), [2_000]);
}

#[test]
fn what_pods_of_a_template_have_in_common_is_kept_once() {
    let mut bench = Bench::new();
    bench.apply((1..=3).map(|n| {
        let mut one = pod(n, "a", Some("orders"));
        one.facts.node = Some("n1".into());
        seen(one)
    }));
    let facts: Vec<_> = bench.index.pods.iter().map(|entry| &entry.facts).collect();
    for other in &facts[1..] {
        assert!(Arc::ptr_eq(&facts[0].labels, &other.labels));
        assert!(Arc::ptr_eq(facts[0].node.as_ref().unwrap(), other.node.as_ref().unwrap()), "not listed yet");
        assert!(Arc::ptr_eq(facts[0].registration.as_ref().unwrap(), other.registration.as_ref().unwrap()));
    }
}

#[test]
fn a_service_beyond_the_cut_comes_back_whole() {
    const MAX: usize = rollcall_catalogue::limits::INSTANCES_MAX;
    let mut bench = Bench::new();
    let numbered = |n: usize| {
        let mut one = pod(1, "a", Some("orders"));
        one.facts.uid = format!("u{n}").as_str().into();
        one.facts.addresses = [u32::try_from(0x0a00_0000 + n).unwrap().to_be_bytes().into()].into();
        seen(one)
    };
    bench.apply((0..MAX + 3).map(numbered));
    let count = |bench: &Bench| {
        let service = bench.index.published.get(&key("orders.shop")).unwrap();
        (service.instances.len(), service.truncated)
    };
    assert_eq!(count(&bench), (MAX, true));
    bench.apply((0..3).map(|n| Change::Gone(Key::Pod(format!("u{n}").as_str().into()))));
    assert_eq!(count(&bench), (MAX, false), "those behind the cut are back");
    bench.apply([Change::Gone(Key::Pod("u3".into()))]);
    assert_eq!(count(&bench), (MAX - 1, false));
}
