//! Helpers of the index's tests, which stand beside this file by subject.

mod addresses;
mod adoption;
mod crowd;
mod failing;
mod hearings;
mod lookout;
mod order;
mod pods;
mod reporting;
mod said;
mod sessions;
mod sharing;
mod slices;
mod trio;
mod unheard;
mod written;

use rollcall_catalogue::{
    Instance, PodFacts, Port, Registration, Source, StaticAddress, Step, Target, liveness::PodLife,
};

pub(super) use super::testing::{attributes, named, object, outside, registered};
use super::*;

pub(super) fn namespace(name: &str) -> Namespace {
    name.parse().unwrap()
}

pub(super) fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

pub(super) fn ip(number: u8) -> std::net::IpAddr {
    [10, 0, 0, number].into()
}

/// A ready pod without a sidecar, `p1` of namespace shop, at 10.0.0.1.
pub(super) fn pod(number: u8, app: &str, annotated: Option<&str>) -> PodSeen {
    let registration = |service: &str| Registration {
        key: key(&format!("{service}.shop")),
        source: Source::Annotation,
        target: Target::Own,
        attributes: attributes(),
        policy: None,
        visibility: None,
    };
    let facts = PodFacts {
        uid: format!("u{number}").as_str().into(),
        namespace: namespace("shop"),
        name: format!("p{number}").into(),
        node: None,
        addresses: [ip(number)].into(),
        labels: Arc::new([("app".to_owned(), app.to_owned())].into()),
        has_sidecar: false,
        asks_to_drain: false,
        registration: annotated.map(|service| Arc::new(registration(service))),
        life: PodLife::READY,
    };
    PodSeen { turned_ms: Some(1_000), ..facts.into() }
}

pub(super) fn seen(pod: PodSeen) -> Change {
    Change::Pod(Box::new(pod))
}

pub(super) fn gone_pod(number: u8) -> Change {
    Change::Gone(Key::Pod(format!("u{number}").as_str().into()))
}

/// What the conversion says of an object that the API server never gives.
pub(super) fn refused(name: &str) -> Object {
    let nameless = serde_json::json!({"metadata": {"name": name}, "spec": {"target": {}}});
    let nameless = serde_json::from_value(nameless).unwrap();
    Object {
        registration: rollcall_crds::registration(&nameless).map(Arc::new),
        ..object(name, name, select("a"))
    }
}

pub(super) fn select(app: &str) -> Target {
    Target::Selector([("app", app)].into())
}

pub(super) fn service_facts() -> ServiceFacts {
    ServiceFacts {
        uid: "service-uid".into(),
        created_ms: 7,
        ports: vec![Port::tcp(Some("web"), 80), Port::tcp(Some("admin"), 81)],
        addresses: vec![[10, 96, 0, 1].into()],
        publishes_not_ready: false,
        adoptable: true,
    }
}

pub(super) fn service(name: &str) -> Change {
    Change::Service(named(name), Box::new(service_facts()))
}

/// A ready endpoint of pod `p1` at its own address.
pub(super) fn endpoint(number: u8) -> SliceEndpoint {
    SliceEndpoint {
        addresses: vec![ip(number)],
        pod: Some(format!("u{number}").as_str().into()),
        zone: Some("a".into()),
        node: Some("n1".into()),
        ready: true,
        terminating: false,
    }
}

pub(super) fn slice(name: &str, service: &str, endpoints: Vec<SliceEndpoint>) -> Change {
    // Not in the Service's order.
    let ports = vec![Port::tcp(Some("admin"), 9090), Port::tcp(Some("web"), 8080)];
    Change::Slice(named(name), Box::new(SliceFacts { service: service.into(), ports, endpoints }))
}

pub(super) fn namespace_adopts(adopts_services: bool) -> Change {
    Change::Namespace(namespace("shop"), NamespaceFacts { adopts_services, ..NamespaceFacts::default() })
}

pub(super) fn node_facts() -> NodeFacts {
    NodeFacts { zone: None, unknown: false, pod_ranges: Vec::new(), addresses: Vec::new() }
}

pub(super) fn node(zone: Option<&str>, unknown: bool) -> Change {
    Change::Node("n1".into(), NodeFacts { zone: zone.map(Into::into), unknown, ..node_facts() })
}

/// Holds an index that has listed everything, and what follows from it.
pub(super) struct Bench {
    pub(super) index: Index,
    now_ms: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::allowing(Vec::new())
    }

    pub(super) fn allowing(ranges: Vec<IpNet>) -> Self {
        let mut index = Index::allowing(ranges);
        for kind in Kind::ALL {
            assert!(!index.complete());
            index.apply(Change::ListBegins(kind));
            index.apply(Change::ListEnds(kind));
        }
        assert!(index.complete());
        Self { index, now_ms: 1 }
    }

    pub(super) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
    ) -> BTreeMap<String, Vec<String>> {
        changes.into_iter().for_each(|change| {
            self.index.apply(change);
        });
        self.publish()
    }

    pub(super) fn publish(&mut self) -> BTreeMap<String, Vec<String>> {
        self.step();
        services(&self.index.published)
    }

    pub(super) fn step(&mut self) -> Option<Step> {
        self.now_ms += 1;
        self.index.advance(self.now_ms)
    }

    pub(super) fn instance(&self, service: &str) -> Arc<Instance> {
        let service = self.index.published.get(&key(service)).unwrap();
        assert_eq!(service.instances.len(), 1);
        service.instances.iter().next().unwrap().clone()
    }
}

/// The instances of each service, each with its address and its reason.
pub(super) fn services(snapshot: &Snapshot) -> BTreeMap<String, Vec<String>> {
    let line = |instance: &Arc<Instance>| {
        let name = instance.pod.as_deref().map_or_else(|| instance.address().to_string(), str::to_owned);
        format!("{name}:{} {}", instance.profile.port, instance.reason)
    };
    snapshot
        .iter()
        .map(|(key, service)| (key.to_string(), service.instances.iter().map(line).collect()))
        .collect()
}

pub(super) fn expect(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let line = |(name, lines): &(&str, &[&str])| {
        (format!("{name}.shop"), lines.iter().map(|line| (*line).to_owned()).collect())
    };
    pairs.iter().map(line).collect()
}
