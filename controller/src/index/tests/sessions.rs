//! Histories of sessions: who is silent when, who else is, and what lookups are told of it.

use std::collections::HashMap;

use rollcall_catalogue::{Reason, State, liveness::ProbeWitness};

use super::{pods::nothing_stays_behind, *};

/// A frame of each session comes so often.
const FRAME_EVERY_MS: u64 = 3_000;

/// Holds nodes with pods that are in session, and what they say as time passes.
struct Fleet {
    bench: Bench,
    heard_ms: HashMap<PodUid, u64>,
    pods: u8,
}

fn uid(number: u8) -> PodUid {
    format!("u{number}").as_str().into()
}

/// Pod `number` has a sidecar, is of service `orders`, and stands on one of so many nodes, by turns.
fn on_nodes(number: u8, nodes: u8) -> PodSeen {
    let mut one = pod(number, "a", Some("orders"));
    one.facts.has_sidecar = true;
    one.facts.node = Some(format!("n{}", number % nodes).into());
    one
}

fn node_named(number: u8, unknown: bool) -> Change {
    Change::Node(
        format!("n{number}").into(),
        NodeFacts { zone: None, unknown, pod_ranges: Vec::new(), addresses: Vec::new() },
    )
}

fn hello(incarnation: &str, sequence: u64) -> Hello {
    Hello { incarnation: incarnation.to_owned(), sequence, registrations: Vec::new() }
}

impl Fleet {
    /// Its sessions are opened at second 1.
    fn new(nodes: u8, pods: u8) -> Self {
        Self::of(Bench::new(), nodes, pods)
    }

    fn of(mut bench: Bench, nodes: u8, pods: u8) -> Self {
        bench.index = std::mem::take(&mut bench.index).speaking_of(named("lease"));
        bench.apply((0..nodes).map(|number| node_named(number, false)));
        bench.apply((1..=pods).map(|number| seen(on_nodes(number, nodes))));
        let mut fleet = Self { bench, heard_ms: HashMap::new(), pods };
        fleet.bench.now_ms = 1_000;
        (1..=pods).for_each(|number| fleet.open(number, "i", 1));
        fleet
    }

    fn open(&mut self, number: u8, incarnation: &str, sequence: u64) {
        let now_ms = self.bench.now_ms;
        let opened = self.bench.index.open_session(&uid(number), &hello(incarnation, sequence), now_ms);
        assert_eq!(opened, Some(Opening::Open(vec![])));
        self.heard_ms.insert(uid(number), now_ms);
        self.bench.index.advance(now_ms);
    }

    fn end(&mut self, number: u8, by_peer: bool) {
        let heard_ms = self.heard_ms.remove(&uid(number)).unwrap();
        self.bench.index.session_ended(&uid(number), heard_ms, by_peer, self.bench.now_ms);
        self.bench.index.advance(self.bench.now_ms);
    }

    /// Lets time pass as the owner does, until then; who is not silent speaks. Gives the moments at which anything
    /// that lookups see has changed.
    fn until(&mut self, until_ms: u64, silent: impl Fn(u8) -> bool) -> Vec<u64> {
        self.listening_until(until_ms, false, silent)
    }

    fn listening_until(&mut self, until_ms: u64, stale: bool, silent: impl Fn(u8) -> bool) -> Vec<u64> {
        let mut changes = Vec::new();
        loop {
            let now_ms = self.bench.now_ms;
            let next_ms = self.bench.index.wakes_at_ms(now_ms).max(now_ms + 1);
            let now_ms = next_ms.min(until_ms);
            self.bench.now_ms = now_ms;
            for number in (1..=self.pods).filter(|number| !silent(*number)) {
                if let Some(heard_ms) = self.heard_ms.get_mut(&uid(number)) {
                    let frames = (now_ms - *heard_ms) / FRAME_EVERY_MS;
                    *heard_ms += frames * FRAME_EVERY_MS;
                }
            }
            if next_ms <= until_ms {
                self.tick(stale);
            }
            if self.bench.index.advance(now_ms).is_some() {
                changes.push(now_ms);
            }
            if now_ms == until_ms {
                return changes;
            }
        }
    }

