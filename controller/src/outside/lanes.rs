//! The lanes: whose turn it is among those who wait, fair by namespace. A value; time comes in as an argument.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
};

use rollcall_catalogue::Namespace;

/// Attempts under way at a time. Each holds a socket and at most some 100 KiB of what a peer sends; answers take
/// milliseconds, so that even these few could ask thousands of addresses a second.
pub(super) const IN_FLIGHT_MAX: usize = 64;

/// Of these, those of one namespace. Addresses that swallow every packet hold their places for as long as an attempt
/// may last: they must not keep the addresses of others from being asked.
pub(super) const IN_FLIGHT_OF_NAMESPACE_MAX: usize = 8;

/// Of these, those that are kept for namespaces that have none: a few namespaces full of such addresses cannot take
/// all places between them. As many as let each of 16 more namespaces ask one of its own.
pub(super) const IN_FLIGHT_KEPT: usize = 16;

/// Holds who waits, and gives out the places.
#[derive(Debug)]
pub(super) struct Lanes<W> {
    lanes: HashMap<Namespace, Lane<W>>,
    /// The lanes that have somebody waiting, by how many of their attempts are under way.
    heads: [BTreeSet<Head>; IN_FLIGHT_OF_NAMESPACE_MAX],
    in_flight: usize,
    turns: u64,
}

/// Holds those of one namespace, which share its places.
#[derive(Debug)]
struct Lane<W> {
    waiting: BTreeSet<(u64, W)>,
    in_flight: usize,
    /// Its last turn, and when that was.
    turn: u64,
    turn_ms: u64,
    /// Where it stands among the heads.
    stands: Option<(usize, Head)>,
}

/// Names a lane after when it may have its next turn; of several, whose last turn is longer ago comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    at_ms: u64,
    turn: u64,
    namespace: Namespace,
}

// === impl Lanes ===

impl<W> Default for Lanes<W> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), heads: Default::default(), in_flight: 0, turns: 0 }
    }
}

impl<W: Ord> Lanes<W> {
    /// `who` wants to be asked, not before `at_ms`.
    pub(super) fn wait(&mut self, namespace: &Namespace, at_ms: u64, who: W) {
        self.in_lane(namespace, |lane| {
            lane.waiting.insert((at_ms, who));
        });
    }

    /// `who` does not want that any more.
    pub(super) fn leave(&mut self, namespace: &Namespace, at_ms: u64, who: W) {
        self.in_lane(namespace, |lane| {
            lane.waiting.remove(&(at_ms, who));
        });
    }

    /// When the next place can be given out; none while there is no place, or nobody waits.
    pub(super) fn next_at_ms(&self) -> Option<u64> {
        self.open().filter_map(BTreeSet::first).map(|head| head.at_ms).min()
    }

    /// Gives a place to whoever is next, if anybody is by now: the namespace with the fewest attempts under way, of
    /// these the one that waits for longest, and within it whoever is due for longest.
    pub(super) fn take(&mut self, now_ms: u64) -> Option<(Namespace, W)> {
        let is_due = |head: &&Head| head.at_ms <= now_ms;
        let namespace = self.open().find_map(|heads| heads.first().filter(is_due))?.namespace.clone();
        self.turns += 1;
        let turn = self.turns;
        let mut taken = None;
        self.in_lane(&namespace, |lane| {
            taken = lane.waiting.pop_first();
            lane.in_flight += usize::from(taken.is_some());
            (lane.turn, lane.turn_ms) = (turn, now_ms);
        });
        let (_, who) = taken?;
        self.in_flight += 1;
        Some((namespace, who))
    }

    /// An attempt has ended.
    pub(super) fn give_back(&mut self, namespace: &Namespace) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.in_lane(namespace, |lane| lane.in_flight = lane.in_flight.saturating_sub(1));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.heads.iter().all(BTreeSet::is_empty) && self.in_flight == 0
    }

    /// The heads for which there are places, those with the fewest attempts under way first.
    fn open(&self) -> impl Iterator<Item = &BTreeSet<Head>> {
        let levels = match IN_FLIGHT_MAX.saturating_sub(self.in_flight) {
            0 => 0,
            1..=IN_FLIGHT_KEPT => 1,
            _ => IN_FLIGHT_OF_NAMESPACE_MAX,
        };
        self.heads.iter().take(levels)
    }

    /// Changes a lane, and puts it where it belongs then.
    fn in_lane(&mut self, namespace: &Namespace, change: impl FnOnce(&mut Lane<W>)) {
        let lane = self.lanes.entry(namespace.clone()).or_default();
        change(lane);
        let stands = lane.stands(namespace);
        if stands != lane.stands {
            if let Some((level, head)) = mem::replace(&mut lane.stands, stands.clone()) {
                self.heads.get_mut(level).map(|heads| heads.remove(&head));
            }
            if let Some((level, head)) = stands {
                self.heads.get_mut(level).map(|heads| heads.insert(head));
            }
        }
        if lane.waiting.is_empty() && lane.in_flight == 0 {
            self.lanes.remove(namespace);
        }
    }
}

// === impl Lane ===

impl<W> Default for Lane<W> {
    fn default() -> Self {
        Self { waiting: BTreeSet::new(), in_flight: 0, turn: 0, turn_ms: 0, stands: None }
    }
}

impl<W: Ord> Lane<W> {
    fn stands(&self, namespace: &Namespace) -> Option<(usize, Head)> {
        let (due_ms, _) = self.waiting.first().filter(|_| self.in_flight < IN_FLIGHT_OF_NAMESPACE_MAX)?;
        // A turn begins the wait for the next one: however many of a lane are overdue, other lanes are not behind
        // all of them.
        let at_ms = self.turn_ms.max(*due_ms);
        Some((self.in_flight, Head { at_ms, turn: self.turn, namespace: namespace.clone() }))
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
