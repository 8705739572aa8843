//! What a peer is told of services: rounds of frames, each of which a `synced` ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use rollcall_catalogue::{ContentHash, Namespace, ServiceKey, ServiceRef, Snapshot, changes::Reading};

use super::{Violation, clock::Clock, summary::Summary, told::Told};
use crate::{
    feed::{Feed, Room, encoded},
    frame::Down,
    limits::{SUBSCRIPTIONS_MAX, SYNCS_MAX},
};

/// Holds what a peer wants to know, what it was told, and what is to be told.
#[derive(Debug)]
pub(super) struct Talk {
    home: Namespace,
    feed: Arc<Feed>,
    subscriptions: BTreeMap<ServiceKey, Told>,
    /// Named in `hello`, and not subscribed to yet.
    held: BTreeMap<ServiceKey, ContentHash>,
    /// The number of the last snapshot that was looked at; none before the first: until then nothing can be told.
    looked: Option<u64>,
    /// What is being told, and what comes after it: a reader that is slower than the changes hears of all services in
    /// turn, and of the end of each round.
    round: Round,
    next: Round,
    /// The number up to which all was told when the last round ended, and when this one will.
    told_through: u64,
    round_through: u64,
    readings: Readings,
    /// The cursor of the last `synced`.
    synced: Option<u64>,
    /// The rest of a service that needs several frames: what is begun is finished, also when nobody wants it any more.
    parts: Parts,
    summary: Option<Box<Summary>>,
}

/// Holds how far the replica had read Kubernetes for what was told, so that nobody believes one that is behind.
#[derive(Debug, Default)]
struct Readings {
    /// In the snapshot that was looked at last.
    looked: Arc<Reading>,
    /// The same where this round began, and the one before it that has ended: as [`Talk::round_through`] and
    /// [`Talk::told_through`].
    round: Arc<Reading>,
    through: Arc<Reading>,
    /// The last that the peer was told, which it is not told again; none for one that does not ask for it.
    told: Option<Arc<Reading>>,
}

/// Holds what is to be told before the next `synced`.
#[derive(Debug, Default)]
struct Round {
    /// Services whose newest state may not be what was told.
    pending: BTreeSet<ServiceKey>,
    /// Those that were asked for: its `synced` names them.
    asked: BTreeSet<ServiceKey>,
    /// A `synced` ends it, even if all is as it was told.
    due: bool,
}

/// Holds frames that are shared with other sessions, and how many of them were sent.
#[derive(Debug, Default)]
struct Parts {
    frames: Arc<[Bytes]>,
    sent: usize,
}

// === impl Talk ===

impl Talk {
    pub(super) fn new(home: Namespace, feed: Arc<Feed>) -> Self {
        Self {
            home,
            feed,
            subscriptions: BTreeMap::new(),
            held: BTreeMap::new(),
            looked: None,
            round: Round::default(),
            next: Round::default(),
            told_through: 0,
            round_through: 0,
            readings: Readings::default(),
            synced: None,
            parts: Parts::default(),
            summary: None,
        }
    }

    /// The peer holds these; of them, those count that it subscribes to.
    pub(super) fn hold(&mut self, held: BTreeMap<ServiceKey, ContentHash>) -> Result<(), Violation> {
        if held.len() > SUBSCRIPTIONS_MAX {
            return Err(Violation::Subscriptions);
        }
        self.held = held;
        Ok(())
    }

