use proptest::prelude::*;
use rollcall_catalogue::{Attributes, Instance, Port, Reason, Snapshot, Source, State, liveness::PodWitness};

use super::*;

fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

fn attributes() -> Attributes {
    Attributes { ports: vec![Port::tcp(Some("http"), 8080)], ..Attributes::default() }
}

fn pod(number: u8, app: &str, annotated: Option<&str>) -> PodFacts {
    let registration = |service: &str| Registration {
        key: key(&format!("{service}.shop")),
        source: Source::Annotation,
        target: Target::Own,
        attributes: attributes(),
        policy: None,
        visibility: None,
    };
    PodFacts {
        uid: format!("u{number}").as_str().into(),
        namespace: "shop".parse().unwrap(),
        name: format!("p{number}").into(),
        node: None,
        addresses: vec![[10, 0, 0, number].into()],
        labels: [("app".to_owned(), app.to_owned())].into(),
        has_sidecar: annotated.is_some(),
        asks_to_drain: false,
        registration: annotated.map(|service| Arc::new(registration(service))),
        witness: PodWitness::Ready,
    }
}

fn object(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".parse().unwrap(), name: name.to_owned() }
}

fn select(service: &str, app: &str) -> Arc<Registration> {
    Arc::new(Registration {
        key: key(&format!("{service}.shop")),
        source: Source::Object { created_ms: 1, name: service.into() },
        target: Target::Selector([("app", app)].into()),
        attributes: attributes(),
        policy: None,
        visibility: None,
    })
}

/// The pods of each service, with their reasons.
fn services(snapshot: &Snapshot) -> BTreeMap<String, Vec<String>> {
    let line = |instance: &Arc<Instance>| format!("{} {}", instance.pod.as_deref().unwrap(), instance.reason);
    snapshot
        .iter()
        .map(|(key, service)| (key.to_string(), service.instances.iter().map(line).collect()))
        .collect()
}

struct Bench {
    index: Index,
    snapshot: Snapshot,
    now_ms: u64,
}

impl Bench {
    fn new() -> Self {
        let mut index = Index::default();
        for change in
            [Change::PodsBegin, Change::PodsEnd, Change::RegistrationsBegin, Change::RegistrationsEnd]
        {
            assert!(!index.complete());
            index.apply(change);
        }
        assert!(index.complete());
        Self { index, snapshot: Snapshot::default(), now_ms: 1 }
    }

    fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> BTreeMap<String, Vec<String>> {
        changes.into_iter().for_each(|change| self.index.apply(change));
        self.publish()
    }

    fn publish(&mut self) -> BTreeMap<String, Vec<String>> {
        self.now_ms += 1;
        let changes = self.index.take_changes();
        if let Some(next) = self.snapshot.next(changes, self.now_ms) {
            self.snapshot = next.snapshot;
        }
        services(&self.snapshot)
    }
}

fn expect(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let line = |(name, lines): &(&str, &[&str])| {
        ((*name).to_owned(), lines.iter().map(|line| (*line).to_owned()).collect())
    };
    pairs.iter().map(line).collect()
}

#[test]
fn a_pods_life() {
    let mut bench = Bench::new();
    let uid = PodUid::from("u1");
    let seen = bench.apply([Change::Pod(Box::new(pod(1, "a", Some("orders"))))]);
    assert_eq!(seen, expect(&[("orders.shop", &["p1 SessionNeverCame"])]));
    bench.index.heard(&uid, true);
    assert_eq!(bench.publish(), expect(&[("orders.shop", &["p1 Ready"])]));
    bench.index.heard(&uid, false);
    assert_eq!(bench.publish(), expect(&[("orders.shop", &["p1 SidecarLost"])]));

    let mut deleting = pod(1, "a", Some("orders"));
    deleting.witness = PodWitness::Terminating;
    bench.apply([Change::Pod(Box::new(deleting))]);
    let draining = &bench.snapshot.get(&key("orders.shop")).unwrap().instances.get(0).unwrap();
    assert_eq!((draining.state, &draining.reason), (State::Draining, &Reason::Terminating));

    assert_eq!(bench.apply([Change::PodGone(uid)]), expect(&[]));
    let Index { pods, namespaces, members, .. } = &bench.index;
    assert!(pods.is_empty() && namespaces.is_empty() && members.is_empty(), "nothing stays behind");
}

