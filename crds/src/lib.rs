//! The resource that people write: `ServiceRegistration`, its schema, and its way into the catalogue.
//!
//! The schema refuses what is wrong already at `kubectl apply --dry-run=server`, with messages that name the field
//! and the remedy; the conversion checks again, because an object may be older than the schema.

mod convert;
#[allow(clippy::unwrap_used, unreachable_pub, reason = "in what kube's derive macros write")]
mod resource;
mod yaml;

pub use convert::{SpecError, registration};
pub use resource::{
    Port, Selector, ServiceRegistration, ServiceRegistrationSpec, ServiceRegistrationStatus, Target,
};
pub use yaml::{CRD_FILE, YamlError, crd_yaml};
