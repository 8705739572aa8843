//! How far Kubernetes is known here, over all sessions, and whether a replica has read less of it.

use rollcall_catalogue::changes::{Position, Reading};

use super::event::Violation;
use crate::limits::{BEHIND_MAX, KINDS_MAX, SILENCE_MAX, milliseconds};

/// While its replica is behind, a client asks so soon for the first time how far it has come, since most are behind by
/// less; and then with each heartbeat or so, since each question has an answer to be acknowledged.
const ASK_FIRST_MS: u64 = 1_000;
const ASK_EVERY_MS: u64 = 3_000;

/// Holds the newest change of each kind that anybody who told knew of, and whether this session's replica has read as far.
/// Of a replica that is behind it is not known whether what it lacks is gone, or not read yet: what it lacks stays shown.
///
/// An etcd that was restored from a backup counts from lower numbers for ever. So the patience with those who are behind
/// has an end, by our own clock, over all sessions.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    known: Position,
    standing: Standing,
    /// What the session's replica has told last of how far it is: it does not say the same twice.
    told: Reading,
    /// How long replicas were behind, since the last that was not; and up to when this session is counted in.
    behind_ms: u64,
    counted_ms: u64,
    ask_at_ms: u64,
}

/// Says how the session's replica stands to what is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Standing {
    /// It has said nothing of it: there is no session, or it is an older build, which is believed as it always was.
    #[default]
    Unsaid,
    Behind,
    /// It has read all that is known here. It stays so: no process unreads anything.
    Abreast,
}

// === impl Horizon ===

impl Horizon {
    /// What an earlier process had been told.
    pub(super) fn restore(&mut self, known: Position) {
        if known.kinds() <= KINDS_MAX {
            self.known = known;
        }
    }

    /// Up to here Kubernetes is known, by anybody's word.
    pub(super) fn known(&self) -> &Position {
        &self.known
    }

    pub(super) fn is_behind(&self) -> bool {
        self.standing == Standing::Behind
    }

    /// The session is over, or another one begins.
    pub(super) fn leave(&mut self) {
        (self.standing, self.told) = (Standing::Unsaid, Reading::default());
    }

    /// The replica stands here as the session begins; nothing of it was told yet.
    pub(super) fn welcome(&mut self, reading: Reading, now_ms: u64) -> Result<(), Violation> {
        self.look(&reading, now_ms)?;
        self.told = reading;
        Ok(())
    }

    /// All was told as it is here.
    pub(super) fn synced(&mut self, reading: Reading, now_ms: u64) -> Result<(), Violation> {
        self.look(&reading, now_ms)?;
        if !reading.reach.is_empty() {
            self.told = reading;
        }
        if self.told.reach.is_empty() {
            return Ok(());
        }
        if self.is_behind() && self.behind_ms >= milliseconds(BEHIND_MAX) {
            // Its numbers are another history's.
            self.known = Position::default();
            self.abreast();
        }
        // What a replica that is behind adds is shown as well: whoever has not read that is behind in turn.
        let joined = std::mem::take(&mut self.known).joined(&self.told.changed);
        self.known = if joined.kinds() <= KINDS_MAX { joined } else { self.told.changed.clone() };
        Ok(())
    }

    /// Time passes in this session. Who stood still for long counts as little of it as of a silence.
    pub(super) fn pass(&mut self, now_ms: u64) {
        if self.is_behind() {
            let passed_ms = now_ms.saturating_sub(self.counted_ms);
            self.behind_ms = self.behind_ms.saturating_add(passed_ms.min(milliseconds(SILENCE_MAX)));
        }
        self.counted_ms = now_ms;
    }

    /// When it is to be asked how far it has come; never while it is not behind.
    pub(super) fn ask_at_ms(&self) -> u64 {
        if self.is_behind() { self.ask_at_ms } else { u64::MAX }
    }

    /// Whether it is to be asked now: from here on it is.
    pub(super) fn take_ask(&mut self, now_ms: u64) -> bool {
        let due = now_ms >= self.ask_at_ms();
        if due {
            self.ask_at_ms = now_ms.saturating_add(ASK_EVERY_MS);
        }
        due
    }

    fn look(&mut self, reading: &Reading, now_ms: u64) -> Result<(), Violation> {
        let Reading { reach, changed } = reading;
        if reach.kinds() > KINDS_MAX || changed.kinds() > KINDS_MAX {
            return Err(Violation::Position);
        }
        self.pass(now_ms);
        if reach.is_empty() || self.standing == Standing::Abreast {
            return Ok(());
        }
        if reach.covers(&self.known) {
            self.abreast();
        } else if self.standing == Standing::Unsaid {
            self.standing = Standing::Behind;
            self.ask_at_ms = now_ms.saturating_add(ASK_FIRST_MS);
        }
        Ok(())
    }

    fn abreast(&mut self) {
        (self.standing, self.behind_ms) = (Standing::Abreast, 0);
    }
}
