//! A pod's turn, from what the watch saw of it to the next snapshot.

use std::{hint::black_box, sync::Arc};

use rollcall_catalogue::{
    Attributes, Namespace, PodFacts, Port, Registration, Source, Target, liveness::PodLife,
};
use rollcall_controller::index::{
    Change, Index, Kind, NamespaceFacts, NodeFacts, Object, ObjectKey, StatusDigest,
};
use rollcall_counts::{Path, Work, shop};

/// Services of the index, and instances of each.
const SERVICES: usize = 50;
const INSTANCES: usize = 20;
const NODES: usize = 10;

/// Says how the pods of the index are registered.
#[derive(Clone, Copy)]
enum Registered {
    ByAnnotation,
    BySelector,
}

pub(crate) fn paths() -> Vec<Path> {
    vec![
        Path::new("apply/pod/annotated", 512, |turns| pods(turns, Registered::ByAnnotation)),
        Path::new("apply/pod/selected", 512, |turns| pods(turns, Registered::BySelector)),
    ]
}

/// A pod is not ready any more, and is again; each time another pod, of another service.
fn pods(turns: usize, registered: Registered) -> anyhow::Result<Work> {
    let mut index = Index::default();
    for kind in Kind::ALL {
        index.apply(Change::ListBegins(kind));
        for change in listed(kind, registered)? {
            index.apply(change);
        }
        index.apply(Change::ListEnds(kind));
    }
    anyhow::ensure!(index.advance(1).is_some(), "nothing of it is listed");
    let turn = |turn: usize| {
        let (service, number) = (turn / 2 % SERVICES, turn / 2 / SERVICES % INSTANCES);
        pod(service * INSTANCES + number, turn % 2 == 1, registered).map(Some)
    };
    let mut changes = (0..turns).map(turn).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Box::new(move |turn| {
        let Some(change) = changes.get_mut(turn).and_then(Option::take) else { return false };
        index.apply(change) && black_box(index.advance(turn as u64 + 2)).is_some()
    }))
}

/// All that there is of a kind.
fn listed(kind: Kind, registered: Registered) -> anyhow::Result<Vec<Change>> {
    match kind {
        Kind::Pod => (0..SERVICES * INSTANCES).map(|number| pod(number, true, registered)).collect(),
        Kind::Node => Ok((0..NODES).map(node).collect()),
        Kind::Namespace => Ok(vec![Change::Namespace(namespace()?, NamespaceFacts::default())]),
        Kind::Registration => match registered {
            Registered::ByAnnotation => Ok(Vec::new()),
            Registered::BySelector => (0..SERVICES).map(object).collect(),
        },
        Kind::Service | Kind::Slice => Ok(Vec::new()),
    }
}

fn namespace() -> anyhow::Result<Namespace> {
    Ok("shop".parse()?)
}

fn node(number: usize) -> Change {
    let zone = Some(format!("zone-{}", number % 3).into());
    let facts = NodeFacts { zone, unknown: false, pod_ranges: Vec::new(), addresses: Vec::new() };
    Change::Node(format!("node-{number}").into(), facts)
}

fn registration(service: usize, source: Source, target: Target) -> anyhow::Result<Arc<Registration>> {
    let attributes = Attributes {
        version: Some("1.4.2".parse()?),
        ports: vec![Port::tcp(Some("http"), 8_080), Port::tcp(Some("grpc"), 9_090)],
        tags: ["blue".to_owned()].into(),
        metadata: [("team".to_owned(), "payments".to_owned())].into(),
        ..Attributes::default()
    };
    let (key, policy, visibility) = (shop::key(service)?, None, None);
    Ok(Arc::new(Registration { key, source, target, attributes, policy, visibility }))
}

fn object(service: usize) -> anyhow::Result<Change> {
    let name = format!("order-service-{service}");
    let labels = [("app.kubernetes.io/name", name.clone())];
    let source = Source::Object { created_ms: 1, name: name.as_str().into() };
    let object = Object {
        app: None,
        uid: format!("object-{service}").into(),
        generation: 1,
        managed: false,
        told: StatusDigest::default(),
        registration: Ok(registration(service, source, Target::Selector(labels.into()))?),
    };
    Ok(Change::Registration(ObjectKey { namespace: namespace()?, name: name.into() }, Box::new(object)))
}

/// With the labels of a usual chart.
fn pod(number: usize, ready: bool, registered: Registered) -> anyhow::Result<Change> {
    let service = number / INSTANCES;
    let word = match registered {
        Registered::ByAnnotation => Some(registration(service, Source::Annotation, Target::Own)?),
        Registered::BySelector => None,
    };
    let labels = [
        ("app.kubernetes.io/name", format!("order-service-{service}")),
        ("app.kubernetes.io/instance", "production".to_owned()),
        ("app.kubernetes.io/version", "1.4.2".to_owned()),
        ("app.kubernetes.io/managed-by", "Helm".to_owned()),
        ("pod-template-hash", format!("7c9d8f6b{service:02x}")),
    ];
    let address = (0x0a00_0000 + u32::try_from(number)?).to_be_bytes();
    let facts = PodFacts {
        uid: shop::uid(number).as_str().into(),
        namespace: namespace()?,
        name: format!("order-service-{service}-7c9d8f6b5d-{number:05x}").into(),
        node: Some(format!("node-{}", number % NODES).into()),
        addresses: [address.into()].into(),
        labels: Arc::new(labels.into()),
        has_sidecar: word.is_some(),
        asks_to_drain: false,
        registration: word,
        life: PodLife { ready, ..PodLife::READY },
    };
    Ok(Change::Pod(Box::new(facts.into())))
}
