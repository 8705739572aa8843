//! Rollcall as one of the registries that are measured side by side: the controller's half, real sidecars beside it, and those
//! who ask.
//!
//! ```text
//!  an app registers ─► its sidecar ═ session ═► controller's half ═ sessions ═► sidecars ─► their apps' watches (Pushed)
//!   PUT /v1/self        a process               a process            └────────► clients of the wire (Told)
//! ```
//!
//! What each part is, is what runs on a cluster, but for Kubernetes: what its watches would tell is told by hand, and so the
//! objects of what apps register are not written here.

mod app;
mod events;
mod localhost;
mod pushed;
mod registry;
mod sidecar;
mod told;
mod town;

pub(crate) use self::{
    app::{AppArguments, run as run_app},
    pushed::Pushed,
    registry::{GUEST_PORT, Rollcall, Wish, registration},
    sidecar::{Place, Sidecar},
    town::{PodWord, TownArguments, serve as serve_town},
};
