//! A controller that knows some services, and a sidecar's process that asks it.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rollcall_catalogue::{
    Addresses, ContentHash, Instance, Policy, Port, Profile, Reason, Service, ServiceKey, State, Transport,
    changes::Head,
};
use rollcall_controller::Authority;
use rollcall_wire::{Down, Found, Question, Up, Upsert};

use crate::bench::{Played, Process, Volumes, eventually};

/// Instances of `many`: more than any datagram holds.
pub const MANY: usize = 1_000;
/// Instances in one frame.
const FRAME: usize = 250;

pub fn instance(addresses: &[&str], version: &str, weight: u16, state: State) -> Arc<Instance> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let mut syslog = Port::tcp(Some("syslog"), 514);
    syslog.transport = Transport::Udp;
    let profile = Profile {
        port: 8080,
        ports: [Port::tcp(Some("grpc"), 9090), Port::tcp(Some("http"), 8080), syslog].into(),
        version: version.parse().ok(),
        weight,
        tags: Default::default(),
        metadata: Default::default(),
    };
    Arc::new(Instance {
        id: format!("u-{}-8080", addresses[0]).as_str().into(),
        addresses: Addresses::new(&addresses).unwrap(),
        zone: None,
        node: None,
        pod: None,
        profile: Arc::new(profile),
        state,
        reason: Reason::Ready,
        revision: 1,
    })
}

/// What there is of a service; none where it is unknown.
fn instances(key: &str) -> Option<Vec<Arc<Instance>>> {
    let serving = |addresses: &[&str], version, weight| instance(addresses, version, weight, State::Serving);
    Some(match key {
        "orders.shop" => vec![
            serving(&["10.0.0.1"], "1.4.2", 100),
            serving(&["10.0.0.2", "fd00::2"], "1.5.0-rc.1", 50),
            instance(&["10.0.0.3"], "1.4.2", 100, State::Failing),
        ],
        "bills.bank" => vec![serving(&["fd00::9"], "2.0.0", 100)],
        "idle.shop" => vec![],
        "many.shop" => (0..MANY)
            .map(|number| serving(&[&format!("10.1.{}.{}", number / 250, number % 250)], "1.0.0", 100))
            .collect(),
        _ => return None,
    })
}

fn told(service: &ServiceKey, instances: &[Arc<Instance>]) -> Vec<Down> {
    let head = Head { revision: 5, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let hash = Service::of(head, instances.to_vec()).content_hash(service);
    let part = |instances: &[Arc<Instance>], more| {
        Down::Upsert(Upsert {
            service: service.clone(),
            revision: 5,
            hash,
            base: None,
            policy: head.policy,
            truncated: false,
            instances: instances.to_vec(),
            removed: vec![],
            more,
        })
    };
    let parts: Vec<_> = instances.chunks(FRAME).collect();
    match parts.split_last() {
        None => vec![part(&[], false)],
        Some((last, others)) => others.iter().map(|one| part(one, true)).chain([part(last, false)]).collect(),
    }
}

/// A controller that knows these services, and that 10.7.7.7 and 10.8.8.8 are of others, of which the first can be called. Of
/// `mute` it says nothing at all.
pub async fn controller(authority: &Authority) -> Played {
    let cursor = AtomicU64::new(0);
    Played::start(authority, move |frame| match frame {
        Up::Subscribe { services, summary } => {
            let home = "shop".parse().unwrap();
            let keys = services.iter().map(|name| name.resolve(&home));
            let services: Vec<_> = keys.filter(|key| key.service.as_str() != "mute").collect();
            let known = services.iter().filter_map(|key| Some(told(key, &instances(&key.to_string())?)));
            let cursor = cursor.fetch_add(1, Ordering::Relaxed) + 1;
            known
                .flatten()
                .chain([Down::Synced {
                    cursor,
                    services: services.clone(),
                    summary: *summary,
                    position: Default::default(),
                    changed: Default::default(),
                }])
                .collect()
        }
        Up::Ask { ask, question: Question::Address(address) } => {
            let found = |service: &str, state| {
                let instance = Instance::clone(&instance(&[&address.to_string()], "1.0.0", 100, state));
                vec![Found { service: service.parse().unwrap(), instance }]
            };
            let found = match address.to_string().as_str() {
                "10.7.7.7" => found("far.bank", State::Serving),
                "10.8.8.8" => found("dead.bank", State::Failing),
                _ => vec![],
            };
            vec![Down::Told { ask: *ask, unknown: None, explained: vec![], found, more: false }]
        }
        _ => vec![],
    })
    .await
}

/// Such a controller, and a sidecar that is in step with it and holds all services that there are; that there are no others
/// of these names it knows as well. A first lookup may fail on a machine that has much else to do.
pub async fn in_step<'a>(authority: &Authority, volumes: &'a Volumes) -> (Played, Process<'a>) {
    let played = controller(authority).await;
    let process = volumes.start(played.address).await;
    let known = ["orders", "bills.bank", "idle", "many"].map(|name| (name, 200));
    for (name, status) in known.into_iter().chain(["nobody", "orders.nowhere"].map(|name| (name, 404))) {
        let path = format!("/v1/services/{name}");
        eventually(name, async || process.get(&path).await.status == status).await;
    }
    eventually("in step", async || process.get("/readyz").await.status == 200).await;
    (played, process)
}
