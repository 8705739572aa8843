//! Registrations of one owner become its instance.

use std::hint::black_box;

use rollcall_catalogue::{
    Attributes, PodFacts, Port, Registration, Runtime, ServiceKey, Source, Target,
    consolidate::{Member, Owner, Profiles, consolidate},
    liveness::{
        EndpointWitness, Intent, PodLife, PodWitness, ProbeWitness, RegistryHealth, SessionWitness, Witnesses,
    },
};
use rollcall_counts::{Path, shop};

const WITNESSES: Witnesses = Witnesses {
    pod: PodWitness::Ready,
    endpoint: EndpointWitness::NoEndpoint,
    session: SessionWitness::Live,
    probe: ProbeWitness::Passing,
    intent: Intent::Stay,
    registry: RegistryHealth::Well,
};

pub(crate) fn paths() -> Vec<Path> {
    let sizes = [1, 4].into_iter();
    let path = |count: usize| {
        Path::new(format!("consolidate/{count}"), 256, move |_| {
            let key = shop::key(0)?;
            let registrations: Vec<_> = sources()
                .into_iter()
                .zip(1u16..)
                .take(count)
                .map(|((source, target), number)| registration(&key, source, target, number))
                .collect::<Result<_, _>>()?;
            let pod = pod(&key)?;
            let mut profiles = Profiles::default();
            Ok(Box::new(move |_| {
                let member = Member {
                    owner: Owner::Pod(&pod),
                    endpoint: None,
                    zone: pod.node.clone(),
                    registrations: registrations.iter().collect(),
                    witnesses: WITNESSES,
                    probes: Vec::new(),
                };
                let (consolidated, findings) = consolidate(black_box(&member), &mut profiles);
                black_box((&consolidated, findings));
                consolidated.len() == 1
            }))
        })
    };
    sizes.map(path).collect()
}

/// From the one that is the usual one to those that come beside it.
fn sources() -> [(Source, Target); 4] {
    let object = |name: &str| Source::Object { created_ms: 1, name: name.into() };
    let selector = || Target::Selector([("app", "orders")].into());
    [
        (Source::Annotation, Target::Own),
        (object("by-team"), selector()),
        (Source::Runtime { kind: Runtime::Whole, name: "orders".into() }, Target::Own),
        (object("by-platform"), selector()),
    ]
}

/// Each says something of its own beside what all say.
fn registration(
    key: &ServiceKey,
    source: Source,
    target: Target,
    number: u16,
) -> anyhow::Result<Registration> {
    let attributes = Attributes {
        version: Some("1.4.2".parse()?),
        ports: vec![
            Port::tcp(Some("http"), 8_080),
            Port::tcp(Some(&format!("extra-{number}")), 9_000 + number),
        ],
        tags: ["blue".to_owned(), format!("tag-{number}")].into(),
        metadata: [("team".to_owned(), "payments".to_owned()), (format!("key-{number}"), "x".to_owned())]
            .into(),
        ..Attributes::default()
    };
    Ok(Registration { key: key.clone(), source, target, attributes, policy: None, visibility: None })
}

fn pod(key: &ServiceKey) -> anyhow::Result<PodFacts> {
    Ok(PodFacts {
        uid: shop::uid(1).as_str().into(),
        namespace: key.namespace.clone(),
        name: "order-service-0-7c9d8f6b5d-00001".into(),
        node: Some("node-1".into()),
        addresses: [[10, 0, 0, 1].into()].into(),
        labels: std::sync::Arc::default(),
        has_sidecar: true,
        asks_to_drain: false,
        registration: None,
        life: PodLife::READY,
    })
}
