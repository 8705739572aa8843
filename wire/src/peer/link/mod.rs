//! One end of a link between two replicas as a state machine without IO: frames in, frames out. Both ends are the same.
//!
//! There is no queue of notes. What is to be told is what the ledger holds beyond a number; a slow reader skips states. The
//! other end is told what is written here, and what is known here of processes that it does not hear itself: so each change
//! goes over each link to whoever lacks it once, and what one process knew comes to all that are left when it dies.
//!
//! ```text
//!  hear(frame) ─► Heard: what the shell must do      Ledger ─ what the other end lacks ─► speak() ─► frame
//! ```

mod clock;
mod theirs;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use clock::{Clock, Due};
use rollcall_catalogue::{PodUid, ServiceKey};
use theirs::Theirs;

use super::{
    bounds,
    frame::{Beat, Frame, Introduction, OutsideWord},
    ledger::Ledger,
    note::Note,
    record::Version,
    violation::Violation,
};
use crate::{
    limits::{PEER_WORDS_MAX, TOKEN_EVERY, milliseconds},
    server::reason,
    token::Token,
};

/// Holds one end of a link: what the other end is known to have, and what it is still to be told.
#[derive(Debug)]
pub struct Link {
    who: Introduction,
    ledger: Arc<Ledger>,
    stage: Stage,
    hello: bool,
    /// Who is at the other end, and whom it hears.
    other: Option<(Introduction, Vec<Arc<str>>)>,
    theirs: Theirs,
    /// All notes up to this number were looked at.
    cursor: u64,
    synced: bool,
    beat: Beat,
    /// The newest that the other end was told.
    beat_told: Beat,
    words: VecDeque<Frame>,
    clock: Clock,
    farewell: Option<String>,
    /// When the last token of the other end was taken.
    renewed_ms: Option<u64>,
    unknown_frames: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `hello` of the other end has not come.
    Silent,
    Open,
    /// `goaway` was sent or heard, or nobody took it.
    Closed,
}

/// Says what the shell must do about a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Hello {
        who: Introduction,
        beat: Beat,
    },
    /// Newer than what the ledger holds. It is told once: whoever drops it is not told again before it changes.
    Note(Arc<Note>),
    /// All that the other end knew has come.
    Synced,
    Beat(Beat),
    Token {
        digest: String,
        pod: PodUid,
        good_for_seconds: u64,
    },
    /// To be reviewed; one that is no good says nothing of the link.
    Renewed(Token),
    Outside {
        answers: Vec<OutsideWord>,
        /// These take the place of all before.
        whole: bool,
    },
    /// To be answered with [`Frame::Drained`].
    Drain {
        ask: u64,
        pod: PodUid,
        version: Option<Version>,
        services: Vec<ServiceKey>,
        deadline_ms: u64,
    },
    Drained {
        ask: u64,
        acked: u32,
        subscribers: u32,
        late: Vec<String>,
    },
    /// The last frame.
    Goaway(String),
}

// === impl Link ===

impl Link {
    /// An end that says who we are, in the clock of the notes of this ledger.
    pub fn new(who: Introduction, beat: Beat, ledger: Arc<Ledger>, now_ms: u64) -> Self {
        Self {
            who,
            ledger,
            stage: Stage::Silent,
            hello: true,
            other: None,
            theirs: Theirs::default(),
            cursor: 0,
            synced: false,
            beat,
            beat_told: Beat::default(),
            words: VecDeque::new(),
            clock: Clock::new(now_ms),
            farewell: None,
            renewed_ms: None,
            unknown_frames: 0,
        }
    }

    /// Who is at the other end; none before its hello.
    pub fn other(&self) -> Option<&Introduction> {
        self.other.as_ref().map(|(who, _)| who)
    }

    /// Why the link ends, or has ended; none while it does not.
    pub fn farewell(&self) -> Option<&str> {
        self.farewell.as_deref()
    }

    /// Frames of types that are not known here.
    pub fn unknown_frames(&self) -> u64 {
        self.unknown_frames
    }

