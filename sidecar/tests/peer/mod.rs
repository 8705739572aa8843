//! The sidecar against a controller that a test plays: what it asks, and what it makes of bad answers.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rollcall_catalogue::{ContentHash, Policy, Service, ServiceKey, changes::Head};
use rollcall_controller::Authority;
use rollcall_wire::{Down, Drain, Up, Upsert};

use crate::bench::{Played, Pod, eventually, request};

/// `orders` without instances under this revision: as it is, or with a hash that is not its own.
fn orders(revision: u64, forged: bool) -> Down {
    let service = "orders.shop".parse().unwrap();
    let head = Head { revision, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let hash = Service::of(head, vec![]).content_hash(&service);
    Down::Upsert(Upsert {
        service,
        revision,
        hash: ContentHash(hash.0 + u64::from(forged)),
        base: None,
        policy: head.policy,
        truncated: false,
        instances: vec![],
        removed: vec![],
        more: false,
    })
}

fn synced(cursor: u64) -> Down {
    Down::Synced {
        cursor,
        services: vec!["orders.shop".parse().unwrap()],
        summary: false,
        position: Default::default(),
        changed: Default::default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_come_to_its_hash_ends_the_session_and_is_asked_for_anew() {
    let authority = Authority::generate("test").unwrap();
    let sessions = AtomicU64::new(0);
    let played = Played::start(&authority, move |frame| match frame {
        Up::Hello { .. } => {
            sessions.fetch_add(1, Ordering::Relaxed);
            vec![]
        }
        Up::Subscribe { .. } => vec![orders(7, false), synced(1)],
        // As soon as it is held, a lie; in the second session, none.
        Up::Ack { cursor: 1 } if sessions.load(Ordering::Relaxed) == 1 => vec![orders(8, true)],
        _ => vec![],
    })
    .await;
    let pod = Pod::start(&authority, played.address, "u9").await;
    eventually("the first answer", async || pod.orders().await.status == 200).await;
    let hellos = || -> Vec<_> {
        let heard = played.heard();
        let hellos = heard.into_iter().filter_map(|frame| match frame {
            Up::Hello { sequence, epoch, cursor, held, .. } => Some((sequence, epoch, cursor, held.len())),
            _ => None,
        });
        hellos.collect()
    };
    eventually("the next session", async || hellos().len() == 2).await;
    assert_eq!(hellos(), [(1, None, 0, 0), (2, Some("played".to_owned()), 1, 0)], "its hash is not offered");
    let answer = pod.orders().await;
    assert_eq!((answer.status, answer.header("x-rollcall-revision")), (200, Some("7")), "as it was");
    eventually("in step again", async || pod.get("/readyz").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_wait_for_one_answer_of_the_controller() {
    let authority = Authority::generate("test").unwrap();
    let beats = AtomicU64::new(0);
    let played = Played::start(&authority, move |frame| match frame {
        Up::Drain { .. } => {
            beats.store(0, Ordering::Relaxed);
            vec![]
        }
        // 3 to 6 s after the question, when both hooks have come.
        Up::Heartbeat { .. } if beats.fetch_add(1, Ordering::Relaxed) == 1 => vec![Down::Drained {
            ask: Some(1),
            complete: false,
            terminating: true,
            acked: 1,
            subscribers: 2,
            late: vec!["shop/web-1".to_owned()],
            elapsed_ms: 10,
        }],
        _ => vec![],
    })
    .await;
    let pod = Pod::start(&authority, played.address, "u9").await;
    eventually("in session", async || pod.get("/readyz").await.status == 200).await;
    let hook = || request(pod.health, "GET /prestop?grace=30 HTTP/1.1\r\nHost: a\r\n");
    let (one, other) = tokio::join!(hook(), hook());
    for answer in [one, other] {
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert!(answer.body.contains(r#""complete":false"#), "{}", answer.body);
        assert!(answer.body.contains(r#""late":["shop/web-1"]"#), "{}", answer.body);
    }
    let asked: Vec<_> = played
        .heard()
        .into_iter()
        .filter_map(|frame| match frame {
            Up::Drain { drain, deadline_ms, .. } => Some((drain, deadline_ms)),
            _ => None,
        })
        .collect();
    let [(Drain::Wait, deadline_ms)] = asked[..] else { panic!("{asked:?}") };
    assert!((9_000..10_000).contains(&deadline_ms), "{deadline_ms}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_does_not_wait_for_a_controller_that_is_away() {
    let authority = Authority::generate("test").unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pod = Pod::start(&authority, nobody, "u9").await;
    let begin = Instant::now();
    let answer = request(pod.health, "GET /prestop HTTP/1.1\r\nHost: a\r\n").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("no session"), "{}", answer.body);
    let took = begin.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(6)).contains(&took), "{took:?}");
    let post = request(pod.health, "POST /prestop HTTP/1.1\r\nHost: a\r\n").await;
    assert_eq!(post.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_fit_is_an_error_and_the_others_go_on() {
    let authority = Authority::generate("test").unwrap();
    let large: ServiceKey = "large.shop".parse().unwrap();
    let told = large.clone();
    let played = Played::start(&authority, move |frame| match frame {
        Up::Subscribe { services, .. } if services.iter().any(|name| name.service == told.service) => {
            let mut frames = parts_of(&told, 8 * 1024 * 1024);
            frames.push(Down::Synced {
                cursor: 2,
                services: vec![told.clone()],
                summary: false,
                position: Default::default(),
                changed: Default::default(),
            });
            frames
        }
        Up::Subscribe { .. } => vec![orders(7, false), synced(1)],
        _ => vec![],
    })
    .await;
    let pod = Pod::start(&authority, played.address, "u9").await;
    eventually("the first answer", async || pod.orders().await.status == 200).await;
    eventually("it is refused", async || {
        let answer = pod.get("/v1/services/large").await;
        answer.status != 200 && answer.body.contains("does not fit")
    })
    .await;
    let answer = pod.orders().await;
    assert_eq!((answer.status, answer.header("age")), (200, Some("0")));
    eventually("in step", async || pod.get("/readyz").await.status == 200).await;
    let hellos = played.heard().iter().filter(|frame| matches!(frame, Up::Hello { .. })).count();
    assert_eq!(hellos, 1, "the session goes on");
    eventually("it is left", async || {
        played.heard().iter().any(|frame| matches!(frame, Up::Unsubscribe { .. }))
    })
    .await;
}

/// A service of so many bytes, in frames of a hundred kilobytes.
fn parts_of(service: &ServiceKey, bytes: usize) -> Vec<Down> {
    let count = bytes / 100_000;
    let note = "x".repeat(1_000);
    let metadata: serde_json::Map<_, _> = (0..100).map(|n| (format!("k{n}"), note.as_str().into())).collect();
    let instance = |number: usize| {
        serde_json::json!({
            "id": format!("u{number}-8080"), "address": format!("10.1.0.{}", 1 + number), "port": 8080,
            "ports": {"http": 8080}, "weight": 100, "tags": [], "metadata": metadata,
            "state": "Serving", "reason": "Ready", "revision": 1,
        })
    };
    let part = |number: usize| {
        Down::Upsert(Upsert {
            service: service.clone(),
            revision: 1,
            hash: ContentHash(1),
            base: None,
            policy: Policy::default(),
            truncated: false,
            instances: vec![serde_json::from_value(instance(number)).unwrap()],
            removed: vec![],
            more: number + 1 < count,
        })
    };
    (0..count).map(part).collect()
}
