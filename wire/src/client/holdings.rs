//! What is held of each service, over sessions and over the controller's processes: what was told of it, and what is shown,
//! which is the same but for those that are told by a replica that is behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rollcall_catalogue::{
    ContentHash, Instance, Service, ServiceKey,
    changes::{Head, follow, next_local, receive, whole},
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
///
/// What was told is what changes are told of, what is offered in a `hello`, and what the digest counts. Where the one who
/// told it is behind, something else may be shown: that is kept beside it, and only for as long.
#[derive(Debug)]
pub(super) struct Holdings {
    held: BTreeMap<ServiceKey, Held>,
    /// What is shown where that is not what was told; of a service that is not held, the last that was.
    kept: BTreeMap<ServiceKey, Kept>,
    /// Names of which nothing is shown, and of which one who is behind said that there is no such service.
    missed: BTreeSet<ServiceKey>,
    /// What all of it takes in memory, and may take.
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

/// Holds what is shown in place of what was told.
#[derive(Debug)]
struct Kept {
    service: Arc<Service>,
    /// Of what was told nothing, beside that.
    bytes: usize,
    /// The revision that this epoch told last, where nothing is held.
    told: u64,
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
    /// What is shown is as it was.
    Same,
    Changed(Arc<Service>),
    /// There is no room for it: what was held of it still is.
    TooLarge(ServiceKey),
}

// === impl Holdings ===

impl Holdings {
    /// Empty ones, which may take so many bytes of memory.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            held: BTreeMap::new(),
            kept: BTreeMap::new(),
            missed: BTreeSet::new(),
            bytes: 0,
            bytes_max,
            past: BTreeMap::new(),
            floor: 0,
        }
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
        let held = self.held.get(key).map_or(0, |held| held.bytes);
        let kept = self.kept.get(key).map_or(0, |kept| kept.bytes);
        self.bytes_max.saturating_sub(self.bytes - held - kept)
    }

    /// All that is shown.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<Service>)> {
        let as_told = self.held.iter().filter(|(key, _)| !self.kept.contains_key(key));
        let as_told = as_told.map(|(key, held)| (key, &held.service));
        as_told.chain(self.kept.iter().map(|(key, kept)| (key, &kept.service)))
    }

    /// Whether nothing is kept beside what was told, and all bytes that are counted are there.
    #[cfg(test)]
    pub(super) fn is_as_told(&self) -> bool {
        let bytes: usize = self.held.values().map(|held| held.bytes).sum();
        self.kept.is_empty() && self.missed.is_empty() && self.bytes == bytes
    }

    /// Whether something was told of it that stands.
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
        self.kept.values_mut().for_each(|kept| kept.told = 0);
        self.past.values_mut().for_each(|past| past.told = 0);
    }

    /// Nothing of it is held or shown any more; whether anything was shown.
    pub(super) fn let_go(&mut self, key: &ServiceKey) -> bool {
        self.missed.remove(key);
        let (held, kept) = (self.held.remove(key), self.kept.remove(key));
        let told = held.as_ref().map(|held| held.told).or(kept.as_ref().map(|kept| kept.told));
        self.bytes -= held.as_ref().map_or(0, |held| held.bytes) + kept.as_ref().map_or(0, |kept| kept.bytes);
        let Some(shown) = kept.map(|kept| kept.service).or(held.map(|held| held.service)) else {
            return false;
        };
        if self.past.len() >= PAST_MAX {
            // The lowest, so that as few names as possible begin above their own number.
            let lowest = self.past.iter().min_by_key(|(_, past)| past.shown).map(|(key, _)| key.clone());
            let forgotten = lowest.and_then(|key| self.past.remove(&key));
            self.floor = forgotten.map_or(self.floor, |past| past.shown.max(self.floor));
        }
        let past = Past { shown: shown.revision, hash: shown.hash, told: told.unwrap_or_default() };
        self.past.insert(key.clone(), past);
        true
    }

    /// One who is behind says that there is no such service: what is shown of it stays.
    pub(super) fn miss(&mut self, key: &ServiceKey) {
        let Some(held) = self.held.remove(key) else {
            if !self.kept.contains_key(key) {
                self.missed.insert(key.clone());
            }
            return;
        };
        let before = self.kept.remove(key);
        self.bytes -= held.bytes + before.as_ref().map_or(0, |kept| kept.bytes);
        let service = before.map_or(held.service, |kept| kept.service);
        let bytes = weight::of_service(&service);
        self.bytes += bytes;
        self.kept.insert(key.clone(), Kept { service, bytes, told: held.told });
    }

    /// Who tells is not behind any more: of the names that it has answered, what was told is shown from now on; none where
    /// there is no such service.
    pub(super) fn catch_up(
        &mut self,
        answered: impl Fn(&ServiceKey) -> bool,
    ) -> Vec<(ServiceKey, Option<Arc<Service>>)> {
        let apart: Vec<_> =
            self.kept.keys().chain(&self.missed).filter(|key| answered(key)).cloned().collect();
        let mut shown = Vec::with_capacity(apart.len());
        for key in apart {
            let Some(held) = self.held.get_mut(&key) else {
                self.let_go(&key);
                shown.push((key, None));
                continue;
            };
            if let Some(kept) = self.kept.remove(&key) {
                self.bytes -= kept.bytes;
                // The content is another one, but for what only hashes know.
                let revision = next_local(kept.service.revision, held.service.revision);
                held.service = Arc::new(Service { revision, ..Service::clone(&held.service) });
                shown.push((key, Some(held.service.clone())));
            }
        }
        shown
    }

    /// Takes what was told, by one who is `behind` or is not; gives what is shown from now on, where that is other content.
    pub(super) fn take(&mut self, told: Told, verify: bool, behind: bool) -> Result<Taken, Violation> {
        let Told { key, head, base, instances, removed } = told;
        if head.revision < self.told(&key) || head.revision >= REVISION_END {
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
        let made = match made {
            Ok(made) => made,
            Err(mismatch) => return Err(Violation::Content { key, mismatch }),
        };
        if bytes > self.room(&key) {
            return Ok(Taken::TooLarge(key));
        }
        Ok(self.show(key, made, bytes, head, behind))
    }

    /// What becomes of what is shown once this was told, which takes so many bytes and fits.
    fn show(&mut self, key: ServiceKey, made: Service, bytes: usize, head: Head, behind: bool) -> Taken {
        let room = self.room(&key);
        self.missed.remove(&key);
        let (held, kept) = (self.held.remove(&key), self.kept.remove(&key));
        self.bytes -= held.as_ref().map_or(0, |held| held.bytes) + kept.as_ref().map_or(0, |kept| kept.bytes);
        let doubted = held.as_ref().is_none_or(|held| held.doubted);
        let before = kept.map(|kept| kept.service).or(held.map(|held| held.service));
        let past = self.past.remove(&key);
        let Some(before) = before else {
            let revision = match past {
                Some(past) if past.hash == made.hash => past.shown.max(head.revision),
                Some(past) => next_local(past.shown, head.revision),
                None => next_local(self.floor, head.revision),
            };
            let service = Arc::new(Service { revision, ..made });
            self.hold(key, service.clone(), bytes, head);
            return Taken::Changed(service);
        };
        // The controller's hash was of all that it said, of which an older build of ours may have skipped something.
        let lacks = doubted && before.content_hash(&key) != made.content_hash(&key);
        let anew = |made: &Service| Service {
            revision: next_local(before.revision, head.revision),
            ..Service::clone(made)
        };
        let shown = match (behind, lacks) {
            (false, true) => Some(anew(&made)),
            (behind, _) => receive(&key, Some(&before), Some(&made), behind),
        };
        let shown = shown.filter(|shown| shown.revision != before.revision).map_or(before.clone(), Arc::new);
        let is_told = shown.hash == made.hash && !(behind && lacks);
        let beside = if is_told { 0 } else { beside(&shown, &made) };
        let shown = if is_told {
            self.hold(key, shown.clone(), bytes, head);
            shown
        } else if bytes + beside > room {
            // There is no room for both; of the two, this one is kept current.
            let shown = Arc::new(anew(&made));
            self.hold(key, shown.clone(), bytes, head);
            shown
        } else {
            self.bytes += beside;
            self.kept.insert(key.clone(), Kept { service: shown.clone(), bytes: beside, told: 0 });
            self.hold(key, Arc::new(made), bytes, head);
            shown
        };
        if Arc::ptr_eq(&shown, &before) { Taken::Same } else { Taken::Changed(shown) }
    }

    fn hold(&mut self, key: ServiceKey, service: Arc<Service>, bytes: usize, head: Head) {
        self.bytes += bytes;
        self.held.insert(key, Held { service, bytes, told: head.revision, doubted: false });
    }

    /// The revision that this epoch told last of the name; 0 where it told none.
    fn told(&self, key: &ServiceKey) -> u64 {
        let held = self.held.get(key).map(|held| held.told);
        let kept = || self.kept.get(key).map(|kept| kept.told);
        let past = || self.past.get(key).map(|past| past.told);
        held.or_else(kept).or_else(past).unwrap_or_default()
    }
}

/// What `shown` takes of memory beside `told`.
fn beside(shown: &Service, told: &Service) -> usize {
    let is_told = |one: &Arc<Instance>| told.instance(&one.id).is_some_and(|other| Arc::ptr_eq(one, other));
    shown.instances.iter().filter(|one| !is_told(one)).map(|one| weight::of_instance(one)).sum()
}
