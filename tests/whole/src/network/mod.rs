//! The network between processes: connections as TCP has them, in virtual time.
//!
//! ```text
//!  Endpoint ── dial ──► syn ─────► Listener ──► Accepted { Wire }
//!     ▲                                │
//!     └── Wire ◄────── syn-ack ────────┘       Wire ── bytes ──► pipe ── late, held, or answered with a reset ──► Wire
//! ```
//!
//! A cut closes nothing: what is under way waits, and is sent again later and later, as by a kernel that gets no
//! acknowledgement. Who is gone on a machine that lives is answered for by that machine, with a reset; a machine that is
//! gone answers nobody.

mod connection;
mod cuts;
mod dial;
mod listener;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use rollcall_net::Jitter;

use self::{
    connection::{Connection, Side},
    cuts::Cuts,
    dial::Dial,
    listener::Backlog,
};
pub use self::{
    cuts::{CutId, Whom},
    dial::Endpoint,
    listener::Listener,
};
use crate::Millis;

/// A segment that nobody acknowledged is sent again after this, and each time after twice as long, as Linux does it.
const AGAIN_MS: Millis = 200;
const AGAIN_MAX_MS: Millis = 120_000;

/// Holds the network that everyone is at.
#[derive(Debug, Clone)]
pub struct Net(Arc<Mutex<State>>);

/// Says how long the way is between two, and how much of it goes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub latency_ms: Millis,
    /// None where it is no matter.
    pub bytes_per_ms: Option<u64>,
}

#[derive(Debug)]
struct State {
    now_ms: Millis,
    /// The node of each address that there is.
    places: BTreeMap<IpAddr, Arc<str>>,
    /// Nodes that are without power.
    dark: BTreeSet<Arc<str>>,
    backlogs: BTreeMap<SocketAddr, Backlog>,
    /// Addresses that stand for others.
    services: BTreeMap<SocketAddr, Vec<SocketAddr>>,
    cuts: Cuts,
    ways: Vec<(Whom, Whom, Way)>,
    dials: BTreeMap<u64, Dial>,
    connections: BTreeMap<u64, Connection>,
    agenda: BinaryHeap<Reverse<(Millis, u64, Event)>>,
    /// Of dials, connections and events.
    next: u64,
    /// At which addresses something happened since the world looked.
    touched: BTreeSet<IpAddr>,
    jitter: Jitter,
}

/// Says what comes due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Somebody's first word arrives at whom he dials, or is sent again.
    Syn { dial: u64, tries: u32 },
    /// The answer to it arrives.
    Answer { dial: u64, tries: u32 },
    /// What this end has sent is due at the other.
    Bytes { connection: u64, from: Side },
    /// The news that there is no such connection arrives at this end, if at all: it is sent once.
    Reset { connection: u64, toward: Side },
}

// === impl Way ===

impl Default for Way {
    fn default() -> Self {
        Self { latency_ms: 1, bytes_per_ms: None }
    }
}

// === impl Net ===

impl Net {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            now_ms: 0,
            places: BTreeMap::new(),
            dark: BTreeSet::new(),
            backlogs: BTreeMap::new(),
            services: BTreeMap::new(),
            cuts: Cuts::default(),
            ways: Vec::new(),
            dials: BTreeMap::new(),
            connections: BTreeMap::new(),
            agenda: BinaryHeap::new(),
            next: 0,
            touched: BTreeSet::new(),
            jitter: Jitter::new(seed),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that fails says why by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is due until now comes about, and whoever waits for it is woken.
    pub fn advance(&self, now_ms: Millis) {
        let mut wakers = Vec::new();
        let mut state = self.state();
        while let Some(Reverse((at_ms, _, event))) =
            state.agenda.peek().copied().filter(|due| due.0.0 <= now_ms)
        {
            state.agenda.pop();
            state.now_ms = at_ms.max(state.now_ms);
            self.come_about(&mut state, event, &mut wakers);
        }
        state.now_ms = now_ms;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The addresses at which something has happened since this was asked last.
    pub fn take_touched(&self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.state().touched)
    }

    /// There is a machine at this address, on this node.
    pub fn place(&self, address: IpAddr, node: &str) {
        self.state().places.insert(address, node.into());
    }

    /// Nobody has this address any more: who calls it hears nothing.
    pub fn remove(&self, address: IpAddr) {
        self.end_all(address, false);
        self.state().places.remove(&address);
    }

    /// Whoever dials this address gets one of these, as by the kube-proxy; with none of them he is refused.
    pub fn set_service(&self, address: SocketAddr, behind: Vec<SocketAddr>) {
        self.state().services.insert(address, behind);
    }

    /// From here on nothing of `from` reaches `to`; nobody is told.
    pub fn cut(&self, from: Whom, to: Whom) -> CutId {
        self.state().cuts.add(from, to)
    }

    /// The same in both directions.
    pub fn cut_both(&self, one: &Whom, other: &Whom) -> [CutId; 2] {
        [self.cut(one.clone(), other.clone()), self.cut(other.clone(), one.clone())]
    }

