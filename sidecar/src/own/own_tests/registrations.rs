use std::fs;

use rollcall_wire::limits::REGISTRATIONS_MAX;

use super::*;

#[test]
fn a_registration_is_said_until_it_is_answered() {
    let mut ledger = Ledger::default();
    let said = whole("orders", Some(80), None);
    let ticket = ledger.put(Source::App, said.clone(), 0).unwrap();
    assert_eq!(ledger.take(), [Say::Register(said.clone())], "the next hello is to have it");
    assert!(ledger.take().is_empty() && !ledger.is_due());
    ledger.set_in_session(true, 1);
    assert_eq!(ledger.take(), [Say::Register(said.clone())], "nobody has answered");
    assert_eq!(ledger.settled(&ticket), Settled::Open);
    ledger.registered(&key("orders", None));
    assert_eq!(ledger.settled(&ticket), Settled::Registered);
    ledger.set_in_session(false, 2);
    ledger.set_in_session(true, 3);
    assert!(ledger.take().is_empty(), "the hello has it");

    let again = ledger.put(Source::App, said, 4).unwrap();
    assert_eq!((ledger.settled(&again), ledger.take()), (Settled::Registered, vec![]), "nothing is new");
    assert_eq!(ledger.settled(&ticket), Settled::Overtaken);
    ledger.set_in_session(false, 4);
    assert_eq!(ledger.settled(&again), Settled::Open, "nobody is there to say so");
    assert_eq!(ledger.remove(Source::App, |_, _| true, 5), 1);
    assert_eq!(ledger.take(), [Say::Deregister(key("orders", None))]);
    assert_eq!(ledger.settled(&again), Settled::Overtaken);
    assert_eq!(ledger.remove(Source::App, |_, _| true, 6), 0);
}

#[test]
fn an_answer_to_what_was_said_before_is_none_to_what_is_said_now() {
    let mut ledger = ledger();
    ledger.put(Source::App, whole("orders", Some(80), None), 0).unwrap();
    ledger.take();
    let second = ledger.put(Source::App, whole("orders", Some(81), None), 0).unwrap();
    ledger.registered(&key("orders", None));
    assert_eq!(ledger.settled(&second), Settled::Open, "it was not even said");
    ledger.take();
    ledger.rejected(&key("orders", None), refusal(), 0);
    assert_eq!(ledger.settled(&second), Settled::Rejected(refusal()));
}

#[test]
fn a_change_that_is_refused_leaves_what_was_accepted() {
    let mut ledger = ledger();
    let (good, bad) = (whole("orders", Some(80), None), whole("orders", Some(81), None));
    ledger.put(Source::App, good.clone(), 0).unwrap();
    ledger.take();
    ledger.registered(&key("orders", None));
    let ticket = ledger.put(Source::App, bad, 0).unwrap();
    ledger.take();
    ledger.rejected(&key("orders", None), refusal(), 0);
    assert_eq!(ledger.settled(&ticket), Settled::Rejected(refusal()));
    assert_eq!(ledger.take(), [Say::Register(good)], "the client has forgotten it with the change");
    ledger.registered(&key("orders", None));
    assert_eq!(ledger.entries[&key("orders", None)].status, Status::Registered);
}

#[test]
fn what_was_refused_is_said_once_more_in_each_session() {
    let mut ledger = ledger();
    let said = whole("orders", Some(80), None);
    let ticket = ledger.put(Source::App, said.clone(), 0).unwrap();
    let orders = key("orders", None);
    for _ in 0..2 {
        assert_eq!(ledger.take(), [Say::Register(said.clone())]);
        ledger.rejected(&orders, refusal(), 0);
        assert_eq!(ledger.settled(&ticket), Settled::Rejected(refusal()));
        assert!(ledger.take().is_empty(), "not again in this one");
        ledger.set_in_session(false, 0);
        ledger.set_in_session(true, 0);
    }
    ledger.take();
    ledger.registered(&orders);
    assert_eq!(ledger.settled(&ticket), Settled::Registered);
}

