//! The objects of the model, and what the controller's watches make of them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use rollcall_catalogue::{
    Attributes, PodFacts, PodUid, Port, Registration, ServiceKey, Source, Target, Visibility,
    liveness::{Phase, PodLife},
};
use rollcall_controller::index::{
    Change, Key, NamespaceFacts, NodeFacts, Object, ObjectKey, ServiceFacts, SliceEndpoint, SliceFacts,
    StatusDigest,
};

use super::node_name;
use crate::{agenda::Millis, network::NodeId};

/// Names a pod; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PodNo(pub(crate) u32);

/// Names a service by its place.
pub(crate) type ServiceNo = usize;

/// Says how a service comes to its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Its pods' annotations name it.
    Annotated,
    /// An object selects them.
    Selected,
    /// An object names a Service, whose slices have them.
    Through,
}

/// Holds a service as people declared it.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) key: ServiceKey,
    pub(crate) how: How,
    pub(crate) visibility: Option<Visibility>,
    pub(crate) registered: bool,
    /// Counts the changes of what is said of its instances.
    pub(crate) turn: u32,
    /// When it was changed last.
    pub(crate) since_ms: Millis,
}

/// Holds a node.
#[derive(Debug)]
pub(crate) struct Node {
    /// The node controller has lost sight of it.
    pub(crate) unknown: bool,
}

/// Holds a pod.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) service: ServiceNo,
    pub(crate) node: NodeId,
    pub(crate) sidecar: bool,
    pub(crate) address: IpAddr,
    /// Its app's containers are.
    pub(crate) ready: bool,
    pub(crate) deleting: bool,
    /// Its sidecar's container is; the slices know no difference.
    pub(crate) sidecar_ready: bool,
    /// Counts the changes of its annotations.
    pub(crate) turn: u32,
    /// When it was changed last.
    pub(crate) since_ms: Millis,
}

impl PodNo {
    pub(crate) fn uid(self) -> PodUid {
        format!("u{}", self.0).as_str().into()
    }

    pub(crate) fn name(self) -> String {
        format!("p{}", self.0)
    }
}

impl Named {
    /// An object stands for it now.
    pub(super) fn is_object(&self) -> bool {
        self.how != How::Annotated && self.registered
    }

    fn object_key(&self) -> ObjectKey {
        ObjectKey { namespace: self.key.namespace.clone(), name: self.key.service.as_str().into() }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        [("app".to_owned(), self.key.service.as_str().to_owned())].into()
    }
}

pub(super) fn pod(number: PodNo, pod: &Pod, named: &Named, node: &Node) -> Change {
    let annotated = named.how == How::Annotated && named.registered;
    let registration = annotated.then(|| {
        Arc::new(Registration {
            key: named.key.clone(),
            source: Source::Annotation,
            target: Target::Own,
            attributes: attributes(pod.turn + named.turn),
            policy: None,
            visibility: named.visibility.clone(),
        })
    });
    let facts = PodFacts {
        uid: number.uid(),
        namespace: named.key.namespace.clone(),
        name: number.name().into(),
        node: Some(node_name(pod.node)),
        addresses: [pod.address].into_iter().collect(),
        labels: Arc::new(named.labels().into_iter().collect()),
        has_sidecar: pod.sidecar,
        asks_to_drain: false,
        registration,
        life: PodLife {
            phase: Phase::Running,
            deleting: pod.deleting,
            // What the node controller infers of a node out of sight is not the kubelet's word.
            ready: pod.ready && !node.unknown,
            containers_ready: pod.ready,
        },
    };
    Change::Pod(Box::new(facts.into()))
}

pub(super) fn node(number: NodeId, node: &Node) -> Change {
    let facts =
        NodeFacts { zone: None, unknown: node.unknown, pod_ranges: Vec::new(), addresses: Vec::new() };
    Change::Node(node_name(number), facts)
}

pub(super) fn namespace(name: &str) -> Change {
    Change::Namespace(name.parse().unwrap(), NamespaceFacts::default())
}

pub(super) fn kube_service(named: &Named) -> Change {
    let facts = ServiceFacts {
        uid: format!("service-{}", named.key.service).into(),
        created_ms: 1,
        ports: vec![Port::tcp(Some("http"), 80)],
        addresses: Vec::new(),
        publishes_not_ready: false,
        adoptable: true,
    };
    Change::Service(named.object_key(), Box::new(facts))
}

/// The object that registers a service, or that it is gone.
pub(super) fn registration(named: &Named) -> Change {
    let key = named.object_key();
    if !named.is_object() {
        return Change::Gone(Key::Registration(key));
    }
    let app = named.key.service.as_str();
    let (target, attributes) = match named.how {
        How::Through => {
            (Target::Service(app.into()), Attributes { ports: Vec::new(), ..attributes(named.turn) })
        }
        How::Selected | How::Annotated => (Target::Selector([("app", app)].into()), attributes(named.turn)),
    };
    let registration = Registration {
        key: named.key.clone(),
        source: Source::Object { created_ms: 1, name: app.into() },
        target,
        attributes,
        policy: None,
        visibility: named.visibility.clone(),
    };
    let object = Object {
        app: None,
        uid: format!("object-{app}").into(),
        generation: i64::from(named.turn),
        managed: false,
        told: StatusDigest::default(),
        registration: Ok(Arc::new(registration)),
    };
    Change::Registration(key, Box::new(object))
}

pub(super) fn slice(named: &Named, endpoints: Vec<SliceEndpoint>) -> Change {
    let key = named.object_key();
    let facts =
        SliceFacts { service: key.name.clone(), ports: vec![Port::tcp(Some("http"), 8080)], endpoints };
    Change::Slice(key, Box::new(facts))
}

pub(super) fn endpoint(number: PodNo, pod: &Pod, node: &Node) -> SliceEndpoint {
    SliceEndpoint {
        addresses: [pod.address].into_iter().collect(),
        pod: Some(number.uid()),
        zone: None,
        node: Some(node_name(pod.node)),
        ready: pod.ready && !pod.deleting && pod.sidecar_ready && !node.unknown,
        terminating: pod.deleting,
    }
}

/// What differs from turn to turn can be seen in the metadata.
fn attributes(turn: u32) -> Attributes {
    Attributes {
        ports: vec![Port::tcp(Some("http"), 8080)],
        metadata: [("turn".to_owned(), turn.to_string())].into(),
        ..Attributes::default()
    }
}
