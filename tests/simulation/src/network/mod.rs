//! The network between the sidecars and the controllers, and among these: ordered streams of bytes, and all that befalls them.
//!
//! ```text
//!  send ──► pieces of any size ──► delay ──► Arrive ──► unread ──► read
//!             │ no more than the sockets hold   │ cut off: owed until it is healed
//!             └ Writable when there is room     └ lost: never, and nobody is told
//! ```

mod pipe;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use pipe::Arrival;
use pipe::Pipe;

use crate::{
    agenda::{Agenda, Millis},
    chance::Chance,
};

/// What comes again after a cut was healed comes when the kernel sends it again, and that grows with its attempts.
const SENT_AGAIN_MS: std::ops::RangeInclusive<u64> = 20..=1_500;

/// Names a connection; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Names a node; those of the controllers are none of them.
pub(crate) type NodeId = usize;

/// Names a replica of the controller, whatever process it is.
pub(crate) type ReplicaNo = usize;

/// Says where an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Host {
    Node(NodeId),
    Replica(ReplicaNo),
}

/// One direction between two hosts: from, to.
pub(crate) type Way = (Host, Host);

/// Says which end of a connection is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum End {
    Dialler,
    Listener,
}

/// Says what the network does to the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Something is due at this end.
    Arrive(ConnectionId, End),
    /// This end may write again.
    Writable(ConnectionId, End),
}

/// Says how an end lets go of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// What was sent comes first.
    Close,
    /// What was not read yet is lost.
    Reset,
    /// The other end hears nothing: its machine is gone.
    Vanish,
    /// What was sent comes, and then nothing more: the word of the end is lost.
    Forget,
}

/// Holds the connections and the state of the ways.
#[derive(Debug, Default)]
pub(crate) struct Network {
    connections: BTreeMap<ConnectionId, Connection>,
    opened: u64,
    /// Those on which nothing comes through now.
    cut: BTreeSet<Way>,
    /// Added to each delay.
    pub(crate) slowness_ms: u64,
    /// Of a hundred connections, so many are over a bad way: what is said on a better one afterwards is heard before.
    pub(crate) bad_ways: u64,
}

#[derive(Debug)]
struct Connection {
    /// Of the dialler, and of the listener.
    hosts: [Host; 2],
    delay_ms: u64,
    /// Towards the listener, and towards the dialler.
    up: Pipe,
    down: Pipe,
    /// The ends that have let go of it.
    left: BTreeSet<End>,
}

// === impl End ===

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }
}

// === impl Network ===

impl Network {
    pub(crate) fn open(&mut self, from: Host, to: Host, chance: &mut Chance) -> ConnectionId {
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let capacity = |chance: &mut Chance| match chance.percent(20) {
            // A frame or two: a writer is in the middle of one nearly always.
            true => chance.within(200..=2_000),
            false => chance.within(8_000..=64_000),
        };
        let (up, down) = (capacity(chance), capacity(chance));
        let pipe = |capacity: u64| Pipe::new(usize::try_from(capacity).unwrap_or(usize::MAX));
        // Replicas are near each other.
        let bad = matches!(from, Host::Node(_)) && chance.percent(self.bad_ways);
        let delay_ms = if bad { chance.within(200..=1_000) } else { chance.within(1..=30) };
        let hosts = [from, to];
        let connection =
            Connection { hosts, delay_ms, up: pipe(up), down: pipe(down), left: BTreeSet::new() };
        self.connections.insert(id, connection);
        id
    }

    /// Whether anything comes through from one of them to the other.
    pub(crate) fn reaches(&self, from: Host, to: Host) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// The same in both directions.
    pub(crate) fn is_whole(&self, one: Host, other: Host) -> bool {
        self.reaches(one, other) && self.reaches(other, one)
    }

    /// Who is at this end.
    pub(crate) fn host(&self, id: ConnectionId, end: End) -> Option<Host> {
        let [dialler, listener] = self.connections.get(&id)?.hosts;
        Some(if end == End::Dialler { dialler } else { listener })
    }

    /// How long something takes on this connection now.
    fn delay(&self, id: ConnectionId, chance: &mut Chance) -> Millis {
        let usual = self.connections.get(&id).map_or(1, |connection| connection.delay_ms);
        chance.within(usual / 2..=usual * 2) + chance.within(0..=self.slowness_ms)
    }

    /// Takes what there is room for from the front of this, in pieces; gives how much that was.
    pub(crate) fn send<E: From<Signal>>(
        &mut self,
        id: ConnectionId,
        from: End,
        bytes: &[u8],
        chance: &mut Chance,
        agenda: &mut Agenda<E>,
    ) -> usize {
        let room = self.pipe(id, from.other()).map_or(0, Pipe::room);
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        let mut rest = taken;
        while !rest.is_empty() {
            // One byte, a part of a frame, or many frames at once.
            let most = *chance.pick(&[1, 40, 1_500, 20_000]).unwrap_or(&1_500);
            let size = usize::try_from(chance.within(1..=most)).unwrap_or(1).min(rest.len());
            let (piece, after) = rest.split_at(size);
            rest = after;
            if let Some(pipe) = self.pipe(id, from.other()) {
                pipe.push(piece);
            }
            self.dispatch(id, from.other(), chance, agenda);
        }
        taken.len()
    }

