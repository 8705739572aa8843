use std::net::IpAddr;

use rollcall_catalogue::{
    Instance, InstanceId, Port, Profile, Reason, State, Update, Visibility, consolidate::Settings,
};

use super::*;

fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

fn instance(number: u8) -> Instance {
    let profile = Profile {
        port: 80,
        ports: [Port::tcp(None, 80)].into(),
        version: None,
        weight: 100,
        tags: [].into(),
        metadata: Default::default(),
    };
    Instance {
        id: format!("u{number}-80").as_str().into(),
        addresses: IpAddr::from([10, 0, 0, number]).into(),
        zone: None,
        node: None,
        pod: None,
        profile: profile.into(),
        state: State::Serving,
        reason: Reason::Ready,
        revision: 0,
    }
}

fn whole(pods: &[u8], visibility: Visibility) -> Update {
    let settings = Settings { visibility, ..Settings::default() };
    Update::Whole { settings, instances: pods.iter().copied().map(instance).collect() }
}

fn catalogue(services: &[(&str, &[u8])]) -> Snapshot {
    let updates = services.iter().map(|(name, pods)| (key(name), whole(pods, Visibility::Cluster)));
    Snapshot::default().next(updates, 1_000).map(|step| step.snapshot).unwrap_or_default()
}

fn hello(held: &[(&str, ContentHash)]) -> Up {
    Up::Hello {
        protocol: PROTOCOL.to_owned(),
        incarnation: "i".to_owned(),
        sequence: 1,
        epoch: None,
        cursor: 0,
        registrations: vec![],
        held: held.iter().map(|(name, hash)| (key(name), *hash)).collect(),
    }
}

fn subscribe(names: &[&str]) -> Up {
    Up::Subscribe { services: names.iter().map(|name| name.parse().unwrap()).collect(), summary: false }
}

fn new() -> Conversation {
    let pod = PodIdentity {
        namespace: "shop".parse().unwrap(),
        name: "storefront-1".to_owned(),
        uid: "u".to_owned(),
        node: None,
    };
    Conversation::new("c".to_owned(), pod)
}

/// Everything that is said now, in short.
fn said(conversation: &mut Conversation, catalogue: &Snapshot) -> Vec<String> {
    conversation.look(catalogue);
    let mut lines = Vec::new();
    while let Some(bytes) = conversation.speak(catalogue) {
        lines.push(match serde_json::from_slice(&bytes).unwrap() {
            Down::Welcome { pod, .. } => format!("welcome {}", pod.name),
            Down::Upsert { service, instances, .. } => format!("upsert {service} {}", instances.len()),
            Down::Remove { service, ids } => {
                let ids: Vec<_> = ids.iter().map(InstanceId::to_string).collect();
                format!("remove {service} {}", ids.join(","))
            }
            Down::Synced { cursor, services, .. } => {
                let names: Vec<_> = services.iter().map(ToString::to_string).collect();
                format!("synced {cursor} {}", names.join(","))
            }
            Down::Goaway { reason } => format!("goaway {reason}"),
            other => format!("{other:?}"),
        });
    }
    assert!(!conversation.has_more());
    lines
}

#[test]
fn a_conversation() {
    let mut c = new();
    let two = catalogue(&[("orders.shop", &[1]), ("billing.other", &[2])]);
    assert!(said(&mut c, &two).is_empty(), "nothing before hello");
    c.hear(hello(&[])).unwrap();
    assert_eq!(said(&mut c, &two), ["welcome storefront-1"]);
    c.hear(subscribe(&["orders", "billing.other", "nobody"])).unwrap();
    assert_eq!(
        said(&mut c, &two),
        ["upsert billing.other 1", "upsert orders.shop 1", "synced 1 billing.other,nobody.shop,orders.shop"],
        "an unknown name is synced without an upsert"
    );
    assert!(said(&mut c, &two).is_empty());
    let changed = catalogue(&[("orders.shop", &[1, 3]), ("billing.other", &[2]), ("foreign.shop", &[4])]);
    assert_eq!(said(&mut c, &changed), ["upsert orders.shop 2", "synced 2 orders.shop"]);
    let gone = catalogue(&[("billing.other", &[2])]);
    assert_eq!(said(&mut c, &gone), ["remove orders.shop u1-80,u3-80", "synced 3 orders.shop"]);
    c.hear(Up::Unsubscribe { services: vec!["billing.other".parse().unwrap()], summary: false }).unwrap();
    assert!(said(&mut c, &catalogue(&[])).is_empty());
    c.go_away("bye");
    assert_eq!(said(&mut c, &two), ["goaway bye"]);
    assert!(c.closed());
}