    pub fn heal(&self, cuts: &[CutId]) {
        self.state().cuts.remove(cuts);
    }

    pub fn heal_all(&self) {
        let mut state = self.state();
        state.cuts.clear();
        state.ways.clear();
    }

    pub fn is_cut(&self) -> bool {
        !self.state().cuts.is_empty()
    }

    /// How it is between these two from now on; the last word counts.
    pub fn set_way(&self, one: Whom, other: Whom, way: Way) {
        self.state().ways.push((one, other, way));
    }

    /// The process at this address is no more, and its machine says so to whoever has a connection with it.
    pub fn kill(&self, address: IpAddr) {
        self.end_all(address, true);
    }

    /// The power of this node is off, or on again. Nothing that ran there knows of the other time.
    pub fn set_dark(&self, node: &str, dark: bool) {
        let addresses: Vec<_> = {
            let mut state = self.state();
            if dark {
                state.dark.insert(node.into());
            } else {
                state.dark.remove(node);
            }
            state.places.iter().filter(|(_, of)| &***of == node).map(|(address, _)| *address).collect()
        };
        addresses.into_iter().filter(|_| dark).for_each(|address| self.end_all(address, false));
    }

    pub fn is_dark(&self, node: &str) -> bool {
        self.state().dark.contains(node)
    }

    /// All that this address has is over; the others hear so, or nothing.
    fn end_all(&self, address: IpAddr, told: bool) {
        let mut guard = self.state();
        let state = &mut *guard;
        let (ended, others) =
            std::mem::take(&mut state.backlogs).into_iter().partition(|(at, _)| at.ip() == address);
        state.backlogs = others;
        let ended: BTreeMap<SocketAddr, Backlog> = ended;
        state.dials.retain(|_, dial| dial.from != address);
        let mut resets = Vec::new();
        for (number, connection) in &mut state.connections {
            for side in Side::BOTH {
                let end = connection.end_mut(side);
                if end.address.ip() == address && !end.gone {
                    end.forget();
                    resets.push((*number, side.other()));
                }
            }
        }
        for (connection, toward) in resets.into_iter().filter(|_| told) {
            let latency_ms = state.latency_ms(connection, toward.other());
            state.schedule(latency_ms, Event::Reset { connection, toward });
        }
        state.sweep();
        // What nobody had taken yet closes itself, for which nothing may be locked.
        drop(guard);
        drop(ended);
    }

    fn come_about(&self, state: &mut State, event: Event, wakers: &mut Vec<Waker>) {
        match event {
            Event::Syn { dial, tries } => self.knock(state, dial, tries, wakers),
            Event::Answer { dial, tries } => state.answer(dial, tries, wakers),
            Event::Bytes { connection, from } => state.carry(connection, from, wakers),
            Event::Reset { connection, toward } => state.reset(connection, toward, wakers),
        }
    }
}

// === impl State ===

impl State {
    fn schedule(&mut self, in_ms: Millis, event: Event) {
        let number = self.number();
        self.agenda.push(Reverse((self.now_ms + in_ms, number, event)));
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether there is a way from one to the other now.
    fn passes(&self, from: IpAddr, to: IpAddr) -> bool {
        let lit = |address: &IpAddr| self.places.get(address).is_some_and(|node| !self.dark.contains(node));
        lit(&from) && lit(&to) && (from == to || self.cuts.let_pass(self.of(from), self.of(to)))
    }

    /// An address, and the node that it is on.
    fn of(&self, address: IpAddr) -> (IpAddr, Option<&str>) {
        (address, self.places.get(&address).map(|node| &**node))
    }

    fn way(&self, from: IpAddr, to: IpAddr) -> Way {
        let (from, to) = (self.of(from), self.of(to));
        let between = |(one, other, _): &&(Whom, Whom, Way)| {
            one.has(from) && other.has(to) || one.has(to) && other.has(from)
        };
        self.ways.iter().rev().find(between).map(|(_, _, way)| *way).unwrap_or_default()
    }

    /// How long what this end of the connection says is under way.
    fn latency_ms(&self, connection: u64, from: Side) -> Millis {
        let Some(connection) = self.connections.get(&connection) else { return 1 };
        self.way(connection.end(from).address.ip(), connection.end(from.other()).address.ip()).latency_ms
    }

    fn touch(&mut self, address: IpAddr, waker: Option<Waker>, wakers: &mut Vec<Waker>) {
        self.touched.insert(address);
        wakers.extend(waker);
    }

    /// Connections that neither end knows any more are no more.
    fn sweep(&mut self) {
        self.connections.retain(|_, connection| {
            let is_over = |side| {
                let end = connection.end(side);
                end.gone && (end.queue.is_empty() || connection.end(side.other()).gone)
            };
            !Side::BOTH.into_iter().all(is_over)
        });
    }
}

/// The pause before a try after so many.
fn again_ms(tries: u32) -> Millis {
    AGAIN_MS.saturating_mul(1 << tries.min(16)).min(AGAIN_MAX_MS)
}
