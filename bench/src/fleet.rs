//! A cluster as the watches would tell of it.

use std::{net::IpAddr, sync::Arc};

use rollcall_catalogue::{
    Attributes, Namespace, PodFacts, Port, Registration, ServiceKey, Source, Target, liveness::PodLife,
};
use rollcall_controller::index::{
    Change, Kind, NamespaceFacts, NodeFacts, Object, ObjectKey, ServiceFacts, SliceEndpoint, SliceFacts,
    StatusDigest,
};

/// Instances of each service.
pub(crate) const INSTANCES: u32 = 20;
/// Services of each namespace.
const SERVICES: u32 = 50;
const NODES: u32 = 100;
pub(crate) const VERSION: &str = "1.4.2";

/// Services are registered in so many ways, one after the other.
pub(crate) const WAYS: u32 = 3;

/// Who registers a service, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Annotations,
    Selector,
    Service,
}

/// Holds how many instances the cluster has. A third of its services is registered by the pods' annotations, a third
/// by a selector, and a third is adopted from Services.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fleet {
    pub(crate) instances: u32,
}

impl By {
    pub(crate) fn of(service: u32) -> Self {
        match service % WAYS {
            0 => Self::Annotations,
            1 => Self::Selector,
            _ => Self::Service,
        }
    }
}

impl Fleet {
    /// All first lists.
    pub(crate) fn lists(self) -> impl Iterator<Item = Change> {
        Kind::ALL.into_iter().flat_map(move |kind| {
            let objects: Box<dyn Iterator<Item = Change>> = match kind {
                Kind::Pod => Box::new((0..self.instances).map(|pod| pod_seen(pod, true))),
                Kind::Node => Box::new((0..NODES).map(node)),
                Kind::Namespace => Box::new((0..=self.services() / SERVICES).map(|number| {
                    Change::Namespace(
                        namespace(number * SERVICES),
                        NamespaceFacts { adopts_services: true, ..NamespaceFacts::default() },
                    )
                })),
                Kind::Registration => {
                    Box::new((0..self.services()).filter(|n| By::of(*n) == By::Selector).map(registration))
                }
                Kind::Service => {
                    Box::new((0..self.services()).filter(|n| By::of(*n) == By::Service).map(service))
                }
                Kind::Slice => Box::new(
                    (0..self.services()).filter(|n| By::of(*n) == By::Service).map(|n| slice(n, None)),
                ),
            };
            std::iter::once(Change::ListBegins(kind)).chain(objects).chain([Change::ListEnds(kind)])
        })
    }

    pub(crate) fn services(self) -> u32 {
        self.instances.div_ceil(INSTANCES)
    }
}

fn namespace(service: u32) -> Namespace {
    let name = format!("namespace-{}", service / SERVICES);
    name.parse().unwrap_or_else(|error| unreachable!("{error}"))
}

pub(crate) fn key(service: u32) -> ServiceKey {
    let text = format!("order-service-{service}.{}", namespace(service));
    text.parse().unwrap_or_else(|error| unreachable!("{error}"))
}

fn name(service: u32) -> Arc<str> {
    format!("order-service-{service}").into()
}

pub(crate) fn uid(pod: u32) -> String {
    format!("{pod:08x}-7d3f-4c7e-9a51-{:012x}", u64::from(pod) * 7_919)
}

pub(crate) fn pod_name(pod: u32) -> String {
    format!("order-service-{}-7c9d8f6b5d-{pod:05x}", pod / INSTANCES)
}

pub(crate) fn address(pod: u32) -> IpAddr {
    (0x0a00_0000 + pod).to_be_bytes().into()
}

fn attributes() -> Attributes {
    Attributes {
        version: VERSION.parse().ok(),
        ports: vec![Port::tcp(Some("http"), 8080), Port::tcp(Some("grpc"), 9090)],
        tags: ["blue".to_owned()].into(),
        metadata: [("team".to_owned(), "payments".to_owned())].into(),
        ..Attributes::default()
    }
}

