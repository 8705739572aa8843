//! When a session has something to do, though nobody said anything.

use std::collections::VecDeque;

use super::reason;
use crate::limits::{
    FAREWELL_MAX, HEARTBEAT_EVERY, HELLO_MAX, LATENESS_MAX, POSITIONS_FOR, SILENCE_MAX, SLOW_MAX,
    milliseconds,
};

/// Holds when a session last heard, spoke and synced, in milliseconds of any clock that does not go back.
#[derive(Debug)]
pub(super) struct Clock {
    opened_ms: u64,
    life_ms: u64,
    heard_ms: u64,
    /// None before the peer said hello: nothing is said until then.
    spoke_ms: Option<u64>,
    /// When each `synced` was sent that is not acknowledged, with its cursor.
    pub(super) syncs: VecDeque<(u64, u64)>,
    /// A heartbeat is to be sent, unless something else is.
    pub(super) beat_due: bool,
    /// By then the last word is taken, or never.
    farewell_until_ms: Option<u64>,
}

/// Says what a session does when nobody takes its last word, or when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Farewell(&'static str),
    /// Nobody takes the last word.
    Closed,
}

// === impl Clock ===

impl Clock {
    pub(super) fn new(life_ms: u64, now_ms: u64) -> Self {
        Self {
            opened_ms: now_ms,
            life_ms,
            heard_ms: now_ms,
            spoke_ms: None,
            syncs: VecDeque::new(),
            beat_due: false,
            farewell_until_ms: None,
        }
    }

    pub(super) fn heard(&mut self, now_ms: u64) {
        self.heard_ms = now_ms.max(self.heard_ms);
        self.spoke_ms.get_or_insert(now_ms);
    }

    pub(super) fn spoke(&mut self, now_ms: u64) {
        self.spoke_ms = Some(now_ms);
        self.beat_due = false;
    }

    pub(super) fn has_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.opened_ms) >= self.life_ms
    }

    pub(super) fn put_off(&mut self, by_ms: u64, now_ms: u64) {
        self.life_ms = now_ms.saturating_sub(self.opened_ms).saturating_add(by_ms);
    }

    /// When [`Clock::tick`] has something to do at the latest.
    pub(super) fn wake_at_ms(&self, is_ending: bool) -> u64 {
        if is_ending {
            return self.farewell_until_ms.unwrap_or(0);
        }
        let Some(spoke_ms) = self.spoke_ms else { return self.opened_ms + milliseconds(HELLO_MAX) };
        let acked = self.syncs.front().map(|(_, sent_ms)| sent_ms.saturating_add(milliseconds(SLOW_MAX)));
        let beat_ms = spoke_ms + milliseconds(HEARTBEAT_EVERY);
        let speak_ms = if self.beat_due { beat_ms + milliseconds(SLOW_MAX) } else { beat_ms };
        let ends_ms = self.opened_ms.saturating_add(self.life_ms);
        let silent_ms = self.heard_ms + milliseconds(SILENCE_MAX);
        silent_ms.min(ends_ms).min(speak_ms).min(acked.unwrap_or(u64::MAX))
    }

    pub(super) fn tick(&mut self, now_ms: u64, is_ending: bool) -> Due {
        if is_ending {
            let until = *self.farewell_until_ms.get_or_insert(now_ms + milliseconds(FAREWELL_MAX));
            return if now_ms >= until { Due::Closed } else { Due::Nothing };
        }
        let lost_ms = now_ms.saturating_sub(self.wake_at_ms(is_ending));
        if lost_ms > milliseconds(LATENESS_MAX) {
            self.forgive(lost_ms, now_ms);
        }
        let Some(spoke_ms) = self.spoke_ms else {
            let late = now_ms >= self.opened_ms + milliseconds(HELLO_MAX);
            return if late { Due::Farewell(reason::NO_HELLO) } else { Due::Nothing };
        };
        let since = |then_ms: u64| now_ms.saturating_sub(then_ms);
        if since(self.heard_ms) >= milliseconds(SILENCE_MAX) {
            return Due::Farewell(reason::SILENT);
        }
        // A heartbeat would have been taken long ago.
        let not_taken = since(spoke_ms) >= milliseconds(HEARTBEAT_EVERY) + milliseconds(SLOW_MAX);
        let first = self.syncs.front();
        if not_taken || first.is_some_and(|(_, sent_ms)| since(*sent_ms) >= milliseconds(SLOW_MAX)) {
            return Due::Farewell(reason::SLOW);
        }
        if self.has_expired(now_ms) {
            return Due::Farewell(reason::EXPIRED);
        }
        self.beat_due |= since(spoke_ms) >= milliseconds(HEARTBEAT_EVERY);
        Due::Nothing
    }

    /// It may come from another replica, and have been told more there than here.
    pub(super) fn is_new(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.opened_ms) < milliseconds(POSITIONS_FOR)
    }

    /// We slept: what the peer said meanwhile is still to be read, and nothing could be said to it.
    fn forgive(&mut self, lost_ms: u64, now_ms: u64) {
        let forgiven = |then_ms: &mut u64| *then_ms = then_ms.saturating_add(lost_ms).min(now_ms);
        forgiven(&mut self.heard_ms);
        match &mut self.spoke_ms {
            Some(spoke_ms) => forgiven(spoke_ms),
            // All of its time was ours.
            None => self.opened_ms = now_ms,
        }
        self.syncs.iter_mut().for_each(|(_, sent_ms)| forgiven(sent_ms));
    }
}
