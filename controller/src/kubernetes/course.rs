//! What a watch does next: a state machine without IO.

use std::time::Duration;

use rollcall_net::{Backoff, Jitter};
use tokio::time::Instant;

/// The shortest and the longest time of a watch call: drawn from this range, so that the kinds' and the replicas'
/// calls do not end in step; the last before an audit may be shorter. With the grace of a call, a connection that died unseen costs no more than a minute.
const WATCH_SECONDS_MIN: u32 = 40;
const WATCH_SECONDS_MAX: u32 = 50;
/// A call that ended so much before its time has still lasted its time: the API server counts from the arrival of it.
const PUNCTUAL: Duration = Duration::from_secs(2);
/// Whoever keeps a call for so long is not helped by our waiting: this is rare enough.
const STEADY_MIN: Duration = Duration::from_secs(10);
/// Watch calls that failed in a row, after which the version that they began from is given up: a proxy may have
/// forgotten it without saying so.
const ERRORS_MAX: u32 = 5;
/// The least pause before a list that follows a failure: it is the dearest of all calls.
const LIST_PAUSE_MIN: Duration = Duration::from_millis(500);
/// An API server may ask for a pause, but not for more than this: its word may be a proxy's.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// The pause before it is asked again whether a kind is installed, with up to as much again: whoever installs it waits.
const ABSENT_PAUSE: Duration = Duration::from_secs(5);

/// The shortest time between the complete lists of a kind, with up to as much again, drawn anew each time, so that
/// the kinds and the replicas do not list in step: lists of everything are dear, and lost events are rare.
pub(super) const AUDIT_AFTER: Duration = Duration::from_secs(30 * 60);
/// The same after a list by which something was wrong, with up to half as much again: the watch does not bring back what
/// a wrong list took away. Twice as long after each that finds something wrong again, so that one which always does costs
/// no more than any.
pub(super) const AUDIT_SOON_AFTER: Duration = Duration::from_secs(60);
/// The pause before a list that is made because the one before it was not believed, with up to as much again: another
/// replica of the API server may answer, and what was truly deleted is to be gone within a second or two.
pub(super) const DOUBT_PAUSE: Duration = Duration::from_millis(300);
/// What kubectl and the API server's own clients ask for: small enough that a page costs 5 MiB and a tenth of a
/// second, large enough that 20,000 pods are 40 calls.
const PAGE_OBJECTS_MAX: u32 = 500;

/// Holds how far the watch of one kind has come.
#[derive(Debug)]
pub(super) struct Course {
    /// Everything up to this version was told; none until a list came to its end.
    version: Option<String>,
    listed: bool,
    page_objects: u32,
    audit_at: Instant,
    /// Lists in a row by which something was wrong.
    amiss: u32,
    /// Lists in a row that were not believed.
    doubts: u32,
    watch_errors: u32,
    backoff: Backoff,
    jitter: Jitter,
}

/// Says what is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// List all objects as they are; or as they were at the version that the watch has come to, from which there
    /// should be no difference.
    List { at: Option<String>, page_objects: u32 },
    /// Tell what changes after this version.
    Watch { from: String, seconds: u32 },
}

/// Says how a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The version is forgotten.
    Gone,
    /// The reply is more than we can hold.
    TooLarge,
    /// Anything else; the API server may ask for a pause.
    Other(Option<Duration>),
}

/// Says how a watch call ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// After its full time: it works.
    InTime,
    /// Before that, which shows nothing.
    Early,
}

// === impl Course ===

impl Course {
    pub(super) fn new(jitter: Jitter, now: Instant) -> Self {
        Self {
            version: None,
            listed: false,
            page_objects: PAGE_OBJECTS_MAX,
            audit_at: now,
            amiss: 0,
            doubts: 0,
            watch_errors: 0,
            backoff: Backoff::default(),
            jitter,
        }
    }

    /// Whether a list came to its end, ever.
    pub(super) fn listed_once(&self) -> bool {
        self.listed
    }

