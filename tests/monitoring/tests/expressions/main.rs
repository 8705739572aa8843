//! Every expression of the alerts and of the dashboard, on what controllers and sidecars answer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod alerts;
mod dashboard;
mod pages;
mod quiet;

use rollcall_controller::operate::Metrics;
use rollcall_monitoring::{
    Answer, Known, Promql, Question, STEP_S, Story, UNTIL_S, of_a_controller, of_a_sidecar, read,
};
use std::sync::LazyLock;

const ALERTS: &str = "charts/rollcall/files/alerts.yaml";

/// What a real sidecar answers; asked once.
static SIDECAR: LazyLock<String> = LazyLock::new(|| {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(of_a_sidecar()).unwrap()
});

fn quiet() -> Story {
    Story::quiet(&SIDECAR)
}

/// What Prometheus makes of a story.
fn told(story: Story, queries: &[String]) -> Answer {
    let (targets, rules) = (story.told().unwrap(), read(ALERTS).unwrap());
    let question =
        Question { targets: &targets, rules: &rules, queries, from_s: 0, until_s: UNTIL_S, step_s: STEP_S };
    Promql::new().unwrap().ask(&question).unwrap()
}

/// All that is answered to a scraper.
fn known() -> Known {
    Known::of(&[of_a_controller(&Metrics::new()), SIDECAR.clone()])
}
