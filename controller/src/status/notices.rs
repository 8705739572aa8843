//! Which Event is written next: sans IO. Equal ones are one Event that counts them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use rollcall_net::Jitter;
use tokio::time::Instant;

use super::{
    api::Failure,
    pace::{Pace, Pause},
};
use crate::index::{About, Notice, NoticeReason, ObjectKey};

/// Events written in a second: people read them one by one.
pub(super) const EVENTS_MAX: usize = 5;
/// Notices that wait: a minute's work at the full rate; what happened to more objects than that is better seen in
/// metrics.
pub(super) const WAITING_MAX: usize = 256;
/// Those of them that only tell of a missing sidecar: a quarter, since they may come for all pods of a cluster at once, and
/// while the API server takes nothing.
const SKIPPED_WAITING_MAX: usize = WAITING_MAX / 4;
/// An Event that is there already is counted on at most so often.
pub(super) const SERIES_EVERY: Duration = Duration::from_secs(60);
/// A notice that repeats after so long is a new Event: API servers keep Events for an hour by default.
const TOLD_FOR: Duration = Duration::from_secs(1_800);
/// Events that are remembered, so that they can be counted on: four times what may wait.
const TOLD_MAX: usize = 1_024;
/// Tries of one Event. It is worth less than what comes after it.
const TRIES_MAX: u32 = 3;
/// Those who do not hold the lease keep notices for so long, since its holder may just have died: the time that a lease
/// takes to expire and to be claimed, with room.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(30);
/// Bytes of an Event's text, which the API server limits.
const NOTE_BYTES_MAX: usize = 1_024;
/// Bytes of the object's name in that of the Event: with the ending, less than a name may have.
const NAME_BYTES_MAX: usize = 200;

/// Holds the notices that wait, and the Events that were written.
#[derive(Debug)]
pub(super) struct Notices {
    waiting: VecDeque<Letter>,
    told: HashMap<Same, Told>,
    pace: Pace,
    pause: Pause,
    names: Jitter,
}

/// Holds one Event to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) notice: Notice,
    pub(super) form: Form,
    times: i32,
    since: Instant,
    not_before: Instant,
    tries: u32,
}

/// Says how an Event is written. Its name is made once: a second try of the same must not become a second Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    New { name: String },
    CountOn { name: String, count: i32 },
}

/// Says which notices are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Same {
    object: ObjectKey,
    uid: Option<Arc<str>>,
    reason: NoticeReason,
    message: String,
}

#[derive(Debug)]
struct Told {
    name: String,
    count: i32,
    at: Instant,
}

/// The object that a notice is about, and its uid where that is known.
pub(super) fn object(about: &About) -> (&ObjectKey, Option<&Arc<str>>) {
    match about {
        About::Pod { object, uid } | About::Registration { object, uid } => (object, Some(uid)),
        About::Lease { object } => (object, None),
    }
}

// === impl Notices ===

impl Notices {
    pub(super) fn new(mut jitter: Jitter) -> Self {
        Self {
            waiting: VecDeque::new(),
            told: HashMap::new(),
            pace: Pace::new(EVENTS_MAX),
            names: Jitter::new(jitter.next_u64()),
            pause: Pause::new(jitter),
        }
    }

    /// Whether there was room for it.
    pub(super) fn offer(&mut self, mut notice: Notice, now: Instant) -> bool {
        let fits = notice.message.floor_char_boundary(NOTE_BYTES_MAX);
        notice.message.truncate(fits);
        self.told.retain(|_, told| now < told.at + TOLD_FOR);
        if let Some(waiting) = self.waiting.iter_mut().find(|letter| letter.notice == notice) {
            waiting.times = waiting.times.saturating_add(1);
            return true;
        }
        if self.waiting.len() >= WAITING_MAX || self.is_full_of(notice.reason) {
            return false;
        }
        let told = self.told.get(&Same::of(&notice));
        let not_before = told.map_or(now, |told| now.max(told.at + SERIES_EVERY));
        // The form is settled when its turn comes: the Event may be forgotten until then.
        let form = Form::New { name: self.name(&notice) };
        self.waiting.push_back(Letter { notice, form, times: 1, since: now, not_before, tries: 0 });
        true
    }