/// A pod with the labels of a usual chart, of the service that its number says.
pub(crate) fn pod_seen(pod: u32, ready: bool) -> Change {
    let service = pod / INSTANCES;
    let word = service.is_multiple_of(3).then(|| {
        Arc::new(Registration {
            key: key(service),
            source: Source::Annotation,
            target: Target::Own,
            attributes: attributes(),
            policy: None,
            visibility: None,
        })
    });
    let labels = [
        ("app.kubernetes.io/name", format!("order-service-{service}")),
        ("app.kubernetes.io/instance", "production".to_owned()),
        ("app.kubernetes.io/version", VERSION.to_owned()),
        ("app.kubernetes.io/managed-by", "Helm".to_owned()),
        ("pod-template-hash", format!("7c9d8f6b{service:02x}")),
    ];
    let facts = PodFacts {
        uid: uid(pod).as_str().into(),
        namespace: namespace(service),
        name: pod_name(pod).into(),
        node: Some(format!("node-{}", pod % NODES).into()),
        addresses: [address(pod)].into(),
        labels: Arc::new(labels.into()),
        has_sidecar: service.is_multiple_of(3),
        asks_to_drain: false,
        registration: word,
        life: PodLife { ready, ..PodLife::READY },
    };
    Change::Pod(Box::new(facts.into()))
}

fn node(number: u32) -> Change {
    let facts = NodeFacts {
        zone: Some(format!("zone-{}", number % 3).into()),
        unknown: false,
        pod_ranges: Vec::new(),
        addresses: Vec::new(),
    };
    Change::Node(format!("node-{number}").into(), facts)
}

fn registration(service: u32) -> Change {
    let labels = [("app.kubernetes.io/name", format!("order-service-{service}"))];
    let registration = Registration {
        key: key(service),
        source: Source::Object { created_ms: 1, name: (&*name(service)).into() },
        target: Target::Selector(labels.into()),
        attributes: attributes(),
        policy: None,
        visibility: None,
    };
    let object = Object {
        app: None,
        uid: format!("object-{service}").into(),
        generation: 1,
        managed: false,
        told: StatusDigest::default(),
        registration: Ok(Arc::new(registration)),
    };
    Change::Registration(object_key(service), Box::new(object))
}

fn object_key(service: u32) -> ObjectKey {
    ObjectKey { namespace: namespace(service), name: name(service) }
}

fn service(number: u32) -> Change {
    let facts = ServiceFacts {
        uid: format!("service-{number}").into(),
        created_ms: 1,
        ports: vec![Port::tcp(Some("http"), 80), Port::tcp(Some("grpc"), 90)],
        addresses: vec![(0x0b00_0000 + number).to_be_bytes().into()],
        publishes_not_ready: false,
        adoptable: true,
    };
    Change::Service(object_key(number), Box::new(facts))
}

/// The slice of a service, with one pod in it that is not ready.
pub(crate) fn slice(service: u32, unready: Option<u32>) -> Change {
    let endpoint = |pod: u32| SliceEndpoint {
        addresses: vec![address(pod)],
        pod: Some(uid(pod).as_str().into()),
        zone: Some(format!("zone-{}", pod % NODES % 3).into()),
        node: Some(format!("node-{}", pod % NODES).into()),
        ready: unready != Some(pod),
        terminating: false,
    };
    let pods = service * INSTANCES..(service + 1) * INSTANCES;
    let facts = SliceFacts {
        service: name(service),
        ports: vec![Port::tcp(Some("grpc"), 9090), Port::tcp(Some("http"), 8080)],
        endpoints: pods.map(endpoint).collect(),
    };
    let name = format!("order-service-{service}-x7k2p").into();
    Change::Slice(ObjectKey { namespace: namespace(service), name }, Box::new(facts))
}
