use proptest::prelude::*;
use rollcall_catalogue::liveness::CONFIRM_AFTER_MS;

use super::*;

fn duty(name: &str, port: u16, probe: Option<DutyCheck>) -> Duty {
    let probe = probe.map(|check| DutyProbe {
        check,
        port,
        interval_ms: 500,
        timeout_ms: 1_000,
        failure_threshold: 3,
        success_threshold: 1,
    });
    Duty {
        service: name.parse().unwrap(),
        id: format!("u1-{port}").as_str().into(),
        addresses: vec![[10, 0, 0, 1].into()],
        port,
        declared: true,
        probe,
        ttl_seconds: None,
    }
}

fn target(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

const fn answered(answer: Answer) -> Ended {
    Ended { answer, on_loopback: false }
}

/// A plan with one instance, asked for the first time at once.
fn plan(check: DutyCheck) -> Plan {
    let mut plan = Plan::default();
    plan.set(&[duty("orders", 80, Some(check))], 0, || 0);
    plan
}

fn ask(plan: &mut Plan, now_ms: u64) -> Ask {
    let mut due = plan.take(now_ms);
    assert_eq!(due.len(), 1, "at {now_ms}");
    due.remove(0)
}

/// Waits until something is asked.
fn next(plan: &mut Plan, now_ms: &mut u64) -> Ask {
    loop {
        *now_ms = plan.wake_at_ms().unwrap().max(*now_ms);
        plan.looks(*now_ms);
        if let Some(ask) = plan.take(*now_ms).pop() {
            return ask;
        }
    }
}

/// Asks once when that is due, and answers after so long.
fn round(plan: &mut Plan, now_ms: &mut u64, answer: Answer, after_ms: u64) -> Option<ProbeWitness> {
    let ask = next(plan, now_ms);
    *now_ms += after_ms;
    plan.ended(&ask, answered(answer), *now_ms, u32::MAX / 2)
}

#[test]
fn a_refused_connection_is_tried_once_more_and_then_believed() {
    let mut plan = plan(DutyCheck::Tcp);
    let mut now_ms = 0;
    assert_eq!(round(&mut plan, &mut now_ms, Answer::Passing, 1), Some(ProbeWitness::Passing));
    assert_eq!(round(&mut plan, &mut now_ms, Answer::Passing, 1), None, "nothing new");
    plan.looked(target(80), true, now_ms);
    plan.looked(target(80), false, now_ms);
    let ended_ms = now_ms;
    assert_eq!(round(&mut plan, &mut now_ms, Answer::Refused, 0), None);
    assert_eq!(round(&mut plan, &mut now_ms, Answer::Refused, 0), Some(ProbeWitness::Dead));
    assert_eq!(now_ms, ended_ms + CONFIRM_AFTER_MS);
    assert_eq!(round(&mut plan, &mut now_ms, Answer::Refused, 0), None);
    assert_eq!(round(&mut plan, &mut now_ms, Answer::Passing, 0), Some(ProbeWitness::Passing));
}

#[test]
fn what_listens_on_the_wrong_address_is_told_apart() {
    let mut plan = plan(DutyCheck::Tcp);
    let refused = |on_loopback| Ended { answer: Answer::Refused, on_loopback };
    let steps = [
        (refused(true), None),
        (refused(true), Some(ProbeWitness::LoopbackOnly)),
        (refused(true), None),
        (answered(Answer::Unasked), None),
        (refused(false), Some(ProbeWitness::Dead)),
        (answered(Answer::Passing), Some(ProbeWitness::Passing)),
    ];
    let mut now_ms = 0;
    for (ended, word) in steps {
        let ask = next(&mut plan, &mut now_ms);
        assert_eq!(plan.ended(&ask, ended, now_ms, 0), word, "{ended:?}");
    }
}

#[test]
fn an_app_that_hangs_is_unwell_within_four_seconds() {
    let mut plan = plan(DutyCheck::Http("/healthz".into()));
    let mut now_ms = 0;
    round(&mut plan, &mut now_ms, Answer::Passing, 1);
    let mut words = Vec::new();
    // The slowest case: it hangs right after it has answered.
    while words.is_empty() {
        words.extend(round(&mut plan, &mut now_ms, Answer::TimedOut, 1_000));
    }
    assert_eq!(words, [ProbeWitness::Unwell]);
    assert!(now_ms <= 4_000, "{now_ms}");
}

#[test]
fn who_stood_still_blames_nobody_and_asks_each_once() {
    let mut plan = plan(DutyCheck::Tcp);
    plan.set(&[duty("orders", 80, Some(DutyCheck::Tcp)), duty("web", 90, Some(DutyCheck::Tcp))], 0, || 0);
    for ask in plan.take(0) {
        plan.ended(&ask, answered(Answer::Passing), 1, 0);
    }
    for second in 1..4 {
        for ask in plan.take(second * 10_000) {
            assert_eq!(plan.ended(&ask, answered(Answer::TimedOut), second * 10_000 + 5_000, 0), None);
        }
    }
    assert_eq!(plan.take(1_000_000).len(), 2);
    assert_eq!(plan.take(1_000_000).len(), 0, "they are under way");
}

#[test]
fn duties_come_change_and_go() {
    let mut plan = plan(DutyCheck::Tcp);
    let first = ask(&mut plan, 0);
    let tcp = duty("orders", 80, Some(DutyCheck::Tcp));
    assert_eq!(plan.set(&[tcp], 1, || 0), [], "nothing is new");
    assert_eq!(plan.ended(&first, answered(Answer::Passing), 2, 0), Some(ProbeWitness::Passing));
    assert_eq!(plan.looks(2), [target(80)]);

    let old = ask(&mut plan, 1_000);
    plan.set(&[duty("orders", 80, Some(DutyCheck::Grpc("".into())))], 1_000, || 0);
    let new = ask(&mut plan, 1_000);
    assert_eq!(plan.ended(&old, answered(Answer::Refused), 1_001, 0), None, "of an earlier way of asking");
    assert_eq!(plan.ended(&new, answered(Answer::Passing), 1_001, 0), None, "as before");

    let left = plan.set(&[duty("orders", 80, None), duty("udp", 53, None)], 1_002, || 0);
    assert_eq!(left.len(), 1);
    assert_eq!((plan.take(9_999).len(), plan.looks(9_999), plan.wake_at_ms()), (0, vec![], None));
    plan.looked(target(80), false, 9_999);
}

#[test]
fn who_ends_during_an_attempt_is_asked_again_right_after_it() {
    let mut plan = plan(DutyCheck::Tcp);
    let first = ask(&mut plan, 0);
    plan.looked(target(80), true, 0);
    plan.looked(target(80), false, 1);
    assert!(plan.take(1).is_empty(), "one at a time");
    plan.ended(&first, answered(Answer::Passing), 2, 0);
    let next = ask(&mut plan, 2);
    plan.ended(&next, answered(Answer::Passing), 3, 0);
    assert!(plan.probed.values().next().unwrap().next_at_ms > 400);
}

proptest! {
    /// However the app behaves: it is asked no more than once an interval, once more where it is refused, and once a second more
    /// where it comes and goes.
    #[test]
    fn nobody_is_stormed(
        steps in proptest::collection::vec((0u8..5, 0u64..1_500, any::<bool>()), 1..60),
        draw: u32,
    ) {
        let mut plan = plan(DutyCheck::Tcp);
        let (mut now_ms, mut asked, mut bad) = (0, 0u64, 0u64);
        for (answer, after_ms, listens) in steps {
            now_ms = plan.wake_at_ms().map_or(now_ms, |at_ms| at_ms.max(now_ms));
            for target in plan.looks(now_ms) {
                plan.looked(target, listens, now_ms);
            }
            for ask in plan.take(now_ms) {
                asked += 1;
                now_ms += after_ms;
                let answers = [Answer::Passing, Answer::Refused, Answer::TimedOut, Answer::BadReply, Answer::Unasked];
                let answer = answers[usize::from(answer)];
                bad += u64::from(answer == Answer::Refused);
                plan.ended(&ask, answered(answer), now_ms, draw);
            }
        }
        prop_assert!(asked <= 3 + now_ms / 450 + now_ms / 1_000 + 2 * bad, "{asked} in {now_ms} ms");
    }
}
