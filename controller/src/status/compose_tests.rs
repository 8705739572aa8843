use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use rollcall_catalogue::{Reason, State};
use rollcall_crds::{Accepted, Finding, Ready, Resolved};

use super::*;
use crate::status::script::{instance, report};

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn empty() -> ServiceRegistrationStatus {
    ServiceRegistrationStatus::default()
}

#[test]
fn what_is_written_is_whole_and_has_no_nulls() {
    let written = serde_json::to_value(status(&report("orders", 1), &empty(), &at(0))).unwrap();
    let condition = |kind: &str, reason: &str| {
        serde_json::json!({
            "type": kind, "status": "True", "reason": reason, "message": "",
            "lastTransitionTime": "1970-01-01T00:00:00Z", "observedGeneration": 1,
        })
    };
    let expected = serde_json::json!({
        "observedGeneration": 1, "serving": 1, "total": 1,
        "conditions": [
            condition("Accepted", "Accepted"), condition("Ready", "Serving"), condition("Resolved", "Resolved"),
        ],
        "instances": [{
            "id": "u0-80", "address": "10.0.0.0", "port": 80, "pod": "orders-0", "state": "Serving",
            "reason": "Ready", "since": "1970-01-01T00:00:00Z",
        }],
    });
    assert_eq!(written, expected);
    let none = serde_json::to_value(status(&report("orders", 0), &empty(), &at(0))).unwrap();
    assert_eq!(
        (&none["serving"], &none["total"]),
        (&0.into(), &0.into()),
        "a column shows 0, and not nothing"
    );
}

#[test]
fn an_instance_keeps_its_time_until_its_state_changes() {
    let mut next = report("orders", 2);
    let first = status(&next, &empty(), &at(1));
    assert_eq!(status(&next, &first, &at(2)), first, "nothing changed, so nothing is to be written");
    next.instances =
        vec![instance(0, State::Failing), instance(1, State::Serving), instance(2, State::Serving)];
    let second = status(&next, &first, &at(3));
    let since: Vec<_> = second.instances.iter().map(|one| one.since.clone().unwrap()).collect();
    assert_eq!(since, [at(3), at(1), at(3)]);
    assert_eq!(second.instances[0].state, "Failing");
}

#[test]
fn a_list_ends_where_the_schema_says() {
    let mut large = report("orders", 0);
    large.instances = (0..=255).map(|number| instance(number, State::Serving)).collect();
    let written = status(&large, &empty(), &at(0));
    assert_eq!((written.instances.len(), written.truncated), (REPORTED_MAX, true));
    assert_eq!(digest(&large), digest_of(&written));
}

/// Each of these says something else.
fn others() -> Vec<Report> {
    let base = report("orders", 1);
    let one = |change: &dyn Fn(&mut Instance)| {
        let mut instance = (*instance(0, State::Serving)).clone();
        change(&mut instance);
        Report { instances: vec![instance.into()], ..base.clone() }
    };
    let found = |finding: Finding| Report { findings: vec![finding], ..base.clone() };
    vec![
        base.clone(),
        Report { generation: 2, ..base.clone() },
        Report { serving: 0, ..base.clone() },
        Report { total: 2, ..base.clone() },
        Report { truncated: true, ..base.clone() },
        Report { instances: Vec::new(), ..base.clone() },
        found(Finding::new(Ready::NoneServing, "")),
        found(Finding::new(Ready::NoInstances, "")),
        found(Finding::new(Ready::NoInstances, "no pod")),
        found(Finding::new(Accepted::Invalid, "")),
        found(Finding::new(Resolved::NoMatch, "")),
        one(&|instance| instance.state = State::Suspect),
        one(&|instance| instance.reason = Reason::NodeUnknown),
        one(&|instance| instance.pod = None),
        one(&|instance| instance.id = "u9-80".into()),
        one(&|instance| instance.addresses = std::net::IpAddr::from([10, 9, 9, 9]).into()),
    ]
}

#[test]
fn a_digest_tells_whatever_a_status_tells() {
    let reports = others();
    for (a, left) in reports.iter().enumerate() {
        for (b, right) in reports.iter().enumerate() {
            assert_eq!(digest(left) == digest(right), a == b, "{left:?} and {right:?}");
        }
    }
    assert!(reports.iter().all(|report| digest(report) != StatusDigest::default()));
    assert_ne!(digest_of(&empty()), digest(&reports[0]));
}

#[test]
fn a_digest_is_the_same_in_every_process() {
    assert_eq!(digest(&report("orders", 1)), StatusDigest(PINNED), "a change writes every status once more");
}

/// Of this build, and of those beside it.
const PINNED: u64 = 1_834_465_596_087_364_173;

#[test]
fn what_others_write_and_in_which_order_is_not_told() {
    let mine = status(&report("orders", 3), &empty(), &at(0));
    let mut theirs = mine.clone();
    theirs.conditions.insert(0, Condition { type_: "Green".to_owned(), ..mine.conditions[0].clone() });
    theirs.conditions.reverse();
    theirs.instances.reverse();
    assert_eq!(digest_of(&theirs), digest_of(&mine));
    theirs.instances.pop();
    assert_ne!(digest_of(&theirs), digest_of(&mine));
}

proptest! {
    #[test]
    fn a_report_has_the_digest_of_what_is_written_for_it(
        which in 0..others().len(), before in 0..others().len(), then: u32, now: u32,
    ) {
        let (report, before) = (others().swap_remove(which), others().swap_remove(before));
        let held = status(&before, &empty(), &at(then.into()));
        let written = status(&report, &held, &at(now.into()));
        prop_assert_eq!(digest(&report), digest_of(&written));
        // Its way through the API server changes nothing.
        let read = serde_json::from_value(serde_json::to_value(&written).unwrap()).unwrap();
        prop_assert_eq!(digest_of(&read), digest_of(&written));
        // Equal exactly where writing changes nothing but times.
        let without_times = |status: &ServiceRegistrationStatus| {
            let mut status = status.clone();
            status.conditions.iter_mut().for_each(|condition| condition.last_transition_time = at(0));
            status.instances.iter_mut().for_each(|instance| instance.since = None);
            status
        };
        prop_assert_eq!(digest(&report) == digest_of(&held), without_times(&written) == without_times(&held));
    }
}
