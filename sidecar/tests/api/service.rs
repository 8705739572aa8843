//! A controller that knows one service, and changes it when it is told to.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rollcall_catalogue::{
    ContentHash, Instance, Policy, Port, Profile, Reason, Service, State, changes::Head,
};
use rollcall_controller::Authority;
use rollcall_wire::{Down, Up};

use crate::bench::{Played, Pod, eventually};

/// An instance of `orders`: of version 1.N.0, in zone `a` or `b`, with two ports.
pub fn instance(number: u8) -> Instance {
    let profile = Profile {
        port: 8080,
        ports: [Port::tcp(Some("http"), 8080), Port::tcp(Some("grpc"), 9090)].into(),
        version: Some(format!("1.{number}.0").parse().unwrap()),
        weight: 100,
        tags: ["blue"].into(),
        metadata: [("page", "<script>")].into(),
    };
    Instance {
        id: format!("u{number}-8080").as_str().into(),
        addresses: std::net::IpAddr::from([10, 0, 0, number]).into(),
        zone: Some(if number % 2 == 0 { "a" } else { "b" }.into()),
        node: Some("n1".into()),
        pod: Some(format!("orders-{number}").as_str().into()),
        profile: Arc::new(profile),
        state: State::Serving,
        reason: Reason::Ready,
        revision: 1,
    }
}

/// All of `orders`: so many instances under this revision.
pub fn orders(revision: u64, count: u8) -> Down {
    let service = "orders.shop".parse().unwrap();
    let instances: Vec<_> = (1..=count).map(|number| Arc::new(instance(number))).collect();
    let head = Head { revision, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let hash = Service::of(head, instances.clone()).content_hash(&service);
    Down::Upsert {
        service,
        revision,
        hash,
        base: None,
        policy: head.policy,
        truncated: false,
        instances,
        removed: vec![],
        more: false,
    }
}

/// A sidecar whose controller knows `orders` with two instances under revision 5, and one more under the next with each
/// heartbeat; of everything else it says that there is none.
pub async fn with_orders(authority: &Authority) -> (Played, Pod) {
    let cursor = Arc::new(AtomicU64::new(0));
    let played = Played::start(authority, move |frame| match frame {
        Up::Subscribe { services, .. } => {
            let home = "shop".parse().unwrap();
            let services: Vec<_> = services.iter().map(|name| name.resolve(&home)).collect();
            let known = services.iter().any(|key| key.to_string() == "orders.shop");
            let cursor = cursor.fetch_add(1, Ordering::Relaxed) + 1;
            let synced = Down::Synced { cursor, services, summary: false };
            known.then(|| orders(5, 2)).into_iter().chain([synced]).collect()
        }
        Up::Heartbeat { .. } => {
            let cursor = cursor.fetch_add(1, Ordering::Relaxed) + 1;
            let synced = Down::Synced { cursor, services: vec![], summary: false };
            vec![orders(5 + cursor, 3), synced]
        }
        _ => vec![],
    })
    .await;
    let pod = Pod::start(authority, played.address, "u9").await;
    eventually("the first answer", async || pod.orders().await.status == 200).await;
    (played, pod)
}