    fn tick(&mut self, stale: bool) {
        let heard_ms = &self.heard_ms;
        self.bench.index.tick(self.bench.now_ms, stale, |uid| heard_ms.get(uid).copied());
    }

    /// A frame of this pod comes now, and the owner was told.
    fn speaks(&mut self, number: u8) {
        let now_ms = self.bench.now_ms;
        self.heard_ms.insert(uid(number), now_ms);
        self.bench.index.heard(&uid(number), now_ms, now_ms);
        self.bench.index.advance(now_ms);
    }

    fn stands(&self, number: u8) -> (State, Reason) {
        let published = self.bench.index.published.get(&key("orders.shop")).unwrap();
        let name = format!("p{number}");
        let mut instances = published.instances.iter();
        let one = instances.find(|instance| instance.pod.as_deref() == Some(name.as_str())).unwrap();
        (one.state, one.reason.clone())
    }

    fn reasons(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        (1..=self.pods).for_each(|number| *counts.entry(self.stands(number).1.to_string()).or_default() += 1);
        counts
    }

    fn notices(&mut self) -> Vec<(NoticeReason, String)> {
        let name = |about: &About| match about {
            About::Pod { object, .. } | About::Registration { object, .. } | About::Lease { object } => {
                object.name.to_string()
            }
        };
        let notices = self.bench.index.take_notices(usize::MAX);
        notices.iter().map(|notice| (notice.reason, name(&notice.about))).collect()
    }

    fn false_alarms(&mut self) -> Vec<(&'static str, u64)> {
        self.bench.index.take_alarms().false_alarms.into_iter().collect()
    }

    fn frozen(&self) -> bool {
        self.bench.index.freezes().next().is_some()
    }
}

fn counted<const N: usize>(reasons: [(&str, usize); N]) -> BTreeMap<String, usize> {
    reasons.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect()
}

#[test]
fn who_is_silent_is_doubted_after_6_s_and_out_after_9_s_and_back_at_the_next_frame() {
    let mut fleet = Fleet::new(3, 9);
    assert!(fleet.until(30_000, |_| false).is_empty(), "who is heard changes nothing");
    let heard_ms = fleet.heard_ms[&uid(1)];
    assert!(fleet.until(heard_ms + 5_999, |number| number == 1).is_empty());
    assert_eq!(fleet.until(heard_ms + 8_999, |number| number == 1), [heard_ms + 6_000]);
    assert_eq!(fleet.stands(1), (State::Suspect, Reason::SessionQuiet));
    assert!(fleet.notices().is_empty());
    assert_eq!(fleet.until(heard_ms + 60_000, |number| number == 1), [heard_ms + 9_000]);
    assert_eq!(fleet.stands(1), (State::Failing, Reason::SessionSilent));
    assert_eq!(fleet.notices(), [(NoticeReason::InstanceLost, "p1".to_owned())]);
    assert!(fleet.false_alarms().is_empty() && !fleet.frozen());
    fleet.speaks(1);
    assert_eq!(fleet.stands(1), (State::Serving, Reason::Ready));
    assert_eq!(fleet.false_alarms(), [("SessionSilent", 1)]);
    assert!(fleet.until(120_000, |_| false).is_empty() && fleet.false_alarms().is_empty());
}

#[test]
fn a_quiet_session_that_speaks_again_was_a_false_alarm_of_its_own_kind() {
    let mut fleet = Fleet::new(3, 9);
    let heard_ms = fleet.heard_ms[&uid(1)];
    fleet.until(heard_ms + 7_000, |number| number == 1);
    assert_eq!(fleet.until(heard_ms + 8_900, |_| false), [heard_ms + 8_000], "at the next look");
    assert_eq!(fleet.stands(1), (State::Serving, Reason::Ready));
    assert_eq!(fleet.false_alarms(), [("SessionQuiet", 1)]);
}

