//! What an earlier process has heard of the apps of a machine, and this one has not.

use super::*;

/// What a process holds to which these were registered, and which has just begun; before its first session.
fn restored(app: &[SelfRegistration], classic: &[SelfRegistration], doubt: Doubt, now_ms: u64) -> Ledger {
    let mut before = ledger();
    for said in app {
        before.put(Source::App, said.clone(), 0).unwrap();
    }
    for said in classic {
        before.put_classic(said.clone(), 0).unwrap();
    }
    let mut after = Ledger::default();
    serde_json::from_slice::<Saved>(&Saved::of(&before).to_json())
        .unwrap()
        .restore(&mut after, doubt, now_ms);
    after
}

fn orders() -> Spot {
    spot("orders", 80)
}

#[test]
fn what_was_registered_is_in_doubt_until_it_is_heard_or_probed() {
    let classic = [beside("orders", 80)];
    let beats = [whole("orders", Some(80), Some(15))];
    let silent = [whole("orders", Some(80), None)];
    type Hears = fn(&mut Ledger);
    let table: [(&str, &[_], &[_], Hears, Option<ProbeWitness>); 10] = [
        ("nothing", &[], &classic, |_| {}, Some(ProbeWitness::AwaitingBeat)),
        (
            "a beat",
            &[],
            &classic,
            |l| assert!(l.beat(&service("orders"), "1.4.2", None, 1)),
            Some(ProbeWitness::Passing),
        ),
        (
            "a beat of another",
            &[],
            &classic,
            |l| assert!(!l.beat(&service("web"), "1.4.2", None, 1)),
            Some(ProbeWitness::AwaitingBeat),
        ),
        (
            "a probe",
            &silent,
            &[],
            |l| l.probed(&orders(), Some(ProbeWitness::Passing)),
            Some(ProbeWitness::Passing),
        ),
        (
            "a probe that fails",
            &silent,
            &[],
            |l| l.probed(&orders(), Some(ProbeWitness::Dead)),
            Some(ProbeWitness::Dead),
        ),
        (
            "that it is not probed",
            &silent,
            &[],
            |l| l.probed(&orders(), None),
            Some(ProbeWitness::AwaitingBeat),
        ),
        (
            "a probe of what beats as well",
            &beats,
            &[],
            |l| l.probed(&orders(), Some(ProbeWitness::Passing)),
            Some(ProbeWitness::Passing),
        ),
        ("that all is well", &silent, &[], |l| l.app_says(well(false, None), 1), Some(ProbeWitness::Passing)),
        (
            "itself again",
            &silent,
            &[],
            |l| drop(l.put(Source::App, whole("orders", Some(80), None), 1).unwrap()),
            None,
        ),
        (
            "another one in its place",
            &[],
            &classic,
            |l| drop(l.put_classic(beside("orders", 80), 1).unwrap()),
            Some(ProbeWitness::Passing),
        ),
    ];
    for (heard, app, classic, hears, word) in table {
        let mut ledger = restored(app, classic, Doubt::UntilHeard, 0);
        assert_eq!(ledger.health.of(&orders()), Some(ProbeWitness::AwaitingBeat), "before {heard}");
        hears(&mut ledger);
        assert_eq!(ledger.health.of(&orders()), word, "{heard}");
        let pod = restored(app, classic, Doubt::None, 0);
        assert_eq!(pod.health.of(&orders()), None, "of a pod nothing is doubted: {heard}");
    }
}

#[test]
fn who_stays_silent_is_missed_as_ever() {
    let mut ledger = restored(&[], &[beside("orders", 80)], Doubt::UntilHeard, 1_000_000);
    ledger.set_in_session(true, 1_000_000);
    ledger.take();
    (1_001..1_015).for_each(|second| ledger.tick(second * 1_000));
    assert_eq!(ledger.take(), []);
    ledger.tick(1_015_000);
    assert_eq!(ledger.take(), [of("orders", 80, ProbeWitness::BeatMissed)]);
    assert!(ledger.beat(&service("orders"), "1.4.2", Some(80), 1_016_000));
    assert_eq!(ledger.take(), [of("orders", 80, ProbeWitness::Passing)], "and nothing is left of the doubt");
}

#[test]
fn a_doubt_is_told_before_what_it_is_of() {
    let mut ledger = restored(&[], &[beside("orders", 80)], Doubt::UntilHeard, 0);
    assert!(!ledger.is_due() && ledger.take().is_empty(), "`hello` would tell the one without the other");
    ledger.app_says(well(true, None), 1);
    assert!(!ledger.is_due());
    ledger.set_in_session(true, 2);
    assert!(ledger.is_due() && !ledger.is_answered());
    assert_eq!(
        ledger.take(),
        [
            of("orders", 80, ProbeWitness::AwaitingBeat),
            Say::Register(beside("orders", 80)),
            Say::Health { of: None, probe: ProbeWitness::SaysFailing },
        ]
    );
    ledger.registered(&key("orders", Some(80)));
    assert!(ledger.is_answered());

    let mut pod = restored(&[], &[beside("orders", 80)], Doubt::None, 0);
    assert_eq!(pod.take(), [Say::Register(beside("orders", 80))], "a pod's is in its first `hello`");
}

#[test]
fn what_is_said_of_all_is_no_registration() {
    let mut before = restored(&[], &[beside("orders", 80)], Doubt::UntilHeard, 0);
    before.app_says(well(true, None), 0);
    before.drain = Some(Drain::Start);
    let bytes = Saved::of_all(&before).to_json();
    let mut other = Ledger::default();
    serde_json::from_slice::<Saved>(&bytes).unwrap().restore(&mut other, Doubt::UntilHeard, 0);
    assert_eq!(
        other.take(),
        [Say::Health { of: None, probe: ProbeWitness::SaysFailing }],
        "and waits for nothing"
    );
    assert_eq!(other.drain, Some(Drain::Start));
}