    /// Whether those of this reason have their share.
    fn is_full_of(&self, reason: NoticeReason) -> bool {
        let skipped = |letter: &&Letter| letter.notice.reason == NoticeReason::InjectionSkipped;
        reason == NoticeReason::InjectionSkipped
            && self.waiting.iter().filter(skipped).count() >= SKIPPED_WAITING_MAX
    }

    /// The Event to write now; whoever takes it says what came of it.
    pub(super) fn next(&mut self, now: Instant) -> Option<Letter> {
        if self.pause.over_at(now) > now {
            return None;
        }
        let place = self.waiting.iter().position(|letter| letter.not_before <= now)?;
        self.pace.take(now).ok()?;
        let mut letter = self.waiting.remove(place)?;
        if let Some(told) = self.told.get(&Same::of(&letter.notice)) {
            let count = told.count.saturating_add(letter.times);
            letter.form = Form::CountOn { name: told.name.clone(), count };
        }
        Some(letter)
    }

    /// Whether the notice is told, or will be.
    pub(super) fn done(&mut self, mut letter: Letter, result: &Result<(), Failure>, now: Instant) -> bool {
        if !matches!(result, Err(Failure::Unavailable(_))) {
            self.pause.answered();
        }
        match (result, &letter.form) {
            // One of its name: our own first try, whose answer was lost.
            (Ok(()) | Err(Failure::Conflict), Form::New { name }) => {
                self.remember(&letter.notice, name.clone(), letter.times, now);
                true
            }
            (Ok(()), Form::CountOn { name, count }) => {
                self.remember(&letter.notice, name.clone(), *count, now);
                true
            }
            (Err(Failure::Gone), Form::CountOn { .. }) => {
                self.told.remove(&Same::of(&letter.notice));
                letter.form = Form::New { name: self.name(&letter.notice) };
                self.again(letter, now)
            }
            (Err(Failure::Unavailable(_)), _) => {
                self.pause.failed(now);
                self.again(letter, now)
            }
            // A namespace that is being deleted takes no Events, and its pods have much to tell.
            (Err(Failure::Gone | Failure::Refused(_) | Failure::Denied(_) | Failure::Conflict), _) => false,
        }
    }

    /// We no longer write.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whoever holds the lease has told what is older than this.
    pub(super) fn forget_old(&mut self, now: Instant) {
        self.waiting.retain(|letter| now < letter.since + KEPT_FOR);
    }

    fn again(&mut self, mut letter: Letter, now: Instant) -> bool {
        letter.tries += 1;
        letter.not_before = now;
        let room = letter.tries < TRIES_MAX && self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push_front(letter);
        }
        room
    }

    fn remember(&mut self, notice: &Notice, name: String, count: i32, now: Instant) {
        if self.told.len() >= TOLD_MAX
            && let Some(oldest) =
                self.told.iter().min_by_key(|(_, told)| told.at).map(|(same, _)| same.clone())
        {
            self.told.remove(&oldest);
        }
        self.told.insert(Same::of(notice), Told { name, count, at: now });
    }

    fn name(&mut self, notice: &Notice) -> String {
        let (object, _) = object(&notice.about);
        let fits = object.name.floor_char_boundary(NAME_BYTES_MAX);
        let begin = object.name.get(..fits).unwrap_or_default().trim_end_matches(['.', '-']);
        format!("{begin}.{:016x}", self.names.next_u64())
    }
}

// === impl Same ===

impl Same {
    fn of(notice: &Notice) -> Self {
        let (object, uid) = object(&notice.about);
        let (object, uid) = (object.clone(), uid.cloned());
        Self { object, uid, reason: notice.reason, message: notice.message.clone() }
    }
}

#[cfg(test)]
#[path = "notices_tests.rs"]
mod tests;