#[test]
fn the_pods_whose_next_frame_is_news_are_told() {
    let mut fleet = Fleet::new(3, 9);
    fleet.until(6_999, |number| number == 1);
    fleet.bench.now_ms = 7_000;
    let heard_ms: HashMap<_, _> =
        (2..=9).map(|number| (uid(number), 4_000)).chain([(uid(1), 1_000)]).collect();
    let mut tick = |now_ms| fleet.bench.index.tick(now_ms, false, |uid| heard_ms.get(uid).copied());
    assert_eq!(tick(7_000), [uid(1)]);
    assert!(tick(7_050).is_empty(), "it is known already");
}

#[test]
fn the_last_instance_is_spared() {
    let mut fleet = Fleet::new(3, 9);
    // All but one of `orders` are of another service.
    fleet.bench.apply((2..=9).map(|number| {
        let mut other = on_nodes(number, 3);
        other.facts.registration = pod(number, "a", Some("billing")).facts.registration;
        seen(other)
    }));
    fleet.until(60_000, |number| number == 1);
    assert_eq!(fleet.stands(1), (State::Suspect, Reason::SessionSilent));
    assert!(!fleet.frozen());
}

#[test]
fn a_session_that_the_pod_closes_says_that_its_node_is_alive() {
    let mut fleet = Fleet::new(3, 9);
    fleet.until(20_000, |_| false);
    fleet.end(1, true);
    assert!(fleet.until(34_999, |_| false).is_empty());
    assert_eq!(fleet.stands(1), (State::Serving, Reason::SidecarLost));
    assert_eq!(fleet.until(200_000, |_| false), [35_000]);
    assert_eq!(fleet.stands(1), (State::Suspect, Reason::SidecarLost), "and never out for that alone");
    fleet.open(1, "i", 2);
    fleet.until(200_100, |_| false);
    assert_eq!(fleet.stands(1), (State::Serving, Reason::Ready));
    assert_eq!(fleet.false_alarms(), [("SidecarLost", 1)]);
    // Back within 15 s, it was no alarm at all.
    fleet.end(1, true);
    fleet.until(201_000, |_| false);
    fleet.open(1, "j", 1);
    fleet.until(202_000, |_| false);
    assert!(fleet.false_alarms().is_empty());
}

#[test]
fn our_own_hanging_up_says_nothing_of_the_pod() {
    let mut fleet = Fleet::new(3, 9);
    fleet.until(10_000, |_| false);
    assert_eq!(fleet.heard_ms[&uid(1)], 10_000);
    fleet.end(1, false);
    assert_eq!(fleet.until(60_000, |_| false), [16_000, 19_000]);
    assert_eq!(fleet.stands(1), (State::Failing, Reason::SessionSilent));
}

#[test]
fn who_is_hung_up_after_its_time_is_not_judged_before_the_guard_is_asked() {
    let mut fleet = Fleet::new(2, 8);
    fleet.until(10_000, |_| false);
    // All of one node's fall silent, and the owner is late: it learns of the end of each before its own tick.
    fleet.bench.now_ms = 19_500;
    (1..=8).filter(|number| number % 2 == 1).for_each(|number| fleet.end(number, false));
    assert_eq!(fleet.reasons(), counted([("Ready", 8)]));
    fleet.until(40_000, |_| false);
    assert_eq!(fleet.reasons(), counted([("MassLossGuard", 4), ("Ready", 4)]));
}

#[test]
fn a_dead_node_of_three_is_out_within_9_s_and_one_step() {
    let mut fleet = Fleet::new(3, 9);
    fleet.until(20_000, |_| false);
    let dead = |number: u8| number % 3 == 1;
    fleet.until(29_999, dead);
    assert_eq!(fleet.reasons(), counted([("Ready", 6), ("SessionSilent", 3)]));
    assert!(!fleet.frozen());
    assert_eq!(fleet.notices().len(), 3);
}