    pub(super) fn step(&mut self, now: Instant) -> Step {
        let page_objects = self.page_objects;
        match &self.version {
            None => Step::List { at: None, page_objects },
            Some(version) if now >= self.audit_at => Step::List { at: Some(version.clone()), page_objects },
            Some(version) => {
                let spread = Duration::from_secs((WATCH_SECONDS_MAX - WATCH_SECONDS_MIN).into());
                let more = u32::try_from(self.jitter.up_to(spread).as_secs()).unwrap_or_default();
                let left = self.audit_at.saturating_duration_since(now).max(STEADY_MIN).as_secs();
                let seconds = (WATCH_SECONDS_MIN + more).min(u32::try_from(left).unwrap_or(u32::MAX));
                Step::Watch { from: version.clone(), seconds }
            }
        }
    }

    /// A list came to its end; `differs`: where the watch had come to, there should have been no difference, and there
    /// was. That forgives no failure: where each watch call fails, lists would follow each other without a pause.
    pub(super) fn listed(&mut self, version: String, differs: bool, now: Instant) {
        self.version = Some(version);
        self.listed = true;
        self.watch_errors = 0;
        let is_amiss = differs || self.doubts > 0;
        self.doubts = 0;
        self.audit_at = now
            + if is_amiss {
                let after = (AUDIT_SOON_AFTER * 2_u32.saturating_pow(self.amiss.min(8))).min(AUDIT_AFTER);
                self.amiss = self.amiss.saturating_add(1);
                after + self.jitter.up_to(after / 2)
            } else {
                self.amiss = 0;
                AUDIT_AFTER + self.jitter.up_to(AUDIT_AFTER)
            };
    }

    /// Whether the list that is to be made is to confirm one, or more, which were not believed.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubts > 0
    }

    /// The pause after a list that lacks too much to be believed. The next is made as everything is then, and where the
    /// watch had come to is given up: what changes until a list is believed, that list shows.
    pub(super) fn doubted(&mut self) -> Duration {
        self.version = None;
        // Where each contradicts the one before it, nothing is gained by more of them.
        let more = if self.doubts == 0 { Duration::ZERO } else { self.backoff.next(&mut self.jitter) };
        self.doubts = self.doubts.saturating_add(1);
        DOUBT_PAUSE + self.jitter.up_to(DOUBT_PAUSE) + more
    }

    /// The pause after a list that came to nothing: the next begins from the start.
    pub(super) fn list_failed(&mut self, failure: Failure) -> Duration {
        self.version = None;
        if failure == Failure::TooLarge {
            self.page_objects = (self.page_objects / 4).max(1);
        }
        self.pause(failure)
    }

    /// The pause before it is asked again whether the kind is installed.
    pub(super) fn absent(&mut self) -> Duration {
        ABSENT_PAUSE + self.jitter.up_to(ABSENT_PAUSE)
    }

    /// A watch call told everything up to this version.
    pub(super) fn advanced(&mut self, version: String) {
        self.version = Some(version);
        self.works();
    }

    /// A watch call that was to take this long was ended after so long, and without an error; and the pause before
    /// the next.
    pub(super) fn watch_ended(&mut self, seconds: u32, lasted: Duration) -> (Ended, Duration) {
        if lasted + PUNCTUAL >= Duration::from_secs(seconds.into()) {
            self.works();
            return (Ended::InTime, Duration::ZERO);
        }
        if lasted >= STEADY_MIN {
            return (Ended::Early, Duration::ZERO);
        }
        (Ended::Early, self.pause(Failure::Other(None)))
    }

    /// The pause after a watch call that failed.
    pub(super) fn watch_failed(&mut self, failure: Failure, lasted: Duration) -> Duration {
        self.watch_errors += 1;
        if failure == Failure::Gone || self.watch_errors >= ERRORS_MAX {
            self.version = None;
            self.watch_errors = 0;
        }
        if lasted >= STEADY_MIN {
            self.backoff.reset();
        }
        self.pause(failure)
    }

    fn works(&mut self) {
        self.watch_errors = 0;
        self.backoff.reset();
    }

    fn pause(&mut self, failure: Failure) -> Duration {
        let least = if self.version.is_none() { LIST_PAUSE_MIN } else { Duration::ZERO };
        let asked = match failure {
            Failure::Other(Some(asked)) => asked.min(RETRY_AFTER_MAX),
            _ => Duration::ZERO,
        };
        // Added, and not the greater of both: who was asked to come back at one moment must not come in step.
        least.max(asked) + self.backoff.next(&mut self.jitter)
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
