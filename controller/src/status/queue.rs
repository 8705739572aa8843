//! Which status is written next: sans IO. One place for each object, in which the newest report wins.

use std::{collections::HashMap, time::Duration};

use rollcall_net::{Backoff, Jitter};
use tokio::time::Instant;

use super::{
    compose::digest,
    pace::{Pause, Tries},
};
use crate::index::{ObjectKey, Report};

/// Reports that wait here: half a minute's work at the full rate. What more there is waits in the index, which has a
/// place for each object anyway.
pub(super) const WAITING_MAX: usize = 512;
/// Writes under way: enough for the full rate where a call takes 200 ms, and no burst for an API server in trouble.
pub(super) const CONCURRENT_MAX: usize = 4;
/// Reports that were denied and wait apart, so that one namespace's cannot take the place of all: what more there is
/// is told when something changes, or by the next holder of the lease.
pub(super) const DENIED_MAX: usize = 4_096;
/// An object is written at most once in this time: a service that flaps must not become a stream of writes.
pub(super) const EACH_EVERY: Duration = Duration::from_secs(1);
/// For how long after a write of ours the index may not have heard of it: until then what it believes of the object is
/// not relied on.
const HEARD_AFTER: Duration = Duration::from_secs(5);

/// Holds the reports that wait to be written, and what is under way.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: HashMap<ObjectKey, Waiting>,
    under_way: HashMap<ObjectKey, Waiting>,
    /// When objects were last written, as long as that matters.
    written: HashMap<ObjectKey, Instant>,
    pause: Pause,
}

/// Says what came of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// The object says so already, is gone, is another one, or will not take it: nothing is left to do.
    Settled,
    /// Somebody else wrote it meanwhile.
    Again,
    /// The API server will not have it of this object, for now: others are not concerned.
    Denied,
    /// The API server did not do it, or did not say so.
    Failed,
}

#[derive(Debug, Clone)]
struct Waiting {
    report: Report,
    not_before: Instant,
    backoff: Backoff,
    denied: Option<Tries>,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(jitter: Jitter) -> Self {
        Self {
            waiting: HashMap::new(),
            under_way: HashMap::new(),
            written: HashMap::new(),
            pause: Pause::new(jitter),
        }
    }

    /// How many more reports may come.
    pub(super) fn room(&self) -> usize {
        WAITING_MAX.saturating_sub(self.waiting.len() - self.denied())
    }

    /// This is true now; whatever else waits for the object is not any more.
    pub(super) fn offer(&mut self, report: Report, now: Instant) {
        self.written.retain(|_, at| now < *at + HEARD_AFTER);
        let last = self.written.get(&report.object);
        let believed = last.is_none() && !self.under_way.contains_key(&report.object);
        if believed && digest(&report) == report.told {
            self.waiting.remove(&report.object);
            return;
        }
        let rested = last.map_or(now, |at| now.max(*at + EACH_EVERY));
        match self.waiting.get_mut(&report.object) {
            // Its pause stays: an object that fails does not fail faster for changing.
            Some(waiting) => waiting.report = report,
            None => {
                let key = report.object.clone();
                let waiting =
                    Waiting { report, not_before: rested, backoff: Backoff::default(), denied: None };
                self.waiting.insert(key, waiting);
            }
        }
    }

    /// The report to write now; whoever takes it says what came of it.
    pub(super) fn next(&mut self, now: Instant) -> Option<Report> {
        if self.under_way.len() >= CONCURRENT_MAX || self.pause.over_at(now) > now {
            return None;
        }
        let (key, _) = self.soonest().filter(|(_, at)| *at <= now)?;
        let key = key.clone();
        let waiting = self.waiting.remove(&key)?;
        let report = waiting.report.clone();
        self.under_way.insert(key, waiting);
        Some(report)
    }

    /// When [`Self::next`] may have one; none if first something else must happen.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let (_, at) = self.soonest().filter(|_| self.under_way.len() < CONCURRENT_MAX)?;
        Some(at.max(self.pause.over_at(now)))
    }

    pub(super) fn done(&mut self, key: &ObjectKey, outcome: Outcome, now: Instant) {
        let Some(mut done) = self.under_way.remove(key) else { return };
        match outcome {
            Outcome::Written => {
                self.pause.answered();
                self.written.insert(key.clone(), now);
            }
            Outcome::Settled => self.pause.answered(),
            Outcome::Again => {
                self.pause.answered();
                done.not_before = now + self.pause.of(&mut done.backoff);
            }
            Outcome::Denied => {
                self.pause.answered();
                let mut tries = done.denied.unwrap_or_default();
                done.not_before = now + self.pause.rest(&mut tries);
                done.denied = Some(tries);
            }
            Outcome::Failed => {
                self.pause.failed(now);
                // It may have been written all the same.
                done.not_before = now + EACH_EVERY + self.pause.of(&mut done.backoff);
            }
        }
        let full = self.denied() >= DENIED_MAX;
        match (outcome, self.waiting.get_mut(key)) {
            (Outcome::Written, Some(newer)) => newer.not_before = now + EACH_EVERY,
            (Outcome::Settled | Outcome::Written, _) => {}
            (Outcome::Again | Outcome::Denied | Outcome::Failed, Some(newer)) => {
                *newer = Waiting { report: newer.report.clone(), ..done };
            }
            (Outcome::Denied, None) if full => {}
            (Outcome::Again | Outcome::Denied | Outcome::Failed, None) => {
                self.waiting.insert(key.clone(), done);
            }
        }
    }

    fn denied(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.denied.is_some()).count()
    }

    /// The one that may go first; an object that is being written waits for that.
    fn soonest(&self) -> Option<(&ObjectKey, Instant)> {
        let free = self.waiting.iter().filter(|(key, _)| !self.under_way.contains_key(*key));
        free.map(|(key, waiting)| (key, waiting.not_before)).min_by_key(|(_, at)| *at)
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
