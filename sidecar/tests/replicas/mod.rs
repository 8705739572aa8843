//! Several replicas of the controller, which a test plays: where the sidecar goes, and what apps see of it. How soon is
//! tested in virtual time, beside the agent.

mod real;

use rollcall_catalogue::{ContentHash, Instance, Policy, Service, changes::Head, changes::Position};
use rollcall_wire::{Down, Up, Upsert};
use tokio::time::{Instant, sleep};

use super::*;
use crate::bench::{Played, welcome};

/// Says what a replica tells: the pods of `orders`, how far it has read, and where its callers are to go at once.
#[derive(Debug, Clone, Default)]
struct Tells {
    orders: Vec<u8>,
    position: u64,
    dial: Option<SocketAddr>,
}

fn told(numbers: &[u8]) -> Down {
    let service: rollcall_catalogue::ServiceKey = "orders.shop".parse().unwrap();
    let instance = |number: &u8| -> Arc<Instance> {
        let json = serde_json::json!({
            "id": format!("u{number}-8080"), "address": format!("10.0.0.{number}"), "port": 8080,
            "ports": {"http": 8080}, "weight": 100, "state": "Serving", "reason": "Ready", "revision": 1,
        });
        Arc::new(serde_json::from_value(json).unwrap())
    };
    let head = Head { revision: 1, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let made = Service::of(head, numbers.iter().map(instance).collect());
    Down::Upsert(Upsert {
        revision: 1,
        hash: made.content_hash(&service),
        service,
        base: None,
        policy: head.policy,
        truncated: false,
        instances: made.instances.iter().cloned().collect(),
        removed: vec![],
        more: false,
    })
}

/// A replica of this name that tells this, and that these serve beside it.
async fn replica(authority: &Authority, name: &str, beside: &[&Played], tells: Tells) -> Played {
    let mut position = Position::default();
    position.saw("pods", tells.position);
    let at = position.clone();
    let others: Vec<_> = beside.iter().map(|played| played.address).collect();
    let name = name.to_owned();
    let greeting = move |own: SocketAddr| match welcome() {
        Down::Welcome { protocol, ca, controller, pod, changed, .. } => {
            let replicas = [own].into_iter().chain(others.iter().copied()).collect();
            let (replica, epoch, position) = (name.clone(), name.clone(), at.clone());
            Down::Welcome { protocol, replica, epoch, replicas, ca, controller, pod, position, changed }
        }
        other => other,
    };
    let script = move |frame: &Up| match frame {
        Up::Hello { .. } if tells.dial.is_some() => {
            vec![Down::Goaway { reason: "moved".to_owned(), dial: tells.dial }]
        }
        Up::Subscribe { services, .. } => {
            let services = services.iter().map(|name| name.resolve(&"shop".parse().unwrap())).collect();
            let synced = Down::Synced {
                cursor: 1,
                services,
                summary: false,
                position: position.clone(),
                changed: Default::default(),
            };
            vec![told(&tells.orders), synced]
        }
        Up::Heartbeat { .. } => vec![Down::Heartbeat],
        _ => vec![],
    };
    Played::start_with(authority, greeting, script).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_see_nothing_of_a_replica_that_is_gone() {
    let authority = Authority::generate("test").unwrap();
    let new = Tells { orders: vec![1, 2, 3], position: 6, dial: None };
    let second = replica(&authority, "second", &[], new).await;
    let tells = Tells { orders: vec![1, 2], position: 5, dial: None };
    let first = replica(&authority, "first", &[&second], tells).await;
    let consumer = Pod::start(&authority, first.address, "u9").await;
    let both = ["10.0.0.1", "10.0.0.2"];
    eventually("the first lookup", async || consumer.orders().await.addresses() == both).await;
    drop(first);
    let moved = async || {
        let answer = consumer.orders().await;
        assert!(
            answer.status == 200 && answer.addresses().starts_with(&both.map(str::to_owned)),
            "{answer:?}"
        );
        answer.addresses().len() == 3 && answer.header("age") == Some("0")
    };
    eventually("it is in step with the second", moved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_has_read_less_takes_nothing_away_nor_after_a_restart() {
    let authority = Authority::generate("test").unwrap();
    let behind = Tells { orders: vec![1, 3], position: 4, dial: None };
    let second = replica(&authority, "second", &[], behind).await;
    let tells = Tells { orders: vec![1, 2], position: 5, dial: None };
    let first = replica(&authority, "first", &[&second], tells).await;
    let volumes = bench::Volumes::new(&authority);
    let consumer = volumes.start(first.address).await;
    eventually("the first lookup", async || consumer.orders().await.addresses().len() == 2).await;
    eventually("it is kept", async || volumes.keeps("\"pods\":5")).await;
    drop(first);
    let all = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    eventually("what is new", async || {
        let answer = consumer.orders().await;
        assert!(answer.addresses().iter().any(|address| address == "10.0.0.2"), "{answer:?}");
        answer.addresses() == all
    })
    .await;
    assert_ne!(consumer.orders().await.header("age"), Some("0"), "it is not known to be current");
    assert_eq!(consumer.get("/readyz").await.status, 503);
    consumer.kill();
    let consumer = volumes.start(second.address).await;
    eventually("in session", async || {
        second.heard().iter().filter(|up| matches!(up, Up::Hello { .. })).count() == 2
    })
    .await;
    eventually("it is answered", async || {
        second.heard().iter().filter(|up| matches!(up, Up::Ack { .. })).count() >= 2
    })
    .await;
    assert!(consumer.orders().await.addresses().iter().any(|address| address == "10.0.0.2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_to_somebody_without_our_certificate() {
    let authority = Authority::generate("test").unwrap();
    let another = Authority::generate("test").unwrap();
    let liar = Controller::start(&another, ANY, vec![pod(66, Some(8080)), pod(9, None)]).await;
    // An address at which nobody is does no more harm.
    let nobody = rollcall_net::bind(ANY).unwrap().local_addr().unwrap();
    for named in [liar.address, nobody] {
        let tells = Tells { dial: Some(named), ..Tells::default() };
        let first = replica(&authority, "first", &[], tells).await;
        let consumer = Pod::start(&authority, first.address, "u9").await;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(2) {
            assert_eq!(consumer.orders().await.status, 503, "nobody has told it anything");
            sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(liar.asked(), 0, "it saw no token");
}