    /// Whether this end's socket takes anything now; if not, its writer is woken when it does.
    pub(crate) fn room(&mut self, id: ConnectionId, from: End) -> bool {
        self.pipe(id, from.other()).is_some_and(|pipe| pipe.room() > 0)
    }

    /// This end lets go; what is unread here is nobody's any more.
    pub(crate) fn leave<E: From<Signal>>(
        &mut self,
        id: ConnectionId,
        who: End,
        how: Farewell,
        chance: &mut Chance,
        agenda: &mut Agenda<E>,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.left.insert(who) {
            return;
        }
        if connection.left.len() == 2 {
            self.connections.remove(&id);
            return;
        }
        match how {
            Farewell::Vanish => return self.lose(id, who.other()),
            Farewell::Forget => return,
            Farewell::Close | Farewell::Reset => {}
        }
        if let Some(pipe) = self.pipe(id, who.other()) {
            pipe.end(how == Farewell::Reset);
        }
        self.dispatch(id, who.other(), chance, agenda);
    }

    /// Nothing more will come to this end, and it is not told.
    pub(crate) fn lose(&mut self, id: ConnectionId, to: End) {
        if let Some(pipe) = self.pipe(id, to) {
            pipe.lost = true;
        }
    }

    /// Whether it is over a good way.
    pub(crate) fn is_quick(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.delay_ms <= 30)
    }

    pub(crate) fn is_lost(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(|connection| connection.up.lost || connection.down.lost)
    }

    /// The next piece is due at this end.
    pub(crate) fn arrive(&mut self, id: ConnectionId, to: End) -> Arrival {
        let Some(connection) = self.connections.get(&id) else { return Arrival::Nothing };
        let (from, at) = connection.way(to);
        let (reaches, gone) = (self.reaches(from, at), connection.left.contains(&to));
        let Some(pipe) = self.pipe(id, to).filter(|pipe| !pipe.lost) else { return Arrival::Nothing };
        if !reaches {
            pipe.owe();
            return Arrival::Nothing;
        }
        let arrival = pipe.arrive();
        if gone { Arrival::Nothing } else { arrival }
    }

    pub(crate) fn read<E: From<Signal>>(
        &mut self,
        id: ConnectionId,
        at: End,
        bytes_max: usize,
        chance: &mut Chance,
        agenda: &mut Agenda<E>,
    ) -> Vec<u8> {
        let (bytes, wakes) = self.pipe(id, at).map_or((Vec::new(), false), |pipe| pipe.read(bytes_max));
        if wakes {
            agenda.after(self.delay(id, chance), Signal::Writable(id, at.other()).into());
        }
        bytes
    }

    pub(crate) fn has_unread(&self, id: ConnectionId, at: End) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.towards(at).has_unread())
    }

    /// Everything that the other end sent has come, and its farewell.
    pub(crate) fn ended(&self, id: ConnectionId, at: End) -> bool {
        self.connections.get(&id).is_none_or(|connection| connection.towards(at).ended())
    }

    pub(crate) fn cut(&mut self, way: Way) {
        self.cut.insert(way);
    }

    /// Nothing is cut any more.
    pub(crate) fn heal_all<E: From<Signal>>(&mut self, chance: &mut Chance, agenda: &mut Agenda<E>) {
        let ways: Vec<_> = self.cut.iter().copied().collect();
        self.heal(&ways, chance, agenda);
    }

    /// What is stuck on these ways is sent again.
    pub(crate) fn heal<E: From<Signal>>(
        &mut self,
        ways: &[Way],
        chance: &mut Chance,
        agenda: &mut Agenda<E>,
    ) {
        self.cut.retain(|way| !ways.contains(way));
        for (id, connection) in &mut self.connections {
            for end in [End::Dialler, End::Listener] {
                if ways.contains(&connection.way(end)) {
                    let at_ms = agenda.now_ms() + chance.within(SENT_AGAIN_MS);
                    let pipe = connection.towards_mut(end);
                    pipe.last_at_ms = pipe.last_at_ms.max(at_ms);
                    (0..pipe.take_owed()).for_each(|_| agenda.at(at_ms, Signal::Arrive(*id, end).into()));
                }
            }
        }
    }

    fn dispatch<E: From<Signal>>(
        &mut self,
        id: ConnectionId,
        to: End,
        chance: &mut Chance,
        agenda: &mut Agenda<E>,
    ) {
        let at_ms = agenda.now_ms() + self.delay(id, chance);
        if let Some(pipe) = self.pipe(id, to) {
            pipe.last_at_ms = pipe.last_at_ms.max(at_ms);
            agenda.at(pipe.last_at_ms, Signal::Arrive(id, to).into());
        }
    }

    fn pipe(&mut self, id: ConnectionId, to: End) -> Option<&mut Pipe> {
        self.connections.get_mut(&id).map(|connection| connection.towards_mut(to))
    }
}

// === impl Connection ===

impl Connection {
    /// What comes to this end comes this way.
    fn way(&self, towards: End) -> Way {
        let [dialler, listener] = self.hosts;
        if towards == End::Listener { (dialler, listener) } else { (listener, dialler) }
    }

    fn towards(&self, end: End) -> &Pipe {
        match end {
            End::Listener => &self.up,
            End::Dialler => &self.down,
        }
    }

    fn towards_mut(&mut self, end: End) -> &mut Pipe {
        match end {
            End::Listener => &mut self.up,
            End::Dialler => &mut self.down,
        }
    }
}

#[cfg(test)]
mod tests;