#[test]
fn what_is_said_at_run_time_stands_before_files_and_these_before_the_environment() {
    let mut ledger = ledger();
    let by = |port| whole("orders", Some(port), None);
    ledger.put(Source::File, by(82), 0).unwrap();
    ledger.put(Source::App, by(83), 0).unwrap();
    ledger.put(Source::Environment, by(81), 0).unwrap();
    assert_eq!(ledger.take(), [Say::Register(by(83))]);
    for (source, next) in [(Source::App, 82), (Source::File, 81)] {
        ledger.remove(source, |_, _| true, 0);
        assert_eq!(ledger.take(), [Say::Register(by(next))]);
    }
    ledger.remove(Source::Environment, |_, _| true, 0);
    assert_eq!(ledger.take(), [Say::Deregister(key("orders", None))]);
}

#[test]
fn a_classic_caller_replaces_only_what_is_silent_or_failing() {
    let mut ledger = ledger();
    let classic = |ledger: &mut Ledger, now_ms| ledger.put_classic(beside("orders", 80), now_ms);
    ledger.set_duties(&[duty("orders", 80, None)], 0);
    assert!(classic(&mut ledger, 0).is_ok(), "what is declared is taken up");
    assert_eq!(classic(&mut ledger, 14_999), Err(NoRoom::Taken));
    assert!(ledger.put_classic(beside("orders", 81), 0).is_ok(), "another port");
    assert!(ledger.put_classic(beside("billing", 80), 0).is_ok(), "another name");
    (1..=15).for_each(|second| ledger.tick(second * 1_000));
    assert!(classic(&mut ledger, 15_000).is_ok(), "silent");
    assert_eq!(classic(&mut ledger, 15_001), Err(NoRoom::Taken));
    ledger.probed(&spot("orders", 80), Some(ProbeWitness::Dead));
    assert!(classic(&mut ledger, 15_002).is_ok(), "dead");
    ledger.probed(&spot("orders", 80), None);
    ledger.app_says(well(true, None), 15_003);
    assert!(classic(&mut ledger, 15_004).is_ok(), "failing by its own word");

    ledger.app_says(well(false, None), 15_005);
    // What has no ports says more of what is declared, and the first that registers it takes it up.
    ledger.set_duties(&[duty("web", 90, None)], 15_005);
    ledger.put(Source::App, whole("web", None, None), 15_005).unwrap();
    assert!(ledger.put_classic(beside("web", 90), 15_005).is_ok());
    assert_eq!(ledger.put_classic(beside("web", 90), 15_005), Err(NoRoom::Taken));
    ledger.remove(Source::Classic, |key, _| key.service == service("web"), 15_005);

    // What the app has put itself is registered as well.
    ledger.put(Source::App, whole("web", Some(90), None), 15_005).unwrap();
    assert_eq!(ledger.put_classic(beside("web", 90), 15_006), Err(NoRoom::Taken));
}

#[test]
fn there_is_an_end_to_what_is_held_and_what_was_refused_makes_room() {
    let mut ledger = ledger();
    for port in 0..REGISTRATIONS_MAX as u16 {
        ledger.put_classic(beside("orders", 80 + port), 0).unwrap();
    }
    assert_eq!(ledger.put(Source::App, whole("web", None, None), 0), Err(NoRoom::Count));
    ledger.take();
    ledger.rejected(&key("orders", Some(83)), refusal(), 0);
    assert!(ledger.put(Source::App, whole("web", None, None), 0).is_ok());
    assert_eq!(ledger.put(Source::App, whole("late", None, None), 0), Err(NoRoom::Count));

    let mut ledger = Ledger::default();
    let large = |name: &str| SelfRegistration {
        metadata: (0..60).map(|n| (format!("{n}"), "x".repeat(1_024))).collect(),
        ..whole(name, None, None)
    };
    assert!(ledger.put(Source::File, large("a"), 0).is_ok());
    assert!(ledger.put(Source::App, large("a"), 0).is_ok());
    assert_eq!(ledger.put(Source::App, large("b"), 0), Err(NoRoom::Bytes));
    assert!(ledger.put(Source::App, whole("a", None, None), 0).is_ok(), "a smaller one in its place");
    assert!(ledger.put(Source::App, large("b"), 0).is_ok());
}

