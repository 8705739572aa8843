//! What other replicas tell of a pod, and what that counts for.

use rollcall_catalogue::{Reason, State, liveness::ProbeWitness};
use rollcall_wire::{
    HealthOf, SelfRegistration,
    peer::{HealthWord, Note, Record, Said, SaidRegistration, SessionWord, Version},
};

use super::{pods::nothing_stays_behind, *};

const HEARD: SessionWord = SessionWord::Open { unheard_ms: None };

fn uid(number: u8) -> PodUid {
    format!("u{number}").as_str().into()
}

fn version(generation: u64, incarnation: &str, sequence: u64, count: u64) -> Version {
    Version { generation, incarnation: incarnation.into(), sequence, count }
}

/// Of pod `u1`, by process `a`.
fn record(version: Version, session: SessionWord) -> Record {
    Record { pod: uid(1), version, origin: "a".into(), session, said: Said::default() }
}

fn registers(service: &str, named: bool) -> SaidRegistration {
    let said = serde_json::json!({"service": service, "ports": [{"port": 9090}]});
    SaidRegistration { registration: serde_json::from_value(said).unwrap(), named }
}

fn says(registrations: &[(&str, bool)]) -> Said {
    let registrations = registrations.iter().map(|(service, named)| registers(service, *named)).collect();
    Said { registrations, ..Said::default() }
}

fn hello(incarnation: &str, sequence: u64, registrations: &[&str]) -> Hello {
    let said = |service: &&str| -> SelfRegistration { registers(service, true).registration };
    let registrations = registrations.iter().map(said).collect();
    Hello { incarnation: incarnation.to_owned(), sequence, registrations }
}

fn pod_with_sidecar(number: u8) -> Change {
    let mut one = pod(number, "a", Some("orders"));
    one.facts.has_sidecar = true;
    one.facts.node = Some(format!("n{number}").into());
    seen(one)
}

fn its_node(number: u8) -> Change {
    Change::Node(format!("n{number}").into(), node_facts())
}

/// An index of process `us` with three pods of service `orders`, to which `a` and `b` are heard.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.index = std::mem::take(&mut bench.index).of_process("us".into());
    bench.apply((1..=6).map(its_node));
    bench.apply((1..=3).map(pod_with_sidecar));
    peers(&mut bench, &[("a", PeerStanding::Heard), ("b", PeerStanding::Heard)], 1_000);
    bench.now_ms = 1_000;
    bench
}

pub(super) fn peers(bench: &mut Bench, standings: &[(&str, PeerStanding)], now_ms: u64) {
    let peers = standings.iter().map(|(epoch, standing)| (Arc::from(*epoch), *standing)).collect();
    bench.index.set_peers(peers, now_ms);
}

fn opens(bench: &mut Bench, hello: &Hello, now_ms: u64) -> Opening {
    bench.index.open_session(&uid(1), hello, now_ms).unwrap()
}

/// What is told of pod `u1`, at this moment.
fn told(bench: &mut Bench, now_ms: u64) -> Record {
    let tidings = bench.index.take_notes();
    let known = tidings.into_iter().find_map(|one| match one {
        Tidings::Known(note) if note.pod == uid(1) => Some(note),
        _ => None,
    });
    known.unwrap().told(now_ms)
}

fn stands(bench: &mut Bench) -> (State, String) {
    bench.publish();
    let published = bench.index.published.get(&key("orders.shop")).unwrap();
    let one = published.instances.iter().find(|one| one.pod.as_deref() == Some("p1")).unwrap();
    (one.state, one.reason.to_string())
}

pub(super) fn reason_at(bench: &mut Bench, now_ms: u64) -> String {
    // Each second, as the owner does, or it were a pause; the others speak all the while.
    while bench.now_ms < now_ms {
        bench.now_ms = (bench.now_ms + 1_000).min(now_ms);
        let at_ms = bench.now_ms;
        bench.index.tick(at_ms, false, |_| None);
        bench.index.advance(at_ms);
    }
    stands(bench).1
}

