//! What a pod gets so that it has a sidecar: a function of the pod, of the installation, and of nothing else.
//!
//! ```text
//!  pod ─► wish ─► exemption ─► inject ─┬─ Left(why)
//!                                      └─ Injected { additions, warnings } ─► JSON patch of the webhook, or apply
//! ```

mod amounts;
mod app;
mod container;
mod decision;
mod install;
mod patch;
mod pod;
mod ports;
mod quantity;
mod resolver;
mod resources;
mod said;
mod wish;

pub use amounts::{Amounts, Resources};
pub use decision::{Addition, Decision, Injected, NotAPod, inject};
pub use install::{CONTROLLER_NAME, ClusterDns, Install, Namespaces, PullPolicy, Settings, Way};
pub use patch::apply;
pub use wish::{Exemption, Shape, Wish, exemption, wish};

/// The annotation of a pod that asks for a sidecar, or declines one; and the label of a namespace whose pods all get one.
pub const INJECT: &str = "rollcall.dev/inject";
/// What a namespace's label says whose pods all get a sidecar.
pub const ENABLED: &str = "enabled";
/// The annotation that an injected pod has, with the value [`INJECTED`].
pub const STATUS: &str = "rollcall.dev/status";
pub const INJECTED: &str = "injected";
/// The annotation of a pod that the kubelet made from a file.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// Our container in every pod. The name is ours in an injected pod: whatever else has it is replaced.
pub const SIDECAR: &str = "rollcall-sidecar";
/// The init container of a pod that waits for others (`rollcall.dev/requires`).
pub const REQUIRES: &str = "rollcall-requires";
