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

/// Between two bookmarks of a watch: the API server says so often how far it is, to one that nothing else is told.
const BOOKMARK_EVERY_MS: u64 = 60_000;

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
    /// Each with its resource version; a bookmark is nothing else.
    on_the_way: VecDeque<(Option<Change>, u64)>,
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
        let Some(kind) = key_of(&change).map(|key| key.kind()) else { return };
        self.send(kind, Some(change), revision, chance, agenda);
    }

    /// Says how far the API server is, where that watch still is the one that the bookmark was noted for.
    pub(crate) fn bookmark(
        &mut self,
        kind: Kind,
        generation: u64,
        revision: u64,
        chance: &mut Chance,
        agenda: &mut Agenda<Event>,
    ) {
        if self.kinds.get(&kind).is_some_and(|watch| watch.generation == generation) {
            self.send(kind, None, revision, chance, agenda);
            agenda.after(BOOKMARK_EVERY_MS, Event::Bookmark(self.replica, kind, generation));
        }
    }

    fn send(
        &mut self,
        kind: Kind,
        change: Option<Change>,
        revision: u64,
        chance: &mut Chance,
        agenda: &mut Agenda<Event>,
    ) {
        let (replica, away_until_ms) = (self.replica, self.away_until_ms);
        let Some(watch) = self.kinds.get_mut(&kind).filter(|watch| watch.listed) else { return };
        watch.on_the_way.push_back((change, revision));
        let at_ms = away_until_ms.max(agenda.now_ms()) + chance.within(SEEN_AFTER_MS);
        watch.last_at_ms = watch.last_at_ms.max(at_ms);
        agenda.at(watch.last_at_ms, Event::Watched(replica, kind, watch.generation));
    }

    /// The list is made now; whether it is still wanted.
    pub(crate) fn listed(&mut self, kind: Kind, generation: u64, agenda: &mut Agenda<Event>) -> bool {
        let watch = self.kinds.get_mut(&kind).filter(|watch| watch.generation == generation);
        let is_wanted = watch.map(|watch| watch.listed = true).is_some();
        if is_wanted {
            agenda.after(BOOKMARK_EVERY_MS, Event::Bookmark(self.replica, kind, generation));
        }
        is_wanted
    }

    pub(crate) fn watched(&mut self, kind: Kind, generation: u64) -> Option<(Option<Change>, u64)> {
        self.kinds.get_mut(&kind).filter(|watch| watch.generation == generation)?.on_the_way.pop_front()
    }

    /// Everything that has changed has come.
    pub(crate) fn idle(&self) -> bool {
        self.kinds.values().all(|watch| watch.listed && watch.on_the_way.is_empty())
    }
}

/// Which object it is that changes.
pub(super) fn key_of(change: &Change) -> Option<Key> {
    match change {
        Change::ListBegins(_) | Change::ListEnds(_) => None,
        Change::Pod(seen) => Some(Key::Pod(seen.facts.uid.clone())),
        Change::Registration(key, _) => Some(Key::Registration(key.clone())),
        Change::Service(key, _) => Some(Key::Service(key.clone())),
        Change::Slice(key, _) => Some(Key::Slice(key.clone())),
        Change::Namespace(name, _) => Some(Key::Namespace(name.clone())),
        Change::Node(name, _) => Some(Key::Node(name.clone())),
        Change::Unreadable(key) | Change::Gone(key) => Some(key.clone()),
    }
}
