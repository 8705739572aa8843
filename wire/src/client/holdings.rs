//! What is held of each service, over sessions and over the controller's processes.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use rollcall_catalogue::{
    ContentHash, Service, ServiceKey,
    changes::{follow, next_local, whole},
};

use super::{
    event::{Doubt, Violation},
    parts::Told,
};
use crate::limits::SUBSCRIPTIONS_MAX;

/// Names that are no longer held, whose last revision is remembered: as many as may be held.
const PAST_MAX: usize = SUBSCRIPTIONS_MAX;

/// Bytes that an entry of `held` takes beside its name: quotes, colon, comma and the hash.
const OFFER_BYTES: usize = 24;

/// Holds the services, each under the revision that is shown to the app. That is the holder's own count
/// ([`next_local`]): it grows with each other content, whichever process tells it, and is the controller's own wherever
/// that is higher. What the wire said last is kept beside it, to find out who goes back.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    held: BTreeMap<ServiceKey, Held>,
    past: BTreeMap<ServiceKey, Past>,
    /// No revision that was shown of a name in neither of them is above it.
    floor: u64,
}

#[derive(Debug)]
struct Held {
    service: Arc<Service>,
    /// The revision that this epoch told last; 0 where it told none.
    told: u64,
    /// It must be told again as a whole: the controller does not know that it is held.
    doubted: bool,
}

/// Holds what was shown last of a name that is not held now.
#[derive(Debug)]
struct Past {
    shown: u64,
    hash: ContentHash,
    told: u64,
}

// === impl Holdings ===

impl Holdings {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<Service>)> {
        self.held.iter().map(|(key, held)| (key, &held.service))
    }

    pub(super) fn has(&self, key: &ServiceKey) -> bool {
        self.held.contains_key(key)
    }

    /// Whether it is held, and the controller of this session knows it.
    pub(super) fn vouched(&self, key: &ServiceKey) -> bool {
        self.held.get(key).is_some_and(|held| !held.doubted)
    }

    /// The sum over everything that the controller of this session knows to be held.
    pub(super) fn digest(&self) -> ContentHash {
        let vouched = self.held.values().filter(|held| !held.doubted);
        ContentHash(vouched.fold(0, |sum, held| sum.wrapping_add(held.service.hash.0)))
    }

    /// What a `hello` says is held, in so many bytes; what has no room there is told anew.
    pub(super) fn offer(&mut self, bytes: usize) -> BTreeMap<ServiceKey, ContentHash> {
        let mut room = bytes;
        let mut offer = BTreeMap::new();
        for (key, held) in self.held.iter_mut().filter(|(_, held)| !held.doubted) {
            let cost = key.service.as_str().len() + key.namespace.as_str().len() + OFFER_BYTES;
            match room.checked_sub(cost) {
                Some(left) => {
                    room = left;
                    offer.insert(key.clone(), held.service.hash);
                }
                None => held.doubted = true,
            }
        }
        offer
    }

    pub(super) fn doubt(&mut self, doubt: &Doubt<'_>) {
        match doubt {
            Doubt::Nothing => {}
            Doubt::Service(key) => {
                if let Some(held) = self.held.get_mut(key) {
                    held.doubted = true;
                }
            }
            Doubt::All => self.held.values_mut().for_each(|held| held.doubted = true),
        }
    }

    /// Another process tells from now on: its revisions say nothing against the ones before.
    pub(super) fn begin_epoch(&mut self) {
        self.held.values_mut().for_each(|held| held.told = 0);
        self.past.values_mut().for_each(|past| past.told = 0);
    }

    /// It is not held any more; whether it was.
    pub(super) fn let_go(&mut self, key: &ServiceKey) -> bool {
        let Some(held) = self.held.remove(key) else { return false };
        if self.past.len() >= PAST_MAX {
            // The lowest, so that as few names as possible begin above their own number.
            let lowest = self.past.iter().min_by_key(|(_, past)| past.shown).map(|(key, _)| key.clone());
            let forgotten = lowest.and_then(|key| self.past.remove(&key));
            self.floor = forgotten.map_or(self.floor, |past| past.shown.max(self.floor));
        }
        let Service { revision, hash, .. } = *held.service;
        self.past.insert(key.clone(), Past { shown: revision, hash, told: held.told });
        true
    }

    /// Takes what was told; gives what is shown from now on, where that is other content.
    pub(super) fn take(&mut self, told: Told, verify: bool) -> Result<Option<Arc<Service>>, Violation> {
        let Told { key, head, base, instances, removed } = told;
        let before = match (self.held.get(&key), self.past.get(&key)) {
            (Some(held), _) => held.told,
            (None, past) => past.map_or(0, |past| past.told),
        };
        if head.revision < before {
            return Err(Violation::Revision(key));
        }
        let vouched = self.held.get(&key).filter(|held| !held.doubted).map(|held| &held.service);
        let made = match (base, vouched) {
            (None, _) => whole(&key, head, instances, verify),
            (Some(base), Some(held)) if held.hash == base => {
                follow(&key, held, head, &instances, &removed, verify)
            }
            (Some(_), _) => return Err(Violation::OutOfStep(key)),
        };
        let mut made = match made {
            Ok(made) => made,
            Err(mismatch) => return Err(Violation::Content { key, mismatch }),
        };
        let past = self.past.remove(&key);
        match self.held.entry(key) {
            Entry::Occupied(mut entry) => {
                let held = entry.get_mut();
                (held.told, held.doubted) = (head.revision, false);
                if held.service.hash == made.hash {
                    return Ok(None);
                }
                made.revision = next_local(held.service.revision, head.revision);
                held.service = Arc::new(made);
                Ok(Some(held.service.clone()))
            }
            Entry::Vacant(entry) => {
                made.revision = match past {
                    Some(past) if past.hash == made.hash => past.shown.max(head.revision),
                    Some(past) => next_local(past.shown, head.revision),
                    None => next_local(self.floor, head.revision),
                };
                let service = Arc::new(made);
                entry.insert(Held { service: service.clone(), told: head.revision, doubted: false });
                Ok(Some(service))
            }
        }
    }
}
