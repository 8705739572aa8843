//! Each rule by itself.

use rollcall_catalogue::{ContentHash, Service, ServiceKey, liveness::ProbeWitness};

use super::{delta, instance, key, service, synced, welcome, whole};
use crate::{
    Down, Drain, HealthOf, RegistrationKey, SelfRegistration, ServiceSummary, Up,
    client::{Client, Event, Violation},
    encode,
    limits::{EPOCH_BYTES_MAX, REGISTRATIONS_MAX, REVISION_END, SUBSCRIPTIONS_MAX},
};

/// In session, with these asked for.
pub(super) fn client(names: &[&str]) -> Client {
    let mut client = Client::new("i".into(), usize::MAX);
    client.subscribe(names.iter().map(|name| key(name)));
    client.open(0);
    client.hear(welcome("e"), 0).unwrap();
    client
}

/// What the frames come to, the last of them.
pub(super) fn hear(
    client: &mut Client,
    frames: impl IntoIterator<Item = Down>,
) -> Result<Vec<Event>, Violation> {
    frames.into_iter().try_fold(Vec::new(), |_, frame| client.hear(frame, 0))
}

pub(super) fn gone(service: &str) -> Down {
    Down::Remove { service: key(service), ids: vec![] }
}

fn names(frame: &Up) -> (&'static str, Vec<String>) {
    let (what, services) = match frame {
        Up::Subscribe { services, .. } => ("subscribe", services),
        Up::Unsubscribe { services, .. } => ("unsubscribe", services),
        other => panic!("{other:?}"),
    };
    (what, services.iter().map(|name| name.service.as_str().to_owned()).collect())
}

fn registration(service: &str, tags: usize) -> SelfRegistration {
    serde_json::from_value(serde_json::json!({"service": service, "tags": vec!["x".repeat(63); tags]}))
        .unwrap()
}

/// What `hello` says is held.
fn offered(client: &mut Client) -> Vec<String> {
    let frames = client.open(0);
    let Up::Hello { held, .. } = &frames[0] else { panic!("no hello") };
    held.keys().map(|key| key.service.as_str().to_owned()).collect()
}

#[test]
fn what_no_controller_may_do() {
    let orders = key("orders");
    let (one, two) = (service(&orders, 5, vec![instance(1, 1)]), service(&orders, 6, vec![instance(2, 1)]));
    let halves = service(&orders, 7, vec![instance(1, 1), instance(2, 1)]);
    let (half, held) = (whole(&orders, &halves, 2)[0].clone(), whole(&orders, &one, 1)[0].clone());
    let change = delta(&orders, &one, &two, 1)[0].clone();
    let Down::Welcome { replica, epoch, pod, .. } = welcome("e") else { panic!("no welcome") };
    let newer = Down::Welcome {
        protocol: "2.0".into(),
        replica,
        epoch,
        replicas: vec![],
        ca: None,
        controller: None,
        pod,
        position: Default::default(),
        changed: Default::default(),
    };
    let long = welcome(&"e".repeat(EPOCH_BYTES_MAX + 1));
    let third = service(&orders, 8, vec![instance(3, 1)]);
    let late = service(&orders, REVISION_END, vec![instance(1, 1)]);
    let [parts, out_of_step, revision] =
        [Violation::Parts, Violation::OutOfStep, Violation::Revision].map(|kind| kind(key("orders")));
    let table: Vec<(&str, Vec<Down>, Violation)> = vec![
        ("nothing before welcome", vec![Down::Heartbeat], Violation::Welcome),
        ("welcome comes once", vec![welcome("e"), welcome("e")], Violation::Welcome),
        ("another major version", vec![newer], Violation::Protocol),
        ("an epoch without end", vec![long], Violation::Epoch),
        ("parts of two revisions", vec![welcome("e"), half.clone(), held.clone()], parts.clone()),
        ("synced between parts", vec![welcome("e"), half.clone(), synced(1, &[&orders])], parts.clone()),
        ("removed between parts", vec![welcome("e"), half, gone("orders")], parts),
        (
            "a change of what is not held",
            vec![welcome("e"), change.clone(), synced(1, &[&orders])],
            out_of_step.clone(),
        ),
        (
            "a change of other content",
            vec![welcome("e"), held.clone(), delta(&orders, &two, &third, 1)[0].clone()],
            out_of_step,
        ),
        (
            "an older revision",
            vec![welcome("e"), whole(&orders, &two, 1)[0].clone(), held.clone()],
            revision.clone(),
        ),
        (
            "an older revision of what was gone",
            vec![welcome("e"), whole(&orders, &two, 1)[0].clone(), gone("orders"), held.clone()],
            revision.clone(),
        ),
        ("a revision of no clock", vec![welcome("e"), whole(&orders, &late, 1)[0].clone()], revision),
        ("an older cursor", vec![welcome("e"), synced(5, &[]), synced(4, &[])], Violation::Cursor),
    ];
    for (what, frames, violation) in table {
        let mut client = Client::new("i".into(), usize::MAX);
        client.subscribe([orders.clone()]);
        client.open(0);
        assert_eq!(hear(&mut client, frames), Err(violation), "{what}");
        assert!(!client.in_step() && client.take_up().is_empty(), "{what}: it is over");
        assert_eq!(client.hear(held.clone(), 0), Ok(vec![]), "{what}: nothing more is heard");
    }
    let forged = Service { hash: ContentHash(7), ..two };
    let mut client = client(&["orders"]);
    let heard = hear(&mut client, [held, whole(&orders, &forged, 1)[0].clone()]);
    assert!(matches!(heard, Err(Violation::Content { .. })), "{heard:?}");
    assert_eq!(client.held().next().unwrap().1.hash, one.hash, "what was believed before stays");
}