#[test]
fn selectors_join_from_both_sides() {
    let mut bench = Bench::new();
    let changes =
        [Change::Registration(object("r"), select("billing", "b")), Change::Pod(Box::new(pod(1, "b", None)))];
    assert_eq!(bench.apply(changes), expect(&[("billing.shop", &["p1 Ready"])]));
    let seen = bench.apply([Change::Pod(Box::new(pod(1, "c", None)))]);
    assert_eq!(seen, expect(&[("billing.shop", &[])]), "its label changed: known, with nothing");
    let seen = bench.apply([Change::Registration(object("r"), select("invoices", "c"))]);
    assert_eq!(seen, expect(&[("invoices.shop", &["p1 Ready"])]), "renamed and re-selected");
    assert_eq!(bench.apply([Change::RegistrationGone(object("r"))]), expect(&[]));
}

#[test]
fn a_list_removes_what_it_does_not_hold_and_keeps_what_cannot_be_read() {
    let mut bench = Bench::new();
    bench.apply((1..=3).map(|n| Change::Pod(Box::new(pod(n, "a", Some("orders"))))));
    let seen = bench.apply([
        Change::PodsBegin,
        Change::Pod(Box::new(pod(1, "a", Some("orders")))),
        Change::PodUnreadable("u2".into()),
    ]);
    assert_eq!(seen["orders.shop"].len(), 3, "a list that has not ended removes nothing");
    assert_eq!(bench.apply([Change::PodsEnd])["orders.shop"].len(), 2);
}

#[derive(Debug, Clone)]
enum Step {
    Pod(u8, u8, Option<u8>),
    Gone(u8),
    Object(u8, u8, u8),
    ObjectGone(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0u8..3;
    prop_oneof![
        (few.clone(), few.clone(), proptest::option::of(few.clone()))
            .prop_map(|(p, a, s)| Step::Pod(p, a, s)),
        few.clone().prop_map(Step::Gone),
        (few.clone(), few.clone(), few.clone()).prop_map(|(o, s, a)| Step::Object(o, s, a)),
        few.prop_map(Step::ObjectGone),
    ]
}

proptest! {
    /// Whatever happened on the way, the index says what a naive model says of the end, and so what a fresh
    /// index would say that saw the end alone.
    #[test]
    fn the_way_does_not_matter(steps in proptest::collection::vec(step(), 0..40)) {
        let mut bench = Bench::new();
        let (mut pods, mut objects) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            let change = match step {
                Step::Pod(p, a, s) => {
                    let service = s.map(|s| format!("s{s}"));
                    pods.insert(p, (a, service.clone()));
                    Change::Pod(Box::new(pod(p, &format!("a{a}"), service.as_deref())))
                }
                Step::Gone(p) => {
                    pods.remove(&p);
                    Change::PodGone(format!("u{p}").as_str().into())
                }
                Step::Object(o, s, a) => {
                    objects.insert(o, (format!("s{s}"), a));
                    Change::Registration(object(&format!("o{o}")), select(&format!("s{s}"), &format!("a{a}")))
                }
                Step::ObjectGone(o) => {
                    objects.remove(&o);
                    Change::RegistrationGone(object(&format!("o{o}")))
                }
            };
            bench.apply([change]);
        }
        let mut model: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (service, _) in objects.values() {
            model.entry(format!("{service}.shop")).or_default();
        }
        for (p, (a, own)) in &pods {
            let selected = objects.values().filter(|(_, app)| app == a).map(|(service, _)| service);
            for service in own.iter().chain(selected) {
                model.entry(format!("{service}.shop")).or_default().insert(format!("p{p}"));
            }
        }
        let seen: BTreeMap<_, BTreeSet<_>> = bench.snapshot.iter()
            .map(|(key, service)| (key.to_string(), service.instances.iter().filter_map(|i| i.pod.as_deref().map(str::to_owned)).collect()))
            .collect();
        prop_assert_eq!(seen, model);
    }
}
