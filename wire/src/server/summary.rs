//! The list of all services that a peer may see, for those who ask for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::Bytes;
use rollcall_catalogue::{Namespace, ServiceKey, Snapshot};

use crate::{
    feed::{Feed, Room, encoded},
    frame::{Down, ServiceSummary},
    limits::{SUMMARY_EVERY, milliseconds},
};

/// Holds what a peer was told of the list, and what of it is to be told. Nobody waits for it, so that it comes after
/// the services and at most once a second.
#[derive(Debug)]
pub(super) struct Summary {
    /// A fingerprint of what was told of each.
    told: BTreeMap<ServiceKey, u64>,
    /// Services of which something else may be true now.
    pending: BTreeSet<ServiceKey>,
    /// The number up to which all changes are told or pending; none where nothing was told.
    looked: Option<u64>,
    /// There are changes after that.
    is_stale: bool,
    is_due: bool,
    /// Not before then.
    next_ms: u64,
    /// The next frame begins the list anew.
    whole: bool,
    /// Its `synced` is owed.
    asked: bool,
}

// === impl Summary ===

impl Summary {
    pub(super) fn new() -> Self {
        Self {
            told: BTreeMap::new(),
            pending: BTreeSet::new(),
            looked: None,
            is_stale: true,
            is_due: true,
            next_ms: 0,
            whole: true,
            asked: true,
        }
    }

    /// It is asked for again, and answered again.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// There is a newer snapshot.
    pub(super) fn look(&mut self) {
        self.is_stale = true;
    }

    pub(super) fn has_more(&self) -> bool {
        self.is_due || !self.pending.is_empty()
    }

    /// All of it has been told since it was asked for.
    pub(super) fn is_owed(&self) -> bool {
        self.asked && !self.has_more()
    }

    pub(super) fn synced(&mut self) {
        self.asked = false;
    }

    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        (self.is_stale && !self.is_due).then_some(self.next_ms)
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        self.is_due |= self.is_stale && now_ms >= self.next_ms;
    }

    /// The next frame of it, made from this snapshot, which is not older than the feed's of this number.
    pub(super) fn speak(
        &mut self,
        feed: &Feed,
        (catalogue, number): (&Snapshot, u64),
        home: &Namespace,
        now_ms: u64,
    ) -> Option<Bytes> {
        if self.is_due {
            (self.is_due, self.is_stale) = (false, false);
            self.next_ms = now_ms + milliseconds(SUMMARY_EVERY);
            match self.looked.replace(number).and_then(|since| feed.changed_since(since)) {
                Some(changed) => self.pending.extend(changed),
                None => {
                    let seen = catalogue.all_seen_from(home);
                    self.pending.extend(seen.into_iter().map(|(key, _)| key.clone()));
                    self.pending.extend(self.told.keys().cloned());
                }
            }
        }
        let (mut services, mut removed, mut room) = (Vec::new(), Vec::new(), Room::default());
        while let Some(key) = self.pending.pop_first() {
            let Some(service) = catalogue.seen_from(home, &key) else {
                if self.told.contains_key(&key) {
                    if !room.take(&key).ok()? {
                        self.pending.insert(key);
                        break;
                    }
                    self.told.remove(&key);
                    removed.push(key);
                }
                continue;
            };
            let count = |all: usize| u32::try_from(all).unwrap_or(u32::MAX);
            let summary = ServiceSummary {
                service: key.clone(),
                versions: service.versions().into_iter().cloned().collect(),
                serving: count(service.serving()),
                total: count(service.instances.len()),
            };
            let fingerprint = fingerprint(&summary);
            if self.told.get(&key) == Some(&fingerprint) {
                continue;
            }
            if !room.take(&summary).ok()? {
                self.pending.insert(key);
                break;
            }
            self.told.insert(key, fingerprint);
            services.push(summary);
        }
        let whole = std::mem::take(&mut self.whole);
        if services.is_empty() && removed.is_empty() && !whole {
            return None;
        }
        encoded(&Down::Summary { services, removed, whole }).ok()
    }
}

/// It tells changes of one service apart, and is never seen outside.
fn fingerprint(summary: &ServiceSummary) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&summary.versions, summary.serving, summary.total).hash(&mut hasher);
    hasher.finish()
}
