use rollcall_catalogue::{Reason, State, liveness::ProbeWitness};
use rollcall_wire::peer::OutsideWord;

use super::{pods::nothing_stays_behind, *};

/// An endpoint of nobody's pod.
fn stray(address: std::net::IpAddr) -> SliceEndpoint {
    SliceEndpoint {
        addresses: vec![address],
        pod: None,
        zone: None,
        node: None,
        ready: true,
        terminating: false,
    }
}

#[test]
fn an_address_outside_is_served_once_it_answered() {
    let mut bench = Bench::new();
    bench.apply([registered("db", outside(&[7]))]);
    assert_eq!(bench.instance("db.shop").reason, Reason::NotProbedYet);
    let targets = bench.index.take_outside().unwrap();
    assert_eq!((targets.len(), targets[0].port), (1, 8080));
    assert!(bench.index.take_outside().is_none(), "nothing new");
    bench.index.probed(&targets[0].id, ProbeWitness::Passing);
    assert_eq!(bench.publish(), expect(&[("db", &["198.51.100.7:8080 Ready"])]));
    bench.index.probed(&targets[0].id, ProbeWitness::Dead);
    bench.publish();
    let down = bench.instance("db.shop");
    assert_eq!(
        (down.state, &down.reason),
        (State::Failing, &Reason::ProbeFailed),
        "down, and no more is told"
    );
    let late = targets[0].id.clone();
    bench.apply([registered("db", outside(&[8]))]);
    assert_eq!(bench.index.take_outside().unwrap().len(), 1);
    bench.index.probed(&late, ProbeWitness::Passing);
    assert_eq!(bench.publish(), expect(&[("db", &["198.51.100.8:8080 NotProbedYet"])]));
    bench.apply([Change::Gone(Key::Registration(named("db")))]);
    assert_eq!(bench.index.take_outside().unwrap().len(), 0);
    nothing_stays_behind(&bench);
}

#[test]
fn an_address_that_was_gone_and_is_back_is_asked_anew() {
    let mut bench = Bench::new();
    let target = |bench: &mut Bench| bench.index.take_outside().unwrap()[0].clone();
    bench.apply([registered("db", outside(&[7]))]);
    let first = target(&mut bench);
    let mut slower = object("db", "db", outside(&[7]));
    let registration = Arc::make_mut(slower.registration.as_mut().unwrap());
    registration.attributes.ports = vec![Port::tcp(Some("http"), 9090)];
    bench.apply([Change::Registration(named("db"), Box::new(slower))]);
    let changed = target(&mut bench);
    assert_eq!((changed.epoch, changed.port), (first.epoch, 9090), "it was never gone");
    bench.apply([Change::Gone(Key::Registration(named("db")))]);
    bench.apply([registered("db", outside(&[7]))]);
    assert!(target(&mut bench).epoch > first.epoch);
}

fn word(address: u8, probe: ProbeWitness) -> OutsideWord {
    OutsideWord { service: key("db.shop"), address: [198, 51, 100, address].into(), probe }
}

#[test]
fn what_another_replica_was_answered_counts_until_we_ask_ourselves() {
    use ProbeWitness::{Dead, Passing, Unwell};
    let mut bench = Bench::new();
    bench.apply([registered("db", outside(&[7]))]);
    let id = bench.index.take_outside().unwrap()[0].id.clone();
    let told = |bench: &mut Bench, probe| {
        bench.index.outside_told(vec![word(7, probe)], false, 2);
        bench.publish();
        bench.instance("db.shop").reason.clone()
    };
    assert_eq!(told(&mut bench, Passing), Reason::Ready);
    assert_eq!(told(&mut bench, Dead), Reason::ProbeFailed, "up or down, and no more");
    // We hold the Lease now: what was known stays until we know better, and nobody else does.
    bench.index.asks_outside(true);
    bench.publish();
    assert_eq!(bench.instance("db.shop").reason, Reason::ProbeFailed);
    assert_eq!(told(&mut bench, Passing), Reason::ProbeFailed);
    bench.index.probed(&id, Passing);
    bench.publish();
    assert_eq!(*bench.index.take_answers().unwrap(), [word(7, Passing)]);
    assert_eq!(bench.index.take_answers(), None);
    // And no longer.
    bench.index.asks_outside(false);
    bench.publish();
    assert_eq!(bench.instance("db.shop").reason, Reason::Ready, "a change of who asks changes nothing");
    assert_eq!(told(&mut bench, Unwell), Reason::ProbeFailed);
    bench.apply([Change::Gone(Key::Registration(named("db")))]);
    assert_eq!(*bench.index.take_answers().unwrap(), []);
}