#[test]
fn half_of_the_nodes_that_fall_silent_are_our_own_illness() {
    let mut fleet = Fleet::new(4, 12);
    fleet.until(20_000, |_| false);
    let cut_off = |number: u8| number.is_multiple_of(2);
    fleet.until(80_000, cut_off);
    assert_eq!(fleet.reasons(), counted([("MassLossGuard", 6), ("Ready", 6)]));
    assert!(fleet.frozen());
    assert_eq!(fleet.notices(), [(NoticeReason::MassLossGuard, "lease".to_owned())], "once");
    fleet.until(120_000, |_| false);
    assert_eq!(fleet.reasons(), counted([("Ready", 12)]));
    assert!(!fleet.frozen());
    assert!(fleet.notices().is_empty());
    // What is lost later, and is no mass, is judged as ever.
    fleet.until(140_000, |number| number == 1);
    assert_eq!(fleet.stands(1), (State::Failing, Reason::SessionSilent));
}

#[test]
fn a_clock_that_stood_still_evicts_nobody() {
    let mut fleet = Fleet::new(3, 9);
    fleet.until(20_000, |_| false);
    fleet.bench.now_ms = 60_000;
    let everyone = |_| true;
    assert!(fleet.until(60_100, everyone).len() <= 1);
    assert!(fleet.frozen());
    assert!(fleet.reasons().keys().all(|reason| reason == "Ready" || reason == "MassLossGuard"));
    // Those who are alive are heard by and by; nobody was ever out.
    fleet.until(80_000, |_| false);
    assert_eq!(fleet.reasons(), counted([("Ready", 9)]));
    assert!(!fleet.frozen());
    assert!(fleet.false_alarms().is_empty());
}

/// The pod has hung up on us while we stood still, and needs longer to come back than we trust nobody's silence.
#[test]
fn who_hangs_up_while_our_clock_stands_still_was_not_silent() {
    for late_ms in [0, 5_000] {
        let mut fleet = Fleet::new(3, 9);
        fleet.until(20_000, |_| false);
        fleet.bench.now_ms = 40_000;
        if late_ms > 0 {
            // The word of its end is read some time after the clock has gone on.
            fleet.until(40_000 + late_ms, |number| number == 1);
        }
        fleet.end(1, true);
        fleet.until(75_000, |_| false);
        assert_eq!(fleet.stands(1), (State::Suspect, Reason::SidecarLost), "{late_ms}");
        fleet.open(1, "i", 2);
        fleet.until(76_000, |_| false);
        assert_eq!(fleet.reasons(), counted([("Ready", 9)]));
    }
}

#[test]
fn while_kubernetes_is_not_heard_silence_is_not_believed() {
    let mut fleet = Fleet::new(3, 9);
    fleet.until(20_000, |_| false);
    fleet.listening_until(40_000, true, |number| number == 1);
    assert_eq!(fleet.stands(1), (State::Serving, Reason::MassLossGuard));
    fleet.until(41_000, |number| number == 1);
    assert_eq!(fleet.stands(1), (State::Failing, Reason::SessionSilent), "judged when the freeze is over");
}

#[test]
fn nodes_that_kubernetes_loses_at_once_take_out_nobody() {
    let plain = |number: u8| {
        let mut one = on_nodes(number, 4);
        one.facts.has_sidecar = false;
        seen(one)
    };
    let mut fleet = Fleet::new(4, 0);
    fleet.pods = 8;
    fleet.bench.apply((1..=8).map(plain));
    fleet.until(20_000, |_| false);
    // One of four is dead.
    fleet.bench.apply([node_named(1, true)]);
    assert_eq!(fleet.reasons(), counted([("NodeLost", 2), ("Ready", 6)]));
    // Another one at the same time: that is half of them, and the guard looks before the joining does.
    fleet.bench.now_ms = 25_000;
    fleet.bench.apply([node_named(2, true)]);
    assert_eq!(fleet.reasons(), counted([("MassLossGuard", 4), ("Ready", 4)]));
    fleet.until(60_000, |_| false);
    assert_eq!(fleet.reasons(), counted([("MassLossGuard", 4), ("Ready", 4)]));
    fleet.bench.apply([node_named(1, false), node_named(2, false)]);
    assert_eq!(fleet.reasons(), counted([("Ready", 8)]));
    assert!(!fleet.frozen());
}

