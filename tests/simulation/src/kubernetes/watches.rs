//! A controller's watches: a list of each kind, and what changes after it, in order and late.

use std::collections::{BTreeMap, VecDeque};

use rollcall_controller::index::{Change, Key, Kind};

use crate::{
    agenda::{Agenda, Millis},
    chance::Chance,
    network::ReplicaNo,
    world::Event,
};

/// How long a list takes.
const LISTED_AFTER_MS: std::ops::RangeInclusive<u64> = 10..=1_500;
/// How long a change takes to the controller.
const SEEN_AFTER_MS: std::ops::RangeInclusive<u64> = 1..=150;

/// Holds what is on its way to one replica.
#[derive(Debug)]
pub(crate) struct Watches {
    replica: ReplicaNo,
    kinds: BTreeMap<Kind, Watch>,
    /// Nothing comes before then: the API server is away, or cut off from the replica.
    pub(crate) away_until_ms: Millis,
}

#[derive(Debug, Default)]
struct Watch {
    /// Of the list that it began with; what was on its way before is not.
    generation: u64,
    listed: bool,
    /// Each with its resource version.
    on_the_way: VecDeque<(Change, u64)>,
    last_at_ms: Millis,
}

// === impl Watches ===

impl Watches {
    pub(crate) fn new(replica: ReplicaNo) -> Self {
        Self { replica, kinds: BTreeMap::new(), away_until_ms: 0 }
    }

    /// All begin anew, with a list each: the controller did, or lost them.
    pub(crate) fn begin(&mut self, chance: &mut Chance, agenda: &mut Agenda<Event>) {
        Kind::ALL.iter().for_each(|kind| self.begin_one(*kind, chance, agenda));
    }

    pub(crate) fn begin_one(&mut self, kind: Kind, chance: &mut Chance, agenda: &mut Agenda<Event>) {
        let watch = self.kinds.entry(kind).or_default();
        *watch = Watch { generation: watch.generation + 1, ..Watch::default() };
        let at_ms = self.away_until_ms.max(agenda.now_ms()) + chance.within(LISTED_AFTER_MS);
        agenda.at(at_ms, Event::Listed(self.replica, kind, watch.generation));
    }

    /// Sends a change on its way to a watch that was listed: others will see what has come of it.
    pub(crate) fn tell(
        &mut self,
        change: Change,
        revision: u64,
        chance: &mut Chance,
        agenda: &mut Agenda<Event>,
    ) {
        let Some(kind) = kind_of(&change) else { return };
        let (replica, away_until_ms) = (self.replica, self.away_until_ms);
        let Some(watch) = self.kinds.get_mut(&kind).filter(|watch| watch.listed) else { return };
        watch.on_the_way.push_back((change, revision));
        let at_ms = away_until_ms.max(agenda.now_ms()) + chance.within(SEEN_AFTER_MS);
        watch.last_at_ms = watch.last_at_ms.max(at_ms);
        agenda.at(watch.last_at_ms, Event::Watched(replica, kind, watch.generation));
    }

    /// The list is made now; whether it is still wanted.
    pub(crate) fn listed(&mut self, kind: Kind, generation: u64) -> bool {
        let watch = self.kinds.get_mut(&kind).filter(|watch| watch.generation == generation);
        watch.map(|watch| watch.listed = true).is_some()
    }

    pub(crate) fn watched(&mut self, kind: Kind, generation: u64) -> Option<(Change, u64)> {
        self.kinds.get_mut(&kind).filter(|watch| watch.generation == generation)?.on_the_way.pop_front()
    }

    /// Everything that has changed has come.
    pub(crate) fn idle(&self) -> bool {
        self.kinds.values().all(|watch| watch.listed && watch.on_the_way.is_empty())
    }
}

pub(super) fn kind_of(change: &Change) -> Option<Kind> {
    match change {
        Change::ListBegins(_) | Change::ListEnds(_) => None,
        Change::Pod(_) => Some(Kind::Pod),
        Change::Registration(..) => Some(Kind::Registration),
        Change::Service(..) => Some(Kind::Service),
        Change::Slice(..) => Some(Kind::Slice),
        Change::Namespace(..) => Some(Kind::Namespace),
        Change::Node(..) => Some(Kind::Node),
        Change::Unreadable(key) | Change::Gone(key) => Some(Key::kind(key)),
    }
}
