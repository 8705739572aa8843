//! What the controller tells of the pod itself, and what people ask it for.

use std::net::IpAddr;

use rollcall_catalogue::liveness::ProbeWitness;

use super::{instance, key, welcome};
use crate::{
    DUTIES_MAX, Down, Drain, Duty, Found, HealthOf, Question, RegistrationKey, SelfRegistration, Told,
    Unknown, Up,
    client::{Client, Event, Violation},
    limits::{ASKS_MAX, HEALTH_WORDS_MAX, TOLD_FRAMES_MAX},
};

fn client() -> Client {
    let mut client = Client::new("i".into(), usize::MAX);
    client.open(0);
    client.hear(welcome("e"), 0).unwrap();
    client
}

fn address() -> Question {
    Question::Address(IpAddr::from([10, 0, 0, 1]))
}

fn explain() -> Question {
    Question::Explain { service: key("orders"), id: None }
}

fn found(number: u8) -> Found {
    Found { service: key("orders"), instance: (*instance(number, 1)).clone() }
}

fn told(ask: u64, unknown: Option<Unknown>, found: Vec<Found>, more: bool) -> Down {
    Down::Told { ask, unknown, explained: vec![], found, more }
}

fn duty(port: u16) -> Duty {
    let (service, id) = ("orders".parse().unwrap(), format!("u-{port}").as_str().into());
    Duty { service, id, addresses: vec![], port, declared: true, probe: None, ttl_seconds: None }
}

#[test]
fn an_answer_comes_under_the_number_of_its_question_whole() {
    let mut client = client();
    let (one, _) = client.ask(address()).unwrap();
    let (two, frame) = client.ask(explain()).unwrap();
    assert_eq!(frame, Up::Ask { ask: two, question: explain() });
    assert_eq!(client.hear(told(one, None, vec![found(1)], true), 0), Ok(vec![]));
    let events = client.hear(told(one, None, vec![found(2)], false), 0);
    assert_eq!(events, Ok(vec![Event::Told { ask: one, told: Told::Found(vec![found(1), found(2)]) }]));
    let events = client.hear(told(two, None, vec![], false), 0);
    assert_eq!(
        events,
        Ok(vec![Event::Told { ask: two, told: Told::Explained(vec![]) }]),
        "what it asked for"
    );
    for (unknown, expected) in
        [(Unknown::Service, Told::UnknownService), (Unknown::Instance, Told::UnknownInstance)]
    {
        let (ask, _) = client.ask(explain()).unwrap();
        let events = client.hear(told(ask, Some(unknown), vec![], false), 0);
        assert_eq!(events, Ok(vec![Event::Told { ask, told: expected }]));
    }
}

#[test]
fn questions_are_few_and_end_with_their_session() {
    let mut client = client();
    let asked: Vec<_> = (0..ASKS_MAX).map(|_| client.ask(address()).unwrap().0).collect();
    assert_eq!(client.ask(address()), None);
    client.hear(told(asked[3], None, vec![], false), 0).unwrap();
    let (number, _) = client.drain(Drain::Wait, 5).unwrap();
    let drained = |ask| Down::Drained {
        ask,
        complete: true,
        terminating: false,
        acked: 0,
        subscribers: 0,
        late: vec![],
        elapsed_ms: 0,
    };
    let events = client.hear(drained(Some(number)), 0).unwrap();
    assert!(matches!(&events[..], [Event::Drained { ask, .. }] if *ask == number), "{events:?}");
    assert_eq!(client.hear(drained(None), 0), Ok(vec![]), "none of ours");
    assert!(client.ask(address()).is_some_and(|(next, _)| next > number));
    client.closed();
    assert_eq!(client.ask(address()), None);
    client.open(0);
    client.hear(welcome("e"), 0).unwrap();
    assert!(client.ask(address()).is_some());
    assert_eq!(
        client.hear(told(asked[0], None, vec![], false), 0),
        Err(Violation::Answer),
        "of another session"
    );
}

#[test]
fn an_answer_that_does_not_end_or_is_mixed_with_another_is_none() {
    let mut endless = client();
    let (ask, _) = endless.ask(address()).unwrap();
    for _ in 1..TOLD_FRAMES_MAX {
        assert_eq!(endless.hear(told(ask, None, vec![], true), 0), Ok(vec![]));
    }
    assert_eq!(endless.hear(told(ask, None, vec![], true), 0), Err(Violation::Answer));
    let mut mixed = client();
    let [one, other] = [0, 1].map(|_| mixed.ask(address()).unwrap().0);
    mixed.hear(told(one, None, vec![], true), 0).unwrap();
    assert_eq!(mixed.hear(told(other, None, vec![], false), 0), Err(Violation::Answer));
}

#[test]
fn what_the_pod_is_stays_known_over_sessions_and_news_of_it_is_told() {
    let mut client = client();
    let of = |ports: &[u16]| Down::Duties { duties: ports.iter().copied().map(duty).collect() };
    assert_eq!(client.hear(of(&[]), 0), Ok(vec![]), "as it was");
    assert_eq!(client.hear(of(&[80, 81]), 0), Ok(vec![Event::DutiesChanged]));
    client.closed();
    client.open(0);
    client.hear(welcome("f"), 0).unwrap();
    assert_eq!(client.duties(), [duty(80), duty(81)]);
    assert_eq!(client.hear(of(&[80, 81]), 0), Ok(vec![]));
    let many = Down::Duties { duties: vec![duty(1); DUTIES_MAX + 1] };
    assert_eq!(client.hear(many, 0), Err(Violation::Duties));
}

#[test]
fn words_on_single_addresses_go_with_them_and_silence_makes_room() {
    let mut client = client();
    let service: rollcall_catalogue::ServiceName = "orders".parse().unwrap();
    let of = |port| Some(HealthOf { service: service.clone(), port: Some(port) });
    let beside: SelfRegistration =
        serde_json::from_str(r#"{"service":"orders","ports":[{"port":81}],"beside":true}"#).unwrap();
    let key = RegistrationKey { service: service.clone(), port: Some(81) };
    assert_eq!(beside.key(), key);
    client.register(beside).unwrap();
    client.health(of(81), ProbeWitness::Dead).unwrap();
    client.health(of(80), ProbeWitness::NotAsked).unwrap();
    assert_eq!(client.deregister(&key), Some(Up::Deregister { key }));
    let words = |client: &mut Client| client.open(0)[1..].to_vec();
    assert_eq!(words(&mut client), [Up::Health { of: of(80), probe: ProbeWitness::NotAsked }]);
    for port in 1_000..1_000 + u16::try_from(HEALTH_WORDS_MAX).unwrap() {
        client.health(of(port), ProbeWitness::Passing).unwrap();
    }
    assert_eq!(words(&mut client).len(), HEALTH_WORDS_MAX, "the one that says nothing has gone");
    assert!(client.health(of(1), ProbeWitness::Dead).is_err());
    client.health(of(1_000), ProbeWitness::Dead).unwrap();
}
