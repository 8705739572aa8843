//! Coming back with hashes: on another replica, or after too long.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    names::ServiceKey,
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
    Whole(Arc<Service>),
    /// It is unknown, or not to be seen by this holder.
    Gone,
}

/// How each held service stands to this snapshot, for a holder who may see what `visible` says.
pub fn by_hash<'a>(
    held: &'a BTreeMap<ServiceKey, ContentHash>,
    snapshot: &'a Snapshot,
    visible: impl Fn(&ServiceKey, &Service) -> bool + 'a,
) -> impl Iterator<Item = (&'a ServiceKey, Resumed)> + 'a {
    held.iter().map(move |(key, hash)| {
        let resumed = match snapshot.get(key).filter(|service| visible(key, service)) {
            None => Resumed::Gone,
            Some(service) if service.hash == *hash => Resumed::Unchanged { revision: service.revision },
            Some(service) => Resumed::Whole(service.clone()),
        };
        (key, resumed)
    })
}
