//! Builders for the domain's tests: each gives something plain, of which a test changes what it is about.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use proptest::prelude::*;

use crate::{
    Addresses, Attributes, Instance, InstanceId, PodFacts, Policy, Port, Profile, Reason, Registration,
    Runtime, ServiceKey, Snapshot, Source, State, Step, Target, Update, Visibility,
    consolidate::{Member, Owner, Settings},
    limits::INSTANCES_MAX,
    liveness::{
        EndpointWitness, Intent, PodLife, PodWitness, ProbeWitness, RegistryHealth, SessionWitness, Witnesses,
    },
};

/// All is well.
pub(crate) const WELL: Witnesses = Witnesses {
    pod: PodWitness::Ready,
    endpoint: EndpointWitness::NoEndpoint,
    session: SessionWitness::Live,
    probe: ProbeWitness::Passing,
    intent: Intent::Stay,
    registry: RegistryHealth::Well,
};

pub(crate) fn address(number: u8) -> IpAddr {
    [10, 0, 0, number].into()
}

pub(crate) fn key(service: &str) -> ServiceKey {
    format!("{service}.shop").parse().unwrap()
}

pub(crate) fn pod(number: u8) -> PodFacts {
    PodFacts {
        uid: format!("uid-{number}").as_str().into(),
        namespace: "shop".parse().unwrap(),
        name: format!("orders-{number}").into(),
        node: Some("n1".into()),
        addresses: [address(number)].into(),
        labels: Arc::default(),
        has_sidecar: true,
        asks_to_drain: false,
        registration: None,
        life: PodLife::READY,
    }
}

pub(crate) fn member<'a>(pod: &'a PodFacts, registrations: &[&'a Registration]) -> Member<'a> {
    Member {
        owner: Owner::Pod(pod),
        endpoint: None,
        zone: None,
        registrations: registrations.to_vec(),
        witnesses: WELL,
        probes: Vec::new(),
    }
}

/// What the app says, or its annotations: both are of that pod alone.
pub(crate) fn own_word(source: Source, attributes: Attributes) -> Registration {
    let target = Target::Pod { name: "orders-1".into(), uid: "uid-1".into() };
    Registration { key: key("orders"), source, target, attributes, policy: None, visibility: None }
}

/// What the app says of its whole pod.
pub(crate) fn whole_word() -> Source {
    Source::Runtime { kind: Runtime::Whole, name: "self".into() }
}

/// What it says of one of several addresses.
pub(crate) fn each_word(name: &str) -> Source {
    Source::Runtime { kind: Runtime::Each, name: name.into() }
}

pub(crate) fn object(target: Target, created_ms: i64, name: &str, attributes: Attributes) -> Registration {
    let source = Source::Object { created_ms, name: name.into() };
    Registration { key: key("orders"), source, target, attributes, policy: None, visibility: None }
}

pub(crate) fn selector() -> Target {
    Target::Selector([("app", "orders")].into())
}

/// The four targets, the closest first.
pub(crate) fn targets() -> [Target; 4] {
    [
        Target::Pod { name: "orders-1".into(), uid: "uid-1".into() },
        selector(),
        Target::Service("orders".into()),
        Target::Addresses(Vec::new()),
    ]
}

pub(crate) fn named(name: &str, number: u16) -> Port {
    Port::tcp(Some(name), number)
}

pub(crate) fn unnamed(number: u16) -> Port {
    Port::tcp(None, number)
}

pub(crate) fn with_ports(ports: impl Into<Vec<Port>>) -> Attributes {
    Attributes { ports: ports.into(), ..Attributes::default() }
}

pub(crate) fn profile() -> Profile {
    Profile {
        port: 80,
        ports: [named("http", 80)].into(),
        version: None,
        weight: 100,
        tags: Default::default(),
        metadata: Default::default(),
    }
}

pub(crate) fn instance(number: u8) -> Instance {
    Instance {
        id: InstanceId::of_pod(&format!("uid-{number}").as_str().into(), 80),
        addresses: address(number).into(),
        zone: None,
        node: Some("n1".into()),
        pod: Some(format!("orders-{number}").into()),
        profile: Arc::new(profile()),
        state: State::Serving,
        reason: Reason::Ready,
        revision: 0,
    }
}

/// The snapshot after a step that was one.
pub(crate) fn after(step: Option<Step>) -> Snapshot {
    step.expect("something changed").snapshot
}

pub(crate) fn whole(service: &str, instances: impl Into<Vec<Instance>>) -> (ServiceKey, Update) {
    (key(service), Update::Whole { settings: Settings::default(), instances: instances.into() })
}

pub(crate) fn upsert(service: &str, upserts: impl Into<Vec<Instance>>) -> (ServiceKey, Update) {
    (key(service), Update::Part { settings: None, upserts: upserts.into(), removes: Vec::new() })
}

pub(crate) fn without_revision(instance: &Instance) -> Instance {
    Instance { revision: 0, ..instance.clone() }
}

// === Random histories ===

/// One thing that happens to one service, by the number of the service.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Gone(u8),
    Settings(u8, Settings),
    Put(u8, Instance),
    TakeOut(u8, InstanceId),
    /// All instances are these from now on.
    Replace(u8, Vec<Instance>),
}