/// Pod `u1` was told as late by `a` at this moment; `b` hears two others.
pub(super) fn late_elsewhere(now_ms: u64) -> Bench {
    let mut bench = bench();
    for number in [2, 3] {
        let one = Record { pod: uid(number), origin: "b".into(), ..record(version(1, "i", 1, 1), HEARD) };
        bench.index.hear_record(one, 1_000);
    }
    reason_at(&mut bench, now_ms);
    let late = SessionWord::Open { unheard_ms: Some(4_000) };
    bench.index.hear_record(record(version(1, "i", 1, 1), late), now_ms);
    bench
}

/// Pod `u1` was in session here until then; `b` hears two others.
pub(super) fn away_from_here(now_ms: u64) -> Bench {
    let mut bench = late_elsewhere(now_ms - 1_000);
    opens(&mut bench, &hello("i", 2, &[]), now_ms);
    bench
}

/// And is with `b` since then.
pub(super) fn comes_to_b(bench: &mut Bench, now_ms: u64) {
    let moved = Record { origin: "b".into(), ..record(version(1, "i", 3, 1), HEARD) };
    bench.index.hear_record(moved, now_ms);
}

#[test]
fn what_a_session_here_brings_is_told_each_time_under_a_higher_number() {
    let mut bench = bench();
    assert!(bench.index.take_notes().is_empty());
    assert_eq!(opens(&mut bench, &hello("i", 3, &["billing"]), 2_000), Opening::Open(vec![]));
    let first = told(&mut bench, 2_000);
    assert_eq!((&*first.origin, first.session, &first.said), ("us", HEARD, &says(&[("billing", true)])));
    assert_eq!((first.version.generation, &*first.version.incarnation, first.version.sequence), (1, "i", 3));
    assert!(bench.index.take_notes().is_empty(), "told once");

    let mut last = first.version;
    let mut is_told = |bench: &mut Bench, what: &str| {
        let record = told(bench, 2_500);
        assert!(record.version > last, "{what}: {:?} after {last:?}", record.version);
        last = record.version.clone();
        record
    };
    let of = Some(HealthOf { service: "billing".parse().unwrap(), port: None });
    bench.index.app_health(&uid(1), of.clone(), ProbeWitness::Dead);
    let words = is_told(&mut bench, "health").said.health;
    assert_eq!(words, [HealthWord { of: of.clone(), probe: ProbeWitness::Dead }]);
    bench.index.app_drains(&uid(1), true);
    assert!(is_told(&mut bench, "a drain").said.drains);
    bench.index.app_deregisters(&uid(1), &registers("billing", true).registration.key());
    assert!(is_told(&mut bench, "taken back").said.registrations.is_empty());
    bench.index.app_registers(&uid(1), &registers("billing", true).registration).unwrap();
    is_told(&mut bench, "registered");
    // Another process of the sidecar begins the next generation, and has not named it yet.
    opens(&mut bench, &hello("j", 1, &[]), 2_500);
    let next = is_told(&mut bench, "another process");
    assert_eq!((next.version.generation, next.said.registrations[0].named), (2, false));
    bench.index.app_registers(&uid(1), &registers("billing", true).registration).unwrap();
    assert!(is_told(&mut bench, "named").said.registrations[0].named);
    // What is no news is not told.
    bench.index.app_registers(&uid(1), &registers("billing", true).registration).unwrap();
    bench.index.app_drains(&uid(1), true);
    bench.index.app_health(&uid(1), of, ProbeWitness::Dead);
    assert!(bench.index.take_notes().is_empty());
    bench.index.session_ended(&uid(1), 2_400, true, 2_500);
    let ended = SessionWord::Ended { ended_ms: 500, heard_ms: 500, by_peer: true };
    assert_eq!(told(&mut bench, 3_000).session, ended);
    bench.index.session_ended(&uid(1), 2_400, true, 2_600);
    assert!(bench.index.take_notes().is_empty(), "it ends once");
    bench.apply([gone_pod(1)]);
    assert_eq!(bench.index.take_notes(), [Tidings::Gone(uid(1))]);
}

