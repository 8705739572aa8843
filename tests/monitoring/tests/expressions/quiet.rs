//! What is no reason to wake anybody.

use crate::{quiet, told};
use rollcall_monitoring::{Course, Story};

/// The alerts that fire.
pub(crate) fn fired(story: Story) -> Vec<String> {
    let mut names: Vec<_> = told(story, &[])
        .alerts
        .into_iter()
        .filter(|alert| alert.fired_s.is_some())
        .map(|alert| alert.name)
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn nothing_fires_while_all_is_well() {
    let alerts = told(quiet(), &[]).alerts;
    assert!(alerts.is_empty(), "not even pending: {alerts:?}");
}

#[test]
fn nothing_fires_while_controllers_and_apps_are_rolled_out() {
    let mut story = quiet();
    for (old, new, at_s) in [(0, "c", 600), (1, "d", 690)] {
        // The new one begins before the old one ends, and waits for what the others know.
        let fresh = story.controller(new, (at_s - 60, 3_630));
        fresh.change("rollcall_serving", at_s - 60, at_s, Course::Is(0.0));
        fresh.change("rollcall_api_writes_total{kind=\"lease\"}", at_s, 3_630, Course::Grows(0.2));
        story.controllers[old].change("rollcall_serving", at_s - 30, at_s, Course::Is(0.0));
        story.controllers[old].lives_s.1 = at_s;
    }
    story.at_all("rollcall_peers{state=\"missed\"}", 600, 720, Course::Is(1.0));
    story.at_all("rollcall_freeze", 600, 720, Course::Is(1.0));
    story.at_all("rollcall_stream_resyncs_total{reason=\"cursor\"}", 600, 720, Course::Grows(0.1));
    story.at_all("rollcall_sessions_ended_total{reason=\"shutdown\"}", 600, 720, Course::Grows(0.1));
    story.at_all("rollcall_false_alarms_total{reason=\"SidecarLost\"}", 600, 720, Course::Grows(0.1));
    for sidecar in &mut story.sidecars {
        sidecar.session("catching-up", 600, 660);
    }
    // And an app: its pods end, and have not been in session for a moment.
    story.sidecars[0].session("never", 1_200, 1_260);
    story.sidecars[1].lives_s.1 = 1_200;
    assert!(fired(story).is_empty());
}

#[test]
fn nothing_fires_while_the_only_controller_moves_to_another_node() {
    let mut story = quiet();
    story.controllers.truncate(1);
    story.controllers[0].change("rollcall_serving", 570, 600, Course::Is(0.0));
    story.controllers[0].lives_s.1 = 600;
    let next = story.controller("b", (720, 3_630));
    next.change("rollcall_serving", 720, 780, Course::Is(0.0));
    next.change("rollcall_api_writes_total{kind=\"lease\"}", 780, 3_630, Course::Grows(0.5));
    for sidecar in &mut story.sidecars {
        sidecar.session("lost", 600, 810);
    }
    assert!(fired(story).is_empty());
}

#[test]
fn nothing_fires_while_the_api_server_restarts() {
    let mut story = quiet();
    for kind in ["Pod", "ServiceRegistration", "Service", "EndpointSlice", "Namespace", "Node"] {
        story.at_all(&format!("rollcall_watch_age_seconds{{kind=\"{kind}\"}}"), 600, 840, Course::Ages);
    }
    story.at_all("rollcall_freeze", 840, 960, Course::Is(1.0));
    assert!(fired(story).is_empty());
}