    /// Those that are new.
    pub(super) fn subscribe(
        &mut self,
        services: &[ServiceRef],
        summary: bool,
    ) -> Result<Vec<ServiceKey>, Violation> {
        let mut new = Vec::new();
        for key in services.iter().map(|service| service.resolve(&self.home)) {
            if !self.subscriptions.contains_key(&key) {
                if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
                    return Err(Violation::Subscriptions);
                }
                let told = self.held.remove(&key).map_or(Told::Nothing, Told::Hash);
                self.subscriptions.insert(key.clone(), told);
                new.push(key.clone());
            }
            // Named again, it is answered again: with its `synced`, if nothing else.
            self.next.pending.insert(key.clone());
            self.next.asked.insert(key);
            self.next.due = true;
        }
        if summary {
            self.summary.get_or_insert_with(|| Box::new(Summary::new())).ask();
        }
        Ok(new)
    }

    /// Those that were subscribed to.
    pub(super) fn unsubscribe(&mut self, services: &[ServiceRef], summary: bool) -> Vec<ServiceKey> {
        if summary {
            self.summary = None;
        }
        let mut left = Vec::new();
        for key in services.iter().map(|service| service.resolve(&self.home)) {
            self.held.remove(&key);
            for round in [&mut self.round, &mut self.next] {
                round.pending.remove(&key);
                round.asked.remove(&key);
            }
            if self.subscriptions.remove(&key).is_some() {
                left.push(key);
            }
        }
        left
    }

    pub(super) fn look(&mut self, catalogue: &Snapshot, number: u64, reading: &Arc<Reading>) {
        if self.looked.is_none_or(|looked| number >= looked) && !Arc::ptr_eq(&self.readings.looked, reading) {
            self.readings.looked = reading.clone();
        }
        if self.looked.is_some_and(|looked| number <= looked) {
            return;
        }
        let changed = self.looked.and_then(|since| self.feed.changed_among(since, &self.subscriptions));
        if self.looked.replace(number).is_none() {
            self.told_through = number;
            self.readings.through = reading.clone();
        }
        self.summary.iter_mut().for_each(|summary| summary.look());
        let (home, next) = (&self.home, &mut self.next);
        let mut look_at = |key: &ServiceKey, told: &Told| {
            let current = catalogue.seen_from(home, key);
            let is_stale = !told.is(current);
            // What was told may be newer than what was looked at. That it is in step is to be known all the same; of a
            // service that it may not see, the peer hears nothing.
            next.due |= is_stale || current.is_some();
            if is_stale {
                next.pending.insert(key.clone());
            }
        };
        match changed {
            Some(changed) => {
                let told = |key| self.subscriptions.get(key).map(|told| (key, told));
                changed.iter().filter_map(told).for_each(|(key, told)| look_at(key, told));
            }
            None => self.subscriptions.iter().for_each(|(key, told)| look_at(key, told)),
        }
    }

    pub(super) fn has_more(&self, clock: &Clock) -> bool {
        let summary = || self.summary.as_ref().is_some_and(|summary| summary.has_more());
        let owed = || self.summary.as_ref().is_some_and(|summary| summary.is_owed());
        let may_sync = clock.syncs.len() < SYNCS_MAX;
        self.parts.has_more()
            || (self.looked.is_some()
                && (summary() || (may_sync && (self.round.due || self.next.due || owed()))))
    }

    /// Whether the peer holds exactly what it was told, if it has applied this.
    pub(super) fn is_settled(&self, cursor: u64) -> bool {
        self.synced == Some(cursor) && !self.round.due && !self.next.due && !self.parts.has_more()
    }

    /// The number up to which all was told; none while something is to be told.
    pub(super) fn told_all(&self) -> Option<u64> {
        let more = self.round.due || self.next.due || self.parts.has_more();
        self.looked.filter(|_| !more)
    }

    /// How far the replica has come, as the peer is to be told with each round from now on.
    pub(super) fn tell_reading(&mut self) -> Arc<Reading> {
        self.readings.told = Some(self.readings.looked.clone());
        self.readings.looked.clone()
    }

    /// Ends a round for it, where the replica has come further than the peer was told.
    pub(super) fn owe_reading(&mut self) {
        self.next.due |= self.readings.told.as_ref().is_some_and(|told| *told != self.readings.looked);
    }

    pub(super) fn reads_summary(&self) -> bool {
        self.summary.is_some()
    }

    /// The wrapping sum of the hashes of all that was told.
    pub(super) fn digest(&self) -> ContentHash {
        let hashes = self.subscriptions.values().filter_map(Told::held);
        ContentHash(hashes.fold(0, |sum, hash| sum.wrapping_add(hash.0)))
    }

    pub(super) fn tell_all_again(&mut self) {
        self.subscriptions.values_mut().for_each(|told| *told = Told::Unsure);
        self.next.pending = self.subscriptions.keys().cloned().collect();
        self.next.due = true;
    }

    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        self.summary.as_ref().and_then(|summary| summary.wake_at_ms())
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        self.summary.iter_mut().for_each(|summary| summary.tick(now_ms));
    }

    pub(super) fn speak(&mut self, catalogue: &Snapshot, clock: &mut Clock, now_ms: u64) -> Option<Bytes> {
        if let Some(part) = self.parts.pop() {
            return Some(part);
        }
        let looked = self.looked?;
        let may_sync = clock.syncs.len() < SYNCS_MAX;
        if may_sync && !self.round.due && self.next.due {
            self.round = std::mem::take(&mut self.next);
            self.round_through = looked;
            self.readings.round = self.readings.looked.clone();
        }
        if may_sync && self.round.due {
            while let Some(key) = self.round.pending.pop_first() {
                self.tell(&key, catalogue);
                if let Some(part) = self.parts.pop() {
                    return Some(part);
                }
            }
            self.told_through = self.round_through;
            self.readings.through = self.readings.round.clone();
            let services = std::mem::take(&mut self.round).asked.into_iter().collect();
            return self.sync(services, false, clock, now_ms);
        }
        let summary = self.summary.as_mut()?;
        if summary.has_more()
            && let Some(frame) = summary.speak(&self.feed, (catalogue, looked), &self.home, now_ms)
        {
            return Some(frame);
        }
        if may_sync && summary.is_owed() {
            summary.synced();
            // No round is due.
            self.told_through = looked;
            self.readings.through = self.readings.looked.clone();
            return self.sync(Vec::new(), true, clock, now_ms);
        }
        None
    }

    fn tell(&mut self, key: &ServiceKey, catalogue: &Snapshot) {
        let Some(told) = self.subscriptions.get_mut(key) else { return };
        // Asked at each delivery: who may see a service can change while its state is streamed.
        let current = catalogue.seen_from(&self.home, key);
        if told.is(current) {
            return;
        }
        let frames: Arc<[Bytes]> = match current {
            Some(service) => self.feed.frames(key, told.held(), service),
            None => {
                let mut room = Room::default();
                // The service goes as a whole: ids that do not fit are not missed.
                let ids = told.ids().take_while(|id| room.take(id).unwrap_or(false)).cloned().collect();
                encoded(&Down::Remove { service: key.clone(), ids }).into_iter().collect()
            }
        };
        // The domain's limits rule out what does not fit into frames; if they ever do not, the peer keeps what it has.
        if !frames.is_empty() {
            self.parts = Parts { frames, sent: 0 };
            *told = current.map_or(Told::Nothing, |service| Told::Sent(service.clone()));
        }
    }

    fn sync(
        &mut self,
        services: Vec<ServiceKey>,
        summary: bool,
        clock: &mut Clock,
        now_ms: u64,
    ) -> Option<Bytes> {
        let cursor = self.told_through;
        self.synced = Some(cursor);
        clock.syncs.push_back((cursor, now_ms));
        let reading = self.readings.news().unwrap_or_default();
        let (position, changed) = (reading.reach.clone(), reading.changed_otherwise());
        encoded(&Down::Synced { cursor, services, summary, position, changed }).ok()
    }
}

// === impl Readings ===

impl Readings {
    /// How far the replica had come for all that was told; none where the peer knows, or does not want to.
    fn news(&mut self) -> Option<Arc<Reading>> {
        let told = self.told.as_mut().filter(|told| **told != self.through)?;
        *told = self.through.clone();
        Some(self.through.clone())
    }
}

// === impl Parts ===

impl Parts {
    fn has_more(&self) -> bool {
        self.sent < self.frames.len()
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.get(self.sent)?.clone();
        self.sent += 1;
        if !self.has_more() {
            *self = Self::default();
        }
        Some(frame)
    }
}