    pub fn closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// What the shell must do about this frame. After a violation the link ends with its text.
    pub fn hear(&mut self, frame: Frame, now_ms: u64) -> Result<Vec<Heard>, Violation> {
        if self.farewell.is_some() {
            return Ok(Vec::new());
        }
        let heard = self.understand(frame, now_ms);
        Ok(heard.inspect_err(|violation| self.go_away(violation.to_string()))?.into_iter().collect())
    }

    /// How we stand, from now on: only the newest is told. At once where it says whom we hear or whether we serve, since
    /// others wait for that.
    pub fn set_beat(&mut self, beat: Beat) {
        let is_news = |told: &Beat| beat.hears != told.hears || beat.standing != told.standing;
        self.clock.beat_due |= self.stage == Stage::Open && is_news(&self.beat_told);
        self.beat = beat;
    }

    /// An answer, a question or a word beside the notes, told in the order in which they are said.
    pub fn say(&mut self, frame: Frame) {
        if self.words.len() >= PEER_WORDS_MAX {
            return self.go_away(reason::SLOW);
        }
        self.words.push_back(frame);
    }

    /// How many more may be said now.
    pub fn room(&self) -> usize {
        PEER_WORDS_MAX.saturating_sub(self.words.len())
    }

    /// The link ends after this word.
    pub fn go_away(&mut self, reason: impl Into<String>) {
        self.farewell.get_or_insert_with(|| reason.into());
    }

    /// Whether there may be something to say. The shell asks again whenever the ledger has changed.
    pub fn has_more(&self) -> bool {
        match self.stage {
            Stage::Closed => false,
            _ if self.farewell.is_some() || self.hello => true,
            Stage::Silent => false,
            Stage::Open => {
                self.clock.beat_due
                    || !self.words.is_empty()
                    || !self.synced
                    || self.ledger.number() > self.cursor
            }
        }
    }

    /// The next frame that the socket may take; none while there is nothing to say.
    pub fn speak(&mut self, now_ms: u64) -> Option<Bytes> {
        if self.stage == Stage::Closed {
            return None;
        }
        if let Some(reason) = self.farewell.clone() {
            self.stage = Stage::Closed;
            return bounds::encoded(&Frame::Goaway { reason }).ok();
        }
        if self.hello {
            self.hello = false;
            self.beat_told = self.beat.clone();
            return bounds::encoded(&Frame::Hello { who: self.who.clone(), beat: self.beat.clone() }).ok();
        }
        if self.stage == Stage::Silent {
            return None;
        }
        if self.clock.beat_due {
            self.clock.beat(now_ms);
            self.beat_told = self.beat.clone();
            return bounds::encoded(&Frame::Beat(self.beat.clone())).ok();
        }
        self.word().or_else(|| self.note(now_ms)).or_else(|| self.sync())
    }

    /// Call [`Link::tick`] then at the latest.
    pub fn wake_at_ms(&self) -> u64 {
        self.clock.wake_at_ms(self.farewell.is_some())
    }

    /// Beats, silence and slowness.
    pub fn tick(&mut self, now_ms: u64) {
        match self.clock.tick(now_ms, self.farewell.is_some()) {
            Due::Nothing => {}
            Due::Farewell(reason) => self.go_away(reason),
            Due::Closed => self.stage = Stage::Closed,
        }
    }

    /// Words hold a few names, and fit.
    fn word(&mut self) -> Option<Bytes> {
        std::iter::from_fn(|| self.words.pop_front()).find_map(|frame| bounds::encoded(&frame).ok())
    }

    /// The next note that the other end lacks.
    fn note(&mut self, now_ms: u64) -> Option<Bytes> {
        // What was put before this was read is found below, unless it is forgotten.
        let newest = self.ledger.number();
        while let Some((number, note)) = self.ledger.next_after(self.cursor) {
            self.cursor = number;
            if self.is_told_elsewhere(&note) {
                continue;
            }
            let lacks = !self.theirs.has(&note);
            // The ledger's own, in place of an equal one that is kept for us alone.
            self.theirs.learn(note.clone(), &self.ledger);
            if let Some(frame) = lacks.then(|| bounds::record(note.told(now_ms))).flatten() {
                return Some(frame);
            }
        }
        self.cursor = newest.max(self.cursor);
        None
    }

