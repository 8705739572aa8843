//! What the watches tell the index: small facts of Kubernetes' objects, mapped at their arrival.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use rollcall_catalogue::{Namespace, PodFacts, PodUid, Port, Registration, ValueError};
use rollcall_crds::SpecErrors;
use rollcall_injection::{Exemption, Wish};

/// Holds the name of an object within its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub namespace: Namespace,
    pub name: Arc<str>,
}

/// Names what is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Pod,
    Registration,
    Service,
    Slice,
    Namespace,
    Node,
}

/// Holds the identity of one object of any kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Pod(PodUid),
    Registration(ObjectKey),
    Service(ObjectKey),
    Slice(ObjectKey),
    Namespace(Namespace),
    Node(Arc<str>),
}

/// Says what a watch saw. A list is told as begin, one by one, end: what is known and was not in it is gone.
#[derive(Debug, Clone)]
pub enum Change {
    ListBegins(Kind),
    Pod(Box<PodSeen>),
    Registration(ObjectKey, Box<Object>),
    Service(ObjectKey, Box<ServiceFacts>),
    Slice(ObjectKey, Box<SliceFacts>),
    Namespace(Namespace, NamespaceFacts),
    Node(Arc<str>, NodeFacts),
    /// It is there, but cannot be read: what is known of it stays.
    Unreadable(Key),
    Gone(Key),
    ListEnds(Kind),
}

/// Holds a pod as the watch saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSeen {
    pub facts: PodFacts,
    /// When it came into its present life, by its own words: the deletion, or the last turn of its readiness. In
    /// milliseconds since 1970, of the clock of whoever wrote it; for a measurement only.
    pub turned_ms: Option<u64>,
    /// What its annotations say that makes no sense.
    pub problems: Vec<ValueError>,
    pub injection: InjectionFacts,
    /// What its init container `rollcall-requires` left behind where it gave up: one line of printable characters, as long as
    /// an Event takes.
    pub gave_up: Option<Box<str>>,
    /// A container of its app has one, so that Kubernetes restarts it.
    pub has_liveness_probe: bool,
}

/// Holds what of a pod decides whether it is to have a sidecar, besides the word of its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InjectionFacts {
    /// What its own annotation says.
    pub wish: Wish,
    /// Why it can have none.
    pub exemption: Option<Exemption>,
}

/// Holds a `ServiceRegistration`.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub uid: Arc<str>,
    pub generation: i64,
    /// We wrote it ourselves, for people to see: it makes a service known, and says nothing of its instances.
    pub managed: bool,
    /// What its status says, so that one which says what is true already is not written again.
    pub told: StatusDigest,
    pub registration: Result<Arc<Registration>, SpecErrors>,
    /// What an app had said, where we wrote it to keep that.
    pub app: Option<AppWord>,
}

/// Holds what the app of a pod registered at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppWord {
    pub uid: PodUid,
    pub word: Arc<Registration>,
}

/// Holds what a status says, its times left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StatusDigest(pub u64);

/// Holds what is kept of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFacts {
    pub uid: Arc<str>,
    pub created_ms: i64,
    /// By the names that its EndpointSlices use, in its own order; the numbers are the Service's, not the pods'.
    pub ports: Vec<Port>,
    /// What it is reached by, from within the cluster and from outside.
    pub addresses: Vec<IpAddr>,
    /// `publishNotReadyAddresses`.
    pub publishes_not_ready: bool,
    /// Not opted out by `rollcall.dev/adopt: "false"`, and not of a type that has no endpoints.
    pub adoptable: bool,
}

/// Holds what is kept of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceFacts {
    /// The Service that it is a part of.
    pub service: Arc<str>,
    pub ports: Vec<Port>,
    pub endpoints: Vec<SliceEndpoint>,
}

/// Holds one endpoint of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceEndpoint {
    pub addresses: Vec<IpAddr>,
    /// The pod that it claims to be.
    pub pod: Option<PodUid>,
    pub zone: Option<Arc<str>>,
    pub node: Option<Arc<str>>,
    pub ready: bool,
    pub terminating: bool,
}

/// Holds what is kept of a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Every Service of it is a registration: the label `rollcall.dev/adopt-services: enabled`.
    pub adopts_services: bool,
    /// Every pod of it asks for a sidecar: the label `rollcall.dev/inject: enabled`.
    pub injects: bool,
}

/// Holds what is kept of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    pub zone: Option<Arc<str>>,
    /// Its `Ready` condition is Unknown: Kubernetes has lost sight of it.
    pub unknown: bool,
    /// What its pods' addresses are from.
    pub pod_ranges: Vec<IpNet>,
    /// Its own, which its kubelet and the pods of its network listen at.
    pub addresses: Vec<IpAddr>,
}

// === impl PodSeen ===

/// A pod of which nothing else is to be said.
impl From<PodFacts> for PodSeen {
    fn from(facts: PodFacts) -> Self {
        Self {
            facts,
            turned_ms: None,
            problems: Vec::new(),
            injection: InjectionFacts::default(),
            gave_up: None,
            has_liveness_probe: false,
        }
    }
}

impl Default for InjectionFacts {
    fn default() -> Self {
        Self { wish: Wish::None, exemption: None }
    }
}

// === impl Kind ===

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Pod, Self::Registration, Self::Service, Self::Slice, Self::Namespace, Self::Node];

    /// As Kubernetes calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Registration => "ServiceRegistration",
            Self::Service => "Service",
            Self::Slice => "EndpointSlice",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
        }
    }
}

// === impl Change ===

impl Change {
    pub fn kind(&self) -> Kind {
        match self {
            Self::ListBegins(kind) | Self::ListEnds(kind) => *kind,
            Self::Unreadable(key) | Self::Gone(key) => key.kind(),
            Self::Pod(_) => Kind::Pod,
            Self::Registration(..) => Kind::Registration,
            Self::Service(..) => Kind::Service,
            Self::Slice(..) => Kind::Slice,
            Self::Namespace(..) => Kind::Namespace,
            Self::Node(..) => Kind::Node,
        }
    }
}

// === impl Key ===

impl Key {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Pod(_) => Kind::Pod,
            Self::Registration(_) => Kind::Registration,
            Self::Service(_) => Kind::Service,
            Self::Slice(_) => Kind::Slice,
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
        }
    }
}
