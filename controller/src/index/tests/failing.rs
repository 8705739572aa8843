use std::collections::BTreeSet;

use proptest::prelude::*;
use rollcall_catalogue::Reason;

use super::{pods::nothing_stays_behind, *};
use crate::index::failing::is_of_app;

const BEGIN_MS: u64 = 1_767_323_045_000;

/// Holds an index with pods of `orders`, whose apps say how they are, and its clock.
struct Ward {
    bench: Bench,
    now_ms: u64,
}

fn uid(number: u8) -> PodUid {
    format!("u{number}").as_str().into()
}

impl Ward {
    fn with(pods: u8, has_liveness_probe: bool) -> Self {
        let mut ward = Self { bench: Bench::new(), now_ms: BEGIN_MS };
        (1..=pods).for_each(|number| ward.comes(number, has_liveness_probe));
        ward
    }

    fn comes(&mut self, number: u8, has_liveness_probe: bool) {
        let mut one = PodSeen { has_liveness_probe, ..pod(number, "a", Some("orders")) };
        one.facts.has_sidecar = true;
        self.bench.index.apply(seen(one));
        let hello = Hello { incarnation: "i".to_owned(), sequence: 1, registrations: vec![] };
        self.bench.index.open_session(&uid(number), &hello, self.now_ms).unwrap();
        self.publish();
    }

    fn publish(&mut self) {
        self.bench.index.advance(self.now_ms);
    }

    fn says(&mut self, number: u8, probe: ProbeWitness) {
        self.bench.index.app_health(&uid(number), None, probe);
        self.publish();
    }

    /// So much time, in which all sidecars are heard; gives whom people are told of.
    fn passes(&mut self, ms: u64) -> Vec<(String, String)> {
        let end_ms = self.now_ms + ms;
        let mut told = Vec::new();
        while self.now_ms < end_ms {
            self.now_ms = end_ms.min(self.now_ms + 1_000);
            let now_ms = self.now_ms;
            self.bench.index.tick(now_ms, false, |_| Some(now_ms));
            self.publish();
            for notice in self.bench.index.take_notices(10) {
                assert_eq!(notice.reason, NoticeReason::AppFailing, "{notice:?}");
                let About::Pod { object, .. } = notice.about else { panic!("{notice:?}") };
                told.push((object.name.to_string(), notice.message));
            }
        }
        told
    }

    fn listed(&self) -> Vec<String> {
        let (listed, total) = self.bench.index.failing(None, 500);
        assert_eq!((listed.len(), self.bench.index.failing_count()), (total, total));
        listed.into_iter().map(|one| one.pod.name.to_string()).collect()
    }
}

#[test]
fn an_app_that_stays_failing_is_told_once_in_each_episode() {
    let mut ward = Ward::with(2, false);
    assert_eq!(ward.passes(300_000), [], "both are well");
    ward.says(1, ProbeWitness::Dead);
    assert_eq!(ward.passes(119_000), []);
    assert_eq!(ward.listed(), [""; 0]);
    let told = ward.passes(2_000);
    let message = "ProbeRefused in `orders.shop` since 2026-01-02T03:09:05Z, and none of its app's containers has a \
                   livenessProbe; give the app's container a livenessProbe: Kubernetes restarts it then, and Rollcall \
                   never does";
    assert_eq!(told, [("p1".to_owned(), message.to_owned())]);
    ward.says(1, ProbeWitness::Unwell);
    assert_eq!((ward.passes(300_000), ward.listed()), (vec![], vec!["p1".to_owned()]), "the same episode");
    let (listed, _) = ward.bench.index.failing(Some(&namespace("shop")), 500);
    assert_eq!((&listed[0].reason, &listed[0].service), (&Reason::ProbeFailed, &key("orders.shop")));
    assert_eq!(ward.bench.index.failing(Some(&namespace("bank")), 500), (vec![], 0));
    assert_eq!(ward.bench.index.failing(None, 0), (vec![], 1));

    ward.says(1, ProbeWitness::Passing);
    assert_eq!(ward.listed(), [""; 0]);
    ward.says(1, ProbeWitness::SaysFailing);
    assert_eq!(ward.passes(110_000), []);
    let told = ward.passes(20_000);
    assert!(matches!(&told[..], [(_, message)] if message.starts_with("AppSaysFailing")), "{told:?}");
    ward.bench.apply([gone_pod(1), gone_pod(2)]);
    nothing_stays_behind(&ward.bench);
}

