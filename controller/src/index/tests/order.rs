//! Whatever happened on the way, and in whatever order, the index says what one says that saw the end alone.

use proptest::prelude::*;
use rollcall_catalogue::{ContentHash, ServiceName};
use rollcall_injection::{Exemption, Namespaces, Wish};
use rollcall_wire::{HealthOf, RegistrationKey, SelfRegistration};

use super::{pods::nothing_stays_behind, *};

/// The world that events tell of: the last word on each object.
pub(super) type World = BTreeMap<Key, Change>;

fn pods() -> impl Strategy<Value = (Key, Change)> {
    let own = proptest::option::of(0u8..2);
    let wish = prop::sample::select(vec![Wish::Asked, Wish::Declined, Wish::None]);
    let exemption = prop::sample::select(vec![None, None, Some(Exemption::HostNetwork)]);
    let injection = (wish, exemption).prop_map(|(wish, exemption)| InjectionFacts { wish, exemption });
    (1u8..4, 0u8..2, own, any::<bool>(), 0u8..4, 1u8..4, injection, any::<bool>()).prop_map(
        |(number, app, own, ready, life, address, injection, has_sidecar)| {
            let service = own.map(|own| format!("s{own}"));
            let mut pod = pod(number, &format!("a{app}"), service.as_deref());
            pod.facts.addresses = (life != 2).then(|| ip(address)).into_iter().collect();
            pod.facts.life.ready = ready;
            pod.facts.life.deleting = life == 1;
            if life == 3 {
                pod.facts.life.phase = rollcall_catalogue::liveness::Phase::Succeeded;
            }
            pod.facts.node = Some(format!("n{}", address % 2).into());
            (pod.injection, pod.facts.has_sidecar) = (injection, has_sidecar);
            (Key::Pod(pod.facts.uid.clone()), seen(pod))
        },
    )
}

fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        (0u8..2).prop_map(|app| select(&format!("a{app}"))),
        (0u8..2).prop_map(|service| Target::Service(format!("k{service}").into())),
        (1u8..4)
            .prop_map(|n| Target::Pod { name: format!("p{n}").into(), uid: format!("u{n}").as_str().into() }),
        (1u8..4, 1u8..4).prop_map(|(inside, out)| {
            let one = |address| StaticAddress { address, zone: None };
            Target::Addresses(vec![one(ip(inside)), one([198, 51, 100, out].into())])
        }),
    ]
}

fn objects() -> impl Strategy<Value = (Key, Change)> {
    (0u8..4, 0u8..2, targets(), 0u8..5).prop_map(|(number, service, target, kind)| {
        let name = format!("o{number}");
        let mut object = object(&name, &format!("s{service}"), target);
        object.managed = kind == 0;
        if kind == 1 {
            object.registration = refused(&name).registration;
        }
        (Key::Registration(named(&name)), Change::Registration(named(&name), Box::new(object)))
    })
}

fn kube_services() -> impl Strategy<Value = (Key, Change)> {
    (0u8..2, any::<bool>(), any::<bool>(), 1u8..6).prop_map(
        |(number, adoptable, publishes_not_ready, address)| {
            let name = named(&format!("k{number}"));
            let addresses = vec![ip(address)];
            let facts = ServiceFacts { adoptable, publishes_not_ready, addresses, ..service_facts() };
            (Key::Service(name.clone()), Change::Service(name, Box::new(facts)))
        },
    )
}

fn slices() -> impl Strategy<Value = (Key, Change)> {
    let endpoints = proptest::collection::vec((1u8..5, any::<bool>(), 0u8..3), 0..4);
    (0u8..3, 0u8..2, endpoints).prop_map(|(number, service, endpoints)| {
        let endpoints = endpoints.into_iter().map(|(number, ready, kind)| {
            let mut endpoint = endpoint(number);
            (endpoint.ready, endpoint.terminating) = (ready, kind == 1);
            if kind == 2 {
                endpoint.pod = None;
                endpoint.addresses.push([198, 51, 100, number].into());
            }
            endpoint
        });
        let name = format!("slice{number}");
        let change = slice(&name, &format!("k{service}"), endpoints.collect());
        (Key::Slice(named(&name)), change)
    })
}

