//! The lease's rules: who may claim it and when, by one clock, our own. No IO, and no clock of its own.
//!
//! Why there are never two holders. A renewal of ours that began at S is at the API server at some R ≥ S, and we
//! count as holder until S + DURATION − MARGIN. Another one sees the lease that R made at some O ≥ R, and claims it not
//! before it has seen that same lease for DURATION: at O + DURATION at the earliest, which is after our end, as long as
//! the two clocks run alike to within MARGIN per DURATION. What they show does not matter. A claim holds only if the
//! lease is still the very one that was seen (`resourceVersion`), and only once the API server has said so.

use std::time::Duration;

use rollcall_net::{Backoff, Jitter};

/// For how long a renewal holds: a holder that dies leaves its work undone for so long, and one whose API server is
/// slow or restarts for a moment keeps the lease.
pub const DURATION: Duration = Duration::from_secs(15);
/// We stop so long before the others may begin: for clocks that run apart (1 % is 0.15 s), and for the last write's way
/// to the API server.
pub const MARGIN: Duration = Duration::from_secs(2);
/// A third of the duration: two renewals may fail before the lease is lost.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// A renewal comes up to so much earlier, so that replicas and clusters do not write in step.
pub const RENEW_JITTER: Duration = Duration::from_millis(500);
/// Those who wait look so often, so that one who gives the lease back is followed within seconds: one small read each.
pub const POLL_EVERY: Duration = Duration::from_secs(2);
/// A look comes up to so much later, so that those who wait do not claim in step.
pub const POLL_JITTER: Duration = Duration::from_millis(500);
/// A call that takes longer has failed: short enough for a second try before the lease is lost.
pub const CALL_MAX: Duration = Duration::from_secs(3);
/// A lease of somebody else is respected for no longer than this, whatever it says: one that was written by hand must
/// not keep everyone out for ever. No version of ours may ask for more.
const RESPECTED_MAX: Duration = Duration::from_secs(60);

/// Holds what one process knows of the lease. Its times count from the process's start.
#[derive(Debug)]
pub(crate) struct Machine {
    identity: String,
    jitter: Jitter,
    backoff: Backoff,
    observed: Option<Observed>,
    /// A write of ours has failed, and may have been done all the same: only a read can tell.
    uncertain: bool,
    call: Option<Call>,
    call_began: Duration,
    held_until: Option<Duration>,
    ending: bool,
}

/// Holds what a Lease says, as far as the rules go by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Differs after every write; compared for equality, and for nothing else.
    pub(crate) version: String,
    /// None where it was given back.
    pub(crate) holder: Option<String>,
    /// For how long it holds without a renewal.
    pub(crate) duration: Duration,
}

/// Names a call to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Create,
    /// Write us as the holder, if the lease is still of this version.
    Claim {
        version: String,
    },
    /// Write nobody as the holder, if the lease is still of this version.
    Release {
        version: String,
    },
}

/// Says what came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The lease as it is now.
    Lease(Seen),
    Absent,
    /// It is there already, or of another version.
    Conflict,
    /// Refused, or no answer in time: whether it was done is not known.
    Failed,
}

/// Says what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// The time that was waited for has come.
    Due,
    Answered(Answer),
    /// The process ends. A call that is under way is given up.
    End,
}

/// Says what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Wait(Duration),
    Call(Call),
    /// Nothing is left to do. Only after [`Input::End`].
    Stop,
}

#[derive(Debug, Clone)]
struct Observed {
    seen: Seen,
    /// When we first saw it so.
    since: Duration,
}

// === impl Machine ===

impl Machine {
    pub(crate) fn new(identity: String, jitter: Jitter) -> Self {
        Self {
            identity,
            jitter,
            backoff: Backoff::default(),
            observed: None,
            uncertain: false,
            call: None,
            call_began: Duration::ZERO,
            held_until: None,
            ending: false,
        }
    }

    /// Until when we count as the holder; it may have passed since the last step.
    pub(crate) fn held_until(&self) -> Option<Duration> {
        self.held_until
    }

