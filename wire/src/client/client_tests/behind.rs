//! Of a replica that has read less than is known here, what is new is shown, and what it lacks stays.

use rollcall_catalogue::{
    ContentHash, Service, ServiceKey,
    changes::{Position, Reading},
};

use super::{
    delta, instance, key, position, service, synced, synced_at, synced_by, welcome, welcome_at, welcome_by,
    whole,
};
use crate::{
    Down, ServiceSummary, Up,
    client::{Client, Event, Violation, weight},
    limits::{BEHIND_MAX, milliseconds},
};

fn pods(revision: u64) -> Position {
    position(&[("pods", revision)])
}

fn with(name: &str, revision: u64, numbers: &[u8]) -> (ServiceKey, Service) {
    let key = key(name);
    let made = service(&key, revision, numbers.iter().map(|number| instance(*number, 1)).collect());
    (key, made)
}

fn gone(key: &ServiceKey) -> Down {
    Down::Remove { service: key.clone(), ids: vec![] }
}

/// What the frames come to, all of them.
fn hear(client: &mut Client, frames: impl IntoIterator<Item = Down>) -> Vec<String> {
    let mut told = Vec::new();
    for frame in frames {
        told.extend(client.hear(frame, 0).unwrap().into_iter().map(|event| match event {
            Event::Changed { key, service } => format!("{} {}", key.service, numbers(&service)),
            Event::Gone { key } => format!("{} is gone", key.service),
            Event::Synced => "synced".to_owned(),
            Event::Welcomed { .. } => "welcome".to_owned(),
            Event::SummaryChanged => "summary".to_owned(),
            other => panic!("{other:?}"),
        }));
    }
    told
}

fn numbers(service: &Service) -> String {
    let ids: Vec<_> = service.instances.iter().map(|one| one.id.to_string()).collect();
    ids.join("+")
}

fn shown(client: &Client) -> Vec<String> {
    client.held().map(|(key, service)| format!("{} {}", key.service, numbers(service))).collect()
}

/// The client is welcome once more, by a replica that stands here; what its `hello` said is held.
fn move_to(client: &mut Client, epoch: &str, position: Position, now_ms: u64) -> Vec<(String, ContentHash)> {
    client.closed();
    let frames = client.open(now_ms);
    let Up::Hello { held, .. } = &frames[0] else { panic!("{frames:?}") };
    let held = held.iter().map(|(key, hash)| (key.service.as_str().to_owned(), *hash)).collect();
    client.hear(welcome_at(epoch, position), now_ms).unwrap();
    held
}

/// In step at 5, with `orders` of two instances and `billing` of one.
fn client() -> Client {
    let mut client = Client::new("i".into(), usize::MAX);
    let ((orders, two), (billing, one)) = (with("orders", 100, &[1, 2]), with("billing", 100, &[7]));
    client.subscribe([orders.clone(), billing.clone()]);
    client.open(0);
    client.hear(welcome_at("a", pods(5)), 0).unwrap();
    let told = whole(&orders, &two, 1).into_iter().chain(whole(&billing, &one, 1));
    hear(&mut client, told.chain([synced_at(1, &[&orders, &billing], pods(5))]));
    assert!(client.in_step());
    client
}