#[test]
fn an_answer_that_comes_before_its_registration_waits_for_it() {
    let mut bench = Bench::new();
    let both = vec![word(7, ProbeWitness::Passing), word(8, ProbeWitness::Passing)];
    bench.index.outside_told(both, false, 2);
    // All that is known there: 8 is not.
    bench.index.outside_told(vec![word(7, ProbeWitness::Passing)], true, 3);
    assert_eq!(bench.index.take_answers(), None);
    let now = bench.apply([registered("db", outside(&[7, 8]))]);
    let expected = &["198.51.100.7:8080 Ready", "198.51.100.8:8080 NotProbedYet"][..];
    assert_eq!(now, expect(&[("db", expected)]), "at once");
    assert_eq!(*bench.index.take_answers().unwrap(), [word(7, ProbeWitness::Passing)]);
    assert!(bench.step().is_none());
}

#[test]
fn an_address_that_nobody_may_ask_is_believed() {
    let mut bench = Bench::new();
    let mut silent = object("db", "db", outside(&[7]));
    let registration = Arc::make_mut(silent.registration.as_mut().unwrap());
    registration.attributes.probe = Some(rollcall_catalogue::Probing::Off);
    bench.apply([Change::Registration(named("db"), Box::new(silent))]);
    assert_eq!(bench.instance("db.shop").reason, Reason::Ready);
    assert!(bench.index.take_outside().is_none());
}

#[test]
fn what_the_cluster_gave_out_is_refused_while_it_has() {
    let mut bench = Bench::new();
    let listed = Target::Addresses(vec![StaticAddress { address: ip(1), zone: None }]);
    let served = |bench: &Bench| bench.index.published.get(&key("db.shop")).unwrap().instances.len();
    bench.apply([registered("db", listed)]);
    assert_eq!(served(&bench), 1, "nobody else has it");
    bench.apply([seen(pod(1, "a", None))]);
    assert_eq!(served(&bench), 0, "a pod has got it since");
    bench.apply([gone_pod(1)]);
    assert_eq!(served(&bench), 1);
    let mut takes = service_facts();
    takes.addresses = vec![ip(1)];
    bench.apply([Change::Service(named("web"), Box::new(takes))]);
    assert_eq!(served(&bench), 0);
    bench.apply([Change::Gone(Key::Service(named("web")))]);
    let ranges = vec!["10.0.0.0/24".parse().unwrap()];
    bench.apply([Change::Node("n1".into(), NodeFacts { pod_ranges: ranges, ..node_facts() })]);
    assert_eq!(served(&bench), 0);
    let itself = NodeFacts { addresses: vec![ip(9), ip(1)], ..node_facts() };
    bench.apply([Change::Node("n1".into(), itself.clone())]);
    assert_eq!(served(&bench), 0);
    bench.apply([Change::Node("n1".into(), NodeFacts { addresses: vec![ip(9)], ..itself })]);
    assert_eq!(served(&bench), 1);
    bench.apply([Change::Gone(Key::Node("n1".into())), Change::Gone(Key::Registration(named("db")))]);
    nothing_stays_behind(&bench);
}