/// What the clock shows, and what happens then, each with whether the service is told as a whole.
pub(crate) type Batch = (u64, Vec<(Event, bool)>);

pub(crate) const SERVICES: [&str; 3] = ["orders", "billing", "stock"];

/// UUIDs as Kubernetes writes them, what is nearly one, and anything else.
pub(crate) fn any_uid() -> impl Strategy<Value = String> {
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let like = "[0-3a-cA-C]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-g]{11,13}";
    prop_oneof![3 => uuid, 1 => like, 1 => "[0-9a-f-]{0,40}", 1 => "\\PC{0,40}"]
}

pub(crate) fn any_content() -> impl Strategy<Value = Instance> {
    let states = [
        (State::Serving, Reason::Ready),
        (State::Suspect, Reason::SessionQuiet),
        (State::Failing, Reason::SessionSilent),
        (State::Failing, Reason::ProbeRefused),
        (State::Draining, Reason::Terminating),
    ];
    // Silence is what the settling is about, so that it comes often.
    let states = prop_oneof![proptest::sample::select(states.to_vec()), Just(states[2].clone())];
    // The address is another than the number would give, so that the order changes too.
    let weights = prop_oneof![3 => Just(100), 1 => Just(0)];
    (0u8..5, 0u8..3, states, 0u8..2, weights).prop_map(|(number, home, (state, reason), version, weight)| {
        Instance {
            addresses: address(home).into(),
            profile: Arc::new(Profile {
                version: format!("1.{version}.0").parse().ok(),
                weight,
                ..profile()
            }),
            state,
            reason,
            ..instance(number)
        }
    })
}

pub(crate) fn any_settings() -> impl Strategy<Value = Settings> {
    let policies = proptest::sample::select(vec![Policy::Random, Policy::RoundRobin]);
    let seen = proptest::sample::select(vec![Visibility::Cluster, Visibility::own()]);
    (policies, seen).prop_map(|(policy, visibility)| Settings { policy, visibility })
}

fn any_event() -> impl Strategy<Value = Event> {
    let service = || 0u8..3;
    prop_oneof![
        1 => service().prop_map(Event::Gone),
        1 => (service(), any_settings()).prop_map(|(s, settings)| Event::Settings(s, settings)),
        6 => (service(), any_content()).prop_map(|(s, one)| Event::Put(s, one)),
        3 => (service(), 0u8..5).prop_map(|(s, number)| Event::TakeOut(s, instance(number).id)),
        2 => (service(), proptest::collection::vec(any_content(), 0..4)).prop_map(|(s, mut all)| {
            all.sort_by(|a, b| a.id.cmp(&b.id));
            all.dedup_by(|a, b| a.id == b.id);
            Event::Replace(s, all)
        }),
    ]
}

pub(crate) fn any_history(batches: usize) -> impl Strategy<Value = Vec<Batch>> {
    let events = proptest::collection::vec((any_event(), any::<bool>()), 1..4);
    proptest::collection::vec((0u64..60, events), 1..batches)
}

/// What is true of every service at one moment, as plainly as it can be held.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts(pub(crate) HashMap<ServiceKey, (Settings, BTreeMap<InstanceId, Instance>)>);

