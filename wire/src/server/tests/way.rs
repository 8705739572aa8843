//! What a peer is told of the installation, which goes to those alone that know of it.

use std::net::SocketAddr;

use super::*;
use crate::limits::CA_BYTES_MAX;

fn greeting(protocol: &str) -> Up {
    let Up::Hello { incarnation, sequence, epoch, cursor, registrations, held, .. } = hello() else {
        panic!()
    };
    Up::Hello { protocol: protocol.to_owned(), incarnation, sequence, epoch, cursor, registrations, held }
}

fn at(last: u8) -> SocketAddr {
    ([10, 96, 0, last], 7310).into()
}

/// Of an authority of this name, at an address that ends so.
fn way(ca: &str, last: u8) -> Way {
    Way { ca: (!ca.is_empty()).then(|| ca.into()), controller: Some(at(last)) }
}

fn told(ca: &str, last: u8) -> Down {
    let Way { ca, controller } = way(ca, last);
    Down::Way { ca, controller }
}

/// A session that was opened under this way, by one who speaks this protocol.
struct House {
    registry: Registry,
    session: Session,
}

impl House {
    fn opened(way: Way) -> Self {
        let registry = Registry::of(&[("orders.shop", &[1])]);
        let server = Server::new(Opening { way, ..opening() }, registry.feed.clone(), 0);
        Self { registry, session: Session { server, now_ms: 0 } }
    }

    fn greeted(way: Way, protocol: &str) -> Self {
        let mut house = Self::opened(way);
        house.session.hear(greeting(protocol));
        house
    }

    fn said(&mut self) -> Vec<Down> {
        let Self { registry, session } = self;
        let frames = std::iter::from_fn(|| session.server.speak(&registry.snapshot, session.now_ms));
        frames.map(|bytes| serde_json::from_slice(&bytes).unwrap()).collect()
    }
}

#[test]
fn a_welcome_says_it_as_far_as_the_peer_knows_of_it() {
    for (protocol, controller) in [("1.0", None), ("1.1", None), ("1.2", Some(at(1))), ("1.9", Some(at(1)))] {
        let said = House::greeted(way("one", 1), protocol).said();
        let [Down::Welcome { ca, controller: told, .. }] = &said[..] else { panic!("{said:?}") };
        assert_eq!((ca.as_deref(), *told), (Some("one"), controller), "{protocol}");
    }
    let said = House::greeted(Way::default(), "1.2").said();
    assert!(matches!(&said[..], [Down::Welcome { ca: None, controller: None, .. }]), "{said:?}");
}

#[test]
fn only_the_newest_is_told_and_nothing_twice() {
    let mut house = House::greeted(way("one", 1), "1.2");
    house.session.server.set_way(way("two", 1));
    let said = house.said();
    assert!(
        matches!(&said[..], [Down::Welcome { ca: Some(ca), .. }] if **ca == *"two"),
        "before the welcome, by it: {said:?}"
    );
    house.session.server.set_way(way("two", 1));
    assert!(!house.session.server.has_more(), "it is told already");
    for newer in [way("three", 1), way("three", 2), way("four", 2)] {
        house.session.server.set_way(newer);
    }
    assert_eq!(house.said(), [told("four", 2)]);
    assert_eq!(house.said(), []);
    // Whoever has not said hello yet hears it in the welcome too.
    let mut house = House::opened(way("one", 1));
    house.session.server.set_way(way("two", 2));
    house.session.hear(greeting("1.2"));
    let said = house.said();
    assert!(
        matches!(&said[..], [Down::Welcome { controller, .. }] if *controller == Some(at(2))),
        "{said:?}"
    );
}

#[test]
fn peers_of_before_hear_no_word_of_a_change() {
    for protocol in ["1.0", "1.1"] {
        let mut house = House::greeted(way("one", 1), protocol);
        house.said();
        house.session.server.set_way(way("two", 2));
        assert!(!house.session.server.has_more(), "{protocol}");
        assert_eq!(house.said(), [], "{protocol}");
    }
}

#[test]
fn what_no_peer_would_take_is_not_said() {
    let most = "a".repeat(CA_BYTES_MAX);
    for (ca, said) in [("", false), (" \n", false), (&*most, true), (&*format!("{most}a"), false)] {
        let mut house = House::greeted(way("one", 1), "1.2");
        house.said();
        house.session.server.set_way(Way { ca: Some(ca.into()), controller: Some(at(1)) });
        let frames = house.said();
        let [Down::Way { ca: told, .. }] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(told.is_some(), said, "{} bytes", ca.len());
    }
}

#[test]
fn its_frame_is_the_contracts() {
    let json = serde_json::to_string(&told("PEM", 7)).unwrap();
    assert_eq!(json, r#"{"type":"way","ca":"PEM","controller":"10.96.0.7:7310"}"#);
    let none: Down = serde_json::from_str(r#"{"type":"way","since":"a later version"}"#).unwrap();
    assert_eq!(none, Down::Way { ca: None, controller: None });
}