    /// All that was known at the other end's hello is told only when nothing is left: what was replaced since then stands
    /// further back.
    fn sync(&mut self) -> Option<Bytes> {
        let first = !std::mem::replace(&mut self.synced, true);
        first.then(|| bounds::encoded(&Frame::Synced).ok()).flatten()
    }

    /// Whoever wrote the note tells it: the other end itself, or a process that it hears.
    fn is_told_elsewhere(&self, note: &Note) -> bool {
        let by = |(who, hears): &(Introduction, Vec<Arc<str>>)| {
            who.epoch == note.origin || hears.contains(&note.origin)
        };
        note.origin != self.who.epoch && self.other.as_ref().is_some_and(by)
    }

    /// The other end hears these from now on. What those wrote that it hears no longer may never have come to it.
    fn hears(&mut self, hears: &[Arc<str>]) {
        let Some((_, before)) = &mut self.other else { return };
        if before.iter().any(|epoch| !hears.contains(epoch)) {
            self.cursor = 0;
        }
        *before = hears.to_vec();
    }

    fn understand(&mut self, frame: Frame, now_ms: u64) -> Result<Option<Heard>, Violation> {
        if frame != Frame::Unknown && (self.stage == Stage::Silent) != matches!(frame, Frame::Hello { .. }) {
            return Err(Violation::Hello);
        }
        if self.stage == Stage::Open || frame != Frame::Unknown {
            self.clock.heard(now_ms);
        }
        Ok(Some(match frame {
            Frame::Hello { who, beat } => {
                bounds::check_who(&who, &self.who)?;
                bounds::check_beat(&beat)?;
                self.stage = Stage::Open;
                self.clock.opened(now_ms);
                self.other = Some((who.clone(), beat.hears.clone()));
                // Ours may have been told long ago.
                self.clock.beat_due = !self.hello && self.beat != self.beat_told;
                Heard::Hello { who, beat }
            }
            Frame::Record(record) => {
                bounds::check_record(&record)?;
                let note = Arc::new(Note::of(*record, now_ms));
                let held = self.ledger.get(&note.pod).filter(|held| !note.is_newer_than(held));
                self.theirs.learn(note.clone(), &self.ledger);
                return Ok(held.is_none().then_some(Heard::Note(note)));
            }
            Frame::Synced => Heard::Synced,
            Frame::Beat(beat) => {
                bounds::check_beat(&beat)?;
                self.hears(&beat.hears);
                Heard::Beat(beat)
            }
            Frame::Token { digest, pod, good_for_seconds } => Heard::Token { digest, pod, good_for_seconds },
            Frame::Renewed { token } => {
                let may = |then_ms| now_ms >= then_ms + milliseconds(TOKEN_EVERY);
                if !token.fits() || !self.renewed_ms.is_none_or(may) {
                    return Ok(None);
                }
                self.renewed_ms = Some(now_ms);
                Heard::Renewed(token)
            }
            Frame::Outside { answers, whole } => {
                bounds::check_outside(&answers)?;
                Heard::Outside { answers, whole }
            }
            Frame::Drain { ask, pod, version, services, deadline_ms } => {
                Heard::Drain { ask, pod, version, services, deadline_ms }
            }
            Frame::Drained { ask, acked, subscribers, late } => {
                Heard::Drained { ask, acked, subscribers, late }
            }
            Frame::Goaway { reason } => {
                self.stage = Stage::Closed;
                self.farewell = Some(reason.clone());
                Heard::Goaway(reason)
            }
            Frame::Unknown => {
                self.unknown_frames += 1;
                return Ok(None);
            }
        }))
    }
}

#[cfg(test)]
mod tests;