impl Facts {
    /// Makes it true, and says so as the whole service or as the part that changed.
    pub(crate) fn learn(&mut self, event: Event, as_whole: bool) -> Option<(ServiceKey, Update)> {
        let key = |number: u8| key(SERVICES[usize::from(number)]);
        let known: Vec<_> = self.0.keys().cloned().collect();
        let (service, settings, upserts, removes) = match event {
            Event::Gone(service) => {
                self.0.remove(&key(service));
                return Some((key(service), Update::Gone));
            }
            Event::Settings(service, settings) => {
                self.0.entry(key(service)).or_default().0 = settings.clone();
                (service, Some(settings), vec![], vec![])
            }
            Event::Put(service, instance) => {
                let instances = &mut self.0.entry(key(service)).or_default().1;
                instances.insert(instance.id.clone(), instance.clone());
                (service, None, vec![instance], vec![])
            }
            Event::TakeOut(service, id) => {
                let Some((_, instances)) = self.0.get_mut(&key(service)) else {
                    // Said all the same: what comes too late brings nothing back.
                    let late = Update::Part { settings: None, upserts: vec![], removes: vec![id] };
                    return Some((key(service), late));
                };
                instances.remove(&id);
                (service, None, vec![], vec![id])
            }
            Event::Replace(service, instances) => {
                let held = &mut self.0.entry(key(service)).or_default().1;
                // As careless as it may be said: an id that is both taken out and put in is in.
                let removes = held.keys().cloned().collect();
                *held = instances.iter().map(|one| (one.id.clone(), one.clone())).collect();
                (service, None, instances, removes)
            }
        };
        let key = key(service);
        if as_whole {
            let (settings, instances) = self.0[&key].clone();
            return Some((key, Update::Whole { settings, instances: instances.into_values().collect() }));
        }
        // What is new is said with its settings.
        let settings = settings.or_else(|| (!known.contains(&key)).then(|| self.0[&key].0.clone()));
        Some((key, Update::Part { settings, upserts, removes }))
    }

    /// What lookups must be told of a service: sorted, cut, the silent ones settled.
    pub(crate) fn expected(&self, key: &ServiceKey) -> Option<(Settings, Vec<Instance>)> {
        let (settings, instances) = self.0.get(key)?;
        let mut instances: Vec<_> = instances.values().cloned().collect();
        instances.sort_by_key(|one| (one.addresses.primary(), one.profile.port, one.id.clone()));
        instances.truncate(INSTANCES_MAX);
        let others_serve = instances.iter().any(|one| {
            let well = one.state == State::Serving
                || (one.state == State::Suspect && one.reason != Reason::SessionSilent);
            well && one.profile.weight > 0
        });
        for one in instances.iter_mut().filter(|one| one.reason == Reason::SessionSilent) {
            one.state = if others_serve { State::Failing } else { State::Suspect };
        }
        Some((settings.clone(), instances))
    }
}

/// Every state of a history, and the steps between them.
pub(crate) fn play(
    history: Vec<Batch>,
    as_whole: impl Fn(bool) -> bool,
) -> Vec<(Facts, Snapshot, Option<Step>)> {
    let mut facts = Facts::default();
    let mut snapshot = Snapshot::default();
    let mut states = Vec::new();
    for (now_ms, events) in history {
        let updates: Vec<_> =
            events.into_iter().filter_map(|(event, said)| facts.learn(event, as_whole(said))).collect();
        let step = snapshot.next(updates, now_ms);
        if let Some(step) = &step {
            snapshot = step.snapshot.clone();
        }
        states.push((facts.clone(), snapshot.clone(), step));
    }
    states
}

/// All that a snapshot tells, for comparing.
pub(crate) fn contents(snapshot: &Snapshot) -> BTreeMap<ServiceKey, Arc<crate::Service>> {
    snapshot.iter().map(|(key, service)| (key.clone(), service.clone())).collect()
}

/// Two addresses, one of each family.
pub(crate) fn dual_stack(number: u8) -> Addresses {
    Addresses::new(&[address(number), format!("fd00::{number}").parse().unwrap()]).unwrap()
}

/// A property of so many cases; more, or fewer, where PROPTEST_CASES asks for more, or fewer, than the usual 256.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = u64::from(usual) * u64::from(asked.cases) / 256;
    ProptestConfig { cases: u32::try_from(cases.max(1)).unwrap_or(u32::MAX), ..asked }
}
