//! Each alert fires in the story that it is for, alone, after its time.

use crate::quiet::fired;
use crate::{ALERTS, known, quiet, told};
use rollcall_monitoring::{Answer, Course, Pace, Query, Question, Story, read};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When each story begins to go wrong.
const FROM_S: u64 = 600;
/// It does not get well again.
const EVER_S: u64 = 3_630;
const KINDS: [&str; 6] = ["Pod", "ServiceRegistration", "Service", "EndpointSlice", "Namespace", "Node"];

/// Holds a story, and who is to fire in it.
struct Case {
    tells: &'static str,
    fires: &'static [&'static str],
    changes: fn(&mut Story),
}

/// What goes on from its beginning.
fn all(story: &mut Story, sample: &str, course: Course) {
    story.at_all(sample, FROM_S, EVER_S, course);
}

fn lost(story: &mut Story, sidecars: usize, state: &str) {
    for sidecar in story.sidecars.iter_mut().take(sidecars) {
        sidecar.session(state, FROM_S, EVER_S);
    }
}

const CASES: [Case; 23] = [
    Case {
        tells: "no replica serves",
        fires: &["RollcallNobodyServes"],
        changes: |story| all(story, "rollcall_serving", Course::Is(0.0)),
    },
    Case {
        tells: "one of two replicas does not serve",
        fires: &[],
        changes: |story| story.controllers[0].change("rollcall_serving", FROM_S, EVER_S, Course::Is(0.0)),
    },
    Case {
        tells: "all controllers are gone",
        fires: &["RollcallControllerAbsent", "RollcallManySidecarsOutOfStep", "RollcallSidecarsOutOfStep"],
        changes: |story| {
            story.controllers.iter_mut().for_each(|controller| controller.lives_s.1 = FROM_S);
            lost(story, 6, "lost");
        },
    },
    Case {
        tells: "no controller answers Prometheus",
        fires: &["RollcallControllerAbsent"],
        changes: |story| {
            story.controllers.iter_mut().for_each(|controller| controller.silent_s = (FROM_S, EVER_S));
        },
    },
    Case {
        tells: "one sidecar lost its session and finds no other",
        fires: &["RollcallSidecarsOutOfStep"],
        changes: |story| lost(story, 1, "lost"),
    },
    Case {
        tells: "one pod's way to port 7310 is barred",
        fires: &["RollcallSidecarsOutOfStep"],
        changes: |story| lost(story, 1, "never"),
    },
    Case {
        tells: "half of the sidecars never catch up",
        fires: &["RollcallManySidecarsOutOfStep", "RollcallSidecarsOutOfStep"],
        changes: |story| lost(story, 3, "catching-up"),
    },
    Case {
        tells: "a tenth of the DNS queries is not answered",
        fires: &["RollcallDnsServfail"],
        changes: |story| {
            let sample = "rollcall_dns_queries_total{result=\"SERVFAIL\"}";
            story.sidecars.iter_mut().for_each(|one| one.change(sample, FROM_S, EVER_S, Course::Grows(0.2)));
        },
    },
    Case {
        tells: "few DNS queries are not answered, of few",
        fires: &[],
        changes: |story| {
            let sample = "rollcall_dns_queries_total{result=\"SERVFAIL\"}";
            story.sidecars[0].change(sample, FROM_S, EVER_S, Course::Grows(0.05));
        },
    },
    Case {
        tells: "who was taken out for silence comes back",
        fires: &["RollcallFalseEvictions"],
        changes: |story| {
            let sample = "rollcall_false_alarms_total{reason=\"SessionSilent\"}";
            story.at_all(sample, FROM_S, FROM_S + 60, Course::Grows(0.05));
        },
    },
    Case {
        tells: "pods were made without the webhook",
        fires: &["RollcallPodsWithoutSidecar"],
        changes: |story| all(story, "rollcall_pods_without_sidecar{reason=\"missed\"}", Course::Is(3.0)),
    },
    Case {
        tells: "some pods can have no sidecar",
        fires: &[],
        changes: |story| all(story, "rollcall_pods_without_sidecar{reason=\"exempt\"}", Course::Is(3.0)),
    },
    Case {
        tells: "the webhook fails",
        fires: &["RollcallInjectionFails"],
        changes: |story| {
            let sample = "rollcall_injections_total{result=\"failed\"}";
            story.controllers[1].change(sample, FROM_S, FROM_S + 60, Course::Grows(0.05));
        },
    },
    Case {
        tells: "the mass-loss guard holds for good",
        fires: &["RollcallMassLossGuard"],
        changes: |story| all(story, "rollcall_freeze", Course::Is(1.0)),
    },
    Case {
        tells: "one replica does not reach the API server",
        fires: &["RollcallWatchStale"],
        changes: |story| {
            for kind in KINDS {
                let sample = format!("rollcall_watch_age_seconds{{kind=\"{kind}\"}}");
                story.controllers[0].change(&sample, FROM_S, EVER_S, Course::Ages);
            }
        },
    },
    Case {
        tells: "the CRD was deleted",
        fires: &["RollcallWatchStale"],
        changes: |story| {
            all(story, "rollcall_watch_age_seconds{kind=\"ServiceRegistration\"}", Course::Ages);
        },
    },
    Case {
        tells: "two replicas are cut from each other",
        fires: &["RollcallReplicasApart"],
        changes: |story| {
            all(story, "rollcall_peers{state=\"linked\"}", Course::Is(0.0));
            all(story, "rollcall_peers{state=\"missed\"}", Course::Is(1.0));
        },
    },
    Case {
        tells: "there are too few replicas",
        fires: &["RollcallPlacesMissing"],
        changes: |story| all(story, "rollcall_session_places_missing", Course::Is(500.0)),
    },
    Case {
        tells: "changes take eight seconds, and turns of the index longer than they may",
        fires: &["RollcallChangesLate", "RollcallIndexSlow"],
        changes: |story| {
            for controller in &mut story.controllers {
                controller.pace = |at_s| match at_s < FROM_S {
                    true => Pace { propagation_s: 0.4, turn: Duration::from_micros(40) },
                    false => Pace { propagation_s: 8.0, turn: Duration::from_millis(300) },
                };
            }
        },
    },
    Case {
        tells: "a watch had not told of all",
        fires: &["RollcallWatchMissedChanges"],
        changes: |story| {
            let sample = "rollcall_relist_drift_total{kind=\"Pod\"}";
            story.controllers[0].change(sample, FROM_S, FROM_S + 30, Course::Grows(0.1));
        },
    },
    Case {
        tells: "what a sidecar held did not add up",
        fires: &["RollcallStreamDiverged"],
        changes: |story| {
            let sample = "rollcall_stream_resyncs_total{reason=\"digest\"}";
            story.controllers[0].change(sample, FROM_S, FROM_S + 30, Course::Grows(0.05));
        },
    },
    Case {
        tells: "more happens than can be told in Events",
        fires: &["RollcallEventsDropped"],
        changes: |story| {
            story.controllers[0].change(
                "rollcall_events_dropped_total",
                FROM_S,
                FROM_S + 300,
                Course::Grows(0.5),
            );
        },
    },
    Case {
        tells: "a certificate is not renewed",
        fires: &["RollcallCertificateExpiring"],
        changes: |story| {
            all(story, "rollcall_certificate_expiry_seconds{of=\"leaf\"}", Course::Is(500_000.0));
        },
    },
];