#[test]
fn a_session_that_is_late_is_told_once_and_so_is_that_it_is_back() {
    let mut bench = bench();
    opens(&mut bench, &hello("i", 1, &[]), 1_000);
    bench.index.take_notes();
    let tick = |bench: &mut Bench, now_ms, heard_ms| {
        let is_ours = |one: &PodUid| (*one == uid(1)).then_some(heard_ms);
        let next_is_news = bench.index.tick(now_ms, false, is_ours);
        let notes = bench.index.take_notes();
        let note = notes.into_iter().next().map(|one| match one {
            Tidings::Known(note) => note.told(now_ms).session,
            Tidings::Gone(_) => panic!(),
        });
        (next_is_news, note)
    };
    for now_ms in [2_000, 3_000, 4_000] {
        assert_eq!(tick(&mut bench, now_ms, 1_000), (vec![], None), "frames come every 3 s");
    }
    let late = SessionWord::Open { unheard_ms: Some(4_000) };
    assert_eq!(tick(&mut bench, 5_000, 1_000), (vec![uid(1)], Some(late)));
    assert_eq!(tick(&mut bench, 6_000, 1_000), (vec![], None));
    bench.index.heard(&uid(1), 6_100, 6_100);
    assert_eq!(told(&mut bench, 6_100).session, HEARD, "at once");
    // Whoever stood still himself calls nobody late.
    assert_eq!(tick(&mut bench, 20_000, 6_100), (vec![uid(1)], None));
    for now_ms in (21_000..=28_000).step_by(1_000) {
        assert_eq!(tick(&mut bench, now_ms, 6_100).1, None, "at {now_ms}");
    }
    assert_eq!(tick(&mut bench, 29_000, 6_100).1, Some(SessionWord::Open { unheard_ms: Some(22_900) }));
}

/// Nobody else has stood still with us, and would judge it by its age.
#[test]
fn a_session_that_ends_while_we_recover_was_heard_as_far_as_we_know() {
    for by_peer in [true, false] {
        let mut bench = bench();
        opens(&mut bench, &hello("i", 1, &[]), 1_000);
        bench.index.tick(1_000, false, |_| None);
        bench.index.tick(20_000, false, |_| None);
        bench.index.session_ended(&uid(1), 1_000, by_peer, 21_000);
        let ended = SessionWord::Ended { ended_ms: 0, heard_ms: 0, by_peer };
        assert_eq!(told(&mut bench, 21_000).session, ended);
    }
}

#[test]
fn of_two_notes_the_higher_version_wins_as_a_whole_whichever_comes_first() {
    let older = Record { said: says(&[("billing", true)]), ..record(version(1, "i", 2, 9), HEARD) };
    // In the order in which they win.
    let newer = [version(1, "i", 2, 10), version(1, "i", 3, 0), version(1, "j", 1, 0), version(2, "a", 0, 0)];
    for version in newer {
        let newer = Record { said: says(&[("payments", true)]), ..record(version, HEARD) };
        for order in [[&older, &newer], [&newer, &older]] {
            let mut bench = bench();
            let news = order.map(|one| bench.index.hear_record(one.clone(), 1_000));
            assert_eq!(news, [true, *order[0] == older]);
            assert!(!bench.index.hear_record(newer.clone(), 1_500), "again");
            let names: Vec<_> = bench.publish().into_keys().collect();
            assert_eq!(names, ["orders.shop", "payments.shop"]);
            assert_eq!(told(&mut bench, 1_000), newer, "as it was told");
        }
    }
    // One session given to two replicas: the origin decides.
    for order in [["a", "b"], ["b", "a"]] {
        let mut bench = bench();
        for origin in order {
            bench.index.hear_record(Record { origin: origin.into(), ..older.clone() }, 1_000);
        }
        assert_eq!(&*told(&mut bench, 1_000).origin, "b");
    }
}

