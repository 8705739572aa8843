use rollcall_catalogue::Reason;

use super::{pods::nothing_stays_behind, *};

fn orders() -> Change {
    registered("orders", Target::Service("web".into()))
}

#[test]
fn the_parts_of_a_service_come_in_any_order() {
    let mut parts =
        vec![orders(), service("web"), slice("s1", "web", vec![endpoint(1)]), seen(pod(1, "a", None))];
    for _ in 0..parts.len() {
        parts.rotate_left(1);
        for parts in [parts.clone(), parts.iter().rev().cloned().collect()] {
            let mut bench = Bench::new();
            for part in parts {
                bench.apply([part]);
            }
            assert_eq!(bench.publish(), expect(&[("orders", &["p1:8080 Ready"])]));
            let gone = [
                Change::Gone(Key::Slice(named("s1"))),
                Change::Gone(Key::Service(named("web"))),
                gone_pod(1),
                Change::Gone(Key::Registration(named("orders"))),
            ];
            for gone in gone {
                bench.apply([gone]);
            }
            nothing_stays_behind(&bench);
        }
    }
}

#[test]
fn the_services_first_port_is_the_primary_one() {
    let mut bench = Bench::new();
    bench.apply([orders(), slice("s1", "web", vec![endpoint(1)]), seen(pod(1, "a", None))]);
    assert_eq!(
        bench.instance("orders.shop").profile.port,
        9090,
        "the slice's order, while it is all there is"
    );
    bench.apply([service("web")]);
    let instance = bench.instance("orders.shop");
    assert_eq!((instance.profile.port, instance.profile.ports.len()), (8080, 2));
}

#[test]
fn an_endpoint_in_two_slices_is_one_and_its_better_word_counts() {
    let mut bench = Bench::new();
    let mut leaving = endpoint(1);
    leaving.ready = false;
    bench.apply([orders(), service("web"), seen(pod(1, "a", None)), slice("s1", "web", vec![leaving])]);
    assert_eq!(bench.instance("orders.shop").reason, Reason::EndpointNotReady);
    assert_eq!(
        bench.apply([slice("s2", "web", vec![endpoint(1)])]),
        expect(&[("orders", &["p1:8080 Ready"])])
    );
    assert_eq!(
        bench.apply([Change::Gone(Key::Slice(named("s2"))), slice("s1", "web", vec![])]),
        expect(&[("orders", &[])]),
        "an empty slice is no gone service"
    );
}

#[test]
fn a_pod_behind_two_services_is_reached_while_one_of_them_reaches_it() {
    let mut bench = Bench::new();
    let mut unready = endpoint(1);
    unready.ready = false;
    let grpc = SliceFacts {
        service: "other".into(),
        ports: vec![Port::tcp(Some("grpc"), 7070)],
        endpoints: vec![endpoint(1)],
    };
    let also = object("also", "orders", Target::Service("other".into()));
    bench.apply([
        orders(),
        Change::Registration(named("also"), Box::new(also)),
        seen(pod(1, "a", None)),
        slice("s1", "web", vec![unready]),
        Change::Slice(named("s2"), Box::new(grpc)),
    ]);
    let instance = bench.instance("orders.shop");
    assert_eq!((&instance.reason, instance.profile.ports.len()), (&Reason::Ready, 3));
}

#[test]
fn a_hundred_endpoints_and_more_stand_in_several_slices() {
    let mut bench = Bench::new();
    bench.apply([orders(), service("web")]);
    bench.apply((1..=250).map(|n| seen(pod(n, "a", None))));
    let part = |name: &str, numbers: std::ops::RangeInclusive<u8>| {
        slice(name, "web", numbers.map(endpoint).collect())
    };
    let all = bench.apply([part("s1", 1..=100), part("s2", 101..=200), part("s3", 201..=250)]);
    assert_eq!(all["orders.shop"].len(), 250);
    assert_eq!(bench.apply([part("s2", 101..=150)])["orders.shop"].len(), 200);
    let step = {
        let mut one = endpoint(201);
        one.ready = false;
        let endpoints = std::iter::once(one).chain((202..=250).map(endpoint)).collect();
        bench.index.apply(slice("s3", "web", endpoints));
        bench.step().unwrap()
    };
    let changed: usize = step.deltas.iter().map(|delta| delta.upserts().count()).sum();
    assert_eq!(changed, 1, "what did not change is not told");
}

#[test]
fn addresses_that_are_not_ready_are_published_where_the_service_asks() {
    let mut bench = Bench::new();
    let mut starting = pod(1, "a", None);
    starting.facts.life.ready = false;
    let publishing = ServiceFacts { publishes_not_ready: true, ..service_facts() };
    bench.apply([orders(), slice("s1", "web", vec![endpoint(1)]), seen(starting), service("web")]);
    assert_eq!(bench.instance("orders.shop").reason, Reason::NotReady);
    bench.apply([Change::Service(named("web"), Box::new(publishing))]);
    assert_eq!(bench.instance("orders.shop").reason, Reason::PublishedNotReady);
}

#[test]
fn a_slice_that_becomes_another_services_leaves_the_first() {
    let mut bench = Bench::new();
    let other = registered("billing", Target::Service("other".into()));
    bench.apply([orders(), other, seen(pod(1, "a", None)), slice("s1", "web", vec![endpoint(1)])]);
    let moved = bench.apply([slice("s1", "other", vec![endpoint(1)])]);
    assert_eq!(moved, expect(&[("billing", &["p1:9090 Ready"]), ("orders", &[])]));
}

#[test]
fn both_addresses_of_a_dual_stack_pod_are_one_instance() {
    let mut bench = Bench::new();
    let six: std::net::IpAddr = "fd00::1".parse().unwrap();
    let mut dual = pod(1, "a", None);
    dual.facts.addresses = [ip(1), six].into();
    let second = SliceEndpoint { addresses: vec![six], ..endpoint(1) };
    bench.apply([orders(), service("web"), seen(dual)]);
    bench.apply([slice("v4", "web", vec![endpoint(1)]), slice("v6", "web", vec![second])]);
    let instance = bench.instance("orders.shop");
    assert_eq!(instance.addresses.iter().collect::<Vec<_>>(), [ip(1), six]);
}

#[test]
fn a_pod_that_comes_back_after_a_list_that_was_behind_is_still_led_to() {
    let mut bench = Bench::new();
    bench.apply([orders(), service("web"), seen(pod(1, "a", None)), slice("s1", "web", vec![endpoint(1)])]);
    assert_eq!(bench.apply([gone_pod(1)]), expect(&[("orders", &[])]));
    assert_eq!(bench.apply([seen(pod(1, "a", None))]), expect(&[("orders", &["p1:8080 Ready"])]));
}

#[test]
fn where_a_pod_is_no_slice_says() {
    let mut bench = Bench::new();
    let outside = SliceEndpoint { pod: None, addresses: vec![[198, 51, 100, 1].into()], ..endpoint(2) };
    bench.apply([orders(), service("web"), seen(pod(1, "a", None))]);
    bench.apply([slice("s1", "web", vec![endpoint(1)])]);
    let (zone, node) =
        (bench.instance("orders.shop").zone.clone(), bench.instance("orders.shop").node.clone());
    assert_eq!((zone, node), (None, None), "anybody of the namespace writes a slice");
    bench.apply([slice("s1", "web", vec![outside])]);
    let instance = bench.instance("orders.shop");
    assert_eq!((instance.zone.as_deref(), instance.node.as_deref()), (Some("a"), Some("n1")));
}