#[test]
fn pods_of_a_nodes_own_network_are_pods_and_its_address_without_one_is_refused() {
    let mut bench = Bench::new();
    let its_own = NodeFacts { addresses: vec![ip(1)], ..node_facts() };
    let orders = registered("orders", Target::Service("web".into()));
    bench.apply([Change::Node("n1".into(), its_own), seen(pod(1, "a", None)), orders]);
    let found = bench.apply([slice("s1", "web", vec![endpoint(1)])]);
    assert_eq!(found, expect(&[("orders", &["p1:9090 Ready"])]));
    assert_eq!(bench.apply([slice("s1", "web", vec![stray(ip(1))])]), expect(&[("orders", &[])]));
    let selecting = registered("selected", select("a"));
    let both = expect(&[("orders", &[]), ("selected", &["p1:8080 Ready"])]);
    assert_eq!(bench.apply([selecting]), both);
}

#[test]
fn a_range_that_the_operator_allows_is_taken() {
    let mut bench = Bench::allowing(vec!["10.0.0.0/24".parse().unwrap()]);
    let listed = Target::Addresses(vec![StaticAddress { address: ip(1), zone: Some("b".into()) }]);
    bench.apply([seen(pod(1, "a", None)), registered("db", listed)]);
    assert_eq!(bench.instance("db.shop").zone.as_deref(), Some("b"));
}

#[test]
fn an_ended_pod_lends_nobody_its_address() {
    let mut bench = Bench::new();
    let mut ended = pod(1, "a", None);
    ended.facts.life.phase = rollcall_catalogue::liveness::Phase::Succeeded;
    let mut foreign = pod(2, "a", None);
    foreign.facts.namespace = namespace("bank");
    foreign.facts.addresses = [ip(1)].into();
    let orders = registered("orders", Target::Service("web".into()));
    let slice = slice("s1", "web", vec![stray(ip(1))]);
    assert_eq!(bench.apply([orders, seen(ended), seen(foreign.clone()), slice]), expect(&[("orders", &[])]));
    // Nor does one that shares it.
    let mut sharing = foreign;
    (sharing.facts.uid, sharing.facts.namespace) = ("u3".into(), namespace("shop"));
    assert_eq!(bench.apply([seen(sharing)]), expect(&[("orders", &[])]));
}

#[test]
fn of_an_endpoint_without_a_pod_the_first_address_counts() {
    let mut two = stray([198, 51, 100, 1].into());
    two.addresses.push(ip(2));
    let mut bench = Bench::new();
    bench.apply([registered("orders", Target::Service("web".into())), slice("s1", "web", vec![two])]);
    assert_eq!(bench.instance("orders.shop").addresses.iter().count(), 1);
}

#[test]
fn a_hand_made_slice_leads_nowhere_but_to_what_is_its_namespaces() {
    let mut bench = Bench::new();
    let mut foreign = pod(2, "a", None);
    foreign.facts.namespace = namespace("other");
    let claims_foreign = endpoint(2);
    let mut forged = endpoint(1);
    forged.addresses = vec![ip(2)];
    let api_server = SliceFacts {
        service: "kubernetes".into(),
        ports: Vec::new(),
        endpoints: vec![stray([192, 0, 2, 1].into())],
    };
    let kubernetes = ObjectKey { namespace: namespace("default"), name: "kubernetes".into() };
    bench.apply([
        registered("orders", Target::Service("web".into())),
        seen(pod(1, "a", None)),
        seen(foreign),
        Change::Slice(kubernetes, Box::new(api_server)),
    ]);
    let endpoints = vec![
        claims_foreign,
        forged,
        stray(ip(2)),
        stray([127, 0, 0, 1].into()),
        stray([192, 0, 2, 1].into()),
        stray([203, 0, 113, 9].into()),
    ];
    let seen_now = bench.apply([slice("s1", "web", endpoints)]);
    assert_eq!(seen_now, expect(&[("orders", &["p1:9090 Ready", "203.0.113.9:9090 Ready"])]));
    let service = bench.index.published.get(&key("orders.shop")).unwrap().clone();
    let mut addresses = service.instances.iter().map(|instance| instance.address());
    assert_eq!(addresses.next(), Some(ip(1)), "the pod's own address, whatever the slice says");
}
