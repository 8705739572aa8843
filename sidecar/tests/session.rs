//! The whole way: an event at the controller's index, a session over real TLS, a lookup on the sidecar's port.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test's helpers are tests too, and other tests use more of them"
)]

mod alone;
mod bench;
mod peer;
mod replicas;
mod trust;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bench::{Controller, Deaf, Pod, eventually, gone, pod, request, seen};
use rollcall_catalogue::PodFacts;
use rollcall_controller::Authority;
use tokio::task::JoinSet;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// The promise: a change is in every lookup within a second.
const PUSHED: Duration = Duration::from_secs(1);

/// A controller that knows `orders` with one pod and a consumer, and the consumer's sidecar in step with it.
async fn shop() -> (Authority, Controller, Pod) {
    let authority = Authority::generate("test").unwrap();
    let controller = Controller::start(&authority, ANY, vec![pod(1, Some(8080)), pod(9, None)]).await;
    let consumer = Pod::start(&authority, controller.address, "u9").await;
    eventually("the first lookup", async || consumer.orders().await.addresses() == ["10.0.0.1"]).await;
    (authority, controller, consumer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_appears_changes_and_goes() {
    let (_, controller, consumer) = shop().await;
    let first = consumer.orders().await;
    let body: serde_json::Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!((&body["service"], &body["namespace"]), (&"orders".into(), &"shop".into()));
    assert_eq!(body["versions"], serde_json::json!(["1.4.2"]));
    assert_eq!(body["instances"][0]["reason"], "SessionNeverCame", "its own sidecar is not there");
    assert_eq!((first.header("age"), first.header("x-rollcall-source")), (Some("0"), Some("live")));
    assert_eq!(first.header("x-rollcall-revision"), Some(body["revision"].to_string().as_str()));
    let etag = first.header("etag").unwrap().to_owned();
    let again = "GET /v1/services/orders HTTP/1.1\r\nHost: localhost\r\n";
    let held = consumer.ask(&format!("{again}If-None-Match: {etag}\r\n")).await;
    assert_eq!((held.status, held.body.as_str()), (304, ""));

    controller.apply(seen(pod(2, Some(8080)))).await;
    let both = ["10.0.0.1", "10.0.0.2"];
    let took = eventually("the second instance", async || consumer.orders().await.addresses() == both).await;
    assert!(took < PUSHED, "{took:?}");
    assert_eq!(consumer.ask(&format!("{again}If-None-Match: {etag}\r\n")).await.status, 200);

    let mut unready = pod(1, Some(8080));
    unready.life.ready = false;
    controller.apply(seen(unready)).await;
    eventually("the unready one left", async || consumer.orders().await.addresses() == ["10.0.0.2"]).await;

    controller.apply(gone("u1")).await;
    controller.apply(gone("u2")).await;
    let took = eventually("the service is gone", async || consumer.orders().await.status == 404).await;
    assert!(took < PUSHED, "{took:?}");
    controller.apply(seen(pod(3, Some(8080)))).await;
    let took = eventually("it came back", async || consumer.orders().await.addresses() == ["10.0.0.3"]).await;
    assert!(took < PUSHED, "an unknown name is watched: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pods_own_session_is_its_witness_and_its_loss_evicts_nobody() {
    let (authority, controller, consumer) = shop().await;
    let reason = async || {
        let body: serde_json::Value = serde_json::from_str(&consumer.orders().await.body).unwrap_or_default();
        body["instances"][0]["reason"].as_str().unwrap_or_default().to_owned()
    };
    let own = Pod::start(&authority, controller.address, "u1").await;
    eventually("its session is seen", async || reason().await == "Ready").await;
    let second = Pod::start(&authority, controller.address, "u1").await;
    eventually("the second session is in step", async || second.orders().await.status == 200).await;
    assert_eq!(reason().await, "Ready");
    drop((own, second));
    eventually("its loss is seen", async || reason().await == "SidecarLost").await;
    assert_eq!(consumer.orders().await.addresses(), ["10.0.0.1"], "still served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_outlive_the_controller_and_follow_the_next_one() {
    let (authority, controller, consumer) = shop().await;
    let address = controller.address;
    let before = consumer.orders().await;
    controller.stop().await;
    eventually("the loss is noticed", async || {
        request(consumer.health, "GET /readyz HTTP/1.1\r\nHost: a\r\n").await.status == 503
    })
    .await;
    eventually("the age is told", async || {
        let answer = consumer.orders().await;
        assert_eq!((answer.status, &answer.body), (200, &before.body), "the last state goes on");
        answer.header("age") != Some("0")
    })
    .await;
    assert_eq!(request(consumer.health, "GET /healthz HTTP/1.1\r\nHost: a\r\n").await.status, 200);
    let unseen = consumer.get("/v1/services/unseen").await;
    assert_eq!((unseen.status, unseen.header("retry-after")), (503, Some("1")));
    assert!(unseen.body.contains("urn:rollcall:problem:not-synced"), "{}", unseen.body);

    // Pod 1 was deleted while nobody was told: the next controller must say so.
    let next = Controller::start(&authority, address, vec![pod(2, Some(8080)), pod(9, None)]).await;
    eventually("the new state", async || consumer.orders().await.addresses() == ["10.0.0.2"]).await;
    eventually("the wish made meanwhile is answered", async || {
        consumer.get("/v1/services/unseen").await.status == 404
    })
    .await;
    let after = consumer.orders().await;
    let revision =
        |answer: &bench::Answer| answer.header("x-rollcall-revision").unwrap().parse::<u64>().unwrap();
    assert!(revision(&after) > revision(&before), "revisions grow over a restart");
    assert_eq!(after.header("age"), Some("0"));
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_stay_out() {
    let (authority, controller, _consumer) = shop().await;
    let wrong = Authority::generate("another").unwrap();
    let refused = [
        ("a wrong authority", Pod::start(&wrong, controller.address, "u9").await),
        ("a pod that nobody knows", Pod::start(&authority, controller.address, "u77").await),
        ("a token that is no good", Pod::with_token(&authority, controller.address, "forged").await),
    ];
    for (who, pod) in &refused {
        let answer = pod.orders().await;
        assert_eq!(answer.status, 503, "{who}: {}", answer.body);
        assert!(answer.body.contains("not-synced"));
    }
    eventually("the API server's no is heard", async || controller.refused() > 0).await;
    // A pod that is deleted loses its session, though its token would be good for another hour.
    let known: PodFacts = pod(5, None);
    controller.apply(seen(known)).await;
    let leaving = Pod::start(&authority, controller.address, "u5").await;
    let ready = async || request(leaving.health, "GET /readyz HTTP/1.1\r\nHost: a\r\n").await.status == 200;
    eventually("in session", &ready).await;
    controller.apply(gone("u5")).await;
    eventually("put out", async || !ready().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_takes_nothing_is_given_up() {
    let authority = Authority::generate("test").unwrap();
    let deaf = Deaf::start(&authority).await;
    let pod = Arc::new(Pod::start(&authority, deaf.address, "u9").await);
    eventually("in session", async || pod.get("/readyz").await.status == 200).await;
    // More words than wait on the way up: the agent stands in the middle of saying one.
    let mut lookups = JoinSet::new();
    for number in 0..64 {
        let pod = pod.clone();
        lookups.spawn(async move { pod.get(&format!("/v1/services/s{number}")).await.status });
    }
    assert!(lookups.join_all().await.iter().all(|status| *status == 503));
    eventually("the next session", async || deaf.sessions() > 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_says_which() {
    let (_, _controller, consumer) = shop().await;
    let get = "GET /v1/services/orders HTTP/1.1\r\n";
    let table = [
        (format!("{get}Host: evil.example\r\n"), 403, "forbidden-host"),
        (format!("{get}Host: localhost\r\nOrigin: http://localhost:7300\r\n"), 403, "forbidden-origin"),
        ("POST /v1/services/orders HTTP/1.1\r\nHost: localhost\r\n".to_owned(), 405, "method-not-allowed"),
        ("GET /v1/services/Orders HTTP/1.1\r\nHost: localhost\r\n".to_owned(), 400, "invalid-query"),
        ("GET /v1/services/orders?zoen=a HTTP/1.1\r\nHost: localhost\r\n".to_owned(), 400, "invalid-query"),
        ("GET /v1/services/nobody HTTP/1.1\r\nHost: localhost\r\n".to_owned(), 404, "unknown-service"),
        ("GET /v2 HTTP/1.1\r\nHost: localhost\r\n".to_owned(), 404, "unknown-path"),
    ];
    let unknown = consumer.get("/v1/services/nobody").await;
    assert_eq!((unknown.header("age"), unknown.header("x-rollcall-source")), (Some("0"), Some("live")));
    for (head, status, slug) in table {
        let answer = consumer.ask(&head).await;
        assert_eq!(answer.status, status, "{head}{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.body.contains(&format!("urn:rollcall:problem:{slug}")), "{}", answer.body);
    }
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(consumer.get(path).await.status, 200, "{path}");
    }
    let catalogue = request(consumer.health, "GET /v1/services/orders HTTP/1.1\r\nHost: a\r\n").await;
    assert_eq!(catalogue.status, 404, "nothing of the catalogue on the pod's address");
}
