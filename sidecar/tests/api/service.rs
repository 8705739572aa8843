//! A controller that knows one service, and changes it when it is told to.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rollcall_catalogue::{
    ContentHash, Instance, Policy, Port, Profile, Reason, Service, State, changes::Head,
};
use rollcall_controller::Authority;
use rollcall_wire::{Down, Explained, Found, Question, ServiceSummary, Unknown, Up, Upsert, WitnessWords};

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
        zone: Some(if number.is_multiple_of(2) { "a" } else { "b" }.into()),
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
    Down::Upsert(Upsert {
        service,
        revision,
        hash,
        base: None,
        policy: head.policy,
        truncated: false,
        instances,
        removed: vec![],
        more: false,
    })
}

fn list() -> Down {
    let services = ["bills.bank", "orders.shop"].map(|name| ServiceSummary {
        service: name.parse().unwrap(),
        versions: vec!["1.0.0".parse().unwrap()],
        serving: 2,
        total: 3,
    });
    Down::Summary { services: services.into(), removed: vec![], whole: true }
}

/// Of `orders`, and of nothing else; one instance, or the one that is asked for.
fn told(ask: u64, question: &Question) -> Down {
    let (mut unknown, mut explained, mut found) = (None, vec![], vec![]);
    match question {
        Question::Address(_) => {
            found.push(Found { service: "orders.shop".parse().unwrap(), instance: instance(1) });
        }
        Question::Explain { service, .. } if service.to_string() != "orders.shop" => {
            unknown = Some(Unknown::Service);
        }
        Question::Explain { id: Some(id), .. } if *id != instance(1).id => unknown = Some(Unknown::Instance),
        Question::Explain { .. } => explained.push(why(&instance(1))),
    }
    Down::Told { ask, unknown, explained, found, more: false }
}

fn why(instance: &Instance) -> Explained {
    let word = |word: &str| word.to_owned();
    Explained {
        id: instance.id.clone(),
        address: instance.address(),
        port: instance.profile.port,
        pod: instance.pod.as_deref().map(ToOwned::to_owned),
        served: true,
        state: instance.state,
        reason: instance.reason.clone(),
        since_seconds: Some(7),
        witnesses: WitnessWords {
            pod: word("ready"),
            endpoint: word("none"),
            session: word("open"),
            probe: word("passing"),
            intent: word("stay"),
            registry: word("well"),
        },
        problems: vec![],
    }
}

/// A sidecar whose controller knows `orders` with two instances under revision 5, and one more under the next with each
/// heartbeat; of everything else it says that there is none.
pub async fn with_orders(authority: &Authority) -> (Played, Pod) {
    let cursor = Arc::new(AtomicU64::new(0));
    let played = Played::start(authority, move |frame| match frame {
        Up::Subscribe { services, summary } => {
            let home = "shop".parse().unwrap();
            let services: Vec<_> = services.iter().map(|name| name.resolve(&home)).collect();
            let known = services.iter().any(|key| key.to_string() == "orders.shop");
            let cursor = cursor.fetch_add(1, Ordering::Relaxed) + 1;
            let synced = Down::Synced {
                cursor,
                services,
                summary: *summary,
                position: Default::default(),
                changed: Default::default(),
            };
            let list = summary.then(list);
            known.then(|| orders(5, 2)).into_iter().chain(list).chain([synced]).collect()
        }
        Up::Register { registration } => vec![Down::Registered { key: registration.key() }],
        Up::Drain { ask, .. } => vec![Down::Drained {
            ask: *ask,
            complete: true,
            terminating: true,
            acked: 2,
            subscribers: 2,
            late: vec![],
            elapsed_ms: 80,
        }],
        Up::Ask { ask, question } => vec![told(*ask, question)],
        Up::Heartbeat { .. } => {
            let cursor = cursor.fetch_add(1, Ordering::Relaxed) + 1;
            let synced = Down::Synced {
                cursor,
                services: vec![],
                summary: false,
                position: Default::default(),
                changed: Default::default(),
            };
            vec![orders(5 + cursor, 3), synced]
        }
        _ => vec![],
    })
    .await;
    let pod = Pod::start(authority, played.address, "u9").await;
    eventually("the first answer", async || pod.orders().await.status == 200).await;
    (played, pod)
}
