//! What a client hears of the installation, from controllers of its own version and of others.

use std::net::SocketAddr;

use super::welcome;
use crate::{
    Down,
    client::{Client, Event, Violation},
};

fn at(last: u8) -> SocketAddr {
    ([10, 96, 0, last], 7310).into()
}

fn client() -> Client {
    let mut client = Client::new("i".into(), usize::MAX);
    client.open(0);
    client
}

/// What a welcome of this version that says so comes to, beside being welcome.
fn heard(spoken: &str, said: Option<&str>, at: Option<SocketAddr>) -> Vec<Event> {
    let Down::Welcome { replica, epoch, replicas, pod, position, changed, .. } = welcome("e") else {
        panic!("no welcome")
    };
    let (protocol, ca, controller) = (spoken.to_owned(), said.map(Into::into), at);
    let said = Down::Welcome { protocol, replica, epoch, replicas, ca, controller, pod, position, changed };
    let mut events = client().hear(said, 0).unwrap();
    assert!(matches!(events.remove(0), Event::Welcomed { .. }), "first of all it is welcome");
    events
}

#[test]
fn a_welcome_of_any_version_counts_for_what_it_says() {
    let way = |ca: Option<&str>, controller| vec![Event::Way { ca: ca.map(Into::into), controller }];
    assert_eq!(heard("1.0", None, None), []);
    assert_eq!(heard("1.1", None, None), []);
    assert_eq!(heard("1.1", Some("one"), None), way(Some("one"), None));
    assert_eq!(heard("1.2", Some("one"), Some(at(1))), way(Some("one"), Some(at(1))));
    assert_eq!(heard("1.3", None, Some(at(1))), way(None, Some(at(1))));
}

#[test]
fn a_change_is_heard_at_any_time_but_before_the_welcome() {
    let said = || Down::Way { ca: Some("two".into()), controller: None };
    let mut client = client();
    client.hear(welcome("e"), 0).unwrap();
    let event = Event::Way { ca: Some("two".into()), controller: None };
    assert_eq!(client.hear(said(), 1), Ok(vec![event]));
    assert_eq!(client.take_up(), [], "it is not answered");

    let mut early = self::client();
    assert_eq!(early.hear(said(), 0), Err(Violation::Welcome));
}
