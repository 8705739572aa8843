//! Answers to people, in as many frames as they need: made one at a time, when the socket takes it.

use std::{collections::VecDeque, iter::Peekable, vec::IntoIter};

use bytes::Bytes;

use crate::{
    feed::{Room, encoded},
    frame::Down,
    limits::TOLD_FRAMES_MAX,
    question::{Explained, Found, Told, Unknown},
};

/// Holds the answers that are to be told, one after the other.
#[derive(Debug, Default)]
pub(super) struct Telling(VecDeque<Answer>);

/// Holds what is left of one.
#[derive(Debug)]
struct Answer {
    ask: u64,
    unknown: Option<Unknown>,
    explained: Peekable<IntoIter<Explained>>,
    found: Peekable<IntoIter<Found>>,
    frames: usize,
}

// === impl Telling ===

impl Telling {
    pub(super) fn add(&mut self, ask: u64, told: Told) {
        self.0.push_back(Answer::new(ask, told));
    }

    pub(super) fn has_more(&self) -> bool {
        !self.0.is_empty()
    }

    /// The next frame, and whether it ends its answer.
    pub(super) fn speak(&mut self) -> Option<(Bytes, bool)> {
        let answer = self.0.front_mut()?;
        let frame = answer.next_frame();
        let ends = !matches!(frame, Down::Told { more: true, .. });
        if ends {
            self.0.pop_front();
        }
        encoded(&frame).ok().map(|frame| (frame, ends))
    }
}

// === impl Answer ===

impl Answer {
    fn new(ask: u64, told: Told) -> Self {
        let (unknown, explained, found) = match told {
            Told::UnknownService => (Some(Unknown::Service), Vec::new(), Vec::new()),
            Told::UnknownInstance => (Some(Unknown::Instance), Vec::new(), Vec::new()),
            Told::Explained(explained) => (None, explained, Vec::new()),
            Told::Found(found) => (None, Vec::new(), found),
        };
        let (explained, found) = (explained.into_iter().peekable(), found.into_iter().peekable());
        Self { ask, unknown, explained, found, frames: 0 }
    }

    /// What fits into one frame of what is left; nothing is left after the last frame that an answer may have.
    fn next_frame(&mut self) -> Down {
        let (mut room, mut explained, mut found) = (Room::default(), Vec::new(), Vec::new());
        // The first of a frame fits: the domain's limits rule out one that is larger.
        while let Some(one) =
            self.explained.next_if(|one| room.take(one).unwrap_or(false) || explained.is_empty())
        {
            explained.push(one);
        }
        while let Some(one) = self
            .found
            .next_if(|one| explained.is_empty() && (room.take(one).unwrap_or(false) || found.is_empty()))
        {
            found.push(one);
        }
        self.frames += 1;
        let left = self.explained.peek().is_some() || self.found.peek().is_some();
        let more = left && self.frames < TOLD_FRAMES_MAX;
        Down::Told { ask: self.ask, unknown: self.unknown, explained, found, more }
    }
}