#[test]
fn a_session_goes_on_here_from_what_was_said_elsewhere() {
    let mut bench = bench();
    let drains = Said { drains: true, ..says(&[("billing", true), ("payments", false)]) };
    bench.index.hear_record(Record { said: drains, ..record(version(4, "i", 7, 20), HEARD) }, 1_000);
    bench.publish();
    let before = stands(&mut bench);
    assert_eq!(before.1, "DrainRequested");
    for (what, sequence, opening) in
        [("an older one of the same sidecar", 6, Opening::Stale), ("the next one", 8, Opening::Open(vec![]))]
    {
        assert_eq!(opens(&mut bench, &hello("i", sequence, &["billing"]), 1_000), opening, "{what}");
    }
    assert!(bench.step().is_none(), "nobody is told that it has moved");
    let record = told(&mut bench, 1_000);
    assert_eq!((record.version.generation, record.version.sequence, &*record.origin), (4, 8, "us"));
    assert_eq!(record.said.registrations.len(), 2, "what it had not named itself stays");
    assert!(record.said.drains);
    // What it named at the other replica and leaves out here is taken back.
    opens(&mut bench, &hello("i", 9, &[]), 1_000);
    assert_eq!(bench.publish().into_keys().collect::<Vec<_>>(), ["orders.shop", "payments.shop"]);
    // Another process counts the generations on.
    opens(&mut bench, &hello("j", 1, &[]), 1_000);
    assert_eq!(told(&mut bench, 1_000).version.generation, 5);
}

#[test]
fn an_open_session_that_is_newer_elsewhere_is_over_here() {
    let mut bench = bench();
    opens(&mut bench, &hello("i", 2, &[]), 1_000);
    let held = told(&mut bench, 1_000).version;
    for loses in [version(1, "h", 9, 9), version(1, "i", 1, 99)] {
        assert!(!bench.index.hear_record(record(loses, HEARD), 1_000));
    }
    assert!(bench.index.take_superseded().is_empty());
    bench.index.take_on_duty();
    bench.publish();
    bench.index.take_on_duty();
    assert!(bench.index.hear_record(record(version(1, "i", 3, 1), HEARD), 1_000));
    assert_eq!(bench.index.take_superseded(), [uid(1)]);
    assert!(bench.step().is_none(), "it is heard as before");
    assert!(bench.index.take_on_duty().is_empty(), "its duties are told there");
    // What is still heard of it here changes nothing.
    bench.index.session_ended(&uid(1), 1_000, true, 1_000);
    bench.index.heard(&uid(1), 5_000, 5_000);
    let now = told(&mut bench, 1_000);
    assert!(now.version > held && &*now.origin == "a" && now.session == HEARD);
    // It ends there: that is no end of anything here.
    let ended = SessionWord::Ended { ended_ms: 0, heard_ms: 0, by_peer: true };
    bench.index.hear_record(record(version(1, "i", 3, 2), ended), 5_000);
    assert!(bench.index.take_superseded().is_empty());
    assert_eq!(stands(&mut bench).1, "SidecarLost");
}

#[test]
fn what_a_note_changes_is_joined_and_nothing_else() {
    let mut bench = bench();
    bench.index.hear_record(record(version(1, "i", 1, 1), HEARD), 1_000);
    bench.publish();
    let mut hears = |count, said: Said, session| {
        bench.index.hear_record(Record { said, ..record(version(1, "i", 1, count), session) }, 1_000);
        let marked: Vec<_> = bench.index.dirty.keys().map(ToString::to_string).collect();
        bench.publish();
        marked
    };
    let health = |of: Option<&str>, probe| {
        let of = of.map(|of| HealthOf { service: of.parse().unwrap(), port: None });
        Said { health: vec![HealthWord { of, probe }], ..says(&[("billing", true)]) }
    };
    assert_eq!(hears(2, says(&[("billing", true)]), HEARD), ["billing.shop"]);
    assert!(hears(3, says(&[("billing", false)]), HEARD).is_empty());
    assert_eq!(hears(4, health(Some("billing"), ProbeWitness::Dead), HEARD), ["billing.shop"]);
    assert_eq!(hears(5, health(None, ProbeWitness::Dead), HEARD), ["billing.shop", "orders.shop"]);
    let late = SessionWord::Open { unheard_ms: Some(4_000) };
    assert!(hears(6, health(None, ProbeWitness::Dead), late).is_empty(), "it is live all the same");
}

