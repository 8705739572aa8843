//! Rollcall's domain: what a service is, which instances it has, and which of them may be looked up.
//!
//! ```text
//!  PodFacts ──┐                     witnesses
//!             ├─ Claim ─► consolidate ──┬──► Instance{state, reason} ─► Service{revision, hash} ─► Snapshot
//!  Registration (annotation | object)   └ verdict: a pure function
//! ```
//!
//! Everything here is a value or a function: no tokio, no kube, no sockets, and no clock. Time comes in as an
//! argument, so that the same events give the same catalogue on every replica.

pub mod balance;
mod consolidate;
mod instance;
pub mod limits;
mod names;
mod pod;
mod registration;
mod snapshot;
mod state;
mod verdict;

pub use consolidate::{Claim, consolidate};
pub use instance::Instance;
pub use names::{NameError, Namespace, ServiceKey, ServiceName, ServiceRef, shortened};
pub use pod::{PodFacts, PodUid};
pub use registration::{Attributes, Port, Registration, Source, ValueError};
pub use snapshot::{ContentHash, Service, Snapshot};
pub use state::{Reason, State};
pub use verdict::{Phase, PodWitness, SessionWitness, Verdict, verdict};
