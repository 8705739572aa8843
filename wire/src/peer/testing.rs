//! Builders for the tests of replicas: each gives something plain, of which a test changes what it is about.

use std::sync::Arc;

use rollcall_catalogue::changes::Position;

use super::*;
use crate::registration::SelfRegistration;

pub(super) fn who(replica: &str) -> Introduction {
    let protocol = crate::frame::PROTOCOL.to_owned();
    Introduction { protocol, replica: replica.to_owned(), epoch: epoch(replica) }
}

pub(super) fn epoch(replica: &str) -> Arc<str> {
    format!("epoch-{replica}").into()
}

/// Of so many kinds.
pub(super) fn kinds(count: usize) -> Position {
    let mut position = Position::default();
    (0..count).for_each(|kind| position.saw(&format!("k{kind}"), 1));
    position
}

pub(super) fn beat(hears: &[&str]) -> Beat {
    let hears = hears.iter().map(|one| epoch(one)).collect();
    Beat { sessions: 0, hears, standing: Standing::Serving, changed: Position::default() }
}

pub(super) fn version(generation: u64, incarnation: &str, sequence: u64, count: u64) -> Version {
    Version { generation, incarnation: incarnation.into(), sequence, count }
}

/// An open session of this pod at this replica, in its first session; of two the one with the higher count is newer.
pub(super) fn note(pod: &str, origin: &str, count: u64) -> Note {
    Note {
        pod: pod.into(),
        version: version(1, "i", 1, count),
        origin: epoch(origin),
        session: SessionNote::Open { unheard_since_ms: None },
        said: Arc::default(),
    }
}

pub(super) fn registration(service: &str, metadata: &[(&str, String)]) -> SelfRegistration {
    SelfRegistration {
        service: service.parse().unwrap(),
        version: None,
        ports: vec![],
        tags: vec![],
        metadata: metadata.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect(),
        weight: None,
        probe: None,
        ttl_seconds: None,
        beside: false,
    }
}
