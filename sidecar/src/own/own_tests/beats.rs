use super::*;

/// Looks at the clock as the process does, until then.
fn tick_until(ledger: &mut Ledger, until_ms: u64) {
    while let Some(at_ms) = ledger.wake_at_ms().filter(|at_ms| *at_ms <= until_ms) {
        ledger.tick(at_ms);
        assert!(ledger.wake_at_ms().is_none_or(|next| next > at_ms), "it would never rest");
    }
}

#[test]
fn a_beat_is_good_for_its_time_and_the_next_one_makes_it_well() {
    let mut ledger = ledger();
    let said = beside("orders", 80);
    ledger.put_classic(said.clone(), 0).unwrap();
    assert_eq!(ledger.take(), [Say::Register(said), of("orders", 80, ProbeWitness::Passing)]);
    tick_until(&mut ledger, 14_999);
    assert_eq!(ledger.take(), []);
    tick_until(&mut ledger, 15_000);
    assert_eq!(ledger.take(), [of("orders", 80, ProbeWitness::BeatMissed)]);
    tick_until(&mut ledger, 100_000);
    assert_eq!((ledger.take(), ledger.wake_at_ms()), (vec![], None), "said once, and nothing more to miss");

    assert!(ledger.beat(&service("orders"), "1.4.2", None, 100_000));
    assert_eq!(ledger.take(), [of("orders", 80, ProbeWitness::Passing)]);
    tick_until(&mut ledger, 114_999);
    assert_eq!(ledger.take(), [], "though nobody had looked at the clock for so long");
    tick_until(&mut ledger, 115_000);
    assert_eq!(ledger.take(), [of("orders", 80, ProbeWitness::BeatMissed)]);

    ledger.remove(Source::Classic, |_, _| true, 115_000);
    let gone = [Say::Deregister(key("orders", Some(80))), of("orders", 80, ProbeWitness::NotAsked)];
    assert_eq!(ledger.take(), gone);
}

#[test]
fn who_is_meant_by_a_beat() {
    let mut ledger = ledger();
    ledger.put_classic(beside("orders", 80), 0).unwrap();
    ledger.put_classic(beside("orders", 81), 0).unwrap();
    ledger.put(Source::App, whole("web", None, Some(15)), 0).unwrap();
    ledger.set_duties(&[duty("web", 90, None), duty("declared", 70, Some(15)), duty("plain", 60, None)], 0);
    let table = [
        ("orders", "1.4.2", None, true),
        ("orders", "1.4.2", Some(81), true),
        ("orders", "1.4.2", Some(82), false),
        ("orders", "1.4.3", None, false),
        ("web", "1.4.2", Some(90), true),
        ("web", "1.4.2", Some(91), false),
        ("declared", "9.9.9", None, true),
        ("plain", "1.4.2", None, false),
        ("nobody", "1.4.2", None, false),
    ];
    for (name, version, port, meant) in table {
        assert_eq!(ledger.beat(&service(name), version, port, 1), meant, "{name} {version} {port:?}");
    }
    ledger.put_classic(beside("refused", 80), 1).unwrap();
    ledger.take();
    assert!(ledger.beat(&service("refused"), "1.4.2", None, 1));
    ledger.rejected(&key("refused", Some(80)), refusal(), 1);
    assert!(!ledger.beat(&service("refused"), "1.4.2", None, 1), "it is to register again");
    tick_until(&mut ledger, 10_000);
    ledger.beat(&service("orders"), "1.4.2", Some(81), 10_000);
    ledger.take();
    tick_until(&mut ledger, 20_000);
    let missed = ledger.take();
    assert!(missed.contains(&of("orders", 80, ProbeWitness::BeatMissed)), "{missed:?}");
    assert!(!missed.contains(&of("orders", 81, ProbeWitness::BeatMissed)), "{missed:?}");
}

#[test]
fn the_apps_own_word_is_of_all_and_with_a_time_it_is_a_beat() {
    let mut ledger = ledger();
    let all = |probe| Say::Health { of: None, probe };
    ledger.put_classic(beside("orders", 80), 0).unwrap();
    ledger.take();
    ledger.app_says(well(false, Some(2_000)), 14_000);
    assert_eq!(ledger.take(), [all(ProbeWitness::Passing)]);
    tick_until(&mut ledger, 15_999);
    assert_eq!(ledger.take(), [], "it was a beat of the instance too");
    tick_until(&mut ledger, 16_000);
    assert_eq!(ledger.take(), [all(ProbeWitness::BeatMissed)]);
    ledger.app_says(well(true, Some(2_000)), 17_000);
    assert_eq!(ledger.take(), [all(ProbeWitness::SaysFailing)]);
    tick_until(&mut ledger, 28_000);
    assert_eq!(ledger.take(), [], "silence does not make it well");
    ledger.app_says(well(false, None), 28_500);
    tick_until(&mut ledger, 1_000_000);
    assert_eq!(ledger.take(), [all(ProbeWitness::Passing), of("orders", 80, ProbeWitness::BeatMissed)]);
}

#[test]
fn of_several_words_the_bad_one_counts() {
    let mut ledger = ledger();
    ledger.put_classic(beside("orders", 80), 0).unwrap();
    ledger.probed(&spot("orders", 80), Some(ProbeWitness::Dead));
    ledger.probed(&spot("orders", 99), Some(ProbeWitness::Dead));
    assert_eq!(ledger.take()[1..], [of("orders", 80, ProbeWitness::Dead)], "and of nobody nothing is said");
    ledger.probed(&spot("orders", 80), Some(ProbeWitness::Passing));
    assert_eq!(ledger.take(), [of("orders", 80, ProbeWitness::Passing)]);
}

#[test]
fn who_stood_still_gives_all_as_much_more_time() {
    let mut ledger = ledger();
    ledger.put_classic(beside("orders", 80), 0).unwrap();
    tick_until(&mut ledger, 5_000);
    ledger.take();
    // Stopped for a minute; the beats of that time are still in the socket.
    ledger.tick(65_000);
    assert_eq!(ledger.take(), []);
    tick_until(&mut ledger, 73_999);
    assert_eq!(ledger.take(), []);
    tick_until(&mut ledger, 75_000);
    assert_eq!(ledger.take(), [of("orders", 80, ProbeWitness::BeatMissed)]);
}