#[test]
fn a_peer_of_a_newer_minor_version_may_hash_what_we_do_not_know() {
    let orders = key("orders");
    let Down::Welcome { replica, epoch, pod, .. } = welcome("e") else { panic!("no welcome") };
    let newer = Down::Welcome {
        protocol: "1.9".into(),
        replica,
        epoch,
        replicas: vec![],
        ca: None,
        controller: None,
        pod,
        position: Default::default(),
        changed: Default::default(),
    };
    let mut client = Client::new("i".into(), usize::MAX);
    client.subscribe([orders.clone()]);
    client.open(0);
    let strange = Service { hash: ContentHash(7), ..service(&orders, 5, vec![]) };
    let events = hear(&mut client, [newer, whole(&orders, &strange, 1)[0].clone()]).unwrap();
    assert!(matches!(&events[..], [Event::Changed { .. }]), "{events:?}");
}

#[test]
fn what_is_in_doubt_is_not_offered_and_stays_until_it_is_told() {
    let (orders, billing) = (key("orders"), key("billing"));
    let held = |n: &ServiceKey| whole(n, &service(n, 5, vec![instance(1, 1)]), 1)[0].clone();
    let begin = || {
        let mut client = client(&["orders", "billing"]);
        hear(&mut client, [held(&orders), held(&billing), synced(1, &[&orders, &billing])]).unwrap();
        assert!(client.in_step());
        client
    };
    let mut client = begin();
    client.closed();
    assert_eq!(offered(&mut client), ["billing", "orders"]);
    assert_eq!([3_000, 6_000, 9_000].map(|now_ms| client.tick(now_ms).is_ok()), [true, true, false]);
    assert_eq!(offered(&mut client), ["billing", "orders"], "who says nothing says nothing wrong");
    client.hear(welcome("e"), 0).unwrap();
    client.hear(synced(0, &[]), 0).unwrap_err();
    assert!(offered(&mut client).is_empty(), "an older cursor is about everything");

    let mut client = begin();
    client.garbled();
    assert!(offered(&mut client).is_empty(), "of which service it was is not known");

    let mut client = begin();
    let (from, to) = (service(&orders, 6, vec![]), service(&orders, 7, vec![instance(3, 1)]));
    hear(&mut client, delta(&orders, &from, &to, 1)).unwrap_err();
    assert_eq!((offered(&mut client), client.held().count()), (vec!["billing".to_owned()], 2));
    client.hear(welcome("e"), 0).unwrap();
    // Unchanged is what was offered; what was not is there no more, if nothing is told of it.
    let events = client.hear(synced(1, &[&orders, &billing]), 0).unwrap();
    assert_eq!(events, [Event::Gone { key: orders.clone() }, Event::Synced]);
    client.tick(3_000).unwrap();
    let billing_hash = client.held().next().unwrap().1.hash;
    let beat = Up::Heartbeat { cursor: 1, digest: billing_hash };
    assert_eq!(client.take_up(), [Up::Ack { cursor: 1 }, beat]);
}

