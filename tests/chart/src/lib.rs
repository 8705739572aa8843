//! The chart's generated parts, and helm to render it with.
//!
//! ```text
//!  values.yaml ─► values ─► readme ─┐
//!  rbac.golden.yaml ─► rbac ────────┼─► generated: files that `cargo xtask generate` writes
//!  crds/generated ─► crd ───────────┘
//! ```

mod crd;
mod generated;
mod helm;
mod rbac;
pub mod section;
mod values;

pub use generated::{Generated, generated};
pub use helm::{Helm, Rendered};
pub use rbac::{Golden, Reasoned, Rule};
pub use values::{Documented, documented};

use std::path::PathBuf;

/// The chart's folder.
pub fn chart() -> PathBuf {
    rollcall_cluster::static_build::workspace().join("charts/rollcall")
}
