//! What is held stays within its bytes, and begins where an earlier process left it.

use std::sync::Arc;

use rollcall_catalogue::{Instance, Service, ServiceKey};

use super::{delta, key, service, synced, welcome, whole};
use crate::{
    Down, Up,
    client::{Client, Event, Violation, weight},
    testing::instance_with,
};

fn large(number: u8) -> Arc<Instance> {
    let id = format!("i{number}").as_str().into();
    Arc::new(Instance { id, revision: 1, ..instance_with(number, 100, 10) })
}

fn with(name: &str, revision: u64, numbers: &[u8]) -> (ServiceKey, Service) {
    let key = key(name);
    let made = service(&key, revision, numbers.iter().copied().map(large).collect());
    (key, made)
}

/// In session, with room for so many large instances, and these names asked for.
fn client(instances: usize, names: &[&str]) -> Client {
    let mut client = Client::new("i".into(), instances * weight::of_instance(&large(1)));
    client.subscribe(names.iter().map(|name| key(name)));
    client.open(0);
    client.hear(welcome("e"), 0).unwrap();
    client
}

/// What all frames come to.
fn hear(client: &mut Client, frames: impl IntoIterator<Item = Down>) -> Vec<String> {
    let mut told = Vec::new();
    for frame in frames {
        told.extend(client.hear(frame, 0).unwrap().into_iter().map(|event| match event {
            Event::Changed { key, service } => format!("{} {}", key.service, service.instances.len()),
            Event::TooLarge { key } => format!("{} is too large", key.service),
            Event::Gone { key } => format!("{} is gone", key.service),
            Event::Synced => "synced".to_owned(),
            other => panic!("{other:?}"),
        }));
    }
    told
}

fn held(client: &Client) -> Vec<String> {
    client.held().map(|(key, service)| format!("{} {}", key.service, service.instances.len())).collect()
}

/// The names that the frames leave, and those that they ask for.
fn said(frames: &[Up]) -> Vec<String> {
    let mut said = Vec::new();
    for frame in frames {
        match frame {
            Up::Subscribe { services, .. } => {
                said.extend(services.iter().map(|one| format!("+{}", one.service)));
            }
            Up::Unsubscribe { services, .. } => {
                said.extend(services.iter().map(|one| format!("-{}", one.service)));
            }
            _ => {}
        }
    }
    said
}

#[test]
fn what_does_not_fit_is_not_held_and_not_wanted_any_more() {
    let mut client = client(3, &["a", "b", "c"]);
    let (a, two) = with("a", 5, &[1, 2]);
    assert_eq!(hear(&mut client, whole(&a, &two, 1)), ["a 2"]);
    let (b, also_two) = with("b", 5, &[1, 2]);
    assert_eq!(hear(&mut client, whole(&b, &also_two, 1)), ["b is too large"]);
    // In parts it is said at once, and what follows of it counts for nothing.
    let (c, three) = with("c", 5, &[1, 2, 3]);
    let parts = whole(&c, &three, 3);
    assert_eq!(hear(&mut client, parts[..1].to_vec()), [] as [&str; 0]);
    assert_eq!(hear(&mut client, parts[1..].to_vec()), ["c is too large"]);
    assert_eq!(hear(&mut client, [synced(1, &[&a, &b, &c])]), ["synced"]);
    assert_eq!(said(&client.take_up()), ["-b", "-c"], "before the acknowledgement");
    assert_eq!(held(&client), ["a 2"]);
    assert!(client.in_step());

    // What shrinks makes room, and what grows has to have it.
    let (_, one) = with("a", 6, &[1]);
    assert_eq!(hear(&mut client, delta(&a, &two, &one, 1)), ["a 1"]);
    assert!(client.subscribe([b.clone()]).is_some());
    assert_eq!(hear(&mut client, whole(&b, &also_two, 2)), ["b 2"]);
    assert_eq!(hear(&mut client, [synced(2, &[&b])]), ["synced"]);
    let (_, four) = with("a", 7, &[1, 3, 4]);
    assert_eq!(hear(&mut client, delta(&a, &one, &four, 1)), ["a is too large"]);
    assert_eq!(held(&client), ["b 2"], "an old state that nobody replaces is worse than none");
    assert_eq!(said(&client.take_up()), ["-a"]);

    // All of the room is free again once nothing is held: nothing was counted twice.
    client.unsubscribe([&b]);
    let (d, all) = with("d", 7, &[1, 2, 3]);
    client.subscribe([d.clone()]);
    client.take_up();
    assert_eq!(hear(&mut client, whole(&d, &all, 2)), ["d 3"]);
}