#[test]
fn a_held_service_is_dropped_only_where_it_is_said_to_be_gone() {
    let orders = key("orders");
    let mut client = client(&["orders"]);
    hear(&mut client, whole(&orders, &service(&orders, 5, vec![]), 1)).unwrap();
    let events = client.hear(synced(1, &[&orders]), 0).unwrap();
    assert_eq!(events, [Event::Synced], "known, with nothing in it");
    assert_eq!(client.hear(synced(2, &[&orders]), 0).unwrap(), [Event::Synced]);
    assert_eq!(client.hear(gone("stock"), 0), Ok(vec![]), "nobody asked");
    assert_eq!(client.hear(gone("orders"), 0).unwrap(), [Event::Gone { key: orders.clone() }]);
    assert_eq!((client.held().count(), client.hear(gone("orders"), 0)), (0, Ok(vec![])));
    assert_eq!(client.take_up(), [Up::Ack { cursor: 2 }], "what went is acknowledged, with all before it");
}

#[test]
fn a_name_is_left_once_it_was_answered_and_asked_for_again_after_that() {
    let orders = key("orders");
    let mut client = client(&["orders"]);
    assert_eq!(client.unsubscribe([&orders]), None, "the answer is under way");
    assert_eq!(client.subscribe([orders.clone()]), None, "of the next question, nothing is known yet");
    hear(&mut client, whole(&orders, &service(&orders, 5, vec![]), 1)).unwrap();
    assert_eq!(client.held().count(), 0, "an answer to a question taken back");
    assert_eq!(client.hear(synced(1, &[&orders]), 0).unwrap(), [Event::Synced]);
    assert!(!client.in_step());
    let frames = client.take_up();
    let said: Vec<_> = frames[..2].iter().map(names).collect();
    assert_eq!(said, [("unsubscribe", vec!["orders".into()]), ("subscribe", vec!["orders".into()])]);
    assert_eq!(frames[2..], [Up::Ack { cursor: 1 }]);

    // A change of what was held before: it was said before the name was left.
    let (one, two) = (service(&orders, 5, vec![]), service(&orders, 6, vec![instance(1, 1)]));
    assert_eq!(hear(&mut client, delta(&orders, &one, &two, 1)), Ok(vec![]));
    hear(&mut client, whole(&orders, &two, 1)).unwrap();
    client.hear(synced(2, &[&orders]), 0).unwrap();
    assert!(client.in_step());
    assert_eq!(names(&client.unsubscribe([&orders]).unwrap()), ("unsubscribe", vec!["orders".into()]));
    assert_eq!((client.held().count(), client.in_step()), (0, true));
    assert_eq!(hear(&mut client, delta(&orders, &two, &one, 1)), Ok(vec![]), "still under way");
}

#[test]
fn no_more_is_asked_for_than_may_be() {
    let all: Vec<_> = (0..=SUBSCRIPTIONS_MAX).map(|number| key(&format!("s{number:04}"))).collect();
    let mut client = client(&[]);
    let frame = client.subscribe(all.clone()).unwrap();
    assert_eq!(names(&frame).1.len(), SUBSCRIPTIONS_MAX, "the last has no room");
    assert_eq!(client.unsubscribe([&all[0]]), None);
    assert_eq!(client.subscribe([all[SUBSCRIPTIONS_MAX].clone()]), None, "there is none before one is left");
    client.hear(synced(1, &[&all[0]]), 0).unwrap();
    let said: Vec<_> = client.take_up()[..2].iter().map(names).collect();
    assert_eq!(said, [("unsubscribe", vec!["s0000".into()]), ("subscribe", vec!["s1024".into()])]);
}