#[test]
fn a_peer_that_comes_back_gets_what_it_missed_and_nothing_else() {
    let now = catalogue(&[("same.shop", &[1]), ("changed.shop", &[2, 3])]);
    let same = now.get(&key("same.shop")).unwrap().hash;
    let mut c = new();
    c.hear(hello(&[("same.shop", same), ("changed.shop", ContentHash(1)), ("gone.shop", ContentHash(2))]))
        .unwrap();
    c.hear(subscribe(&["same", "changed", "gone"])).unwrap();
    assert_eq!(
        said(&mut c, &now),
        [
            "welcome storefront-1",
            "upsert changed.shop 2",
            "remove gone.shop ",
            "synced 1 changed.shop,gone.shop,same.shop"
        ]
    );
}

#[test]
fn a_service_that_may_not_be_seen_is_as_one_that_nobody_has() {
    let seen_in = |visibility| {
        let updates = [(key("orders.hidden"), whole(&[1], visibility))];
        Snapshot::default().next(updates, 1_000).unwrap().snapshot
    };
    let friends = Visibility::Namespaces(["shop".parse().unwrap()].into());
    let (open, shown, own) = (seen_in(Visibility::Cluster), seen_in(friends), seen_in(Visibility::own()));
    let mut c = new();
    c.hear(hello(&[])).unwrap();
    c.hear(subscribe(&["orders.hidden"])).unwrap();
    assert_eq!(said(&mut c, &own)[1..], ["synced 1 orders.hidden"], "unknown");
    assert_eq!(said(&mut c, &shown), ["upsert orders.hidden 1", "synced 2 orders.hidden"]);
    assert!(said(&mut c, &open).is_empty(), "the same for this peer");
    assert_eq!(
        said(&mut c, &own),
        ["remove orders.hidden u1-80", "synced 3 orders.hidden"],
        "while it streams"
    );
}

#[test]
fn a_slow_reader_skips_states_and_queues_none() {
    let mut c = new();
    c.hear(hello(&[])).unwrap();
    c.hear(subscribe(&["orders"])).unwrap();
    for pods in 1..=100u8 {
        let all: Vec<_> = (0..pods).collect();
        c.look(&catalogue(&[("orders.shop", &all)]));
    }
    assert!(c.pending.len() == 1 && c.parts.is_empty());
    let last = catalogue(&[("orders.shop", &[7])]);
    assert_eq!(said(&mut c, &last)[1..], ["upsert orders.shop 1", "synced 1 orders.shop"]);
}

#[test]
fn silent_staleness_is_found_and_healed() {
    let now = catalogue(&[("orders.shop", &[1])]);
    let mut c = new();
    c.hear(hello(&[])).unwrap();
    c.hear(subscribe(&["orders", "gone"])).unwrap();
    said(&mut c, &now);
    let right = now.get(&key("orders.shop")).unwrap().hash;
    c.hear(Up::Heartbeat { cursor: 1, digest: right }).unwrap();
    assert!(said(&mut c, &now).is_empty());
    c.hear(Up::Heartbeat { cursor: 0, digest: ContentHash(9) }).unwrap();
    assert!(said(&mut c, &now).is_empty(), "it has not applied everything yet");
    assert!(!c.was_out_of_step());
    c.hear(Up::Heartbeat { cursor: 1, digest: ContentHash(9) }).unwrap();
    assert!(c.was_out_of_step() && !c.was_out_of_step());
    let healed = ["remove gone.shop ", "upsert orders.shop 1", "synced 2 gone.shop,orders.shop"];
    assert_eq!(said(&mut c, &now), healed);
    c.hear(Up::Heartbeat { cursor: 2, digest: right }).unwrap();
    assert!(said(&mut c, &now).is_empty());
}

#[test]
fn what_no_peer_may_do() {
    let mut c = new();
    assert_eq!(c.hear(subscribe(&["orders"])), Err(Violation::Hello));
    assert_eq!(c.hear(Up::Unknown), Ok(()), "a newer peer may say more");
    c.hear(hello(&[])).unwrap();
    assert_eq!(c.hear(hello(&[])), Err(Violation::Hello));
    let names: Vec<_> = (0..=SUBSCRIPTIONS_MAX).map(|n| format!("s{n}").parse().unwrap()).collect();
    assert_eq!(c.hear(Up::Subscribe { services: names, summary: false }), Err(Violation::Subscriptions));
}
