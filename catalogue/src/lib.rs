//! Rollcall's domain: what a service is, which instances it has, and which of them may be looked up.
//!
//! ```text
//!  PodFacts, EndpointFacts ──┐   Witnesses ──► liveness: verdict, guard
//!                            ├─ Member ─► consolidate ─► Instance{profile, state, reason}
//!  Registration ─────────────┘                               │
//!                                          Snapshot::next ◄──┘ Update per service
//!                                             │      └──► Delta ─► Ring
//!                                             ▼
//!                               Service{revision, hash} ◄── Query ── balance
//! ```
//!
//! Everything here is a value or a function: no tokio, no kube, no sockets, and no clock. Time comes in as an
//! argument, so that the same events give the same catalogue on every replica.

mod address;
pub mod balance;
pub mod changes;
pub mod consolidate;
mod endpoint;
mod few;
mod instance;
mod instance_id;
mod instance_json;
pub mod limits;
pub mod liveness;
mod names;
mod needs;
mod pod;
mod pod_uid;
mod query;
mod registration;
mod snapshot;
mod state;
mod tags;
#[cfg(test)]
mod testing;
mod texts;
mod uuid;
mod version;

pub use address::{Reach, refusal};
pub use balance::Policy;
pub use endpoint::EndpointFacts;
pub use few::Few;
pub use instance::{Addresses, Instance, Profile, REVISION_END, revision};
pub use instance_id::InstanceId;
pub use instance_json::write_instances;
pub use names::{NameError, Namespace, ServiceKey, ServiceName, ServiceRef, is_label, shortened};
pub use needs::{NEEDS_MAX, Need, NeedError};
pub use pod::PodFacts;
pub use pod_uid::PodUid;
pub use query::{Match, Query, States, Summary};
pub use registration::{
    Attributes, Heartbeat, Operator, Port, ProbeCheck, ProbeSpec, Probing, Registration, Requirement,
    Runtime, Selector, Source, StaticAddress, Target, Transport, ValueError, Visibility, asks_to_drain,
    by_annotations,
};
pub use snapshot::{ContentHash, Instances, Service, Snapshot, Step, Update};
pub use state::{Reason, State};
pub use tags::Tags;
pub use texts::Texts;
pub use version::{Version, VersionError, VersionFilter};
