//! The controller's own clockwork: whether it was paused, and so deaf.

/// A tick of the session clock that is this late means that we were paused, and so deaf.
const TICK_LATE_MS: u64 = 3_000;

/// How long after a pause silence still says nothing: whoever is alive is heard within the session clock's limit.
const RECOVERY_MS: u64 = super::SILENT_AFTER_MS;

/// Holds the controller's own clockwork: when it last ticked, and when it last came back from a pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks {
    last_ms: Option<u64>,
    resumed_ms: Option<u64>,
}

// === impl Ticks ===

impl Ticks {
    /// A tick of the session clock, which should come every second.
    pub fn tick(&mut self, now_ms: u64) {
        if self.last_ms.is_some_and(|last_ms| now_ms.saturating_sub(last_ms) >= TICK_LATE_MS) {
            self.resumed_ms = Some(now_ms);
        }
        self.last_ms = Some(now_ms);
    }

    /// Whether a pause is so recent that those who are alive may not have been heard again. A clock that has not
    /// ticked for too long is paused now, whoever asks first.
    pub fn recovering(&self, now_ms: u64) -> bool {
        let late = self.last_ms.is_some_and(|last_ms| now_ms.saturating_sub(last_ms) >= TICK_LATE_MS);
        late || self.resumed_ms.is_some_and(|resumed_ms| now_ms.saturating_sub(resumed_ms) < RECOVERY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_ticks_are_a_pause() {
        let mut ticks = Ticks::default();
        assert!(!ticks.recovering(1_000_000), "not begun yet");
        for second in 0..10 {
            ticks.tick(second * 1_000);
            assert!(!ticks.recovering(second * 1_000 + 999));
        }
        assert!(ticks.recovering(9_000 + 30_000), "asked before the late tick itself");
        ticks.tick(39_000);
        assert!(ticks.recovering(39_000 + RECOVERY_MS - 1));
        for second in 40..60 {
            ticks.tick(second * 1_000);
        }
        assert!(!ticks.recovering(59_000));
    }
}
