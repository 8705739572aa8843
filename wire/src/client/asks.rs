//! What people ask the controller through this session, and what it has answered so far.

use std::collections::BTreeMap;

use super::event::Violation;
use crate::{
    limits::{ASKS_MAX, TOLD_FRAMES_MAX},
    question::{Explained, Found, Question, Told, Unknown},
};

/// Holds the questions of one session that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Asks {
    open: BTreeMap<u64, Kind>,
    /// The answer that is being told, and in how many frames so far.
    collecting: Option<(u64, Answer, usize)>,
}

/// Says what an answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Explained,
    Found,
}

/// Holds what one frame says, or all of them so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) unknown: Option<Unknown>,
    pub(super) explained: Vec<Explained>,
    pub(super) found: Vec<Found>,
}

// === impl Asks ===

impl Asks {
    /// Whether there is room for one more.
    pub(super) fn ask(&mut self, ask: u64, question: &Question) -> bool {
        let kind = match question {
            Question::Explain { .. } => Kind::Explained,
            Question::Address(_) => Kind::Found,
        };
        let fits = self.open.len() < ASKS_MAX;
        if fits {
            self.open.insert(ask, kind);
        }
        fits
    }

    /// The whole answer, once this was its last part.
    pub(super) fn take(&mut self, ask: u64, part: Answer, more: bool) -> Result<Option<Told>, Violation> {
        let (mut answer, frames) = match self.collecting.take() {
            None => (Answer::default(), 0),
            Some((collecting, answer, frames)) if collecting == ask => (answer, frames),
            Some(_) => return Err(Violation::Answer),
        };
        let Some(kind) = self.open.get(&ask).copied() else { return Err(Violation::Answer) };
        answer.unknown = answer.unknown.or(part.unknown);
        answer.explained.extend(part.explained);
        answer.found.extend(part.found);
        if more {
            if frames + 1 >= TOLD_FRAMES_MAX {
                return Err(Violation::Answer);
            }
            self.collecting = Some((ask, answer, frames + 1));
            return Ok(None);
        }
        self.open.remove(&ask);
        Ok(Some(match (answer.unknown, kind) {
            (Some(Unknown::Service), _) => Told::UnknownService,
            (Some(Unknown::Instance), _) => Told::UnknownInstance,
            (None, Kind::Explained) => Told::Explained(answer.explained),
            (None, Kind::Found) => Told::Found(answer.found),
        }))
    }
}
