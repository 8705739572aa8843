//! Coming back: what has become of the services that are held.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    changes::delta::Delta,
    names::{Namespace, ServiceKey},
    snapshot::{ContentHash, Service, Snapshot},
};

/// Says how a held service stands to the newest state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// What is held is all there is. Only its number is told: replicas count on their own, and the next delta starts
    /// from this one.
    Unchanged {
        revision: u64,
    },
    /// This turns what was held at the cursor into the newest state.
    Changed(Delta),
    Whole(Arc<Service>),
    /// It is unknown, or not to be seen by this holder: the two are told alike.
    Gone,
}

/// How each held service stands to this snapshot, for a holder in this namespace that comes with their hashes: from
/// another replica, or after too long.
pub fn by_hash<'a>(
    held: &'a BTreeMap<ServiceKey, ContentHash>,
    snapshot: &'a Snapshot,
    caller: &'a Namespace,
) -> impl Iterator<Item = (&'a ServiceKey, Resumed)> + 'a {
    held.iter().map(move |(key, hash)| {
        let resumed = match snapshot.seen_from(caller, key) {
            None => Resumed::Gone,
            Some(service) if service.hash == *hash => Resumed::Unchanged { revision: service.revision },
            Some(service) => Resumed::Whole(service.clone()),
        };
        (key, resumed)
    })
}
