//! Each rule by itself.

use rollcall_catalogue::{ContentHash, liveness::ProbeWitness};

use super::{delta, instance, key, service, synced, welcome, whole};
use crate::{
    Down, Drain, SelfRegistration, ServiceSummary, Up,
    client::{Client, Event, Violation},
    encode,
    limits::{EPOCH_BYTES_MAX, REGISTRATIONS_MAX, SUBSCRIPTIONS_MAX},
};

/// In session, with these asked for.
fn client(names: &[&str]) -> Client {
    let mut client = Client::new("i".into());
    client.subscribe(names.iter().map(|name| key(name)));
    client.open(0);
    client.hear(welcome("e"), 0).unwrap();
    client
}

/// What the frames come to, the last of them.
fn hear(client: &mut Client, frames: impl IntoIterator<Item = Down>) -> Result<Vec<Event>, Violation> {
    frames.into_iter().try_fold(Vec::new(), |_, frame| client.hear(frame, 0))
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

#[test]
fn what_no_controller_may_do() {
    let orders = key("orders");
    let (one, two) = (service(&orders, 5, vec![instance(1, 1)]), service(&orders, 6, vec![instance(2, 1)]));
    let forged = rollcall_catalogue::Service { hash: ContentHash(7), ..two.clone() };
    let halves = service(&orders, 7, vec![instance(1, 1), instance(2, 1)]);
    let (half, held) = (whole(&orders, &halves, 2)[0].clone(), whole(&orders, &one, 1)[0].clone());
    let older = service(&orders, 4, vec![instance(2, 1)]);
    let long = "e".repeat(EPOCH_BYTES_MAX + 1);
    let Down::Welcome { replica, epoch, pod, .. } = welcome("e") else { panic!("no welcome") };
    let newer = Down::Welcome { protocol: "2.0".into(), replica, epoch, replicas: vec![], ca: None, pod };
    let parts = || Violation::Parts(key("orders"));
    let table: Vec<(&str, Vec<Down>, Violation)> = vec![
        ("nothing before welcome", vec![Down::Heartbeat], Violation::Welcome),
        ("welcome comes once", vec![welcome("e"), welcome("e")], Violation::Welcome),
        ("another major version", vec![newer], Violation::Protocol),
        ("an epoch without end", vec![welcome(&long)], Violation::Epoch),
        ("parts of two revisions", vec![welcome("e"), half.clone(), held.clone()], parts()),
        ("synced between parts", vec![welcome("e"), half.clone(), synced(1, &[&orders])], parts()),
        (
            "removed between parts",
            vec![welcome("e"), half, Down::Remove { service: orders.clone(), ids: vec![] }],
            parts(),
        ),
        (
            "a change of what is not held",
            vec![welcome("e"), delta(&orders, &one, &two, 1)[0].clone(), synced(1, &[&orders])],
            Violation::OutOfStep(orders.clone()),
        ),
        (
            "a change of other content",
            vec![welcome("e"), held.clone(), delta(&orders, &two, &one, 1)[0].clone()],
            Violation::Revision(orders.clone()),
        ),
        (
            "an older revision",
            vec![welcome("e"), held.clone(), whole(&orders, &older, 1)[0].clone()],
            Violation::Revision(orders.clone()),
        ),
        ("an older cursor", vec![welcome("e"), synced(5, &[]), synced(4, &[])], Violation::Cursor),
    ];
    for (what, frames, violation) in table {
        let mut client = Client::new("i".into());
        client.subscribe([orders.clone()]);
        client.open(0);
        let heard = match what {
            "a change of other content" => Ok(vec![]),
            _ => hear(&mut client, frames),
        };
        if what != "a change of other content" {
            assert_eq!(heard, Err(violation), "{what}");
            assert!(!client.in_step() && client.take_up().is_empty(), "{what}: it is over");
            assert_eq!(client.hear(held.clone(), 0), Ok(vec![]), "{what}: nothing more is heard");
        }
    }
    let mut client = client(&["orders"]);
    let heard = hear(&mut client, [held, whole(&orders, &forged, 1)[0].clone()]);
    assert!(matches!(heard, Err(Violation::Content { .. })), "{heard:?}");
    assert_eq!(client.held().next().unwrap().1.hash, one.hash, "what was believed before stays");
}