/// What its origin tells of a session, and how that stands; what lookups say after so many seconds.
#[test]
fn the_session_clock_runs_on_what_others_tell() {
    use PeerStanding::{Heard, Lost};
    let late = SessionWord::Open { unheard_ms: Some(4_000) };
    let ended = |by_peer| SessionWord::Ended { ended_ms: 0, heard_ms: 1_000, by_peer };
    let lost = Lost { at_ms: 21_000 };
    let table = [
        (HEARD, Heard, [(60, "Ready"), (90, "Ready"), (120, "Ready")]),
        (late, Heard, [(21, "Ready"), (22, "SessionQuiet"), (25, "SessionSilent")]),
        (ended(true), Heard, [(20, "SidecarLost"), (34, "SidecarLost"), (36, "SidecarLost")]),
        (ended(false), Heard, [(24, "Ready"), (25, "SessionQuiet"), (28, "SessionSilent")]),
        // It has ten seconds to be anywhere.
        (HEARD, lost, [(21, "Ready"), (30, "Ready"), (31, "SessionSilent")]),
        // That one frame was late says nothing, where its replica was dying.
        (late, lost, [(21, "Ready"), (30, "Ready"), (31, "SessionSilent")]),
        (late, Lost { at_ms: 25_000 }, [(22, "SessionQuiet"), (25, "SessionSilent"), (34, "SessionSilent")]),
        (ended(false), lost, [(24, "Ready"), (25, "SessionQuiet"), (28, "SessionSilent")]),
    ];
    for (session, standing, expected) in table {
        let mut bench = bench();
        for number in [2, 3] {
            let pod = uid(number);
            bench.index.hear_record(
                Record { pod, origin: "b".into(), ..record(version(1, "i", 1, 1), HEARD) },
                1_000,
            );
        }
        reason_at(&mut bench, 20_000);
        bench.index.hear_record(record(version(1, "i", 1, 1), session), 20_000);
        let since_ms = if let Lost { at_ms } = standing { at_ms } else { 20_000 };
        for (second, reason) in expected {
            if second * 1_000 >= since_ms {
                reason_at(&mut bench, since_ms);
                peers(&mut bench, &[("a", standing), ("b", Heard)], since_ms);
            }
            assert_eq!(reason_at(&mut bench, second * 1_000), reason, "{session:?} {standing:?} at {second}");
        }
    }
}

#[test]
fn a_process_that_nobody_names_is_lost_since_it_was_missed_and_may_be_back() {
    for named_first in [true, false] {
        let mut bench = bench();
        for (number, origin) in [(1, if named_first { "a" } else { "c" }), (2, "b"), (3, "b")] {
            let record = record(version(1, "i", 1, 1), HEARD);
            bench.index.hear_record(Record { pod: uid(number), origin: origin.into(), ..record }, 1_000);
        }
        let only_b = &[("b", PeerStanding::Heard)][..];
        peers(&mut bench, only_b, 1_000);
        for now_ms in [4_000, 8_000] {
            assert_eq!(reason_at(&mut bench, now_ms), "Ready");
            peers(&mut bench, only_b, now_ms);
        }
        assert_eq!(reason_at(&mut bench, 10_999), "Ready");
        assert_eq!(
            reason_at(&mut bench, 11_050),
            "SessionSilent",
            "no longer than ten seconds from the first"
        );
        let back = [("a", PeerStanding::Heard), ("b", PeerStanding::Heard), ("c", PeerStanding::Heard)];
        peers(&mut bench, &back, 20_000);
        assert_eq!(stands(&mut bench).1, "Ready");
        // It appears elsewhere in time: whoever had it may be lost.
        peers(&mut bench, only_b, 21_000);
        reason_at(&mut bench, 30_000);
        let moved = Record { origin: "b".into(), ..record(version(1, "i", 2, 1), HEARD) };
        bench.index.hear_record(moved, 30_000);
        assert_eq!(reason_at(&mut bench, 60_000), "Ready");
    }
}

