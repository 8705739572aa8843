//! A cluster's worth of services, built as the controller does it: pods and registrations, consolidated.

use std::sync::Arc;

use rollcall_catalogue::{
    Attributes, Instance, Namespace, PodFacts, Port, Registration, ServiceKey, Snapshot, Source, Step,
    Target, Update,
    consolidate::{Member, Owner, Profiles, Settings, consolidate},
    liveness::{
        EndpointWitness, Intent, PodLife, PodWitness, ProbeWitness, RegistryHealth, SessionWitness, Witnesses,
    },
};

/// Holds how many services there are, and how many instances each of them has.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) services: u32,
    pub(crate) instances: u32,
}

/// Holds what many pods have in common, once, as the controller's index does.
pub(crate) struct Fleet {
    shape: Shape,
    namespace: Namespace,
    nodes: Vec<Arc<str>>,
    zones: Vec<Arc<str>>,
}

pub(crate) const WELL: Witnesses = Witnesses {
    pod: PodWitness::Ready,
    endpoint: EndpointWitness::NoEndpoint,
    session: SessionWitness::Live,
    probe: ProbeWitness::Passing,
    intent: Intent::Stay,
    registry: RegistryHealth::Well,
};

/// One app of the service refuses connections.
pub(crate) const DEAD: Witnesses = Witnesses { probe: ProbeWitness::Dead, ..WELL };

// === impl Fleet ===

impl Fleet {
    pub(crate) fn new(shape: Shape) -> Self {
        let names = |of: &str, count| (0..count).map(|n| format!("{of}-{n:03}").into()).collect();
        let namespace = parsed("production");
        Self { shape, namespace, nodes: names("node-pool-a", 500), zones: names("eu-central-1", 3) }
    }

    pub(crate) fn key(&self, service: u32) -> ServiceKey {
        ServiceKey { namespace: self.namespace.clone(), service: parsed(&format!("order-service-{service}")) }
    }

    /// What an operator declared for a service.
    pub(crate) fn registration(&self, service: u32) -> Registration {
        Registration {
            key: self.key(service),
            source: Source::Object { created_ms: 1, name: "orders".into() },
            target: Target::Selector([("app", "orders")].into()),
            attributes: Attributes {
                version: Some(parsed("1.14.2")),
                ports: vec![Port::tcp(Some("http"), 8_080)],
                ..Attributes::default()
            },
            policy: None,
            visibility: None,
        }
    }

    pub(crate) fn pod(&self, service: u32, number: u32) -> PodFacts {
        let serial = service * self.shape.instances + number;
        let uid = format!("{serial:08x}-7d3f-4c7e-9a51-{:012x}", u64::from(serial) * 7_919);
        PodFacts {
            uid: uid.as_str().into(),
            namespace: self.namespace.clone(),
            name: format!("order-service-{service}-7c9d8f6b5d-{number:05x}").into(),
            node: self.nodes.get(serial as usize % self.nodes.len()).cloned(),
            addresses: [(0x0a00_0000 + serial).to_be_bytes().into()].into(),
            labels: Arc::default(),
            has_sidecar: true,
            asks_to_drain: false,
            registration: None,
            life: PodLife::READY,
        }
    }

    /// The instances of a pod, as its witnesses have them.
    pub(crate) fn instances(
        &self,
        pod: &PodFacts,
        registration: &Registration,
        witnesses: Witnesses,
        profiles: &mut Profiles,
    ) -> Vec<Instance> {
        let zone = pod.node.as_ref().and_then(|node| self.zones.get(node.len() % self.zones.len())).cloned();
        let registrations = vec![registration];
        let owner = Owner::Pod(pod);
        let member = Member { owner, endpoint: None, zone, registrations, witnesses, probes: Vec::new() };
        consolidate(&member, profiles).0.into_iter().map(|one| one.instance).collect()
    }

    /// All of one service.
    pub(crate) fn whole(&self, service: u32, profiles: &mut Profiles) -> (ServiceKey, Update) {
        let registration = self.registration(service);
        let of = |number| self.instances(&self.pod(service, number), &registration, WELL, profiles);
        let instances = (0..self.shape.instances).flat_map(of).collect();
        (self.key(service), Update::Whole { settings: Settings::default(), instances })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let all = (0..self.shape.services).map(|service| self.whole(service, &mut Profiles::default()));
        Snapshot::default().next(all, 1).map(|step| step.snapshot).unwrap_or_default()
    }

    /// The step after these are the witnesses of one instance of a service.
    pub(crate) fn step(&self, snapshot: &Snapshot, service: u32, witnesses: Witnesses, now_ms: u64) -> Step {
        let (registration, pod) = (self.registration(service), self.pod(service, self.shape.instances / 2));
        let upserts = self.instances(&pod, &registration, witnesses, &mut Profiles::default());
        let update = Update::Part { settings: None, upserts, removes: Vec::new() };
        #[expect(clippy::expect_used, reason = "a benchmark in which nothing happens is none")]
        snapshot.next([(registration.key, update)], now_ms).expect("its state flips")
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    #[expect(clippy::expect_used, reason = "a benchmark without its names is none")]
    text.parse().expect("a good name")
}