#[test]
fn what_is_only_observed_is_counted() {
    let mut bench = Bench::new();
    bench.index = std::mem::take(&mut bench.index).observing(true);
    let mut fleet = Fleet::of(bench, 3, 9);
    assert!(fleet.until(60_000, |number| number == 1).is_empty());
    assert_eq!(fleet.stands(1), (State::Serving, Reason::Ready));
    let counts = |fleet: &mut Fleet| {
        let alarms = fleet.bench.index.take_alarms();
        assert!(alarms.false_alarms.is_empty(), "nobody was doubted");
        alarms.observed.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(counts(&mut fleet), [("SessionSilent", 1)]);
    fleet.bench.index.app_health(&uid(2), None, ProbeWitness::Dead);
    fleet.until(70_000, |number| number == 1);
    assert_eq!(fleet.stands(2), (State::Serving, Reason::Ready));
    assert_eq!(counts(&mut fleet), [("ProbeRefused", 1)], "the other one is counted already");
    // It comes back, and vanishes once more.
    fleet.until(80_000, |_| false);
    fleet.until(120_000, |number| number == 1);
    assert_eq!(counts(&mut fleet), [("SessionSilent", 1)]);
    assert!(fleet.notices().is_empty(), "nobody is lost");
}

#[test]
fn of_one_sidecar_the_newest_session_counts_whichever_comes_later() {
    let mut fleet = Fleet::new(3, 3);
    let opens = |fleet: &mut Fleet, incarnation, sequence| {
        let now_ms = fleet.bench.now_ms;
        fleet.bench.index.open_session(&uid(1), &hello(incarnation, sequence), now_ms).unwrap()
    };
    let open = Opening::Open(vec![]);
    let table = [
        ("i", 3, &open),
        ("i", 2, &Opening::Stale),
        ("i", 3, &open),
        ("j", 1, &open),
        ("j", 0, &Opening::Stale),
        // Another process is not comparable.
        ("i", 4, &open),
    ];
    for (incarnation, sequence, expected) in table {
        assert_eq!(opens(&mut fleet, incarnation, sequence), *expected, "{incarnation} {sequence}");
    }
    fleet.end(1, true);
    assert_eq!(opens(&mut fleet, "i", 3), Opening::Stale, "although the newer one has ended");
    let long = format!("{}é", "x".repeat(127));
    assert_eq!(opens(&mut fleet, &long, 5), open);
    assert_eq!(opens(&mut fleet, &long, 4), Opening::Stale);
    assert_eq!(fleet.bench.index.open_session(&uid(9), &hello("i", 1), 1), None);
}

#[test]
fn a_pods_end_leaves_no_session_behind() {
    let mut fleet = Fleet::new(1, 3);
    fleet.until(20_000, |number| number == 1);
    fleet.end(2, true);
    let gone = (1..=3).map(gone_pod).chain([Change::Gone(Key::Node("n0".into()))]);
    fleet.bench.apply(gone);
    assert_eq!(fleet.bench.index.take_orphans().len(), 3);
    nothing_stays_behind(&fleet.bench);
    // Late words on it are of nobody.
    fleet.bench.index.heard(&uid(1), 21_000, 21_000);
    fleet.bench.index.session_ended(&uid(1), 21_000, true, 21_000);
    fleet.bench.index.app_drains(&uid(1), true);
    nothing_stays_behind(&fleet.bench);
}

#[test]
fn explain_has_what_the_sessions_say() {
    let mut fleet = Fleet::new(3, 9);
    fleet.until(7_500, |number| number == 1);
    fleet.bench.index.app_drains(&uid(2), true);
    fleet.bench.index.app_health(&uid(3), None, ProbeWitness::Passing);
    fleet.bench.publish();
    let words: BTreeMap<_, _> = fleet
        .bench
        .index
        .explain(&key("orders.shop"))
        .unwrap()
        .iter()
        .map(|one| {
            let witnesses = one.witnesses;
            let said = [witnesses.session.as_str(), witnesses.probe.as_str(), witnesses.intent.as_str()];
            (one.instance.pod.as_deref().unwrap().to_owned(), said)
        })
        .collect();
    assert_eq!(words["p1"], ["quiet", "not-asked", "stay"]);
    assert_eq!(words["p2"], ["live", "not-asked", "drain"]);
    assert_eq!(words["p3"], ["live", "passing", "stay"]);
}