#[test]
fn a_note_may_come_before_its_pod_and_before_the_lists() {
    let mut index = Index::default().of_process("us".into());
    let note = Record { said: says(&[("billing", true)]), ..record(version(1, "i", 1, 2), HEARD) };
    assert!(!index.hear_record(note.clone(), 1), "not yet");
    assert!(!index.hear_record(record(version(1, "i", 1, 1), HEARD), 1));
    for kind in Kind::ALL {
        index.apply(Change::ListBegins(kind));
        match kind {
            Kind::Pod => drop(index.apply(pod_with_sidecar(1))),
            Kind::Node => drop(index.apply(its_node(1))),
            _ => {}
        }
        index.apply(Change::ListEnds(kind));
    }
    let published = index.advance(1).unwrap().snapshot;
    assert_eq!(
        services(&published),
        expect(&[("billing", &["p1:9090 Ready"]), ("orders", &["p1:8080 Ready"])])
    );

    let mut bench = bench();
    let other = Record { pod: uid(4), ..note };
    bench.index.hear_record(other.clone(), 1_000);
    assert!(bench.index.take_notes().is_empty(), "who has not seen it tells nothing of it");
    assert_eq!(bench.apply([pod_with_sidecar(4)])["billing.shop"], ["p4:9090 Ready"]);
    bench.apply([gone_pod(4)]);
    // Ten minutes are enough.
    bench.index.hear_record(Record { pod: uid(5), ..other }, 2_000);
    reason_at(&mut bench, 604_000);
    assert!(!bench.apply([pod_with_sidecar(5)]).contains_key("billing.shop"));
    bench.apply([1, 2, 3, 5].map(gone_pod));
    bench.apply((1..=6).map(|number| Change::Gone(Key::Node(format!("n{number}").into()))));
    nothing_stays_behind(&bench);
}

#[test]
fn what_we_wrote_for_an_app_is_what_it_said_until_another_replica_knows_better() {
    let mut bench = bench();
    let kept = registers("billing", true).registration;
    let word = Arc::new(kept.judge(&namespace("shop")).unwrap());
    let target = Target::Pod { name: "p1".into(), uid: uid(1) };
    let app = Some(AppWord { uid: uid(1), word });
    let object = Object { managed: true, app, ..object("kept", "billing", target) };
    let now = bench.apply([Change::Registration(named("kept"), Box::new(object))]);
    assert_eq!(now["billing.shop"], ["p1:9090 SessionNeverCame"]);
    let taken_back = record(version(1, "i", 1, 5), HEARD);
    bench.index.hear_record(taken_back, 1_000);
    assert!(!bench.publish().contains_key("billing.shop"), "it was taken back there");
    assert_eq!(bench.index.called_in(&uid(1)).len(), 2, "those who called it there may not know yet");
}

