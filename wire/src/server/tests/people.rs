//! What is told to a sidecar of its own pod, and to people through it.

use std::net::IpAddr;

use rollcall_catalogue::{Reason, State};

use super::*;
use crate::{
    DUTIES_MAX, Duty, Explained, Question, Told, Unknown, WitnessWords,
    limits::{ASKS_MAX, FRAME_BYTES_MAX, TOLD_FRAMES_MAX},
};

fn explained(number: usize, problem_bytes: usize) -> Explained {
    let word = || "w".to_owned();
    Explained {
        id: format!("u{number}").as_str().into(),
        address: IpAddr::from([10, 0, 0, 1]),
        port: 80,
        pod: None,
        served: true,
        state: State::Serving,
        reason: Reason::Ready,
        since_seconds: None,
        witnesses: WitnessWords {
            pod: word(),
            endpoint: word(),
            session: word(),
            probe: word(),
            intent: word(),
            registry: word(),
        },
        problems: vec!["p".repeat(problem_bytes)],
    }
}

fn ask(ask: u64) -> Up {
    Up::Ask { ask, question: Question::Explain { service: "orders.shop".parse().unwrap(), id: None } }
}

/// Of each frame of answers: its number, how many it explains, and whether it goes on.
fn told(s: &mut Session, registry: &Registry) -> Vec<(u64, usize, bool)> {
    let mut told = Vec::new();
    while let Some(bytes) = s.server.speak(&registry.snapshot, 0) {
        assert!(bytes.len() <= FRAME_BYTES_MAX + 1);
        let Down::Told { ask, explained, more, .. } = serde_json::from_slice(&bytes).unwrap() else {
            panic!("{}", short(&bytes))
        };
        told.push((ask, explained.len(), more));
    }
    assert!(!s.server.has_more() && !s.server.is_telling());
    told
}

#[test]
fn a_long_answer_takes_as_many_frames_as_it_needs_and_no_more_than_there_may_be() {
    let registry = Registry::new();
    let mut s = Session::open(&registry, hello());
    s.hear(ask(7));
    s.server.tell(7, Told::Explained((0..5).map(|n| explained(n, 100 * 1_024)).collect()));
    assert!(s.server.is_telling());
    assert_eq!(told(&mut s, &registry), [(7, 2, true), (7, 2, true), (7, 1, false)]);
    s.hear(ask(8));
    s.server.tell(8, Told::Explained((0..100).map(|n| explained(n, 200 * 1_024)).collect()));
    let all = told(&mut s, &registry);
    assert_eq!((all.len(), all.last()), (TOLD_FRAMES_MAX, Some(&(8, 1, false))));
    s.hear(ask(9));
    s.server.tell(9, Told::UnknownInstance);
    let frame = s.server.speak(&registry.snapshot, 0).unwrap();
    let unknown = Down::Told {
        ask: 9,
        unknown: Some(Unknown::Instance),
        explained: vec![],
        found: vec![],
        more: false,
    };
    assert_eq!(serde_json::from_slice::<Down>(&frame).unwrap(), unknown);
}

#[test]
fn lookups_come_before_people() {
    let registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    s.hear(ask(1));
    s.server.tell(1, Told::Found(vec![]));
    let said = s.acked(&registry);
    assert_eq!(said[..2], ["whole orders.shop u1", "synced 1 orders.shop"]);
    assert!(said[2].starts_with("Told"), "{said:?}");
}

#[test]
fn questions_without_an_answer_are_few() {
    let registry = Registry::new();
    let mut s = Session::open(&registry, hello());
    for number in 0..ASKS_MAX as u64 {
        assert_eq!(s.hear(ask(number)).len(), 1);
    }
    s.server.tell(0, Told::Found(vec![]));
    assert_eq!(s.server.hear(ask(20), 0), Err(Violation::Asks), "it is not told yet");
    let mut s = Session::open(&registry, hello());
    for number in 0..2 * ASKS_MAX as u64 {
        s.hear(ask(number));
        s.server.tell(number, Told::Found(vec![]));
        told(&mut s, &registry);
    }
}

#[test]
fn of_what_the_pod_is_the_newest_is_told_and_as_much_as_fits() {
    let registry = Registry::new();
    let duties = |count: usize, name_bytes: usize| -> Arc<[Duty]> {
        let duty = |number: usize| Duty {
            service: "orders".parse().unwrap(),
            id: "i".repeat(name_bytes).as_str().into(),
            addresses: vec![],
            port: u16::try_from(number).unwrap(),
            declared: false,
            probe: None,
            ttl_seconds: None,
        };
        (0..count).map(duty).collect()
    };
    let mut s = Session::silent(&registry);
    s.server.set_duties(duties(3, 1));
    assert!(!s.server.has_more(), "not before hello");
    s.hear(hello());
    s.server.set_duties(duties(2, 1));
    let counts = |s: &mut Session| -> Vec<usize> {
        let frames = std::iter::from_fn(|| s.server.speak(&registry.snapshot, 0));
        let count = |bytes: Bytes| match serde_json::from_slice(&bytes).unwrap() {
            Down::Duties { duties } => Some(duties.len()),
            Down::Welcome { .. } => None,
            other => panic!("{other:?}"),
        };
        frames.filter_map(count).collect()
    };
    assert_eq!(counts(&mut s), [2], "after welcome, and once");
    s.server.set_duties(duties(0, 1));
    assert_eq!(counts(&mut s), [0]);
    s.server.set_duties(duties(DUTIES_MAX + 1, 1));
    assert_eq!(counts(&mut s), [DUTIES_MAX]);
    s.server.set_duties(duties(DUTIES_MAX, 100 * 1_024));
    assert_eq!(counts(&mut s), [2]);
}
