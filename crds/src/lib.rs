//! The resource that people write: `ServiceRegistration`, its schema, and its way into the catalogue.
//!
//! The schema refuses what is wrong already at `kubectl apply --dry-run=server`, with messages that name the
//! field and the remedy; the conversion checks again, because an object may be older than the schema.

mod condition;
mod convert;
mod errors;
mod manifest;
#[allow(clippy::unwrap_used, unreachable_pub, reason = "in what kube's derive macros write")]
mod resource;
mod rules;
mod yaml;

pub use condition::{Accepted, ConditionReason, ConditionType, Finding, Holds, Ready, Resolved, conditions};
pub use convert::{registration, registration_for};
pub use errors::{SpecError, SpecErrors};
pub use manifest::{Problem, Read, What, manifests};
pub use resource::{
    GrpcProbe, Heartbeat, HttpProbe, InstanceStatus, LabelRequirement, LabelSelector, LoadBalancing,
    PodTarget, Port, Probe, ServiceRegistration, ServiceRegistrationSpec, ServiceRegistrationStatus,
    ServiceTarget, StaticAddress, Target, TcpProbe, Visibility,
};
pub use yaml::{CRD_FILE, YamlError, crd_yaml};