fn others() -> impl Strategy<Value = (Key, Change)> {
    let node =
        (0u8..2, any::<bool>(), any::<bool>(), 1u8..9).prop_map(|(number, unknown, ranged, address)| {
            let name: Arc<str> = format!("n{number}").into();
            let pod_ranges = if ranged { vec!["10.0.0.0/30".parse().unwrap()] } else { vec![] };
            // One of those that pods, Services and registrations have, or none of theirs.
            let addresses = vec![ip(address)];
            let facts = NodeFacts { zone: Some(format!("z{number}").into()), unknown, pod_ranges, addresses };
            (Key::Node(name.clone()), Change::Node(name, facts))
        });
    let labelled = (any::<bool>(), any::<bool>()).prop_map(|(adopts_services, injects)| {
        let name = namespace("shop");
        (Key::Namespace(name.clone()), Change::Namespace(name, NamespaceFacts { adopts_services, injects }))
    });
    prop_oneof![node, labelled]
}

/// Says what the session of a pod brings.
#[derive(Debug, Clone)]
pub(super) enum Word {
    /// Another process of the sidecar has this to say first, or the same one.
    Opens {
        anew: bool,
        registrations: BTreeSet<OwnKey>,
    },
    Ends,
    Registers(OwnKey),
    Deregisters(OwnKey),
    Health(Option<OwnKey>, ProbeWitness),
    Drains(bool),
}

/// Names what an app registers: one of its services, and the port of an address that stands beside others.
pub(super) type OwnKey = (u8, Option<u16>);

/// Holds what a pod has said that counts now.
#[derive(Debug, Clone, Default)]
struct Spoken {
    is_open: bool,
    process: u8,
    registrations: BTreeSet<OwnKey>,
    /// By the process that speaks now.
    named: BTreeSet<OwnKey>,
    health: BTreeMap<Option<OwnKey>, ProbeWitness>,
    drains: bool,
}

/// Of an app's own services one is also an object's.
fn own_service(number: u8) -> ServiceName {
    format!("s{}", number + 1).parse().unwrap()
}

fn own_registration(key: &OwnKey) -> SelfRegistration {
    let (service, port) = (own_service(key.0), key.1.unwrap_or(1));
    let said = serde_json::json!({"service": service, "ports": [{"port": port}], "beside": key.1.is_some()});
    serde_json::from_value(said).unwrap()
}

fn own_key(key: OwnKey) -> RegistrationKey {
    RegistrationKey { service: own_service(key.0), port: key.1.map(u32::from) }
}

fn health_of(key: OwnKey) -> HealthOf {
    HealthOf { service: own_service(key.0), port: key.1 }
}

pub(super) fn words() -> impl Strategy<Value = (PodUid, Word)> {
    let probe = || {
        use ProbeWitness::*;
        prop::sample::select(vec![NotAsked, Passing, Dead, SaysFailing])
    };
    let own = || (0u8..2, proptest::option::of(1u16..4));
    let registrations = || proptest::collection::btree_set(own(), 0..3);
    let word = prop_oneof![
        3 => (any::<bool>(), registrations())
            .prop_map(|(anew, registrations)| Word::Opens { anew, registrations }),
        1 => Just(Word::Ends),
        3 => own().prop_map(Word::Registers),
        1 => own().prop_map(Word::Deregisters),
        2 => (proptest::option::of(own()), probe()).prop_map(|(of, probe)| Word::Health(of, probe)),
        1 => any::<bool>().prop_map(Word::Drains),
    ];
    (1u8..4, word).prop_map(|(number, word)| (format!("u{number}").as_str().into(), word))
}

/// What this process of a sidecar says first, in its session of this number.
pub(super) fn hello(process: u8, sequence: u64, registrations: &BTreeSet<OwnKey>) -> Hello {
    let registrations = registrations.iter().map(own_registration).collect();
    Hello { incarnation: process.to_string(), sequence, registrations }
}

/// Sessions bring nothing that takes time here: all of it happens at one moment.
const NOW_MS: u64 = 1;