#[test]
fn a_pod_of_another_replica_counts_for_the_guard() {
    // Six nodes, of which `a` hears the sidecars; half of them vanish.
    let mut bench = bench();
    bench.apply((4..=6).map(pod_with_sidecar));
    for number in 1..=6 {
        bench.index.hear_record(Record { pod: uid(number), ..record(version(1, "i", 1, 1), HEARD) }, 1_000);
    }
    assert_eq!(reason_at(&mut bench, 20_000), "Ready");
    for number in 1..=3 {
        let late = SessionWord::Open { unheard_ms: Some(4_000) };
        bench.index.hear_record(Record { pod: uid(number), ..record(version(1, "i", 1, 2), late) }, 20_000);
    }
    assert_eq!(reason_at(&mut bench, 40_000), "MassLossGuard");
    assert!(bench.index.freezes().next().is_some());
    // Another word on the same silence, of long before: that had been judged then.
    let before = SessionWord::Open { unheard_ms: Some(39_000) };
    bench.index.hear_record(record(version(1, "i", 1, 3), before), 40_000);
    assert_eq!(stands(&mut bench).1, "SessionSilent");
}

/// Notes cost no more than they say: one of a pod that is known already is told as it came.
#[test]
fn a_note_is_passed_on_as_it_came() {
    let mut bench = bench();
    let ended = SessionWord::Ended { ended_ms: 300, heard_ms: 700, by_peer: false };
    let record = Record { said: says(&[("billing", false)]), ..record(version(3, "x", 2, 8), ended) };
    let note = Arc::new(Note::of(record, 1_000));
    bench.index.hear_note(note.clone(), 1_000);
    assert_eq!(bench.index.take_notes(), [Tidings::Known(Note::clone(&note))]);
    assert_eq!(stands(&mut bench), (State::Serving, Reason::Ready.to_string()));
}

#[test]
fn a_session_that_is_over_ends_no_newer_one_though_its_note_is_higher() {
    let ended = |ended_ms, heard_ms| SessionWord::Ended { ended_ms, heard_ms, by_peer: false };
    // What is told 5 s after our session was opened, by ages; and whether ours stands.
    let table = [
        ("long over", version(7, "i", 1, 3), ended(60_000, 61_000), true),
        ("missed after ours began, and heard last before", version(7, "i", 1, 3), ended(1_000, 9_000), true),
        ("heard since ours began", version(7, "i", 1, 3), ended(1_000, 4_000), false),
        ("of the same sidecar, which made it before", version(7, "here", 1, 3), ended(60_000, 61_000), true),
        ("of the same sidecar, which made it later", version(7, "here", 3, 3), ended(60_000, 61_000), false),
        ("open", version(7, "i", 1, 3), HEARD, false),
    ];
    for (what, version, word, stands) in table {
        let mut bench = bench();
        opens(&mut bench, &hello("here", 2, &[]), 100_000);
        bench.index.heard(&uid(1), 104_000, 104_000);
        told(&mut bench, 104_000);
        let news = bench.index.hear_record(record(version, word), 105_000);
        assert_eq!((news, bench.index.take_superseded().is_empty()), (!stands, stands), "{what}");
        let now = told(&mut bench, 105_000);
        assert_eq!(&*now.origin, if stands { "us" } else { "a" }, "{what}");
        if stands {
            assert_eq!((now.version.generation, now.session), (8, HEARD), "{what}");
            assert_eq!((&*now.version.incarnation, now.version.sequence), ("here", 2), "{what}");
        }
    }
    // One that is not heard stands for nothing.
    let mut bench = bench();
    opens(&mut bench, &hello("here", 2, &[]), 100_000);
    assert!(bench.index.hear_record(record(version(7, "i", 1, 3), ended(60_000, 61_000)), 108_000));
}

#[test]
fn a_note_that_had_to_be_dropped_is_noticed_once() {
    let mut bench = bench();
    let early = |number: usize| Record {
        pod: format!("e{number}").as_str().into(),
        ..record(version(1, "i", 1, 1), HEARD)
    };
    for number in 0..16_384 {
        bench.index.hear_record(early(number), 2_000);
    }
    assert!(!bench.index.take_dropped_notes(), "there is room for so many");
    bench.index.hear_record(early(16_384), 2_000);
    assert_eq!([bench.index.take_dropped_notes(), bench.index.take_dropped_notes()], [true, false]);
}
