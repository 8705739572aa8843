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
    weight,
};
use crate::limits::{REVISION_END, SUBSCRIPTIONS_MAX};

/// Names that are no longer held, whose last revision is remembered: as many as may be held.
const PAST_MAX: usize = SUBSCRIPTIONS_MAX;

/// Bytes that an entry of `held` takes beside its name: quotes, colon, comma and the hash.
const OFFER_BYTES: usize = 24;

/// Holds the services, each under the revision that is shown to the app. That is the holder's own count
/// ([`next_local`]): it grows with each other content, whichever process tells it, and is the controller's own wherever
/// that is higher. What the wire said last is kept beside it, to find out who goes back.
#[derive(Debug)]
pub(super) struct Holdings {
    held: BTreeMap<ServiceKey, Held>,
    /// What they take in memory, and may take.
    bytes: usize,
    bytes_max: usize,
    past: BTreeMap<ServiceKey, Past>,
    /// No revision that was shown of a name in neither of them is above it.
    floor: u64,
}

#[derive(Debug)]
struct Held {
    service: Arc<Service>,
    bytes: usize,
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

/// Says what became of what was told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The content is as it was.
    Same,
    Changed(Arc<Service>),
    /// There is no room for it: what was held of it still is.
    TooLarge(ServiceKey),
}

// === impl Holdings ===

impl Holdings {
    /// Empty ones, which may take so many bytes of memory.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { held: BTreeMap::new(), bytes: 0, bytes_max, past: BTreeMap::new(), floor: 0 }
    }

    /// What an earlier process held: it is offered, and shown revisions begin where they were. Whether it has room.
    pub(super) fn restore(&mut self, key: ServiceKey, service: Service) -> bool {
        let bytes = weight::of_service(&service);
        if bytes > self.room(&key) {
            return false;
        }
        let held = Held { service: Arc::new(service), bytes, told: 0, doubted: false };
        let before = self.held.insert(key, held);
        self.bytes = self.bytes - before.map_or(0, |held| held.bytes) + bytes;
        true
    }

    /// How many bytes this service may take: what is held of it now does not count, though it stays until all that
    /// replaces it has come.
    pub(super) fn room(&self, key: &ServiceKey) -> usize {
        let others = self.bytes - self.held.get(key).map_or(0, |held| held.bytes);
        self.bytes_max.saturating_sub(others)
    }

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
        self.bytes -= held.bytes;
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
    pub(super) fn take(&mut self, told: Told, verify: bool) -> Result<Taken, Violation> {
        let Told { key, head, base, instances, removed } = told;
        let before = match (self.held.get(&key), self.past.get(&key)) {
            (Some(held), _) => held.told,
            (None, past) => past.map_or(0, |past| past.told),
        };
        if head.revision < before || head.revision >= REVISION_END {
            return Err(Violation::Revision(key));
        }
        let new: usize = instances.iter().map(|one| weight::of_instance(one)).sum();
        let vouched = self.held.get(&key).filter(|held| !held.doubted);
        let (bytes, made) = match (base, vouched) {
            (None, _) => (new, whole(&key, head, instances, verify)),
            (Some(base), Some(held)) if held.service.hash == base => {
                let replaced = instances.iter().map(|one| &one.id).chain(&removed);
                let old = replaced.filter_map(|id| held.service.instance(id));
                let old: usize = old.map(|one| weight::of_instance(one)).sum();
                // An id that is named twice is no delta, which `follow` finds.
                let bytes = (held.bytes + new).saturating_sub(old);
                (bytes, follow(&key, &held.service, head, &instances, &removed, verify))
            }
            (Some(_), _) => return Err(Violation::OutOfStep(key)),
        };
        let mut made = match made {
            Ok(made) => made,
            Err(mismatch) => return Err(Violation::Content { key, mismatch }),
        };
        if bytes > self.room(&key) {
            return Ok(Taken::TooLarge(key));
        }
        let past = self.past.remove(&key);
        match self.held.entry(key) {
            Entry::Occupied(mut entry) => {
                let known = |service: &Service| service.content_hash(entry.key());
                // The controller's hash was of all that it said, of which an older build of ours may have skipped something.
                let lacks = entry.get().doubted && known(&entry.get().service) != known(&made);
                let held = entry.get_mut();
                (held.told, held.doubted) = (head.revision, false);
                if held.service.hash == made.hash && !lacks {
                    return Ok(Taken::Same);
                }
                made.revision = next_local(held.service.revision, head.revision);
                self.bytes = self.bytes - held.bytes + bytes;
                (held.service, held.bytes) = (Arc::new(made), bytes);
                Ok(Taken::Changed(held.service.clone()))
            }
            Entry::Vacant(entry) => {
                made.revision = match past {
                    Some(past) if past.hash == made.hash => past.shown.max(head.revision),
                    Some(past) => next_local(past.shown, head.revision),
                    None => next_local(self.floor, head.revision),
                };
                let service = Arc::new(made);
                entry.insert(Held { service: service.clone(), bytes, told: head.revision, doubted: false });
                self.bytes += bytes;
                Ok(Taken::Changed(service))
            }
        }
    }
}
