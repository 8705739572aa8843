//! The judge of a probe: what an app's answers in a row come to, and when it is asked again.

use crate::{limits::PROBE_MILLISECONDS, liveness::witness::ProbeWitness, registration::ProbeSpec};

/// A refused connection is asked once more after this, and then believed: long enough for a backlog that was full
/// for a moment, short enough that nobody notices the wait.
pub const CONFIRM_AFTER_MS: u64 = 20;

/// Refusals in a row that make an app dead: its machine has answered that nobody listens, and then again.
const REFUSALS_MAX: u8 = 2;

/// The first question comes within this, however long the interval is: somebody waits for the first answer.
pub const FIRST_WITHIN_MS: u64 = 500;

/// Says how one question to an app ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    Passing,
    /// The connection was refused or reset.
    Refused,
    TimedOut,
    /// It answered, and not as it should.
    BadReply,
    /// It was not asked, by a fault of our own: that says nothing of the app.
    Unasked,
}

/// Holds one question to an app; times are of one monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub answer: Answer,
    pub began_ms: u64,
    pub ended_ms: u64,
}

/// Holds what is known after an attempt, and when the next one is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    pub witness: ProbeWitness,
    pub next_at_ms: u64,
}

/// Holds how the last answers of one app ran.
///
/// The thresholds count before the first verdict as well: an app of which nothing is known is `Pending`, which
/// already keeps an address outside the cluster from being served, and leaves a pod to Kubernetes' word. One slow
/// answer to a prober that has just started must not take out a pod that served all along.
#[derive(Debug, Clone)]
pub struct Judge {
    interval_ms: u64,
    failure_threshold: u8,
    success_threshold: u8,
    witness: ProbeWitness,
    /// Each in a row.
    refusals: u8,
    successes: u8,
    /// Bad answers of any kind in a row; begun anew when the app is found dead, so that it takes as many timeouts
    /// as ever to call it unwell instead.
    failures: u8,
}

// === impl Judge ===

impl Judge {
    pub fn new(spec: &ProbeSpec) -> Self {
        // A spec that nobody checked is held to the limits here: an interval of 0 would never rest.
        let (shortest, longest) = (*PROBE_MILLISECONDS.start(), *PROBE_MILLISECONDS.end());
        Self {
            interval_ms: u64::from(spec.interval_ms.clamp(shortest, longest)),
            failure_threshold: spec.failure_threshold.max(1),
            success_threshold: spec.success_threshold.max(1),
            witness: ProbeWitness::Pending,
            refusals: 0,
            successes: 0,
            failures: 0,
        }
    }

    pub fn witness(&self) -> ProbeWitness {
        self.witness
    }

    /// When the first attempt is due. `draw` is any number: of many that start at once, no two should have the same.
    pub fn first_at_ms(&self, now_ms: u64, draw: u32) -> u64 {
        now_ms.saturating_add(share(self.interval_ms.min(FIRST_WITHIN_MS), draw))
    }

    /// Weighs the end of an attempt. `draw` is any number, as above: it moves the next attempt by up to a tenth of
    /// the interval, so that probes do not march in step.
    pub fn outcome(&mut self, attempt: Attempt, draw: u32) -> Judged {
        self.weigh(attempt.answer);
        let to_confirm =
            attempt.answer == Answer::Refused && self.refusals == 1 && self.witness != ProbeWitness::Dead;
        let next_at_ms = if to_confirm {
            attempt.ended_ms.saturating_add(CONFIRM_AFTER_MS)
        } else {
            // From its beginning: an app that hangs is asked as often as one that answers.
            let tenth = self.interval_ms / 10;
            let interval_ms = self.interval_ms - tenth + share(2 * tenth, draw);
            attempt.began_ms.saturating_add(interval_ms).max(attempt.ended_ms)
        };
        Judged { witness: self.witness, next_at_ms }
    }

    fn weigh(&mut self, answer: Answer) {
        match answer {
            Answer::Unasked => {}
            Answer::Passing => {
                (self.refusals, self.failures) = (0, 0);
                self.successes = self.successes.saturating_add(1);
                if self.successes >= self.success_threshold {
                    self.witness = ProbeWitness::Passing;
                }
            }
            Answer::Refused => {
                self.successes = 0;
                self.refusals = self.refusals.saturating_add(1);
                self.failures = self.failures.saturating_add(1);
                if self.refusals >= REFUSALS_MAX {
                    self.witness = ProbeWitness::Dead;
                    self.failures = 0;
                }
            }
            Answer::TimedOut | Answer::BadReply => {
                (self.refusals, self.successes) = (0, 0);
                self.failures = self.failures.saturating_add(1);
                if self.failures >= self.failure_threshold {
                    self.witness = ProbeWitness::Unwell;
                }
            }
        }
    }
}

/// A part of `whole`, as large as `draw` is in its own range: from nothing to all of it.
fn share(whole: u64, draw: u32) -> u64 {
    whole.saturating_mul(u64::from(draw)) / u64::from(u32::MAX)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