#[test]
fn who_is_behind_adds_and_takes_nothing_away_until_it_is_not() {
    let mut client = client();
    let ((orders, two), (billing, _)) = (with("orders", 100, &[1, 2]), with("billing", 100, &[7]));
    assert_eq!(move_to(&mut client, "b", pods(3), 0).len(), 2);
    let (_, now) = with("orders", 50, &[1, 3]);
    let events = hear(&mut client, delta(&orders, &two, &now, 1));
    assert_eq!(events, ["orders i1+i2+i3"], "it adds");
    assert_eq!(hear(&mut client, [gone(&billing), synced_at(1, &[&orders, &billing], pods(4))]), ["synced"]);
    assert_eq!(shown(&client), ["billing i7", "orders i1+i2+i3"]);
    assert!(!client.in_step(), "what it does not know of may be gone, or not");
    let heavier = service(&orders, 51, vec![instance(1, 9), instance(3, 1)]);
    assert_eq!(hear(&mut client, delta(&orders, &now, &heavier, 1)), [""; 0], "what is known waits as well");
    client.tick(3_000).unwrap();
    let beat = |digest| Up::Heartbeat { cursor: 1, digest };
    assert_eq!(client.take_up().last(), Some(&beat(heavier.hash)), "the sum is of what was told");

    // The next one is behind as well; then it is not.
    let offered = move_to(&mut client, "c", pods(4), 0);
    assert_eq!(offered, [("orders".to_owned(), heavier.hash)], "and so is what is offered");
    assert_eq!(hear(&mut client, [synced_at(1, &[&orders, &billing], pods(4))]), ["synced"]);
    let before = client.held().last().unwrap().1.revision;
    let events = hear(&mut client, [synced_at(2, &[], pods(5))]);
    assert_eq!(events, ["billing is gone", "orders i1+i3", "synced"]);
    let (_, held) = client.held().next().unwrap();
    assert!(held.revision > before && held.hash == heavier.hash && client.in_step());
    assert!(client.shows_what_was_told());
    assert_eq!(hear(&mut client, [synced_at(3, &[], pods(6))]), ["synced"], "and once only");
}

/// Of a name that was not answered yet, who is not behind has said nothing either.
#[test]
fn what_stays_shown_is_let_go_by_an_answer_about_it() {
    let mut client = client();
    let (orders, billing) = (key("orders"), key("billing"));
    move_to(&mut client, "b", pods(3), 0);
    hear(&mut client, [gone(&orders), gone(&billing), synced_at(1, &[&orders, &billing], pods(3))]);
    move_to(&mut client, "c", pods(5), 0);
    assert_eq!(hear(&mut client, [synced_at(1, &[&billing], pods(5))]), ["billing is gone", "synced"]);
    assert_eq!(shown(&client), ["orders i1+i2"]);
    let (_, one) = with("orders", 9, &[1]);
    let mut frames = whole(&orders, &one, 1);
    frames.push(synced_at(2, &[&orders], pods(5)));
    assert_eq!(hear(&mut client, frames), ["orders i1", "synced"]);
    assert!(client.in_step() && client.shows_what_was_told());
}

#[test]
fn what_was_known_last_is_joined_from_all_who_told() {
    let mut client = client();
    let orders = key("orders");
    let all = position(&[("pods", 5), ("slices", 1)]);
    hear(&mut client, [synced_at(2, &[], all)]);
    let told_by = |client: &mut Client, position: Position| {
        move_to(client, "b", position.clone(), 0);
        hear(client, [synced_at(1, &[&orders, &key("billing")], position)]);
        client.in_step()
    };
    // Each is ahead in another kind.
    for (kinds, in_step) in [
        (&[("pods", 4), ("slices", 2)][..], false),
        (&[("pods", 5), ("slices", 1)], false),
        (&[("pods", 9)], false),
        (&[("pods", 9), ("slices", 2)], true),
        (&[("pods", 8), ("slices", 2)], false),
    ] {
        assert_eq!(told_by(&mut client, position(kinds)), in_step, "{kinds:?}");
    }
    // An older build says nothing of it, and is believed as it always was.
    client.closed();
    client.open(0);
    client.hear(welcome("old"), 0).unwrap();
    let events = hear(&mut client, [gone(&orders), synced(1, &[&key("billing")])]);
    assert_eq!(events, ["orders is gone", "synced"]);
    assert!(!told_by(&mut client, pods(8)), "and changes nothing of what is known");
}

/// A list is complete up to the newest revision of the whole cluster, and an event up to that of its object.
#[test]
fn who_only_watches_what_is_quiet_is_not_behind_one_that_has_just_listed_it() {
    let mut client = client();
    let (orders, billing) = (key("orders"), key("billing"));
    let all = [&orders, &billing];
    let at = |nodes, changed| Reading {
        reach: position(&[("pods", 5), ("nodes", nodes)]),
        changed: position(&[("pods", 5), ("nodes", changed)]),
    };
    let move_by = |client: &mut Client, epoch: &str, reading: &Reading| {
        client.closed();
        client.open(0);
        client.hear(welcome_by(epoch, reading), 0).unwrap();
        hear(client, [synced_by(1, &all, reading)]);
        client.in_step()
    };
    assert!(move_by(&mut client, "listed", &at(5_000, 3_000)));
    assert_eq!(client.position(), &position(&[("pods", 5), ("nodes", 3_000)]));
    assert!(move_by(&mut client, "watches", &at(3_000, 3_000)));
    assert!(!move_by(&mut client, "lags", &at(2_999, 2_999)));
    // In the middle of a list it knows of more than it has read.
    assert!(move_by(&mut client, "lists", &at(3_000, 4_000)));
    assert!(!move_by(&mut client, "watches", &at(3_000, 3_000)));
    assert!(move_by(&mut client, "watches", &at(4_000, 4_000)));
}

