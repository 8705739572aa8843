//! What the paths are gone with: services of a shop, always the same; and what a session says of them.

use std::{net::IpAddr, sync::Arc};

use rollcall_catalogue::{
    ContentHash, Instance, InstanceId, PodUid, Policy, Port, Profile, Reason, Service, ServiceKey, State,
    changes::Head,
};
use rollcall_wire::{Down, Upsert};

/// The name that apps write for a service.
pub fn name(service: usize) -> String {
    format!("order-service-{service}.shop")
}

pub fn key(service: usize) -> anyhow::Result<ServiceKey> {
    Ok(name(service).parse()?)
}

pub fn uid(pod: usize) -> String {
    format!("{pod:08x}-7d3f-4c7e-9a51-{:012x}", pod * 7_919)
}

/// All of a service, with instances as a usual registration makes them.
pub fn service(key: &ServiceKey, instances: usize) -> anyhow::Result<Service> {
    let profile = Arc::new(Profile {
        port: 8_080,
        ports: [Port::tcp(Some("http"), 8_080), Port::tcp(Some("grpc"), 9_090)].into(),
        version: Some("1.4.2".parse()?),
        weight: 100,
        tags: ["blue"].into(),
        metadata: [("team", "payments")].into(),
    });
    let instance = |number: usize| -> anyhow::Result<Arc<Instance>> {
        let address: IpAddr = (0x0a00_0000 + u32::try_from(number)?).to_be_bytes().into();
        Ok(Arc::new(Instance {
            id: InstanceId::of_pod(&PodUid::from(&*uid(number)), 8_080),
            addresses: address.into(),
            zone: Some(format!("zone-{}", number % 3).into()),
            node: Some(format!("node-{}", number % 7).into()),
            pod: Some(format!("order-service-7c9d8f6b5d-{number:05x}").into()),
            profile: profile.clone(),
            state: State::Serving,
            reason: Reason::Ready,
            revision: 1,
        }))
    };
    let instances: Vec<_> = (0..instances).map(instance).collect::<Result<_, _>>()?;
    Ok(of(key, 1, instances))
}

/// The same service after so many of its instances have failed at once.
pub fn failing(key: &ServiceKey, service: &Service, count: usize) -> Service {
    let revision = service.revision + 1;
    let turn = |(place, instance): (usize, &Arc<Instance>)| match place < count {
        true => {
            let (state, reason) = (State::Failing, Reason::ProbeRefused);
            Arc::new(Instance { state, reason, revision, ..Instance::clone(instance) })
        }
        false => instance.clone(),
    };
    of(key, revision, service.instances.iter().enumerate().map(turn).collect())
}

/// What a session says where an instance of this service fails, is well again, fails, and so on.
pub fn flips(key: &ServiceKey, well: &Service, count: usize) -> Vec<Down> {
    let failing = failing(key, well, 1);
    let flip = |turn: usize| {
        let (before, after) = if turn.is_multiple_of(2) { (well, &failing) } else { (&failing, well) };
        let revision = well.revision + 1 + turn as u64;
        let turned =
            after.instances.get(0).map(|one| Arc::new(Instance { revision, ..Instance::clone(one) }));
        let after = Service { revision, ..after.clone() };
        upsert(key, &after, Some(before.hash), turned.into_iter().collect())
    };
    (0..count).map(flip).collect()
}

/// What a session says where so many instances of one service, which has twenty, have failed.
pub fn failed(count: usize) -> anyhow::Result<Down> {
    let key = key(0)?;
    let before = service(&key, 20)?;
    Ok(delta(&key, &before, &failing(&key, &before, count)))
}

/// All services of a first state, of ten instances each.
pub fn services(count: usize) -> anyhow::Result<Vec<(ServiceKey, Service)>> {
    let one = |number| {
        let key = key(number)?;
        let service = service(&key, 10)?;
        Ok((key, service))
    };
    (0..count).map(one).collect()
}

/// What a session says of the way from one content to the next.
pub fn delta(key: &ServiceKey, before: &Service, after: &Service) -> Down {
    let is_new = |one: &&Arc<Instance>| before.instance(&one.id) != Some(*one);
    let instances = after.instances.iter().filter(is_new).cloned().collect();
    upsert(key, after, Some(before.hash), instances)
}

/// What a session says of all of it.
pub fn whole(key: &ServiceKey, service: &Service) -> Down {
    upsert(key, service, None, service.instances.iter().cloned().collect())
}

fn upsert(
    key: &ServiceKey,
    service: &Service,
    base: Option<ContentHash>,
    instances: Vec<Arc<Instance>>,
) -> Down {
    let Head { revision, hash, policy, truncated } = service.head();
    let (service, removed, more) = (key.clone(), Vec::new(), false);
    Down::Upsert(Upsert { service, revision, hash, base, policy, truncated, instances, removed, more })
}

fn of(key: &ServiceKey, revision: u64, instances: Vec<Arc<Instance>>) -> Service {
    let head = Head { revision, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let service = Service::of(head, instances);
    Service { hash: service.content_hash(key), ..service }
}
