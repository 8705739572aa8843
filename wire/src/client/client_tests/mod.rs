//! The client against frames: each rule by itself, and any history.

mod acks;
mod answers;
mod behind;
mod golden;
mod history;
mod lag;
mod memory;
mod rules;
mod silence;
mod usage;
mod way;

use std::sync::Arc;

use rollcall_catalogue::{
    ContentHash, Instance, InstanceId, Policy, Service, ServiceKey,
    changes::{Head, Position, Reading},
};

use crate::{Down, PROTOCOL, PodIdentity, Upsert, testing::instance_with};

fn key(service: &str) -> ServiceKey {
    format!("{service}.shop").parse().unwrap()
}

fn instance(number: u8, weight: u16) -> Arc<Instance> {
    let id = format!("i{number}").as_str().into();
    Arc::new(Instance { id, revision: 1, ..instance_with(number, weight, 0) })
}

/// A service as a controller holds it.
fn service(key: &ServiceKey, revision: u64, instances: Vec<Arc<Instance>>) -> Service {
    let head = Head { revision, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let made = Service::of(head, instances);
    Service { hash: made.content_hash(key), ..made }
}

fn position(kinds: &[(&str, u64)]) -> Position {
    let mut position = Position::default();
    kinds.iter().for_each(|(kind, revision)| position.saw(kind, *revision));
    position
}

fn welcome(epoch: &str) -> Down {
    welcome_at(epoch, Position::default())
}

/// By one who knows of changes as far as it has read.
fn welcome_at(epoch: &str, position: Position) -> Down {
    welcome_by(epoch, &read_to(position))
}

fn welcome_by(epoch: &str, reading: &Reading) -> Down {
    let pod = PodIdentity {
        namespace: "shop".parse().unwrap(),
        name: "p".into(),
        uid: "u".into(),
        node: None,
        zone: None,
        addresses: vec![],
    };
    let (protocol, replica, epoch) = (PROTOCOL.to_owned(), "c".to_owned(), epoch.to_owned());
    let (position, changed) = (reading.reach.clone(), reading.changed_otherwise());
    Down::Welcome {
        protocol,
        replica,
        epoch,
        replicas: vec![],
        ca: None,
        controller: None,
        pod,
        position,
        changed,
    }
}

fn read_to(position: Position) -> Reading {
    Reading { reach: position.clone(), changed: position }
}

/// All of the service in so many parts.
fn whole(key: &ServiceKey, service: &Service, parts: usize) -> Vec<Down> {
    upserts(key, service, None, &service.instances.iter().cloned().collect::<Vec<_>>(), &[], parts)
}

/// What turns `from` into `to`.
fn delta(key: &ServiceKey, from: &Service, to: &Service, parts: usize) -> Vec<Down> {
    let new = to.instances.iter().filter(|one| from.instance(&one.id) != Some(one));
    let gone = from.instances.iter().filter(|one| to.instance(&one.id).is_none());
    let (new, gone): (Vec<_>, Vec<_>) = (new.cloned().collect(), gone.map(|one| one.id.clone()).collect());
    upserts(key, to, Some(from.hash), &new, &gone, parts)
}

fn upserts(
    key: &ServiceKey,
    to: &Service,
    base: Option<ContentHash>,
    instances: &[Arc<Instance>],
    removed: &[InstanceId],
    parts: usize,
) -> Vec<Down> {
    let size = instances.len().div_ceil(parts).max(1);
    let mut chunks: Vec<Vec<_>> = instances.chunks(size).map(<[_]>::to_vec).collect();
    if chunks.is_empty() {
        chunks.push(vec![]);
    }
    let last = chunks.len() - 1;
    let frame = |(number, instances)| {
        Down::Upsert(Upsert {
            service: key.clone(),
            revision: to.revision,
            hash: to.hash,
            base,
            policy: to.policy,
            truncated: to.truncated,
            instances,
            removed: if number == 0 { removed.to_vec() } else { vec![] },
            more: number < last,
        })
    };
    chunks.into_iter().enumerate().map(frame).collect()
}

fn synced(cursor: u64, services: &[&ServiceKey]) -> Down {
    synced_at(cursor, services, Position::default())
}

fn synced_at(cursor: u64, services: &[&ServiceKey], position: Position) -> Down {
    synced_by(cursor, services, &read_to(position))
}

fn synced_by(cursor: u64, services: &[&ServiceKey], reading: &Reading) -> Down {
    let services = services.iter().map(|key| (*key).clone()).collect();
    let (position, changed) = (reading.reach.clone(), reading.changed_otherwise());
    Down::Synced { cursor, services, summary: false, position, changed }
}