#[test]
fn what_the_pod_says_of_itself_is_said_in_each_session() {
    let mut client = Client::new("i".into(), usize::MAX);
    let orders = RegistrationKey { service: key("orders").service, port: None };
    let of = |service: &str| Some(HealthOf { service: key(service).service, port: None });
    assert_eq!(client.register(registration("orders", 1)), Ok(None), "in the next session");
    assert_eq!(client.health(of("orders"), ProbeWitness::Dead), Ok(None));
    assert_eq!(client.health(None, ProbeWitness::Passing), Ok(None), "of all; the bad one counts");
    assert_eq!(client.health(of("billing"), ProbeWitness::Unwell), Ok(None));
    let frames = client.open(0);
    let Up::Hello { registrations, sequence: 1, .. } = &frames[0] else { panic!("{frames:?}") };
    assert_eq!(registrations[..], [registration("orders", 1)]);
    let words = [
        (None, ProbeWitness::Passing),
        (of("billing"), ProbeWitness::Unwell),
        (of("orders"), ProbeWitness::Dead),
    ];
    assert_eq!(frames[1..], words.map(|(of, probe)| Up::Health { of, probe }));
    client.hear(welcome("e"), 0).unwrap();

    // The refusal of the first is none of the second.
    let rejected = || Down::Rejected { key: orders.clone(), reason: "r".into(), field: None };
    let [first, second] = [2, 3].map(|tags| client.register(registration("orders", tags)).unwrap());
    assert!(matches!((first, second), (Some(Up::Register { .. }), Some(Up::Register { .. }))));
    client.hear(rejected(), 0).unwrap();
    client.hear(Down::Registered { key: orders.clone() }, 0).unwrap();
    let said = |client: &mut Client| match &client.open(0)[0] {
        Up::Hello { registrations, .. } => registrations.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(&mut client), [registration("orders", 3)]);
    client.hear(welcome("e"), 0).unwrap();
    client.register(registration("orders", 4)).unwrap();
    let events = client.hear(rejected(), 0).unwrap();
    assert!(matches!(&events[..], [Event::Rejected { .. }]));
    assert!(said(&mut client).is_empty(), "refused, and forgotten");

    client.register(registration("orders", 0)).unwrap();
    assert_eq!(client.deregister(&orders), Some(Up::Deregister { key: orders.clone() }));
    assert_eq!(client.open(0)[1], Up::Deregister { key: orders.clone() }, "to whoever did not hear it");
    client.register(registration("orders", 0)).unwrap();
    assert!(matches!(client.open(0)[1], Up::Health { .. }));
    client.hear(welcome("e"), 0).unwrap();
    assert!(client.drain(Drain::Wait, 5).is_some());
    client.closed();
    assert_eq!(client.drain(Drain::Wait, 5), None);
}

#[test]
fn a_hello_fits_into_a_frame_whatever_is_held_and_registered() {
    let long = |number: usize| format!("{number:04}{}.{}", "s".repeat(59), "n".repeat(63));
    let mut client = Client::new("i".repeat(16), usize::MAX);
    client.subscribe((0..SUBSCRIPTIONS_MAX).map(|number| long(number).parse().unwrap()));
    client.open(0);
    client.hear(welcome(&"\u{1}".repeat(EPOCH_BYTES_MAX)), 0).unwrap();
    for number in 0..SUBSCRIPTIONS_MAX {
        let key = long(number).parse().unwrap();
        hear(&mut client, whole(&key, &service(&key, 5, vec![]), 1)).unwrap();
    }
    for number in 0..REGISTRATIONS_MAX {
        client.register(registration(&format!("s{number}"), 64)).unwrap();
    }
    assert!(client.register(registration("one-more", 1)).is_err());
    client.register(registration("s3", 3_000)).unwrap_err();
    let mut large = 64;
    while client.register(registration("s3", large)).is_ok() {
        large += 16;
    }
    let frames = client.open(0);
    frames.iter().for_each(|frame| drop(encode(frame).unwrap()));
    let Up::Hello { held, registrations, .. } = &frames[0] else { panic!("no hello") };
    assert!(registrations.len() == REGISTRATIONS_MAX && (300..SUBSCRIPTIONS_MAX).contains(&held.len()));
    client.hear(welcome("f"), 0).unwrap();
    client.tick(3_000).unwrap();
    let sum = held.values().fold(0u64, |sum, hash| sum.wrapping_add(hash.0));
    assert_eq!(client.take_up(), [Up::Heartbeat { cursor: 0, digest: ContentHash(sum) }], "what was offered");
    client.closed();
    for number in 0..REGISTRATIONS_MAX {
        let service = format!("s{number}").parse().unwrap();
        client.deregister(&RegistrationKey { service, port: None });
    }
    assert_eq!(offered(&mut client).len(), held.len(), "the others were not told again yet");
}

