//! Lies are planted, and must be found; and whoever tells the truth, as late as may be, is not called a liar.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{Pod, Promise};

const LASTS_MS: u64 = 60_000;
const APART_MS: u64 = 100;
const FAULT_MS: u64 = 10_000;
const PROMISE: Promise =
    Promise { in_step_within: Duration::from_secs(5), back_within: Duration::from_secs(3) };

fn pod(number: usize) -> Pod {
    Pod {
        name: format!("orders-{number}"),
        service: "orders".into(),
        address: format!("10.0.0.{number}"),
        node: format!("node{number}"),
    }
}

fn client() -> Client {
    Client { name: "orders-1".into(), place: "node1".into() }
}

/// Three pods, all well, and a fault of something else.
fn truth() -> Truth {
    Truth { pods: (1..=3).map(pod).collect(), fault_ms: Some(FAULT_MS), ..Truth::default() }
}

/// The second pod is gone from the fault on for half a minute: out within 5 s, back within 3 s.
fn with_absence() -> Truth {
    let absence = Absence {
        pod: "orders-2".into(),
        why: "its app died".into(),
        from_ms: FAULT_MS,
        until_ms: Some(40_000),
        told: [client().name].into(),
        out_within_ms: 5_000,
        back_within_ms: 3_000,
    };
    Truth { absences: vec![absence], ..truth() }
}

fn instances(numbers: &[usize]) -> Arc<[Instance]> {
    let instance =
        |pod: Pod| Instance { id: format!("id-{}", pod.name), pod: pod.name, address: pod.address };
    numbers.iter().map(|number| instance(pod(*number))).collect()
}

fn look(asked_ms: u64, instances: Arc<[Instance]>, age_s: u64) -> Look {
    let said = Said::Told(Told { instances, revision: 1, age_s, is_live: true });
    Look { asked_ms, answered_ms: asked_ms + 1, service: "orders".into(), said }
}