/// It does not say again in a `synced` where it was when it said welcome.
#[test]
fn what_was_known_at_the_welcome_counts_with_all_that_was_told_by_it() {
    let mut client = client();
    let (orders, billing) = (key("orders"), key("billing"));
    move_to(&mut client, "b", pods(7), 0);
    assert_eq!(client.position(), &pods(5), "nothing was told yet");
    hear(&mut client, [synced(1, &[&orders, &billing])]);
    assert_eq!(client.position(), &pods(7));
    move_to(&mut client, "c", pods(6), 0);
    hear(&mut client, [gone(&orders), synced(1, &[&orders, &billing])]);
    assert_eq!(shown(&client), ["billing i7", "orders i1+i2"]);
    // And nothing of one session counts in the next.
    client.closed();
    client.open(0);
    client.hear(welcome("old"), 0).unwrap();
    hear(&mut client, [synced(1, &[&orders, &billing])]);
    assert_eq!(client.position(), &pods(7));
}

#[test]
fn that_there_is_no_such_service_waits_as_well() {
    let mut client = client();
    move_to(&mut client, "b", pods(3), 0);
    let (new, one) = with("new", 10, &[1]);
    let other = key("other");
    client.subscribe([new.clone(), other.clone()]);
    let all = [&new, &other, &key("orders"), &key("billing")];
    assert_eq!(hear(&mut client, [synced_at(1, &all, pods(3))]), ["synced"], "it may come yet");
    let mut frames = whole(&new, &one, 1);
    frames.push(synced_at(2, &[], pods(5)));
    assert_eq!(hear(&mut client, frames), ["new i1", "other is gone", "synced"]);
    assert!(client.in_step() && client.shows_what_was_told());

    // What is left meanwhile is not spoken of.
    move_to(&mut client, "c", pods(3), 0);
    let all = [&new, &other, &key("orders"), &key("billing")];
    hear(&mut client, [gone(&new), synced_at(1, &all, pods(3))]);
    client.unsubscribe([&new, &other]);
    assert_eq!(hear(&mut client, [synced_at(2, &[], pods(5))]), ["synced"]);
}

#[test]
fn who_is_behind_is_asked_how_far_it_is() {
    let mut client = client();
    let (orders, billing) = (key("orders"), key("billing"));
    client.take_up();
    assert_eq!(client.wake_at_ms(), 3_000, "nobody is asked without need");
    move_to(&mut client, "b", pods(3), 0);
    assert_eq!(client.wake_at_ms(), 1_000);
    client.tick(1_000).unwrap();
    assert_eq!(client.take_up(), [], "the answer is under way");
    hear(&mut client, [synced_at(1, &[&orders, &billing], pods(3))]);
    client.take_up();
    let asks = |client: &mut Client| {
        let frames = client.take_up();
        frames
            .into_iter()
            .filter(|frame| matches!(frame, Up::Subscribe { services, .. } if services.len() == 1))
            .count()
    };
    for now_ms in [4_000, 7_000] {
        client.tick(now_ms).unwrap();
        assert_eq!(asks(&mut client), 1);
        client.hear(synced_at(1, &[&billing], pods(4)), now_ms).unwrap();
        client.take_up();
    }
    client.tick(10_000).unwrap();
    assert_eq!(asks(&mut client), 1);
    // The name is left before its answer: that answers nothing that is asked for later.
    assert_eq!(client.unsubscribe([&billing]), None);
    client.subscribe([billing.clone()]);
    let events = client.hear(synced_at(1, &[&billing], pods(5)), 10_000).unwrap();
    assert_eq!(events.last(), Some(&Event::Synced));
    assert!(!client.in_step(), "the next answer counts");
    let said = client.take_up();
    assert!(matches!(&said[..2], [Up::Unsubscribe { .. }, Up::Subscribe { .. }]), "{said:?}");
    client.hear(gone(&billing), 10_000).unwrap();
    client.hear(synced_at(1, &[&billing], pods(5)), 10_000).unwrap();
    assert!(client.in_step());
    client.take_up();
    assert_eq!(client.wake_at_ms(), 13_000);
}

