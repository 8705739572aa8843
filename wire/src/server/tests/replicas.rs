//! What a peer is told of several replicas, and how far this one has come.

use std::net::SocketAddr;

use rollcall_catalogue::changes::Position;

use super::*;
use crate::limits::TOKEN_BYTES_MAX;

pub(super) fn greeting(protocol: &str) -> Up {
    let Up::Hello { incarnation, sequence, epoch, cursor, registrations, held, .. } = hello() else {
        panic!()
    };
    Up::Hello { protocol: protocol.to_owned(), incarnation, sequence, epoch, cursor, registrations, held }
}

fn at(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 7310).into()
}

fn replicas(lasts: &[u8]) -> Arc<[SocketAddr]> {
    lasts.iter().map(|last| at(*last)).collect()
}

fn position(pods: u64) -> Position {
    let mut position = Position::default();
    position.saw("Pod", pods);
    position
}

/// Of one that has come so far by an event.
fn reading(pods: u64) -> Arc<Reading> {
    Arc::new(Reading { reach: position(pods), changed: position(pods) })
}

/// A replica that is read by a session, as its shell does.
struct House {
    registry: Registry,
    reading: Arc<Reading>,
    session: Session,
}

impl House {
    fn with(opening: Opening) -> Self {
        let registry = Registry::of(&[("orders.shop", &[1]), ("billing.shop", &[2])]);
        let server = Server::new(opening, registry.feed.clone(), 0);
        Self { registry, reading: reading(7), session: Session { server, now_ms: 0 } }
    }

    /// One that speaks this protocol, at the replica 1 of two.
    fn greeted(protocol: &str) -> Self {
        let mut house = Self::with(Opening { replicas: replicas(&[1, 2]), ..opening() });
        house.session.hear(greeting(protocol));
        house
    }

    fn look(&mut self) {
        self.session.server.look(&self.registry.snapshot, self.registry.number, &self.reading);
    }

