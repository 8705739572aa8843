//! A connection: two ends, and what is under way between them.

use std::{collections::VecDeque, net::SocketAddr, task::Waker};

use bytes::{Bytes, BytesMut};

use super::{Event, State, again_ms};
use crate::Millis;

/// Bytes that one end may have sent and the other not read: the buffers of two sockets.
pub(super) const WINDOW: usize = 64 * 1024;

/// Names an end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Dialled,
    Accepted,
}

#[derive(Debug)]
pub(super) struct Connection {
    ends: [End; 2],
}

/// Holds what a machine knows of its end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) address: SocketAddr,
    /// Nobody has this end any more.
    pub(super) gone: bool,
    /// What it sent that has not arrived, in its order; a none is its last word.
    pub(super) queue: VecDeque<(Millis, Option<Bytes>)>,
    /// The bytes among it.
    queued: usize,
    /// A look at the queue is on the agenda.
    scheduled: bool,
    /// Times in a row that what is due found no way.
    tries: u32,
    /// When the last of it is due.
    last_ms: Millis,
    /// It said its last word.
    pub(super) shut: bool,
    /// What arrived and is not read.
    pub(super) inbox: BytesMut,
    /// The other end's last word arrived.
    pub(super) ended: bool,
    /// It was told that there is no such connection.
    pub(super) was_reset: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

// === impl Side ===

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Dialled, Self::Accepted];

    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialled => Self::Accepted,
            Self::Accepted => Self::Dialled,
        }
    }
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(dialled: SocketAddr, accepted: SocketAddr) -> Self {
        Self { ends: [dialled, accepted].map(End::new) }
    }

    pub(super) fn end(&self, side: Side) -> &End {
        let [dialled, accepted] = &self.ends;
        match side {
            Side::Dialled => dialled,
            Side::Accepted => accepted,
        }
    }

    pub(super) fn end_mut(&mut self, side: Side) -> &mut End {
        let [dialled, accepted] = &mut self.ends;
        match side {
            Side::Dialled => dialled,
            Side::Accepted => accepted,
        }
    }

    /// Bytes that this end may send now.
    pub(super) fn room(&self, from: Side) -> usize {
        WINDOW.saturating_sub(self.end(from).queued + self.end(from.other()).inbox.len())
    }
}

// === impl End ===

impl End {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            gone: false,
            queue: VecDeque::new(),
            queued: 0,
            scheduled: false,
            tries: 0,
            last_ms: 0,
            shut: false,
            inbox: BytesMut::new(),
            ended: false,
            was_reset: false,
            reader: None,
            writer: None,
        }
    }

    /// Nothing more comes of it, nor of what it had sent.
    pub(super) fn forget(&mut self) {
        self.gone = true;
        self.queue.clear();
        self.inbox.clear();
        self.queued = 0;
    }
}

// === impl State ===

impl State {
    /// This end sends so much, or its last word.
    pub(super) fn send(&mut self, number: u64, from: Side, bytes: Option<Bytes>) {
        let Some(connection) = self.connections.get(&number) else { return };
        let (ours, theirs) = (connection.end(from).address.ip(), connection.end(from.other()).address.ip());
        let way = self.way(ours, theirs);
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let end = connection.end_mut(from);
        let length = bytes.as_ref().map_or(0, Bytes::len);
        let takes_ms = way.bytes_per_ms.map_or(0, |rate| length as u64 / rate.max(1));
        let due_ms = (now_ms + way.latency_ms).max(end.last_ms) + takes_ms;
        end.last_ms = due_ms;
        end.queued += length;
        end.shut |= bytes.is_none();
        end.queue.push_back((due_ms, bytes));
        if !std::mem::replace(&mut end.scheduled, true) {
            self.schedule(due_ms - now_ms, Event::Bytes { connection: number, from });
        }
    }

    /// What this end sent arrives, as far as it is due and there is a way.
    pub(super) fn carry(&mut self, number: u64, from: Side, wakers: &mut Vec<Waker>) {
        let Some(connection) = self.connections.get(&number) else { return };
        let (ours, theirs) = (connection.end(from).address.ip(), connection.end(from.other()).address.ip());
        let passes = self.passes(ours, theirs);
        let now_ms = self.now_ms;
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let nobody_there = connection.end(from.other()).gone;
        let end = connection.end_mut(from);
        end.scheduled = false;
        let Some((due_ms, _)) = end.queue.front() else { return };
        if *due_ms > now_ms {
            let in_ms = *due_ms - now_ms;
            end.scheduled = true;
            return self.schedule(in_ms, Event::Bytes { connection: number, from });
        }
        if !passes {
            let in_ms = again_ms(end.tries);
            end.tries += 1;
            end.scheduled = true;
            return self.schedule(in_ms, Event::Bytes { connection: number, from });
        }
        end.tries = 0;
        if nobody_there {
            end.queue.clear();
            end.queued = 0;
            let is_heard = !end.gone;
            let in_ms = self.latency_ms(number, from.other());
            if is_heard {
                self.schedule(in_ms, Event::Reset { connection: number, toward: from });
            }
            return self.sweep();
        }
        let mut arrived = Vec::new();
        while let Some((_, bytes)) = end.queue.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            end.queued -= bytes.as_ref().map_or(0, Bytes::len);
            arrived.push(bytes);
        }
        let next = end.queue.front().map(|(due_ms, _)| *due_ms - now_ms);
        end.scheduled = next.is_some();
        let is_over = end.gone && end.queue.is_empty();
        let other = connection.end_mut(from.other());
        for bytes in arrived {
            match bytes {
                Some(bytes) => other.inbox.extend_from_slice(&bytes),
                None => other.ended = true,
            }
        }
        let waker = other.reader.take();
        self.touch(theirs, waker, wakers);
        if let Some(in_ms) = next {
            self.schedule(in_ms, Event::Bytes { connection: number, from });
        }
        if is_over {
            self.sweep();
        }
    }

    /// This end hears that there is no such connection, if there is a way.
    pub(super) fn reset(&mut self, number: u64, toward: Side, wakers: &mut Vec<Waker>) {
        let Some(connection) = self.connections.get(&number) else { return };
        let (theirs, ours) =
            (connection.end(toward.other()).address.ip(), connection.end(toward).address.ip());
        if !self.passes(theirs, ours) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let end = connection.end_mut(toward);
        end.was_reset = true;
        end.queue.clear();
        end.queued = 0;
        let (reader, writer) = (end.reader.take(), end.writer.take());
        self.touch(ours, reader, wakers);
        self.touch(ours, writer, wakers);
    }
}