#[test]
fn only_what_the_sidecar_says_of_an_app_that_nobody_restarts_counts() {
    let table = [
        (ProbeWitness::Dead, true),
        (ProbeWitness::Unwell, true),
        (ProbeWitness::LoopbackOnly, true),
        (ProbeWitness::BeatMissed, true),
        (ProbeWitness::SaysFailing, true),
        (ProbeWitness::Passing, false),
        (ProbeWitness::Pending, false),
        (ProbeWitness::AwaitingBeat, false),
        (ProbeWitness::NotAsked, false),
    ];
    for (probe, counts) in table {
        for restarts in [false, true] {
            let mut ward = Ward::with(1, restarts);
            ward.says(1, probe);
            let told = ward.passes(180_000).len();
            assert_eq!(told, usize::from(counts && !restarts), "{probe} {restarts}");
            assert_eq!(ward.listed().len(), told);
        }
    }
    let mut ward = Ward::with(1, false);
    ward.says(1, ProbeWitness::Dead);
    ward.passes(60_000);
    let mut not_ready = pod(1, "a", Some("orders"));
    (not_ready.facts.has_sidecar, not_ready.facts.life.ready) = (true, false);
    ward.bench.apply([seen(not_ready)]);
    assert_eq!(ward.passes(180_000), [], "Kubernetes has seen it itself");
}

#[test]
fn a_sidecar_that_is_not_heard_says_nothing_of_its_app() {
    for reason in Reason::KNOWN {
        let by_word = OBSERVED.contains(&reason.as_str()) && *reason != Reason::SessionSilent;
        assert_eq!(is_of_app(reason), by_word, "{reason}");
    }
}

#[test]
fn apps_that_fail_together_are_told_of_a_few_at_a_time() {
    let mut ward = Ward::with(9, false);
    (1..=9).for_each(|number| ward.says(number, ProbeWitness::Dead));
    ward.passes(119_000);
    let each: Vec<_> = (0..6).map(|_| ward.passes(1_000).len()).collect();
    assert_eq!(each, [2, 2, 2, 2, 1, 0]);
    assert_eq!(ward.listed().len(), 9);
    let mut ward = Ward::with(9, false);
    (1..=9).for_each(|number| ward.says(number, ProbeWitness::Dead));
    assert_eq!(ward.passes(120_000).len(), 2);
    (1..=9).for_each(|number| ward.says(number, ProbeWitness::Passing));
    (1..=9).for_each(|number| ward.says(number, ProbeWitness::Dead));
    assert_eq!(ward.passes(60_000), [], "it is over before anybody heard of it, and begins anew");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a list of who failed since when.
    #[test]
    fn whoever_fails_for_two_minutes_without_a_break_is_listed_and_nobody_else(
        steps in proptest::collection::vec((1u8..4, 0u8..5, 0u64..150), 1..24),
    ) {
        let mut ward = Ward::with(3, false);
        let mut since_ms = BTreeMap::new();
        let (mut told, mut due) = (BTreeSet::new(), BTreeSet::new());
        for (number, what, seconds) in steps {
            let name = format!("p{number}");
            let is_there = ward.bench.index.pod(&uid(number)).is_some();
            match what {
                0 | 1 if is_there => {
                    ward.says(number, if what == 0 { ProbeWitness::Dead } else { ProbeWitness::BeatMissed });
                    since_ms.entry(name).or_insert(ward.now_ms);
                }
                2 if is_there => {
                    ward.says(number, ProbeWitness::Passing);
                    since_ms.remove(&name);
                }
                3 => {
                    ward.bench.index.apply(gone_pod(number));
                    ward.publish();
                    since_ms.remove(&name);
                }
                4 if !is_there => ward.comes(number, false),
                _ => {}
            }
            told.extend(ward.passes(seconds * 1_000).into_iter().map(|(name, _)| (name.clone(), since_ms[&name])));
            let lasts = |at_ms: u64| ward.now_ms >= at_ms + 120_000;
            let lasting: Vec<_> = since_ms.iter().filter(|(_, at_ms)| lasts(**at_ms)).collect();
            if seconds > 2 {
                prop_assert_eq!(ward.listed(), lasting.iter().map(|(name, _)| (*name).clone()).collect::<Vec<_>>());
            }
            due.extend(lasting.into_iter().map(|(name, at_ms)| (name.clone(), *at_ms)));
        }
        told.extend(ward.passes(5_000).into_iter().map(|(name, _)| (name.clone(), since_ms[&name])));
        prop_assert!(told.is_superset(&due), "{:?} {:?}", told, due);
    }
}
