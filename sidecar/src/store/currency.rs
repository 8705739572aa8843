//! How current all that is held is: read with each lookup, written with each frame, so both are a word in memory.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

use rollcall_wire::limits::HEARTBEAT_EVERY;
use tokio::time::{Duration, Instant};

/// A live session that was silent for this long is no longer in step: two heartbeats are missing.
pub(super) const IN_STEP_FOR: Duration = HEARTBEAT_EVERY.saturating_mul(2);

/// Says whether the state is being kept current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Contact {
    /// No session has been yet.
    #[default]
    Never,
    /// In session; `caught_up` once everything held from before was answered in it: from then on all that is held is
    /// pushed. `synced` while nothing that was asked for since awaits its answer.
    Live { caught_up: bool, synced: bool },
    /// The session is lost, and with it the word that anything is current.
    Lost,
}

/// Holds whether the state is being kept current, and when all of it last was.
#[derive(Debug)]
pub(super) struct Currency {
    /// When this process began to hold anything.
    begin: Instant,
    contact: AtomicU8,
    /// Milliseconds between the beginning and that moment, which is before it for what the disk had.
    current_at_ms: AtomicI64,
    /// Everything held was current once since this process began.
    confirmed: AtomicBool,
}

/// Nothing was ever current. No process runs for so long, and no state is so old.
const NEVER: i64 = i64::MIN;

// === impl Contact ===

impl Contact {
    const LIVE: u8 = 4;
    const CAUGHT_UP: u8 = 1;
    const SYNCED: u8 = 2;

    const fn word(self) -> u8 {
        match self {
            Self::Never => 0,
            Self::Lost => 1,
            Self::Live { caught_up, synced } => {
                Self::LIVE
                    | if caught_up { Self::CAUGHT_UP } else { 0 }
                    | if synced { Self::SYNCED } else { 0 }
            }
        }
    }

    const fn of(word: u8) -> Self {
        match word {
            0 => Self::Never,
            1 => Self::Lost,
            live => Self::Live { caught_up: live & Self::CAUGHT_UP != 0, synced: live & Self::SYNCED != 0 },
        }
    }
}

// === impl Currency ===

impl Currency {
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            contact: AtomicU8::new(Contact::default().word()),
            current_at_ms: AtomicI64::new(NEVER),
            confirmed: AtomicBool::new(false),
        }
    }

    pub(super) fn contact(&self) -> Contact {
        Contact::of(self.contact.load(Ordering::Relaxed))
    }

    pub(super) fn set_contact(&self, contact: Contact) {
        self.contact.store(contact.word(), Ordering::Relaxed);
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed)
    }

    pub(super) fn confirm(&self) {
        self.confirmed.store(true, Ordering::Relaxed);
    }

    pub(super) fn runs_for(&self) -> Duration {
        self.begin.elapsed()
    }

    /// When everything held was last known to be current, to the millisecond; none where it never was.
    pub(super) fn current_at(&self) -> Option<Instant> {
        let at_ms = self.current_at_ms.load(Ordering::Relaxed);
        let apart = Duration::from_millis(at_ms.unsigned_abs());
        match at_ms {
            NEVER => None,
            0.. => self.begin.checked_add(apart),
            _ => self.begin.checked_sub(apart),
        }
    }

    pub(super) fn set_current_at(&self, at: Instant) {
        let ms = |apart: Duration| i64::try_from(apart.as_millis()).unwrap_or(i64::MAX);
        let at_ms = match at.checked_duration_since(self.begin) {
            Some(later) => ms(later),
            None => -ms(self.begin.saturating_duration_since(at)),
        };
        self.current_at_ms.store(at_ms, Ordering::Relaxed);
    }

    /// Since everything held was current, or else since the beginning.
    pub(super) fn since_current(&self) -> Duration {
        self.current_at().unwrap_or(self.begin).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_read_as_they_were_written() {
        let live = [(false, false), (false, true), (true, false), (true, true)];
        let live = live.map(|(caught_up, synced)| Contact::Live { caught_up, synced });
        for contact in live.into_iter().chain([Contact::Never, Contact::Lost]) {
            assert_eq!(Contact::of(contact.word()), contact);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn moments_before_the_beginning_and_after_it_are_kept() {
        let early = Instant::now();
        tokio::time::advance(Duration::from_secs(100)).await;
        let currency = Currency::new();
        assert_eq!(currency.current_at(), None);
        tokio::time::advance(Duration::from_secs(100)).await;
        for at in [early, currency.begin, Instant::now()] {
            currency.set_current_at(at);
            assert_eq!(currency.current_at(), Some(at));
        }
        currency.set_current_at(early);
        assert_eq!(currency.since_current(), Duration::from_secs(200));
    }
}