    /// What to do after this happened at this time.
    pub(crate) fn step(&mut self, now: Duration, input: Input) -> Action {
        self.held_until = self.held_until.filter(|until| now < *until);
        match input {
            Input::Due => match self.ours().filter(|_| !self.uncertain) {
                Some(version) => self.begin(now, Call::Claim { version }),
                None => self.begin(now, Call::Read),
            },
            Input::End => self.end(now),
            Input::Answered(answer) => match (self.call.take(), answer) {
                (Some(Call::Read), Answer::Lease(seen)) => self.saw(now, seen),
                (Some(Call::Read), Answer::Absent) => self.saw_none(now),
                (Some(Call::Create), Answer::Lease(seen)) => self.won(now, seen),
                (Some(Call::Claim { version }), Answer::Lease(seen)) if seen.version != version => {
                    self.won(now, seen)
                }
                // A renewal that came just before it was in the way: one more look.
                (Some(Call::Release { .. }), Answer::Conflict) => self.begin(now, Call::Read),
                (Some(Call::Release { .. }), _) => Action::Stop,
                _ => self.failed(now),
            },
        }
    }

    fn begin(&mut self, now: Duration, call: Call) -> Action {
        (self.call, self.call_began) = (Some(call.clone()), now);
        Action::Call(call)
    }

    fn saw(&mut self, now: Duration, seen: Seen) -> Action {
        if self.observed.as_ref().is_none_or(|observed| observed.seen != seen) {
            self.observed = Some(Observed { seen: seen.clone(), since: now });
        }
        self.uncertain = false;
        if seen.holder.as_ref() == Some(&self.identity) {
            return match self.ending {
                true => self.begin(now, Call::Release { version: seen.version }),
                false => self.begin(now, Call::Claim { version: seen.version }),
            };
        }
        // Somebody else has it, or nobody: whatever we thought to hold, it is gone.
        self.held_until = None;
        match self.taken_until() {
            _ if self.ending => Action::Stop,
            Some(until) if now < until => self.wait_for(now, until),
            _ => self.begin(now, Call::Claim { version: seen.version }),
        }
    }

    /// A lease that was deleted under its holder was not given back.
    fn saw_none(&mut self, now: Duration) -> Action {
        self.uncertain = false;
        match self.taken_until() {
            _ if self.ending => Action::Stop,
            Some(until) if now < until => self.wait_for(now, until),
            _ => {
                self.observed = None;
                self.begin(now, Call::Create)
            }
        }
    }

    fn won(&mut self, now: Duration, seen: Seen) -> Action {
        self.held_until = Some(self.call_began + DURATION - MARGIN);
        self.observed = Some(Observed { seen, since: now });
        self.uncertain = false;
        self.backoff.reset();
        let due = self.call_began + RENEW_EVERY - self.jitter.up_to(RENEW_JITTER);
        Action::Wait(due.max(now))
    }

    fn failed(&mut self, now: Duration) -> Action {
        if self.ending {
            return Action::Stop;
        }
        self.uncertain = true;
        Action::Wait(now + self.backoff.next(&mut self.jitter))
    }

    fn wait_for(&mut self, now: Duration, until: Duration) -> Action {
        self.backoff.reset();
        Action::Wait(until.min(now + POLL_EVERY + self.jitter.up_to(POLL_JITTER)))
    }

    /// Gives the lease back where it may be ours, so that a successor need not wait for it to expire.
    fn end(&mut self, now: Duration) -> Action {
        let writing = matches!(self.call, Some(Call::Create | Call::Claim { .. }));
        (self.ending, self.held_until) = (true, None);
        match self.ours() {
            Some(version) if !self.uncertain && !writing => self.begin(now, Call::Release { version }),
            None if !self.uncertain && !writing => Action::Stop,
            _ => self.begin(now, Call::Read),
        }
    }

    /// The version of the lease that says it is ours, as we saw it last.
    fn ours(&self) -> Option<String> {
        let observed = self.observed.as_ref()?;
        (observed.seen.holder.as_ref() == Some(&self.identity)).then(|| observed.seen.version.clone())
    }

    /// Until when somebody else's lease is to be respected.
    fn taken_until(&self) -> Option<Duration> {
        let Observed { seen, since } = self.observed.as_ref()?;
        let other = seen.holder.as_ref().is_some_and(|holder| *holder != self.identity);
        other.then(|| *since + seen.duration.clamp(DURATION, RESPECTED_MAX))
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
