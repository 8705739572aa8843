use rollcall_catalogue::Version;

use super::{pods::nothing_stays_behind, *};

#[test]
fn every_service_of_a_namespace_that_adopts_them_is_one() {
    let mut bench = Bench::new();
    let parts = [service("web"), slice("s1", "web", vec![endpoint(1)]), seen(pod(1, "a", None))];
    assert_eq!(bench.apply(parts), expect(&[]));
    assert_eq!(bench.apply([namespace_adopts(true)]), expect(&[("web", &["p1:8080 Ready"])]));
    let wanted = bench.index.managed().wanted;
    let origin = Origin::Service { name: "web".into(), uid: "service-uid".into() };
    assert_eq!(wanted[&named("web")], ManagedSpec { service: key("web.shop"), origin });

    let opted_out = ServiceFacts { adoptable: false, ..service_facts() };
    assert_eq!(bench.apply([Change::Service(named("web"), Box::new(opted_out))]), expect(&[]));
    assert_eq!(bench.apply([service("web")]), expect(&[("web", &["p1:8080 Ready"])]));
    assert_eq!(bench.apply([namespace_adopts(false)]), expect(&[]));
    bench.apply([namespace_adopts(true)]);
    assert_eq!(bench.apply([Change::Gone(Key::Service(named("web")))]), expect(&[]));
    let gone =
        [Change::Gone(Key::Namespace(namespace("shop"))), Change::Gone(Key::Slice(named("s1"))), gone_pod(1)];
    bench.apply(gone);
    nothing_stays_behind(&bench);
}

#[test]
fn pods_that_register_themselves_have_a_registration_for_each_version() {
    let mut bench = Bench::new();
    let versioned = |number, version: &str| {
        let mut one = pod(number, "a", Some("orders"));
        let word = Arc::make_mut(one.facts.registration.as_mut().unwrap());
        word.attributes.version = version.parse().ok();
        seen(one)
    };
    bench.apply([
        versioned(1, "1.4.2"),
        versioned(2, "1.4.2"),
        versioned(3, "2.0.0"),
        seen(pod(4, "a", None)),
    ]);
    let versions = |bench: &Bench| -> Vec<Option<Version>> {
        let wanted = bench.index.managed().wanted;
        let version = |spec: ManagedSpec| match spec.origin {
            Origin::Pods { version, .. } => version,
            Origin::Service { .. } | Origin::App { .. } => panic!("nothing is adopted"),
        };
        wanted.into_values().map(version).collect()
    };
    assert_eq!(versions(&bench), ["1.4.2".parse().ok(), "2.0.0".parse().ok()]);
    bench.apply([gone_pod(3), versioned(2, "1.5.0")]);
    assert_eq!(versions(&bench), ["1.4.2".parse().ok(), "1.5.0".parse().ok()]);
    bench.apply([gone_pod(1), gone_pod(2), gone_pod(4)]);
    assert_eq!(versions(&bench), []);
    nothing_stays_behind(&bench);
}

#[test]
fn our_own_registration_keeps_a_service_known_and_says_nothing_of_it() {
    let mut bench = Bench::new();
    let mut ours = object("orders", "orders", select("a"));
    ours.managed = true;
    let ours = Change::Registration(named("orders"), Box::new(ours));
    bench.apply([seen(pod(1, "a", Some("orders"))), seen(pod(2, "a", None)), ours]);
    assert_eq!(bench.publish(), expect(&[("orders", &["p1:8080 Ready"])]), "p2 registers nothing");
    let present = bench.index.managed().present;
    let says =
        present[&named("orders")].registration.as_ref().map(|registration| registration.target.clone());
    assert!(present.len() == 1 && matches!(says, Some(Target::Selector(_))));
    assert_eq!(bench.apply([gone_pod(1)]), expect(&[("orders", &[])]), "known, with nothing");
    let gone = [Change::Gone(Key::Registration(named("orders"))), gone_pod(2)];
    assert_eq!(bench.apply(gone), expect(&[]));
    nothing_stays_behind(&bench);
}

#[test]
fn what_a_person_wrote_under_that_name_is_left_alone() {
    let mut bench = Bench::new();
    bench.apply([seen(pod(1, "a", Some("orders")))]);
    assert_eq!(bench.index.managed().wanted.len(), 1);
    bench.apply([registered("orders", select("a"))]);
    assert_eq!(bench.index.managed(), Managed::default());
}