    fn one(&mut self) -> Option<Down> {
        let now_ms = self.session.now_ms;
        let bytes = self.session.server.speak(&self.registry.snapshot, now_ms)?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// All that is said now; `synced` are acknowledged.
    fn said(&mut self) -> Vec<Down> {
        self.look();
        let mut said = Vec::new();
        while let Some(frame) = self.one() {
            if let Down::Synced { cursor, .. } = frame {
                self.session.hear(Up::Ack { cursor });
            }
            said.push(frame);
        }
        said
    }

    /// The positions of all `synced` that are said now.
    fn positions(&mut self) -> Vec<Position> {
        let said = self.said();
        let position_of = |frame| match frame {
            Down::Synced { position, .. } => Some(position),
            _ => None,
        };
        said.into_iter().filter_map(position_of).collect()
    }

    /// Three seconds in which the peer says that it is there.
    fn beat(&mut self) {
        self.session.now_ms += 3_000;
        self.session.hear(Up::Heartbeat { cursor: u64::MAX, digest: ContentHash(0) });
        self.look();
        self.session.server.tick(self.session.now_ms);
    }
}

#[test]
fn a_welcome_says_what_both_speak_and_where_replicas_are() {
    for (theirs, ours, position_told) in
        [("1.0", "1.0", Position::default()), ("1.1", "1.1", position(7)), ("1.9", "1.2", position(7))]
    {
        let mut house = House::greeted(theirs);
        let said = house.said();
        let [Down::Welcome { protocol, replicas: told, position, .. }] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!((protocol.as_str(), told), (ours, &vec![at(1), at(2)]));
        assert_eq!(*position, position_told, "{theirs}");
    }
}

#[test]
fn one_token_a_minute_is_looked_at_and_what_is_none_never() {
    let token =
        |text: &str| serde_json::from_value(serde_json::json!({"type": "token", "token": text})).unwrap();
    let good = |text: &str| vec![Heard::Token(Token::read(text.as_bytes()).unwrap())];
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    let mut of_before = House::greeted("1.0").session;
    assert_eq!((of_before.hear(token("a")), of_before.server.unknown_frames()), (vec![], 1));
    let mut s = House::greeted("1.1").session;
    for none in ["", " ", "a b", long.as_str()] {
        assert_eq!(s.hear(token(none)), [], "{none}");
    }
    assert_eq!(s.hear(token("a")), good("a"), "what is none has taken nobody's place");
    s.now_ms += 59_999;
    assert_eq!(s.hear(token("b")), []);
    s.now_ms += 1;
    assert_eq!(s.hear(token("c")), good("c"));
    assert_eq!(s.server.farewell(), None);
}

#[test]
fn replicas_are_told_when_they_change_and_only_the_newest() {
    let mut house = House::greeted("1.1");
    house.session.server.set_replicas(replicas(&[1]));
    let said = house.said();
    assert!(matches!(&said[..], [Down::Welcome { replicas, .. }] if *replicas == [at(1)]), "{said:?}");
    house.session.server.set_replicas(replicas(&[1]));
    assert!(!house.session.server.has_more(), "it is told already");
    for newer in [&[1, 2][..], &[1, 3], &[1, 3, 2]] {
        house.session.server.set_replicas(replicas(newer));
    }
    assert_eq!(house.said(), [Down::Replicas { replicas: vec![at(1), at(3), at(2)] }]);
    assert_eq!(house.said(), []);
}

/// It would skip them; what it is not told it cannot get wrong.
#[test]
fn a_client_of_before_hears_nothing_that_is_new() {
    let mut house = House::greeted("1.0");
    house.session.hear(subscribe(&["orders", "billing"]));
    house.said();
    house.session.server.set_replicas(replicas(&[1, 3]));
    house.reading = reading(8);
    house.registry.set("orders.shop", &[1, 2]);
    let said = house.said();
    assert!(matches!(&said[..], [Down::Upsert(_), Down::Synced { .. }]), "{said:?}");
    for _ in 0..2 {
        house.reading = reading(9);
        house.beat();
        assert_eq!(house.said(), [Down::Heartbeat]);
    }
    house.session.server.send_away(reason::MOVED, Some(at(3)));
    assert_eq!(house.session.server.dial(), None);
    assert_eq!(house.said(), [Down::Goaway { reason: "moved".into(), dial: None }]);
}

#[test]
fn who_is_sent_away_is_told_where_to() {
    let mut house = House::greeted("1.1");
    house.said();
    house.session.server.send_away(reason::MOVED, Some(at(2)));
    house.session.server.send_away(reason::SHUTDOWN, Some(at(3)));
    assert_eq!(house.session.server.dial(), Some(at(2)), "the first word stands");
    assert_eq!(house.said(), [Down::Goaway { reason: "moved".into(), dial: Some(at(2)) }]);

    let mut house = House::with(Opening { replicas: replicas(&[1, 2]), life_ms: 10_000, ..opening() });
    house.session.hear(greeting("1.1"));
    house.said();
    let mut said = Vec::new();
    for _ in 0..4 {
        house.beat();
        said = house.said();
    }
    let expired = Down::Goaway { reason: "expired".into(), dial: Some(at(1)) };
    assert_eq!(said, [expired], "whose life is over comes back to where it was");
}

#[test]
fn a_position_is_that_of_what_was_told_and_told_once() {
    let mut house = House::greeted("1.1");
    house.said();
    house.session.hear(subscribe(&["orders", "billing"]));
    assert_eq!(house.positions(), [Position::default()], "it is in the welcome");
    // A round begins in one snapshot, and ends when others are there.
    house.reading = reading(8);
    house.registry.set("orders.shop", &[1, 2]);
    house.registry.set("billing.shop", &[1, 2]);
    house.look();
    assert!(matches!(house.one(), Some(Down::Upsert(_))));
    house.reading = reading(9);
    house.registry.set("billing.shop", &[3]);
    assert_eq!(house.positions(), [position(8), position(9)]);
    // What the cluster did beside concerns nobody here.
    house.registry.set("orders.shop", &[1]);
    assert_eq!(house.positions(), [Position::default()]);
    house.session.hear(Up::Subscribe { services: vec![], summary: true });
    house.reading = reading(10);
    house.registry.set("orders.shop", &[4]);
    let told: Vec<_> = house.positions().into_iter().filter(|told| *told != Position::default()).collect();
    assert_eq!(told, [position(10)]);
}

/// It may have been told more elsewhere: then it shows nothing less until it hears that this replica has come as far.
#[test]
fn a_new_session_hears_of_the_place_in_the_stead_of_heartbeats() {
    let mut house = House::greeted("1.1");
    house.said();
    house.session.hear(subscribe(&["orders"]));
    house.said();
    house.beat();
    assert_eq!(house.said(), [Down::Heartbeat], "there is nothing new");
    let mut beats = 1;
    for pods in 8.. {
        house.reading = reading(pods);
        house.beat();
        beats += 1;
        match &house.said()[..] {
            [Down::Synced { position: told, services, .. }] => {
                assert!(*told == position(pods) && services.is_empty());
            }
            [Down::Heartbeat] => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(beats * 3_000, milliseconds(crate::limits::POSITIONS_FOR), "and later with its services only");
    house.registry.set("orders.shop", &[5]);
    assert_eq!(house.positions(), [house.reading.reach.clone()]);
}

/// It may say that nothing has changed there for long, or that it knows of more than it has read.
#[test]
fn of_kinds_that_stand_elsewhere_the_newest_change_is_told_beside() {
    let mut reach = position(7);
    reach.saw("Node", 7);
    let mut changed = position(3);
    changed.saw("Service", 9);
    let mut house = House::greeted("1.1");
    let reading = Reading { reach: reach.clone(), changed: changed.clone() };
    house.reading = Arc::new(reading.clone());
    let said = house.said();
    let [Down::Welcome { position, changed: told, .. }] = &said[..] else { panic!("{said:?}") };
    assert_eq!(serde_json::to_string(told).unwrap(), r#"{"Node":0,"Pod":3,"Service":9}"#);
    assert_eq!(Reading::of_told(position.clone(), told), reading);
    // That it has read no further is no reason to keep a change back.
    changed.saw("Pod", 7);
    house.reading = Arc::new(Reading { reach: reach.clone(), changed });
    house.session.hear(subscribe(&["orders"]));
    let said = house.said();
    let Some(Down::Synced { position, changed: told, .. }) = said.last() else { panic!("{said:?}") };
    assert_eq!(
        (position, serde_json::to_string(told).unwrap().as_str()),
        (&reach, r#"{"Node":0,"Service":9}"#)
    );
}

/// Of the kinds that are watched, with revisions as those of a cluster that is some years old.
#[test]
fn a_position_costs_little() {
    let mut position = Position::default();
    for kind in ["EndpointSlice", "Namespace", "Node", "Pod", "Service", "ServiceRegistration"] {
        position.saw(kind, 123_456_789_012);
    }
    let synced = |position| {
        encoded(&Down::Synced {
            cursor: 12_345,
            services: vec![],
            summary: false,
            position,
            changed: Position::default(),
        })
        .unwrap()
        .len()
    };
    let cost = synced(position) - synced(Position::default());
    assert!((100..=200).contains(&cost), "{cost} bytes");
}