/// A client that asks all the time, and is told this.
fn history(told: impl Fn(u64) -> (&'static [usize], u64)) -> History {
    let at = (0..LASTS_MS).step_by(usize::try_from(APART_MS).unwrap());
    let looks = at.map(|at_ms| {
        let (numbers, age_s) = told(at_ms);
        look(at_ms, instances(numbers), age_s)
    });
    History { client: client(), from_ms: 0, until_ms: None, looks: looks.collect() }
}

fn honest() -> History {
    history(|_| (&[1, 2, 3], 0))
}

/// With an absence that is told after so long, and whose end is, too.
fn told_late(out_ms: u64, back_ms: u64) -> History {
    history(move |at_ms| {
        let gone = (FAULT_MS + out_ms..40_000 + back_ms).contains(&at_ms);
        (if gone { &[1, 3] } else { &[1, 2, 3] }, 0)
    })
}

fn judged(history: &History, truth: &Truth) -> OfClient {
    judge(std::slice::from_ref(history), truth, LASTS_MS).clients.swap_remove(0)
}

fn broken(history: &History, truth: &Truth) -> Vec<String> {
    PROMISE.broken(&judge(std::slice::from_ref(history), truth, LASTS_MS))
}

#[test]
fn nothing_is_broken_where_all_is_well() {
    let (history, truth) = (honest(), truth());
    let verdict = judged(&history, &truth);
    assert_eq!((verdict.lookups, verdict.failed, verdict.missing, verdict.wrong), (600, 0, 0, 0));
    assert_eq!((verdict.out_of_step_ms, verdict.silence_ms, verdict.slowest_ms), (Some(0), APART_MS, 1));
    assert_eq!(broken(&history, &truth), Vec::<String>::new());
}

/// Each of these is one look that is not as it must be.
#[test]
fn a_single_lie_is_found() {
    let instance = |id: &str, pod: &str, address: &str| Instance {
        id: id.into(),
        pod: pod.into(),
        address: address.into(),
    };
    let all = instances(&[1, 2, 3]);
    let with = |more: Instance| Arc::from([&all[..], &[more]].concat());
    let moved: Arc<[_]> =
        [instances(&[1, 3]).to_vec(), vec![instance("id-orders-2", "orders-2", "10.0.0.1")]].concat().into();
    let renamed: Arc<[_]> =
        [instances(&[1, 3]).to_vec(), vec![instance("id-orders-1", "orders-2", "10.0.0.2")]].concat().into();
    for (what, told) in [
        ("without orders-2", instances(&[1, 3])),
        ("without orders-1 and orders-2 and orders-3", instances(&[])),
        ("none of orders", with(instance("id-x", "billing-1", "10.0.0.9"))),
        ("at 10.0.0.1, and not at 10.0.0.2", moved),
        ("by another's identity", renamed),
    ] {
        let mut history = honest();
        history.looks[300].said = Said::Told(Told { instances: told, revision: 1, age_s: 0, is_live: true });
        let verdict = judged(&history, &truth());
        assert_eq!(verdict.missing + verdict.wrong, 1, "{what}: {verdict:?}");
        assert!(verdict.examples[0].contains(what), "{what}: {verdict:?}");
        assert_eq!(broken(&history, &truth()).len(), 1, "{what}");
    }
    let mut history = honest();
    history.looks[300].said = Said::Failed("503".into());
    assert_eq!(judged(&history, &truth()).failed, 1);
    assert!(broken(&history, &truth())[0].contains("503"));
}

#[test]
fn who_never_knew_a_pod_does_not_miss_it() {
    let late = history(|at_ms| (if at_ms < 5_000 { &[1, 3] } else { &[1, 2, 3] }, 0));
    assert_eq!(broken(&late, &truth()), Vec::<String>::new());
}

#[test]
fn word_of_an_absence_may_be_as_late_as_is_promised_and_no_later() {
    let truth = with_absence();
    for (out_ms, back_ms) in [(0, 0), (5_000, 3_000), (2_000, 100)] {
        assert_eq!(broken(&told_late(out_ms, back_ms), &truth), Vec::<String>::new(), "{out_ms} {back_ms}");
    }
    let too_late = judged(&told_late(5_200, 0), &truth);
    assert_eq!((too_late.wrong, too_late.missing), (1, 0), "{too_late:?}");
    let back_too_late = judged(&told_late(0, 3_300), &truth);
    assert_eq!((back_too_late.wrong, back_too_late.missing), (0, 2), "{back_too_late:?}");
    // Who left before it left was evicted; and it alone is excused.
    let early = history(|at_ms| (if at_ms == FAULT_MS - 200 { &[1, 3] } else { &[1, 2, 3] }, 0));
    assert_eq!(judged(&early, &truth).missing, 1);
    let another = history(|at_ms| (if at_ms == FAULT_MS + 200 { &[2, 3] } else { &[1, 2, 3] }, 0));
    assert_eq!(judged(&another, &truth).missing, 1);
}

#[test]
fn who_cannot_be_told_is_excused_for_that_pod_and_no_other() {
    let mut truth = with_absence();
    truth.absences[0].told.clear();
    assert_eq!(broken(&honest(), &truth), Vec::<String>::new());
    assert_eq!(broken(&told_late(0, 0), &truth), Vec::<String>::new());
    let another = history(|at_ms| (if at_ms == 20_000 { &[2, 3] } else { &[1, 2, 3] }, 0));
    assert_eq!(judged(&another, &truth).missing, 1);
}

#[test]
fn the_way_of_the_word_is_measured() {
    let verdict = judge(&[told_late(1_000, 500)], &with_absence(), LASTS_MS);
    let way = &verdict.absences[0];
    assert_eq!(
        (way.first_without_ms, way.last_with_ms, way.last_without_ms),
        (Some(1_001), Some(900), Some(400))
    );
    let never = judge(&[honest()], &with_absence(), LASTS_MS).absences.swap_remove(0);
    assert_eq!((never.first_without_ms, never.last_without_ms), (None, None));
}

#[test]
fn the_time_out_of_step_counts_from_the_loss() {
    // The session is silent for 4 s before anybody can know; then it takes 2 s.
    let lost = history(|at_ms| (&[1, 2, 3], u64::from((14_000..16_000).contains(&at_ms))));
    assert_eq!(judged(&lost, &truth()).out_of_step_ms, Some(6_001));
    assert!(broken(&lost, &truth())[0].contains("6001 ms"));
    assert!(broken(&lost, &truth())[0].contains("since 14000 ms"));
    // Long after the fault, something else has moved it.
    let moved = history(|at_ms| (&[1, 2, 3], u64::from((30_000..31_000).contains(&at_ms))));
    assert_eq!(judged(&moved, &truth()).out_of_step_ms, Some(1_001));
    let never = history(|at_ms| (&[1, 2, 3], u64::from(at_ms >= 14_000)));
    assert_eq!(judged(&never, &truth()).out_of_step_ms, None);
    assert!(broken(&never, &truth())[0].contains("never in step again, since 14000 ms"));
    // Who could not be reached is back from when it could.
    let cut_off = Truth { healed_ms: Some(40_000), cut_off: [client().name].into(), ..truth() };
    let back =
        history(|at_ms| (&[1, 2, 3], if (14_000..43_000).contains(&at_ms) { at_ms / 1_000 } else { 0 }));
    let verdict = judged(&back, &cut_off);
    assert_eq!((verdict.out_of_step_ms, verdict.longest_age_s), (Some(3_001), 42));
    assert!(broken(&back, &cut_off)[0].contains("not for 3000 ms"));
    assert_eq!(judged(&back, &Truth { cut_off: BTreeSet::new(), ..cut_off }).out_of_step_ms, Some(33_001));
}

#[test]
fn who_stopped_asking_saw_nothing() {
    for (what, kept) in [("the end", 0..200), ("the beginning", 400..600)] {
        let mut history = honest();
        history.looks = history.looks[kept].to_vec();
        assert!(broken(&history, &truth())[0].contains("asked nothing"), "{what}");
    }
    let mut gap = honest();
    gap.looks.drain(200..260);
    assert_eq!(judged(&gap, &truth()).silence_ms, 6_100);
    let nothing = History { looks: Vec::new(), ..honest() };
    assert_eq!(judged(&nothing, &truth()).silence_ms, LASTS_MS);
    let nobody = judge(&[], &truth(), LASTS_MS);
    assert_eq!(PROMISE.broken(&nobody), ["nobody asked"]);
}

#[test]
fn who_comes_and_goes_is_judged_for_the_time_in_which_it_was_there() {
    let mut comes = honest();
    comes.looks.drain(..300);
    assert!(judged(&comes, &truth()).silence_ms >= 30_000);
    comes.from_ms = 30_000;
    assert_eq!(judged(&comes, &truth()).silence_ms, APART_MS);
    let mut goes = honest();
    for look in &mut goes.looks[400..] {
        look.said = Said::Failed("its pod is gone".into());
    }
    assert_eq!(judged(&goes, &truth()).failed, 200);
    goes.end_at(40_000);
    let of = judged(&goes, &truth());
    assert_eq!((of.failed, of.silence_ms, of.lookups), (0, APART_MS, 400));
}

#[test]
fn what_nobody_can_be_told_of_is_not_measured() {
    let mut truth = with_absence();
    assert_eq!(judge(&[honest()], &truth, LASTS_MS).absences.len(), 1);
    truth.absences[0].told.clear();
    assert!(judge(&[honest()], &truth, LASTS_MS).absences.is_empty());
}

proptest! {
    /// Whatever is absent when, whoever is told in time keeps every promise; and one look that leaves out somebody who is
    /// well breaks it, wherever it is.
    #[test]
    fn the_honest_are_believed_and_no_lie_is_lost(
        from_ms in 2_000..30_000u64,
        lasts_ms in 6_000..20_000u64,
        out_ms in 0..5_000u64,
        back_ms in 0..3_000u64,
        lie in 1..600usize,
    ) {
        let mut truth = with_absence();
        truth.absences[0].from_ms = from_ms;
        truth.absences[0].until_ms = Some(from_ms + lasts_ms);
        let mut told = history(|_| (&[1, 2, 3], 0));
        for look in &mut told.looks {
            if (from_ms + out_ms..from_ms + lasts_ms + back_ms).contains(&look.asked_ms) {
                look.said = Said::Told(Told { instances: instances(&[1, 3]), revision: 2, age_s: 0, is_live: true });
            }
        }
        prop_assert_eq!(broken(&told, &truth), Vec::<String>::new());
        let known: &[usize] = if told.looks[lie].said_of("orders-2") { &[1, 2] } else { &[1] };
        told.looks[lie].said = Said::Told(Told { instances: instances(known), revision: 3, age_s: 0, is_live: true });
        prop_assert_eq!(judged(&told, &truth).missing, 1);
    }
}

impl Look {
    fn said_of(&self, pod: &str) -> bool {
        matches!(&self.said, Said::Told(told) if told.has(pod))
    }
}
