use rollcall_catalogue::liveness::ProbeWitness;

use super::*;
use crate::{
    frame::HealthOf,
    limits::{
        EPOCH_BYTES_MAX, FRAME_BYTES_MAX, HEALTH_WORDS_MAX, HEARS_MAX, INCARNATION_BYTES_MAX,
        OUTSIDE_WORDS_MAX, POD_UID_BYTES_MAX, REGISTRATIONS_BYTES_MAX, REGISTRATIONS_MAX, REPLICA_BYTES_MAX,
    },
    peer::{
        record::{HealthWord, Record, Said, SaidRegistration},
        testing::{kinds, registration},
    },
};

fn long(bytes: usize) -> String {
    "\u{1}".repeat(bytes)
}

/// Registrations of so many bytes, as they are counted, with the comma of each.
fn registrations(count: usize, bytes: usize) -> Vec<SaidRegistration> {
    let each = bytes / count;
    let one = |number: usize| {
        let service = format!("s{number}-{}", "s".repeat(50));
        let spare = each - registration(&service, &[("m", String::new())]).json_bytes();
        let registration = registration(&service, &[("m", "m".repeat(spare))]);
        assert_eq!(registration.json_bytes(), each);
        SaidRegistration { registration, named: true }
    };
    (0..count).map(one).collect()
}

fn health(count: usize) -> Vec<HealthWord> {
    let of = Some(HealthOf { service: "s".repeat(63).parse().unwrap(), port: Some(u16::MAX) });
    vec![HealthWord { of, probe: ProbeWitness::LoopbackOnly }; count]
}

fn told(note: &Note) -> Record {
    let mut end = End::open("a", &[]);
    end.ledger.put(note.clone());
    let bytes = end.link.speak(end.now_ms).unwrap();
    assert!(bytes.len() <= FRAME_BYTES_MAX + 1);
    match frame(&bytes) {
        Frame::Record(record) => *record,
        other => panic!("{other:?}"),
    }
}

/// All that may be said of a pod fits into one frame, in names that take six times their bytes as JSON.
#[test]
fn the_largest_record_that_there_can_be_fits() {
    let said = Said {
        registrations: registrations(REGISTRATIONS_MAX, REGISTRATIONS_BYTES_MAX),
        health: health(HEALTH_WORDS_MAX),
        drains: true,
    };
    let version = Version {
        generation: u64::MAX,
        incarnation: long(INCARNATION_BYTES_MAX).into(),
        sequence: u64::MAX,
        count: u64::MAX,
    };
    let pod = PodUid::from(long(POD_UID_BYTES_MAX).as_str());
    let origin = long(EPOCH_BYTES_MAX).into();
    let largest = Note { pod, version, origin, said: Arc::new(said.clone()), ..note("p", "a", 1) };
    assert_eq!(told(&largest), largest.told(100_000));
    let mut other = End::open("o", &[]);
    assert_eq!(other.hear(record(&largest)).len(), 1);
}

/// More than that no sidecar can have said. Were it so, the other end would get what it accepts.
#[test]
fn what_is_beyond_the_limits_is_left_out_from_the_end() {
    let table = [
        (registrations(REGISTRATIONS_MAX + 2, 100_000), REGISTRATIONS_MAX),
        (registrations(8, REGISTRATIONS_BYTES_MAX + 8), 7),
        (registrations(2, 3 * REGISTRATIONS_BYTES_MAX), 0),
    ];
    for (registrations, fit) in table {
        let said = Said { registrations, health: health(HEALTH_WORDS_MAX + 1), drains: true };
        let record = told(&Note { said: Arc::new(said.clone()), ..note("p", "a", 1) });
        assert_eq!(record.said.registrations, said.registrations[..fit]);
        assert_eq!((record.said.health.len(), record.said.drains), (HEALTH_WORDS_MAX, true));
        let mut other = End::open("o", &[]);
        assert_eq!(other.link.hear(Frame::Record(Box::new(record)), 0).map(|all| all.len()), Ok(1));
    }
    let mut end = End::open("a", &[]);
    end.ledger.put(Note { origin: long(EPOCH_BYTES_MAX + 1).into(), ..note("p", "a", 1) });
    end.ledger.put(note("q", "a", 1));
    assert_eq!(end.said(), ["record q 1"], "what nobody accepts keeps nothing up");
}