#[test]
fn a_service_may_be_told_anew_though_it_fills_the_room() {
    let mut client = client(3, &["a"]);
    let (a, first) = with("a", 5, &[1, 2, 3]);
    assert_eq!(hear(&mut client, whole(&a, &first, 2)), ["a 3"]);
    let (_, other) = with("a", 6, &[2, 3, 4]);
    assert_eq!(hear(&mut client, whole(&a, &other, 3)), ["a 3"]);
}

#[test]
fn parts_of_what_nobody_wants_are_not_kept() {
    let mut client = client(2, &["a"]);
    let (a, all) = with("a", 5, &[1, 2]);
    let parts = whole(&a, &all, 2);
    hear(&mut client, parts[..1].to_vec());
    client.unsubscribe([&a]);
    assert_eq!(hear(&mut client, parts[1..].to_vec()), [] as [&str; 0]);
    let mut of_another = whole(&a, &with("a", 6, &[3, 4]).1, 2);
    hear(&mut client, of_another.drain(..1));
    assert_eq!(
        client.hear(parts[1].clone(), 0),
        Err(Violation::Parts(a)),
        "they must fit together all the same"
    );
}

#[test]
fn what_an_earlier_process_held_is_offered_and_its_revisions_go_on() {
    let mut client = Client::new("j".into(), 3 * weight::of_instance(&large(1)));
    let ((a, kept), (b, changed)) = (with("a", 900, &[1]), with("b", 700, &[2]));
    client.restore([(a.clone(), kept.clone()), (b.clone(), changed.clone()), with("c", 5, &[1, 2])]);
    assert_eq!(held(&client), ["a 1", "b 1"], "the third has no room");
    let frames = client.open(0);
    let Up::Hello { held: offered, .. } = &frames[0] else { panic!("{frames:?}") };
    assert_eq!(offered.keys().collect::<Vec<_>>(), [&a, &b]);
    assert_eq!(said(&frames), ["+a", "+b"], "what is held is wanted");
    client.hear(welcome("another"), 0).unwrap();
    assert!(!client.in_step());
    // A controller whose clock is behind: shown revisions go on all the same.
    let (_, now) = with("b", 3, &[2, 3]);
    let events = client.hear(delta(&b, &changed, &now, 1).remove(0), 0).unwrap();
    let [Event::Changed { service, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(service.revision > 700, "{}", service.revision);
    assert_eq!(hear(&mut client, [synced(1, &[&a, &b])]), ["synced"]);
    assert_eq!(held(&client), ["a 1", "b 2"], "the first was confirmed by its hash");
    assert!(client.in_step());
}

#[test]
fn what_an_older_build_held_is_told_anew_though_its_hash_is_the_same() {
    let (a, all) = with("a", 900, &[1, 2]);
    // Of the same hash, and with less in it: the older build did not know the rest.
    let less = Service { hash: all.hash, revision: 900, ..with("a", 900, &[1]).1 };
    let mut client = Client::new("j".into(), usize::MAX);
    client.restore([(a.clone(), less)]);
    client.doubt_held();
    let frames = client.open(0);
    assert!(matches!(&frames[0], Up::Hello { held, .. } if held.is_empty()), "{frames:?}");
    assert_eq!((said(&frames), held(&client)), (vec!["+a".to_owned()], vec!["a 1".to_owned()]));
    client.hear(welcome("another"), 0).unwrap();
    let events = client.hear(whole(&a, &Service { revision: 900, ..all }, 1).remove(0), 0).unwrap();
    let [Event::Changed { service, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(service.revision > 900 && service.instances.len() == 2, "{service:?}");
}
