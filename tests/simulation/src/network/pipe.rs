//! One direction of a connection: bytes in order, in pieces, late, and no more of them than the sockets hold.

use std::collections::VecDeque;

use crate::agenda::Millis;

/// Holds what is under way in one direction, and what has come and was not read.
#[derive(Debug)]
pub(super) struct Pipe {
    under_way: VecDeque<Piece>,
    bytes_under_way: usize,
    unread: Vec<u8>,
    /// What both ends' sockets hold together.
    capacity: usize,
    /// When the last piece will come: none overtakes another.
    pub(super) last_at_ms: Millis,
    /// Pieces that were due while nothing came through.
    owed: usize,
    /// Nothing will ever come through again, and nobody is told.
    pub(super) lost: bool,
    /// The writer found no room since there was any.
    starved: bool,
    /// The end has come: there is nothing behind it.
    ended: bool,
}

/// Holds what arrives at once.
#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    End,
}

/// Says what a piece brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is stuck, or there is nobody to take it.
    Nothing,
    Bytes,
    /// The other end has closed or reset the connection.
    End,
}

// === impl Pipe ===

impl Pipe {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            under_way: VecDeque::new(),
            bytes_under_way: 0,
            unread: Vec::new(),
            capacity,
            last_at_ms: 0,
            owed: 0,
            lost: false,
            starved: false,
            ended: false,
        }
    }

    /// How many bytes a writer may write now. One that finds no room is woken when there is some.
    pub(super) fn room(&mut self) -> usize {
        let room = self.capacity.saturating_sub(self.bytes_under_way + self.unread.len());
        self.starved |= room == 0;
        room
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes_under_way += bytes.len();
        self.under_way.push_back(Piece::Bytes(bytes.to_vec()));
    }

    /// The end comes behind everything; with a reset, in place of it.
    pub(super) fn end(&mut self, reset: bool) {
        if reset {
            self.under_way.clear();
            self.bytes_under_way = 0;
        }
        self.under_way.push_back(Piece::End);
    }

    /// A piece was due, and is stuck.
    pub(super) fn owe(&mut self) {
        self.owed += 1;
    }

    pub(super) fn take_owed(&mut self) -> usize {
        std::mem::take(&mut self.owed)
    }

    pub(super) fn arrive(&mut self) -> Arrival {
        match self.under_way.pop_front() {
            Some(Piece::Bytes(bytes)) if !self.ended => {
                self.bytes_under_way -= bytes.len();
                self.unread.extend(bytes);
                Arrival::Bytes
            }
            Some(Piece::End) => {
                self.ended = true;
                Arrival::End
            }
            Some(Piece::Bytes(_)) | None => Arrival::Nothing,
        }
    }

    /// So many bytes at most; and whether the writer waits for the room.
    pub(super) fn read(&mut self, bytes_max: usize) -> (Vec<u8>, bool) {
        let count = bytes_max.min(self.unread.len());
        let read = self.unread.drain(..count).collect::<Vec<_>>();
        let wakes = !read.is_empty() && std::mem::take(&mut self.starved);
        (read, wakes)
    }

    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }
}
