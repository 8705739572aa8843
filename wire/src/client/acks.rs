//! When what the controller has told is acknowledged.

use std::iter::repeat_n;

use crate::limits::{ACK_AT_ONCE_FOR, ACK_LATER, ACKS_LATER_MAX, milliseconds};

/// Holds the `synced` frames of one session that are not acknowledged yet.
///
/// A drain waits until nobody calls any more who has left: what takes somebody out of lookups is acknowledged at once, and so
/// is a number with nothing to be told of it. For what only adds nobody waits, and its `ack` goes with the next one or with a
/// heartbeat: when a fleet is told of change after change, that spares writes of each sidecar and reads of the controller
/// while others still wait to be told.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The cursor of the last one.
    cursor: u64,
    /// How many came with that cursor: each of them has an `ack`, and by the first all before them are acknowledged as well.
    alike: usize,
    waiting: usize,
    /// What came since the last `synced`.
    said: Said,
    /// A question was answered so short a time ago: who has just come is in step for the controller once nothing is left to
    /// be acknowledged, and others wait for its turn.
    at_once_until_ms: u64,
    due: bool,
    at_ms: Option<u64>,
}

/// Says what was told since the last `synced`, as far as somebody may wait until it is applied.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    /// A drain may have begun since the last `synced`, of somebody who had left before that.
    #[default]
    Nothing,
    /// Somebody is there who was not, or is another one.
    Gain,
    /// Somebody may not be there any more; or a heartbeat goes now, and one write does for both.
    AtOnce,
}

// === impl Acks ===

impl Acks {
    pub(super) fn say(&mut self, said: Said) {
        self.said = self.said.max(said);
    }

    /// What was just synced answers a question.
    pub(super) fn answered(&mut self, now_ms: u64) {
        self.at_once_until_ms = now_ms.saturating_add(milliseconds(ACK_AT_ONCE_FOR));
    }

    /// Everything up to this cursor is applied.
    pub(super) fn synced(&mut self, cursor: u64, now_ms: u64) {
        self.alike = if self.cursor == cursor { self.alike + 1 } else { 1 };
        self.cursor = cursor;
        self.waiting += 1;
        self.at_ms.get_or_insert(now_ms.saturating_add(milliseconds(ACK_LATER)));
        let is_gain = std::mem::take(&mut self.said) == Said::Gain;
        self.due |= !is_gain || self.waiting >= ACKS_LATER_MAX || now_ms < self.at_once_until_ms;
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        self.due |= self.at_ms.is_some_and(|at_ms| now_ms >= at_ms);
    }

    /// When [`Acks::tick`] has something to do.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        self.at_ms
    }

    /// The cursors to be acknowledged now; what is said anyway takes along what is not due yet.
    pub(super) fn take(&mut self, is_said_anyway: bool) -> impl Iterator<Item = u64> + use<> {
        let mut alike = 0;
        if self.due || is_said_anyway {
            alike = std::mem::take(&mut self.alike);
            (self.waiting, self.due, self.at_ms) = (0, false, None);
        }
        repeat_n(self.cursor, alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(acks: &mut Acks, is_said_anyway: bool) -> Vec<u64> {
        acks.take(is_said_anyway).collect()
    }

    fn gain(acks: &mut Acks, cursor: u64, now_ms: u64) {
        acks.say(Said::Gain);
        acks.synced(cursor, now_ms);
    }

    #[test]
    fn what_nobody_waits_for_goes_with_what_comes_after_it() {
        let later_ms = milliseconds(ACK_LATER);
        let mut acks = Acks::default();
        assert_eq!((taken(&mut acks, true), acks.wake_at_ms()), (vec![], None), "nothing was told");
        gain(&mut acks, 1, 1_000);
        gain(&mut acks, 2, 1_050);
        assert_eq!((taken(&mut acks, false), acks.wake_at_ms()), (vec![], Some(1_000 + later_ms)));
        acks.tick(1_000 + later_ms - 1);
        assert_eq!(taken(&mut acks, false), [0; 0]);
        acks.tick(1_000 + later_ms);
        assert_eq!((taken(&mut acks, false), acks.wake_at_ms()), (vec![2], None), "one for both");
        acks.tick(9_999);
        assert_eq!(taken(&mut acks, true), [0; 0], "said once");

        gain(&mut acks, 3, 2_000);
        let said = taken(&mut acks, true);
        assert_eq!((said, acks.wake_at_ms()), (vec![3], None), "something is said anyway");
    }

    #[test]
    fn what_somebody_may_wait_for_goes_at_once() {
        let mut acks = Acks::default();
        gain(&mut acks, 1, 0);
        acks.say(Said::AtOnce);
        acks.say(Said::Gain);
        assert_eq!(taken(&mut acks, false), [0; 0], "it is not synced yet");
        acks.synced(2, 1);
        assert_eq!(taken(&mut acks, false), [2]);
        gain(&mut acks, 3, 2);
        assert_eq!(taken(&mut acks, false), [0; 0], "of what came after it nobody waits for anything");
        acks.synced(4, 3);
        assert_eq!(taken(&mut acks, false), [4], "who has left before it may be waited for only now");
    }

    #[test]
    fn who_has_just_asked_acknowledges_all_at_once() {
        let (mut acks, until_ms) = (Acks::default(), milliseconds(ACK_AT_ONCE_FOR));
        acks.answered(0);
        gain(&mut acks, 1, 0);
        assert_eq!(taken(&mut acks, false), [1]);
        gain(&mut acks, 2, until_ms - 1);
        assert_eq!(taken(&mut acks, false), [2]);
        gain(&mut acks, 3, until_ms);
        assert_eq!(taken(&mut acks, false), [0; 0]);
    }

    #[test]
    fn each_of_those_that_have_one_cursor_is_acknowledged() {
        let mut acks = Acks::default();
        [0, 0, 7, 7, 7].into_iter().for_each(|cursor| acks.synced(cursor, 0));
        assert_eq!(taken(&mut acks, true), [7, 7, 7], "the first says so of all before it, and of itself");
        acks.synced(7, 0);
        assert_eq!(taken(&mut acks, true), [7]);
    }

    #[test]
    fn no_more_wait_than_may() {
        let mut acks = Acks::default();
        let most = u64::try_from(ACKS_LATER_MAX).unwrap();
        (1..most).for_each(|cursor| gain(&mut acks, cursor, 0));
        assert_eq!(taken(&mut acks, false), [0; 0]);
        gain(&mut acks, most, 0);
        assert_eq!(taken(&mut acks, false), [most]);
    }
}