#[test]
fn whatever_no_replica_may_say_ends_the_link() {
    let said = |said: Said| record(&Note { said: Arc::new(said), ..note("p", "b", 1) });
    let registered = |registrations| said(Said { registrations, ..Said::default() });
    let answer = OutsideWord {
        service: "orders.shop".parse().unwrap(),
        address: [192, 0, 2, 1].into(),
        probe: ProbeWitness::Dead,
    };
    let version =
        |incarnation: usize| Version { incarnation: long(incarnation).into(), ..Version::default() };
    let hears = |count: usize| Beat { hears: vec![epoch("c"); count], ..beat(&[]) };
    let table = [
        (record(&note("", "b", 1)), Some(Violation::Pod)),
        (record(&note(&long(POD_UID_BYTES_MAX + 1), "b", 1)), Some(Violation::Pod)),
        (record(&Note { origin: "".into(), ..note("p", "b", 1) }), Some(Violation::Epoch)),
        (
            record(&Note { origin: long(EPOCH_BYTES_MAX + 1).into(), ..note("p", "b", 1) }),
            Some(Violation::Epoch),
        ),
        (record(&Note { version: version(INCARNATION_BYTES_MAX), ..note("p", "b", 1) }), None),
        (
            record(&Note { version: version(INCARNATION_BYTES_MAX + 1), ..note("p", "b", 1) }),
            Some(Violation::Incarnation),
        ),
        (registered(registrations(REGISTRATIONS_MAX + 1, 10_000)), Some(Violation::Registrations)),
        (registered(registrations(1, REGISTRATIONS_BYTES_MAX + 1)), Some(Violation::Registrations)),
        (said(Said { health: health(HEALTH_WORDS_MAX + 1), ..Said::default() }), Some(Violation::Health)),
        (Frame::Beat(hears(HEARS_MAX)), None),
        (Frame::Beat(hears(HEARS_MAX + 1)), Some(Violation::Hears)),
        (Frame::Beat(Beat { changed: kinds(32), ..beat(&[]) }), None),
        (Frame::Beat(Beat { changed: kinds(33), ..beat(&[]) }), Some(Violation::Changed)),
        (Frame::Beat(Beat { hears: vec!["".into()], ..beat(&[]) }), Some(Violation::Epoch)),
        (Frame::Outside { answers: vec![answer.clone(); OUTSIDE_WORDS_MAX], whole: true }, None),
        (
            Frame::Outside { answers: vec![answer; OUTSIDE_WORDS_MAX + 1], whole: true },
            Some(Violation::Outside),
        ),
    ];
    for (frame, expected) in table {
        let mut end = End::open("a", &[]);
        let result = end.link.hear(frame, end.now_ms);
        assert_eq!(result.err(), expected);
        assert_eq!(end.link.farewell().map(str::to_owned), expected.map(|one| one.to_string()));
    }
}

#[test]
fn who_is_another_replica_says_so() {
    let protocol = |protocol: &str| Introduction { protocol: protocol.to_owned(), ..who("b") };
    let refused =
        |theirs: &str| Some(Violation::Protocol { theirs: theirs.to_owned(), ours: who("a").protocol });
    let table = [
        (protocol("1.0"), None),
        (protocol("1.7"), None),
        (protocol("2.0"), refused("2.0")),
        (protocol(""), refused("")),
        (who("a"), Some(Violation::Ourselves)),
        (Introduction { replica: String::new(), ..who("b") }, Some(Violation::Replica)),
        (Introduction { replica: long(REPLICA_BYTES_MAX + 1), ..who("b") }, Some(Violation::Replica)),
        (Introduction { epoch: "".into(), ..who("b") }, Some(Violation::Epoch)),
        (Introduction { epoch: long(EPOCH_BYTES_MAX + 1).into(), ..who("b") }, Some(Violation::Epoch)),
    ];
    for (who, expected) in table {
        let mut end = End::new("a", &[]);
        assert_eq!(end.link.hear(Frame::Hello { who, beat: beat(&[]) }, 0).err(), expected);
    }
    let mut end = End::new("a", &[]);
    let hears = vec![epoch("c"); HEARS_MAX + 1];
    let hello = Frame::Hello { who: who("b"), beat: Beat { hears, ..beat(&[]) } };
    assert_eq!(end.link.hear(hello, 0), Err(Violation::Hears));
    assert_eq!(end.link.other(), None);
}
