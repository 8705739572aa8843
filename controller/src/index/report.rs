//! What the index has to say to people, by way of Kubernetes: statuses, managed registrations, Events.

use std::{collections::BTreeMap, sync::Arc};

use rollcall_catalogue::{
    Instance, PodUid, Port, Registration, ServiceKey, ValueError, Version, liveness::Witnesses,
};
use rollcall_crds::Finding;

use crate::index::{ObjectKey, StatusDigest};

/// Holds what is true of one `ServiceRegistration` now.
#[derive(Debug, Clone)]
pub struct Report {
    pub object: ObjectKey,
    pub uid: Arc<str>,
    pub generation: i64,
    /// One for each condition.
    pub findings: Vec<Finding>,
    pub serving: u32,
    pub total: u32,
    /// In the catalogue's order; the first [`REPORTED_MAX`].
    pub instances: Vec<Arc<Instance>>,
    pub truncated: bool,
    /// What the object's status says.
    pub told: StatusDigest,
}

/// Instances that a status lists, as the schema bounds them: more would make each write of it as large as a slice.
pub const REPORTED_MAX: usize = 100;

/// Holds the registrations that we write ourselves, so that people see with `kubectl` what the catalogue has without
/// them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Managed {
    pub wanted: BTreeMap<ObjectKey, ManagedSpec>,
    /// Those that there are. One of a name that is wanted and was written by a person is in neither.
    pub present: BTreeMap<ObjectKey, Present>,
}

/// Holds a managed registration that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub uid: Arc<str>,
    /// Its target is a Service, or what an app has said: nobody waits for that to come back.
    pub at_once: bool,
    /// What it says; none where that is not valid.
    pub registration: Option<Arc<Registration>>,
    /// What an app had said, where it keeps that.
    pub app: Option<Arc<Registration>>,
}

/// Holds what a managed registration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedSpec {
    pub service: ServiceKey,
    pub origin: Origin,
}

/// Says what a managed registration stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The pods of one version of a service that registered themselves by their annotations. The object's selector is
    /// their label `rollcall.dev/service`.
    Pods { version: Option<Version>, ports: Vec<Port> },
    /// A Service of a namespace that adopts them, which owns the object.
    Service { name: Arc<str>, uid: Arc<str> },
    /// What the app of a pod registered at run time; the pod owns the object.
    App { pod: Arc<str>, uid: PodUid, word: Arc<Registration> },
}

/// Holds what a person should hear of once, as an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub about: About,
    pub reason: NoticeReason,
    pub message: String,
}

/// Says which object an Event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    Pod {
        object: ObjectKey,
        uid: Arc<str>,
    },
    Registration {
        object: ObjectKey,
        uid: Arc<str>,
    },
    /// The Lease that all replicas share. Only those who hold it know its uid.
    Lease {
        object: ObjectKey,
    },
}

/// Says what happened; the words are those of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeReason {
    AnnotationInvalid,
    RegistrationRefused,
    InstanceLost,
    MassLossGuard,
    InjectionSkipped,
    RequiresTimedOut,
    AppFailing,
}

/// Holds an instance and what its verdict came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    pub instance: Arc<Instance>,
    /// Lookups that ask for nothing special answer with it.
    pub served: bool,
    /// When it came into its state, in milliseconds since 1970 of this machine's clock; none where it was in it
    /// before this process saw it.
    pub since_ms: Option<u64>,
    pub witnesses: Witnesses,
    /// What the annotations of its pod say that makes no sense.
    pub problems: Box<[ValueError]>,
}

// === impl NoticeReason ===

impl NoticeReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnnotationInvalid => "AnnotationInvalid",
            Self::RegistrationRefused => "RegistrationRefused",
            Self::InstanceLost => "InstanceLost",
            Self::MassLossGuard => "MassLossGuard",
            Self::InjectionSkipped => "InjectionSkipped",
            Self::RequiresTimedOut => "RequiresTimedOut",
            Self::AppFailing => "AppFailing",
        }
    }
}