impl Spoken {
    fn opens(&self, index: &mut Index, uid: &PodUid, registrations: &BTreeSet<OwnKey>) {
        let hello = hello(self.process, 1, registrations);
        assert_eq!(index.open_session(uid, &hello, NOW_MS), Some(Opening::Open(vec![])));
    }

    /// With an address that stood beside others goes what was said of it.
    fn forgets<'a>(&mut self, gone: impl IntoIterator<Item = &'a OwnKey>) {
        for key in gone {
            self.registrations.remove(key);
            self.named.remove(key);
            if key.1.is_some() {
                self.health.remove(&Some(*key));
            }
        }
    }

    /// The same as all that was said, in an index that heard nothing yet.
    fn retold(&self, index: &mut Index, uid: &PodUid) {
        self.opens(index, uid, &self.registrations);
        for (of, probe) in &self.health {
            index.app_health(uid, of.map(health_of), *probe);
        }
        index.app_drains(uid, self.drains);
        if !self.is_open {
            index.session_ended(uid, NOW_MS, true, NOW_MS);
        }
    }
}

/// A word comes, if there is anybody to say it.
fn say(index: &mut Index, spoken: &mut BTreeMap<PodUid, Spoken>, uid: &PodUid, word: Word) {
    if index.pod(uid).is_none() {
        return;
    }
    if let Word::Opens { anew, registrations } = word {
        let said = spoken.entry(uid.clone()).or_default();
        (said.process, said.is_open) = (said.process + u8::from(anew), true);
        said.opens(index, uid, &registrations);
        let named = std::mem::take(&mut said.named);
        let left_out: BTreeSet<_> = named.difference(&registrations).filter(|_| !anew).copied().collect();
        said.forgets(&left_out);
        said.registrations.extend(&registrations);
        if anew {
            // What it is not, it is not well or ill; which words are left shows where it is that again.
            let left = index.words_on_parts(uid);
            let is_left = |of: &OwnKey| left.contains(&health_of(*of));
            said.health.retain(|of, _| of.is_none_or(|of| is_left(&of)));
        }
        said.named = registrations;
        return;
    }
    let Some(said) = spoken.get_mut(uid).filter(|said| said.is_open) else { return };
    tell(index, uid, &word);
    match word {
        Word::Opens { .. } => {}
        Word::Ends => said.is_open = false,
        Word::Registers(key) => {
            said.registrations.insert(key);
            said.named.insert(key);
        }
        Word::Deregisters(key) => {
            if said.registrations.contains(&key) {
                said.forgets([&key]);
            }
        }
        Word::Health(of, probe) => drop(said.health.insert(of, probe)),
        Word::Drains(drains) => said.drains = drains,
    }
}

/// The pod's session says it.
pub(super) fn tell(index: &mut Index, uid: &PodUid, word: &Word) {
    match word {
        Word::Opens { .. } => {}
        Word::Ends => index.session_ended(uid, NOW_MS, true, NOW_MS),
        Word::Registers(key) => index.app_registers(uid, &own_registration(key)).unwrap(),
        Word::Deregisters(key) => index.app_deregisters(uid, &own_key(*key)),
        Word::Health(of, probe) => index.app_health(uid, of.map(health_of), *probe),
        Word::Drains(drains) => index.app_drains(uid, *drains),
    }
}

#[derive(Debug, Clone)]
enum Event {
    Seen(Key, Option<Change>),
    Said(PodUid, Word),
}

/// An object as it is now, or that it is gone.
pub(super) fn event_of_kubernetes() -> impl Strategy<Value = (Key, Option<Change>)> {
    let seen = prop_oneof![4 => pods(), 3 => objects(), 2 => kube_services(), 3 => slices(), 1 => others()];
    (seen, 0u8..4).prop_map(|((key, change), gone)| (key, (gone > 0).then_some(change)))
}

fn event() -> impl Strategy<Value = Event> {
    let seen = event_of_kubernetes().prop_map(|(key, change)| Event::Seen(key, change));
    prop_oneof![3 => seen, 1 => words().prop_map(|(uid, word)| Event::Said(uid, word))]
}