/// Somebody who wants nothing has nothing that could be taken away.
#[test]
fn who_wants_nothing_waits_for_nobody() {
    let mut client = Client::new("i".into(), usize::MAX);
    client.restore_position(pods(5));
    client.open(0);
    client.hear(welcome_at("a", pods(3)), 0).unwrap();
    assert!(client.in_step());
    client.subscribe([key("orders")]);
    let (orders, one) = with("orders", 5, &[1]);
    hear(&mut client, whole(&orders, &one, 1));
    hear(&mut client, [synced_at(1, &[&orders], pods(3))]);
    assert!(!client.in_step());
}

#[test]
fn who_is_behind_for_long_tells_of_another_history() {
    let mut client = client();
    let (orders, billing) = (key("orders"), key("billing"));
    let max_ms = milliseconds(BEHIND_MAX);
    // Half of it in one session, and as much in another; what is between them does not count.
    let mut spend = |from_ms: u64, epoch: &str, revision: u64| {
        move_to(&mut client, epoch, pods(revision), from_ms);
        client.hear(gone(&billing), from_ms).unwrap();
        for now_ms in (from_ms..from_ms + max_ms / 2).step_by(3_000) {
            client.tick(now_ms).unwrap();
            client.hear(Down::Heartbeat, now_ms).unwrap();
            client.take_up();
        }
        let now_ms = from_ms + max_ms / 2;
        let events = client.hear(synced_at(1, &[&orders, &billing], pods(revision)), now_ms).unwrap();
        (events.len(), client.held().count(), client.in_step())
    };
    assert_eq!(spend(0, "b", 1), (1, 2, false), "patience");
    assert_eq!(spend(10 * max_ms, "c", 2), (2, 1, true), "it has an end");
    // From then on, its numbers count.
    assert_eq!(client.position(), &pods(2));
    move_to(&mut client, "d", pods(1), 0);
    hear(&mut client, [synced_at(1, &[&orders, &billing], pods(1))]);
    assert!(!client.in_step());
}

#[test]
fn who_stood_still_did_not_wait_for_who_is_behind() {
    let mut client = client();
    move_to(&mut client, "b", pods(1), 0);
    let now_ms = 2 * milliseconds(BEHIND_MAX);
    client.tick(now_ms).unwrap();
    client.hear(synced_at(1, &[&key("orders"), &key("billing")], pods(1)), now_ms).unwrap();
    assert!(!client.in_step() && client.held().count() == 2);
}

#[test]
fn what_an_earlier_process_knew_is_not_taken_away() {
    let (orders, two) = with("orders", 900, &[1, 2]);
    let mut client = Client::new("j".into(), usize::MAX);
    client.restore_position(pods(5));
    client.restore([(orders.clone(), two)]);
    client.open(0);
    client.hear(welcome_at("b", pods(3)), 0).unwrap();
    assert_eq!(hear(&mut client, [gone(&orders), synced_at(1, &[&orders], pods(3))]), ["synced"]);
    assert_eq!(shown(&client), ["orders i1+i2"]);
    assert_eq!(client.position(), &pods(5));
}

#[test]
fn what_has_no_room_beside_what_is_told_is_given_up() {
    let room = 4 * weight::of_instance(&instance(1, 1));
    let mut client = Client::new("i".into(), room);
    let ((orders, two), (_, others)) = (with("orders", 5, &[1, 2]), with("orders", 6, &[3, 4]));
    client.subscribe([orders.clone()]);
    client.open(0);
    hear(&mut client, [welcome_at("a", pods(5))]);
    hear(&mut client, whole(&orders, &two, 1));
    hear(&mut client, [synced_at(1, &[&orders], pods(5))]);
    move_to(&mut client, "b", pods(3), 0);
    assert_eq!(hear(&mut client, whole(&orders, &others, 1)), ["orders i1+i2+i3+i4"], "that fits");
    let (_, more) = with("orders", 7, &[3, 4, 5]);
    assert_eq!(
        hear(&mut client, delta(&orders, &others, &more, 1)),
        ["orders i3+i4+i5"],
        "and that does not"
    );
    assert!(client.shows_what_was_told(), "and nothing is counted twice");
    hear(&mut client, [gone(&orders)]);
    assert_eq!(shown(&client), ["orders i3+i4+i5"]);
    client.unsubscribe([&orders]);
    assert!(client.shows_what_was_told());
}

