//! What changed lately, as all sessions are told of it.
//!
//! ```text
//!  owner ─ push(deltas) ─► Ring ─ path(held content, newest state) ─► joined delta ─► frames, encoded once ─► sessions
//! ```

mod encodings;
mod upserts;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use encodings::{Encoding, Encodings};
use rollcall_catalogue::{
    ContentHash, Service, ServiceKey,
    changes::{Delta, Ring},
};
use upserts::Upserts;
pub(crate) use upserts::{Room, encoded};

use crate::codec::CodecError;

/// Holds what changed lately, and its frames, encoded once for all sessions.
#[derive(Debug)]
pub struct Feed {
    epoch: Arc<str>,
    /// Held for look-ups only: nothing is joined or encoded meanwhile.
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    ring: Ring,
    encodings: Encodings,
}

/// A service as a whole, as frames: the way to keep it for a process that comes later.
pub fn upserts(key: &ServiceKey, service: &Service) -> Result<Vec<Bytes>, CodecError> {
    let instances = service.instances.iter().cloned().collect();
    Upserts { key, head: service.head(), base: None, instances, removed: Vec::new() }.frames()
}

// === impl Feed ===

impl Feed {
    /// An empty one of a process that is named so, differently after each start.
    pub fn new(epoch: Arc<str>) -> Self {
        Self { epoch, recent: Mutex::default() }
    }

    pub fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// Takes the deltas of one step; gives the number under which they are known.
    pub fn push(&self, deltas: Vec<Arc<Delta>>) -> u64 {
        let mut recent = self.recent();
        deltas.iter().for_each(|delta| recent.encodings.forget(&delta.key));
        recent.ring.push(deltas)
    }

    /// The number of the newest step; 0 before the first.
    pub fn number(&self) -> u64 {
        self.recent().ring.number()
    }

    /// The services that changed after this number; none where that is forgotten or not ours (then all must be looked
    /// at).
    pub fn changed_since(&self, number: u64) -> Option<BTreeSet<ServiceKey>> {
        let recent = self.recent();
        Some(recent.ring.since(number)?.flatten().map(|delta| delta.key.clone()).collect())
    }

    /// Those of `all` that changed after this number; none where that is not known, or where so much changed that to
    /// look at each of them costs no more.
    pub(crate) fn changed_among<V>(
        &self,
        number: u64,
        all: &BTreeMap<ServiceKey, V>,
    ) -> Option<BTreeSet<ServiceKey>> {
        let recent = self.recent();
        let mut changed = BTreeSet::new();
        for (count, delta) in recent.ring.since(number)?.flatten().enumerate() {
            if count >= all.len() {
                return None;
            }
            if all.contains_key(&delta.key) {
                changed.insert(delta.key.clone());
            }
        }
        Some(changed)
    }

    /// Whether it is known what changed after this number.
    pub(crate) fn knows(&self, number: u64) -> bool {
        self.recent().ring.since(number).is_some()
    }

    /// The frames that turn what is held, told by its content, into this state: what has changed where that is known
    /// and smaller, else the whole. None at all would be a service that does not fit into frames, which the domain's
    /// limits rule out.
    pub(crate) fn frames(
        &self,
        key: &ServiceKey,
        held: Option<ContentHash>,
        to: &Arc<Service>,
    ) -> Arc<[Bytes]> {
        let delta = held.and_then(|base| self.delta(key, base, to));
        delta.or_else(|| self.whole(key, to)).unwrap_or_default()
    }

    fn whole(&self, key: &ServiceKey, to: &Service) -> Option<Arc<[Bytes]>> {
        let encoding = self.recent().encodings.find_or_add(key, None, &to.head());
        self.made(&encoding, key, None, to, || {
            let instances = to.instances.iter().cloned().collect();
            Upserts { key, head: to.head(), base: None, instances, removed: Vec::new() }.frames().ok()
        })
    }

    fn delta(&self, key: &ServiceKey, base: ContentHash, to: &Service) -> Option<Arc<[Bytes]>> {
        let head = to.head();
        let mut recent = self.recent();
        let found = recent.encodings.find(key, Some(base), &head);
        // Whoever comes while it is being made is as likely to make it.
        let path = match found.as_ref().is_some_and(|found| found.get().is_some()) {
            true => Vec::new(),
            false => recent.ring.path(key, base, &head)?,
        };
        let encoding = found.unwrap_or_else(|| recent.encodings.find_or_add(key, Some(base), &head));
        drop(recent);
        self.made(&encoding, key, Some(base), to, || {
            let (first, later) = path.split_first()?;
            // What this process published itself has no gaps; if it ever had, the whole is told.
            let delta = first.and_all(later.iter().map(AsRef::as_ref)).ok()?;
            let (named, removed) = (delta.upserts().count(), delta.removes.len());
            let instances = delta.upserts().cloned().collect();
            let frames =
                Upserts { key, head, base: Some(base), instances, removed: delta.removes }.frames().ok()?;
            // What is new stands in the whole as well, and what stays there takes more than an id.
            if removed <= to.instances.len().saturating_sub(named) {
                return Some(frames);
            }
            let whole = self.whole(key, to);
            let is_smaller = whole.is_none_or(|whole| weight(&frames) < weight(&whole));
            is_smaller.then_some(frames)
        })
    }

    /// What `make` gives to the first who asks.
    fn made(
        &self,
        encoding: &Encoding,
        key: &ServiceKey,
        base: Option<ContentHash>,
        to: &Service,
        make: impl FnOnce() -> Option<Vec<Bytes>>,
    ) -> Option<Arc<[Bytes]>> {
        let mut bytes = None;
        let made = encoding.get_or_init(|| {
            let frames = make();
            bytes = Some(frames.as_deref().map_or(0, weight));
            frames.map(Into::into)
        });
        if let Some(bytes) = bytes {
            self.recent().encodings.weigh(key, base, &to.head(), bytes);
        }
        made.clone()
    }

    /// Nothing under the lock can panic half-way.
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