pub(super) fn lists(world: &World, backwards: bool) -> Vec<Change> {
    let mut kinds = Kind::ALL.to_vec();
    if backwards {
        kinds.reverse();
    }
    let mut changes = Vec::new();
    for kind in kinds {
        changes.push(Change::ListBegins(kind));
        changes.extend(world.iter().filter(|(key, _)| key.kind() == kind).map(|(_, change)| change.clone()));
        changes.push(Change::ListEnds(kind));
    }
    changes
}

/// All that an index says to anyone, its own numbers left out.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    services: BTreeMap<String, (ContentHash, Vec<String>)>,
    reports: Vec<String>,
    managed: Managed,
    outside: Vec<(OutsideId, rollcall_catalogue::ProbeSpec, u16)>,
    without_sidecar: WithoutSidecar,
}

/// An index that knows nothing yet.
pub(super) fn empty() -> Index {
    Index::default().expecting_sidecars(Namespaces::default(), namespace("rollcall-system"))
}

pub(super) fn said(index: &mut Index) -> Said {
    index.report_all();
    let report = |report: Report| {
        let instances: Vec<_> = report.instances.iter().map(|instance| instance.id.to_string()).collect();
        format!(
            "{} {:?} {}/{} {instances:?}",
            report.object.name, report.findings, report.serving, report.total
        )
    };
    let names = services(&index.published);
    let mut reports: Vec<_> = index.take_reports(usize::MAX).into_iter().map(report).collect();
    // They stand in the order in which they came.
    reports.sort();
    let hash = |(key, lines): (String, Vec<String>)| {
        let service = index.published.get(&key.parse().unwrap()).unwrap();
        (key, (service.hash, lines))
    };
    Said {
        services: names.into_iter().map(hash).collect(),
        reports,
        managed: index.managed(),
        outside: index.outside.values().cloned().map(|one| (one.id, one.probe, one.port)).collect(),
        without_sidecar: index.without_sidecar(),
    }
}

fn fresh(world: &World, spoken: &BTreeMap<PodUid, Spoken>, backwards: bool) -> Said {
    let mut index = empty();
    lists(world, backwards).into_iter().for_each(|change| {
        index.apply(change);
    });
    spoken.iter().for_each(|(uid, spoken)| spoken.retold(&mut index, uid));
    index.advance(1);
    said(&mut index)
}

proptest! {
    #[test]
    fn the_way_does_not_matter(
        events in proptest::collection::vec((event(), any::<bool>()), 0..60), listed_after in 0usize..20,
    ) {
        let (mut bench, mut world) = (Bench { index: empty(), now_ms: 1 }, World::new());
        let mut spoken = BTreeMap::new();
        for (nth, (event, publishes)) in events.into_iter().enumerate() {
            if nth == listed_after {
                bench.apply(lists(&world, false));
            }
            match event {
                Event::Seen(key, change) => {
                    match change.clone() {
                        Some(change) => world.insert(key.clone(), change),
                        None => world.remove(&key),
                    };
                    bench.index.apply(change.unwrap_or(Change::Gone(key)));
                    spoken.retain(|uid, _| bench.index.pod(uid).is_some());
                }
                Event::Said(uid, word) => say(&mut bench.index, &mut spoken, &uid, word),
            }
            prop_assert!(bench.index.pods_know_their_places());
            if publishes {
                bench.publish();
            }
        }
        if !bench.index.complete() {
            bench.apply(lists(&world, true));
        }
        bench.publish();
        let at_the_end = said(&mut bench.index);
        prop_assert_eq!(&at_the_end, &fresh(&world, &spoken, false));
        prop_assert_eq!(&at_the_end, &fresh(&world, &spoken, true));
        // A list that says what is known changes nothing, and one that is empty leaves nothing behind.
        bench.index.apply(Change::ListBegins(Kind::Pod));
        for change in lists(&world, true) {
            prop_assert!(!bench.index.apply(change.clone()), "no news: {change:?}");
        }
        prop_assert!(bench.step().is_none());
        bench.apply(lists(&World::new(), false));
        nothing_stays_behind(&bench);
    }
}