#[test]
fn each_alert_fires_in_its_story_alone() {
    for case in &CASES {
        let mut story = quiet();
        (case.changes)(&mut story);
        assert_eq!(fired(story), case.fires, "{}", case.tells);
    }
    let stories: BTreeSet<_> =
        CASES.iter().flat_map(|case| case.fires).map(|name| (*name).to_owned()).collect();
    let alerts: BTreeSet<_> = rules().into_iter().map(|rule| rule.name).collect();
    assert_eq!(stories, alerts, "each alert has a story, and each story is of an alert");
}

#[test]
fn whoever_is_woken_is_told_where_and_what() {
    let answer = |at: usize| {
        let mut story = quiet();
        (CASES[at].changes)(&mut story);
        told(story, &[])
    };
    let one =
        |answer: Answer, name: &str| answer.alerts.into_iter().find(|alert| alert.name == name).unwrap();
    let lost = one(answer(5), "RollcallSidecarsOutOfStep");
    assert_eq!(lost.labels["namespace"], "shop");
    assert_eq!(lost.labels["state"], "never");
    assert!(
        lost.annotations["description"].starts_with("1 sidecars in shop have not been in step"),
        "{lost:?}"
    );
    let stale = one(answer(15), "RollcallWatchStale");
    assert_eq!(stale.labels["kind"], "ServiceRegistration");
    let servfail = one(answer(7), "RollcallDnsServfail");
    assert!(servfail.annotations["description"].contains('%'), "{servfail:?}");
}

#[test]
fn a_story_that_ends_ends_its_alert() {
    let mut story = quiet();
    story.at_all("rollcall_serving", FROM_S, FROM_S + 600, Course::Is(0.0));
    let alerts = told(story, &[]).alerts;
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert_eq!(alert.since_s, FROM_S);
    assert_eq!(alert.fired_s, Some(FROM_S + 180), "after its 3 minutes");
    assert_eq!(alert.ended_s, Some(FROM_S + 600));
}

/// The alerts as expressions.
fn rules() -> Vec<Query> {
    told(Story { controllers: Vec::new(), sidecars: Vec::new() }, &[]).rules
}

#[test]
fn every_name_and_value_in_an_alert_is_one_that_is_answered() {
    let known = known();
    for rule in rules() {
        assert!(!rule.selectors.is_empty(), "{}", rule.name);
        let strangers = known.strangers(&rule);
        assert!(strangers.is_empty(), "{}: {strangers:?}", rule.name);
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_what_is_seen_and_where_to_read_on() {
    let file: serde_json::Value = serde_saphyr::from_str(&read(ALERTS).unwrap()).unwrap();
    let rules =
        file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let annotations: BTreeMap<String, String> =
            serde_json::from_value(rule["annotations"].clone()).unwrap();
        assert_eq!(
            annotations.keys().collect::<Vec<_>>(),
            ["description", "runbook_url", "summary"],
            "{name}"
        );
        for said in ["description", "summary"].map(|key| &annotations[key]) {
            assert!(said.ends_with('.') && !said.contains('\n'), "{name}: {said}");
        }
        // A page waits for roll-outs to be over.
        if severity == "critical" {
            assert!(rule["for"].is_string(), "{name}");
        }
    }
}

#[test]
fn what_prometheus_would_refuse_is_refused_here() {
    for (rules, said) in [
        ("groups: [{name: a, rules: [{alert: A, expr: 'sum by (x']}]}]", "the rules"),
        ("groups: [{name: a, rules: [{alert: A, expr: 'up =='}]}]", "the rules"),
        ("groups: [{name: a, rules: [{alert: A, expr: up, severity: x}]}]", "severity"),
    ] {
        let question = Question { targets: &[], rules, queries: &[], from_s: 0, until_s: 0, step_s: 30 };
        let refused = rollcall_monitoring::Promql::new().unwrap().ask(&question).unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
    }
}