#[test]
fn the_list_of_services_is_shown_once_it_is_whole() {
    let one =
        |name: &str, serving| ServiceSummary { service: key(name), versions: vec![], serving, total: 9 };
    let told = |services, removed, whole| Down::Summary { services, removed, whole };
    let end = |cursor| Down::Synced {
        cursor,
        services: vec![],
        summary: true,
        position: Default::default(),
        changed: Default::default(),
    };
    let shown = |client: &Client| -> Vec<(String, u32)> {
        let all = client.summary().into_iter().flat_map(|all| all.iter());
        all.map(|(key, one)| (key.service.as_str().to_owned(), one.serving)).collect()
    };
    let mut client = client(&[]);
    let ask = Up::Subscribe { services: vec![], summary: true };
    assert_eq!(client.want_summary(true), Some(ask.clone()));
    assert_eq!(hear(&mut client, [told(vec![one("a", 1)], vec![], false)]), Ok(vec![]), "of which list?");
    hear(&mut client, [told(vec![one("a", 1)], vec![], true), told(vec![one("b", 2)], vec![], false)])
        .unwrap();
    assert!(shown(&client).is_empty() && !client.in_step());
    assert_eq!(client.hear(end(1), 0).unwrap(), [Event::SummaryChanged, Event::Synced]);
    assert!(client.in_step());
    let events = hear(&mut client, [told(vec![one("b", 3)], vec![key("a")], false)]).unwrap();
    assert_eq!((events, shown(&client)), (vec![Event::SummaryChanged], vec![("b".to_owned(), 3)]));

    client.closed();
    assert_eq!(client.open(0)[1..], [ask]);
    hear(&mut client, [welcome("f"), told(vec![one("c", 1)], vec![], true)]).unwrap();
    assert_eq!((shown(&client).len(), client.in_step()), (1, false), "the last one, until then");
    client.hear(end(1), 0).unwrap();
    assert_eq!(shown(&client), [("c".to_owned(), 1)]);
    let many = (0..40_000).map(|number| one(&format!("s{number}"), 1)).collect();
    assert_eq!(client.hear(told(many, vec![], false), 0), Err(Violation::Summary));
    // A few that say as much.
    client.open(0);
    hear(&mut client, [welcome("f"), told(vec![one("c", 1)], vec![], true), end(1)]).unwrap();
    let version = |number| format!("1.0.{number}-{}", "x".repeat(100)).parse().unwrap();
    let large = |name: &str| ServiceSummary { versions: (0..1_000).map(version).collect(), ..one(name, 1) };
    let held = client.summary().unwrap().clone();
    for _ in 0..100 {
        assert_eq!(
            hear(&mut client, [told(vec![large("d")], vec![], false)]).unwrap().len(),
            1,
            "one at a time"
        );
        let gone = told(vec![], vec![key("d")], false);
        hear(&mut client, [told(vec![large("d")], vec![], false), gone]).unwrap();
    }
    assert_eq!(held.len(), 1, "what was shown stays as it was for its readers");
    let many = (0..100).map(|number| large(&format!("s{number}"))).collect();
    assert_eq!(client.hear(told(many, vec![], false), 0), Err(Violation::Summary));
    client.open(0);
    client.hear(welcome("f"), 0).unwrap();
    assert!(matches!(client.want_summary(false), Some(Up::Unsubscribe { summary: true, .. })));
    assert!(client.summary().is_none() && client.in_step());
}

#[test]
fn a_number_that_is_shown_never_stands_for_two_contents() {
    let orders = key("orders");
    let at = |revision, number| service(&orders, revision, vec![instance(number, 1)]);
    let mut client = client(&["orders"]);
    let tell = |client: &mut Client, service: &Service| {
        hear(client, whole(&orders, service, 1)).unwrap();
        client.held().next().unwrap().1.revision
    };
    assert_eq!(tell(&mut client, &at(100, 1)), 100);
    assert_eq!(tell(&mut client, &at(120, 1)), 100, "the same content");
    // The next process has a clock that is behind.
    client.closed();
    client.open(0);
    client.hear(welcome("f"), 0).unwrap();
    assert_eq!(tell(&mut client, &at(50, 1)), 100);
    assert_eq!(tell(&mut client, &at(51, 2)), 101);
    assert_eq!(tell(&mut client, &at(300, 3)), 300);
    // Gone and back; left and asked for again.
    client.closed();
    client.open(0);
    client.hear(welcome("g"), 0).unwrap();
    client.hear(gone("orders"), 0).unwrap();
    assert_eq!(tell(&mut client, &at(60, 4)), 301);
    client.hear(synced(1, &[&orders]), 0).unwrap();
    client.unsubscribe([&orders]).unwrap();
    client.subscribe([orders.clone()]).unwrap();
    assert_eq!(tell(&mut client, &at(60, 4)), 301, "the same content as when it was left");
    // So many names came and went that this one is not remembered.
    for number in 0..SUBSCRIPTIONS_MAX {
        let other = key(&format!("s{number}"));
        client.subscribe([other.clone()]);
        let told = service(&other, 1_000, vec![]);
        hear(&mut client, whole(&other, &told, 1).into_iter().chain([synced(1, &[&other])])).unwrap();
        client.unsubscribe([&other]);
        if number == 0 {
            client.hear(gone("orders"), 0).unwrap();
        }
    }
    assert_eq!(client.held().count(), 0);
    assert_eq!(tell(&mut client, &at(61, 5)), 302);
}