#[test]
fn the_list_of_services_is_not_emptied_by_who_is_behind() {
    let mut client = client();
    let (orders, billing) = (key("orders"), key("billing"));
    let list = |name: &str| {
        let one = ServiceSummary { service: key(name), versions: vec![], serving: 1, total: 1 };
        Down::Summary { services: vec![one], removed: vec![], whole: true }
    };
    let end = |cursor, revision| Down::Synced {
        cursor,
        services: vec![orders.clone(), billing.clone()],
        summary: true,
        position: pods(revision),
        changed: Position::default(),
    };
    client.want_summary(true);
    assert_eq!(hear(&mut client, [list("a"), end(1, 5)]), ["summary", "synced"]);
    move_to(&mut client, "b", pods(3), 0);
    assert_eq!(hear(&mut client, [list("b"), end(1, 3)]), ["synced"]);
    assert!(client.summary().unwrap().contains_key(&key("a")));
    assert_eq!(hear(&mut client, [end(2, 5)]), ["summary", "synced"]);
    assert!(client.summary().unwrap().contains_key(&key("b")) && client.in_step());
    // The first list of all is better than none.
    client.want_summary(false);
    move_to(&mut client, "c", pods(3), 0);
    client.want_summary(true);
    assert_eq!(hear(&mut client, [list("c"), end(1, 3)]), ["summary", "synced"]);
}

#[test]
fn a_position_of_kinds_without_end_is_none() {
    let mut many = Position::default();
    (0..33).for_each(|kind| many.saw(&format!("k{kind}"), 1));
    let mut client = client();
    assert_eq!(client.hear(synced_at(2, &[], many.clone()), 0), Err(Violation::Position));
    assert_eq!(move_to(&mut client, "b", pods(5), 0).len(), 2, "of services nothing wrong was said");
    client.restore_position(many);
    assert_eq!(client.position(), &pods(5));
    // Nor does it grow by replicas that name others each time.
    for turn in 0..10 {
        let mut other = Position::default();
        (0..20).for_each(|kind| other.saw(&format!("t{turn}-{kind}"), 1));
        move_to(&mut client, "c", other.clone(), 0);
        hear(&mut client, [synced_at(turn, &[&key("orders"), &key("billing")], other)]);
        assert!(client.position().kinds() <= 32);
    }
}

/// Hashes of a newer controller count fields that this build does not know.
#[test]
fn hashes_are_compared_where_all_fields_are_known() {
    let (orders, one) = with("orders", 5, &[1]);
    let forged = Service { hash: ContentHash(1), ..one };
    let said = |protocol: &str| match welcome("e") {
        Down::Welcome { replica, epoch, replicas, ca, controller, pod, position, changed, .. } => {
            Down::Welcome {
                protocol: protocol.to_owned(),
                replica,
                epoch,
                replicas,
                ca,
                controller,
                pod,
                position,
                changed,
            }
        }
        other => panic!("{other:?}"),
    };
    let table = [
        ("1.0", Ok(false)),
        (crate::PROTOCOL, Ok(false)),
        ("1.99", Ok(true)),
        ("1.x", Ok(true)),
        ("1", Ok(true)),
        ("2.0", Err(Violation::Protocol)),
        ("", Err(Violation::Protocol)),
    ];
    for (protocol, expected) in table {
        let mut client = Client::new("i".into(), usize::MAX);
        client.subscribe([orders.clone()]);
        client.open(0);
        let heard = client.hear(said(protocol), 0);
        let heard = heard.map(|_| client.hear(whole(&orders, &forged, 1).remove(0), 0).is_ok());
        assert_eq!(heard, expected, "{protocol}");
    }
}