#[test]
fn what_was_said_at_run_time_survives_and_beats_anew() {
    let mut before = ledger();
    before.put(Source::File, whole("filed", None, None), 0).unwrap();
    before.put(Source::App, whole("web", Some(90), None), 0).unwrap();
    before.put_classic(beside("orders", 80), 0).unwrap();
    before.app_says(AppWord { failing: true, ttl_ms: None, output: "the disk is full".to_owned() }, 0);
    let bytes = Saved::of(&before).to_json();

    let mut after = Ledger::default();
    serde_json::from_slice::<Saved>(&bytes).unwrap().restore(&mut after, Doubt::None, 1_000_000);
    assert_eq!(Saved::of(&after).to_json(), bytes);
    let said = after.take();
    assert_eq!(
        said,
        [
            Say::Register(beside("orders", 80)),
            Say::Register(whole("web", Some(90), None)),
            Say::Health { of: None, probe: ProbeWitness::SaysFailing },
        ]
    );
    (1_001..1_015).for_each(|second| after.tick(second * 1_000));
    assert_eq!(after.take(), [], "what the controller knows of its beats stands");
    after.tick(1_015_000);
    assert_eq!(after.take(), [of("orders", 80, ProbeWitness::BeatMissed)]);
}

#[test]
fn what_was_damaged_on_the_way_is_left_out() {
    let own = Own::default();
    for bad in ["", "[]", "{\"app\":1}", "{\"app\":[{\"service\":\"-\"}]}", "\u{0}"] {
        own.restore(bad.as_bytes(), Doubt::None);
    }
    own.restore(br#"{"app":[{"service":"a","weight":1001},{"service":"b","weight":1000}]}"#, Doubt::None);
    let said = own.take();
    assert!(matches!(&said[..], [Say::Register(b)] if b.service.as_str() == "b"), "{said:?}");
}

#[test]
fn a_change_of_a_file_that_is_refused_is_said_once_and_shown() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.yaml");
    let orders = key("orders", None);
    let weighs = |own: &Own| match &own.take()[..] {
        [] => None,
        [Say::Register(said)] => said.weight,
        other => panic!("{other:?}"),
    };
    fs::write(&file, "service: orders\nweight: 10\n").unwrap();
    let (own, Mounted(mut directory)) = Own::new(&Declared::default(), place.path().into());
    own.set_in_session(true);
    assert_eq!(weighs(&own), Some(10));
    own.registered(&orders);
    for session in 0..2 {
        fs::write(&file, format!("service: orders\nweight: 20 # {session}\n")).unwrap();
        own.look(&mut directory);
        assert_eq!(weighs(&own), Some(20));
        own.rejected(&orders, "too heavy", None);
        assert_eq!(weighs(&own), Some(10), "what was accepted counts again");
        own.registered(&orders);
        for _ in 0..3 {
            own.look(&mut directory);
            assert_eq!(weighs(&own), None, "it was refused, and is still the same");
        }
        let shown: serde_json::Value = serde_json::from_slice(&own.shown(&[], None, None)).unwrap();
        let of_the_file = &shown["registrations"][1];
        assert_eq!((&of_the_file["file"], &of_the_file["state"]), (&"a.yaml".into(), &"rejected".into()));
        assert_eq!(of_the_file["problem"]["detail"], "too heavy");
        own.set_in_session(false);
        own.set_in_session(true);
    }
    fs::write(&file, "service: orders\nweight: 30\n").unwrap();
    own.look(&mut directory);
    assert_eq!(weighs(&own), Some(30), "another content is another word");
    let shown: serde_json::Value = serde_json::from_slice(&own.shown(&[], None, None)).unwrap();
    assert_eq!(shown["registrations"].as_array().unwrap().len(), 1);
}
