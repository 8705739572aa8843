//! When a link has something to do, though nobody said anything.

use crate::{
    limits::{
        FAREWELL_MAX, LATENESS_MAX, PEER_BEAT_EVERY, PEER_HELLO_MAX, PEER_SILENCE_MAX, PEER_SLOW_MAX,
        milliseconds,
    },
    server::reason,
};

/// Holds when a link last heard and when it last told how we stand, in milliseconds of the clock of its notes.
#[derive(Debug)]
pub(super) struct Clock {
    opened_ms: u64,
    /// None before the other end said hello.
    heard_ms: Option<u64>,
    beat_ms: u64,
    /// A beat is to be sent.
    pub(super) beat_due: bool,
    /// By then the last word is taken, or never.
    farewell_until_ms: Option<u64>,
}

/// Says what a link does when nobody takes its last word, or when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Farewell(&'static str),
    /// Nobody takes the last word.
    Closed,
}

// === impl Clock ===

impl Clock {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { opened_ms: now_ms, heard_ms: None, beat_ms: now_ms, beat_due: false, farewell_until_ms: None }
    }

    pub(super) fn heard(&mut self, now_ms: u64) {
        self.heard_ms = Some(self.heard_ms.map_or(now_ms, |heard_ms| heard_ms.max(now_ms)));
    }

    /// The other end was told how we stand.
    pub(super) fn beat(&mut self, now_ms: u64) {
        self.beat_ms = now_ms;
        self.beat_due = false;
    }

    /// When [`Clock::tick`] has something to do at the latest.
    pub(super) fn wake_at_ms(&self, is_ending: bool) -> u64 {
        if is_ending {
            return self.farewell_until_ms.unwrap_or(0);
        }
        let Some(heard_ms) = self.heard_ms else {
            return after(self.opened_ms, milliseconds(PEER_HELLO_MAX));
        };
        let beat = if self.beat_due { PEER_SLOW_MAX } else { PEER_BEAT_EVERY };
        after(self.beat_ms, milliseconds(beat)).min(after(heard_ms, milliseconds(PEER_SILENCE_MAX)))
    }

    pub(super) fn tick(&mut self, now_ms: u64, is_ending: bool) -> Due {
        if is_ending {
            let until = *self.farewell_until_ms.get_or_insert(after(now_ms, milliseconds(FAREWELL_MAX)));
            return if now_ms >= until { Due::Closed } else { Due::Nothing };
        }
        let lost_ms = now_ms.saturating_sub(self.wake_at_ms(is_ending));
        if lost_ms > milliseconds(LATENESS_MAX) {
            self.forgive(lost_ms, now_ms);
        }
        let Some(heard_ms) = self.heard_ms else {
            let late = now_ms >= after(self.opened_ms, milliseconds(PEER_HELLO_MAX));
            return if late { Due::Farewell(reason::NO_HELLO) } else { Due::Nothing };
        };
        if now_ms >= after(heard_ms, milliseconds(PEER_SILENCE_MAX)) {
            return Due::Farewell(reason::SILENT);
        }
        if now_ms >= after(self.beat_ms, milliseconds(PEER_SLOW_MAX)) {
            return Due::Farewell(reason::SLOW);
        }
        self.beat_due |= now_ms >= after(self.beat_ms, milliseconds(PEER_BEAT_EVERY));
        Due::Nothing
    }

    /// We slept: what the other end said meanwhile is still to be read, and nothing could be said to it.
    fn forgive(&mut self, lost_ms: u64, now_ms: u64) {
        let forgiven = |then_ms: u64| after(then_ms, lost_ms).min(now_ms);
        self.beat_ms = forgiven(self.beat_ms);
        match self.heard_ms {
            Some(heard_ms) => self.heard_ms = Some(forgiven(heard_ms)),
            // All of its time was ours.
            None => self.opened_ms = now_ms,
        }
    }
}

fn after(then_ms: u64, wait_ms: u64) -> u64 {
    then_ms.saturating_add(wait_ms)
}
