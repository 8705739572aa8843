//! Who calls whom, as sidecars tell it in their sessions.

use rollcall_catalogue::ServiceKey;
use rollcall_wire::{Reports, ServiceUsage, Up};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::house::{EVENTUALLY, House, Peer, hello, key, pod, subscribe};

/// Who calls `orders`, with their lookups.
fn callers(house: &House) -> Vec<(String, Option<u64>)> {
    let (consumers, total) = house.consumers.of(&key("orders"), 500);
    assert_eq!(consumers.len(), total);
    assert_eq!(house.consumers.counts([key("orders")].iter()), [total]);
    let line = |one: &crate::sessions::Consumer| (one.pod.to_string(), one.used.map(|used| used.lookups));
    consumers.iter().map(line).collect()
}

async fn until(house: &House, expected: &[(&str, Option<u64>)]) {
    let expected: Vec<_> = expected.iter().map(|(pod, lookups)| ((*pod).to_owned(), *lookups)).collect();
    let waited = timeout(EVENTUALLY, async {
        while callers(house) != expected {
            sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{:?} and not {expected:?}", callers(house)));
}

fn used(service: ServiceKey, lookups: u64) -> Up {
    let reports = Reports { success: lookups, failure: 1, latency_ms: 30 };
    Up::Usage { services: vec![ServiceUsage { service, lookups, last_lookup_ago_ms: Some(5_000), reports }] }
}

async fn caller(house: &House, uid: &str) -> Peer {
    let mut peer = house.session(uid).await;
    peer.say(&subscribe(&["orders"])).await;
    peer.sync().await;
    peer
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_is_a_consumer_and_its_sidecar_says_how_often() {
    let mut pods = vec![pod(1, Some("orders"))];
    pods.extend((2..4).map(|number| pod(number, None)));
    let house = House::with(pods).await;
    assert_eq!(callers(&house), []);
    let (first, mut second) = (caller(&house, "u2").await, caller(&house, "u3").await);
    until(&house, &[("shop/pod-2", None), ("shop/pod-3", None)]).await;
    house.eventually("rollcall_consumers 2").await;

    first.say(&used(key("orders"), 7)).await;
    // What it does not subscribe to is nobody's to say.
    second.say(&used(key("billing"), 7)).await;
    until(&house, &[("shop/pod-2", Some(7)), ("shop/pod-3", None)]).await;
    let (consumers, _) = house.consumers.of(&key("orders"), 1);
    let of_first = consumers[0].used.unwrap();
    assert_eq!(of_first.reports, Reports { success: 7, failure: 1, latency_ms: 30 });
    let ago = Instant::now() - of_first.last_lookup_at.unwrap();
    assert!((5_000..6_000).contains(&ago.as_millis()), "{ago:?}");
    assert_eq!(house.consumers.counts([key("billing")].iter()), [0]);
    second.say(&subscribe(&["billing"])).await;
    second.sync().await;
    let (consumers, _) = house.consumers.of(&key("billing"), 1);
    assert!(consumers.iter().all(|one| one.used.is_none()), "nothing was kept of it");

    // The newest word is all of it.
    sleep(Duration::from_secs(5)).await;
    first.say(&used(key("orders"), 9)).await;
    until(&house, &[("shop/pod-2", Some(9)), ("shop/pod-3", None)]).await;

    let Up::Subscribe { services, .. } = subscribe(&["orders"]) else { panic!() };
    first.say(&Up::Unsubscribe { services, summary: false }).await;
    until(&house, &[("shop/pod-3", None)]).await;
    first.say(&subscribe(&["orders"])).await;
    until(&house, &[("shop/pod-2", None), ("shop/pod-3", None)]).await;
    drop(first);
    until(&house, &[("shop/pod-3", None)]).await;
    drop(second);
    until(&house, &[]).await;
    house.eventually("rollcall_consumers 0").await;
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_does_not_count_is_a_consumer_all_the_same() {
    let house = House::with(vec![pod(1, Some("orders")), pod(2, None)]).await;
    let mut older = house.open("u2").await;
    let Up::Hello { incarnation, sequence, epoch, cursor, registrations, held, .. } = hello("i", 1) else {
        panic!()
    };
    let protocol = "1.1".to_owned();
    older.say(&Up::Hello { protocol, incarnation, sequence, epoch, cursor, registrations, held }).await;
    older.hear().await;
    older.say(&subscribe(&["orders"])).await;
    older.sync().await;
    older.say(&used(key("orders"), 7)).await;
    older.say(&subscribe(&["billing"])).await;
    older.sync().await;
    assert_eq!(callers(&house), [("shop/pod-2".to_owned(), None)], "it may not say so");
}
