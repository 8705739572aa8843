//! Alerts and dashboard on the real metrics: what controllers and sidecars answer, changed as in a story, and read by
//! Prometheus' own engine.
//!
//! ```text
//!  Metrics of a controller ─┐
//!  a sidecar's /metrics ────┴─► Story: scrapes over an hour, with changes ─► Promql ─► alerts, series
//!                        └────► Known: names, labels and values that there are
//! ```

#![allow(clippy::indexing_slicing, reason = "a test's helpers are tests too")]

mod engine;
mod known;
mod real;
mod story;

pub use engine::{Alert, Answer, Matcher, Promql, Query, Question, Scrape, Selector, Series, Target};
pub use known::Known;
pub use real::{of_a_controller, of_a_sidecar};
pub use story::{Course, Endpoint, Pace, STEP_S, Story, UNTIL_S};

use anyhow::{Context, Result};
use std::fs;

/// The text of a file of the workspace.
pub fn read(file: &str) -> Result<String> {
    let path = rollcall_cluster::static_build::workspace().join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
