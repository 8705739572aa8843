//! One service as everyone is told of it, and how it follows the one before.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    changes::{Delta, Head},
    consolidate::Settings,
    instance::{Instance, InstanceId},
    limits::INSTANCES_MAX,
    liveness::{Settled, settle},
    names::ServiceKey,
    snapshot::hash::ContentHash,
    state::{Reason, State},
    version::Version,
};

/// Holds one service as everyone is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Never 0, below 2^53 (JavaScript reads it exactly), and larger with each change of this service, over
    /// restarts of the controller too.
    pub revision: u64,
    pub hash: ContentHash,
    pub settings: Settings,
    /// There are more instances than may be listed.
    pub truncated: bool,
    /// In their stable order.
    pub instances: Arc<[Arc<Instance>]>,
}

/// Says what becomes of a service. The instances are as consolidated: their revisions, and the state of silent
/// ones, are not decided yet.
#[derive(Debug, Clone)]
pub enum Update {
    /// No registration names it any more.
    Gone,
    /// This is all of it.
    Whole { settings: Settings, instances: Vec<Instance> },
    /// These instances are new or different, those are gone, and the rest is as it was. A service that is truncated
    /// does not know what stood behind the cut: where an instance of it goes or gets another address, it must be told
    /// as a whole.
    Part { settings: Option<Settings>, upserts: Vec<Instance>, removes: Vec<InstanceId> },
}

// === impl Service ===

impl Service {
    /// The distinct versions of the instances, in semver's order.
    pub fn versions(&self) -> Vec<&Version> {
        let distinct: BTreeSet<_> =
            self.instances.iter().filter_map(|one| one.profile.version.as_ref()).collect();
        distinct.into_iter().collect()
    }

    /// How many of the instances lookups answer with.
    pub fn serving(&self) -> usize {
        self.instances.iter().filter(|instance| instance.state == State::Serving).count()
    }

    pub fn instance(&self, id: &str) -> Option<&Arc<Instance>> {
        self.instances.iter().find(|instance| instance.id.as_str() == id)
    }

    /// What everyone is told of it beside its instances.
    pub fn head(&self) -> Head {
        Head {
            revision: self.revision,
            hash: self.hash,
            settings: self.settings.clone(),
            truncated: self.truncated,
        }
    }

    /// The service of this head and these instances, whatever their order.
    pub fn of(head: Head, mut instances: Vec<Arc<Instance>>) -> Self {
        instances.sort_by(|a, b| a.order(b));
        let Head { revision, hash, settings, truncated } = head;
        Self { revision, hash, settings, truncated, instances: instances.into() }
    }
}

/// Instances of one update that are found one by one; for more of them a map is made.
const SEARCHED_FOR_ONE_BY_ONE: usize = 8;

/// The service that follows `held`, and what changed; none where that is nothing.
pub(super) fn succeed(
    key: &ServiceKey,
    held: Option<&Service>,
    update: Update,
    floor: u64,
    now_ms: u64,
) -> Option<(Option<Service>, Delta)> {
    let (settings, truncated, upserts, removes) = match update {
        Update::Gone => return held.map(|held| (None, Delta::gone(key.clone(), held))),
        Update::Whole { settings, mut instances } => {
            instances.sort_by(Instance::order);
            let truncated = instances.len() > INSTANCES_MAX;
            instances.truncate(INSTANCES_MAX);
            let kept: BTreeSet<&str> = instances.iter().map(|instance| instance.id.as_str()).collect();
            let before = held.iter().flat_map(|held| held.instances.iter());
            let gone = before.filter(|instance| !kept.contains(instance.id.as_str()));
            let gone = gone.map(|instance| instance.id.clone()).collect();
            (settings, truncated, instances, gone)
        }
        Update::Part { settings, upserts, removes } => {
            let settings = settings.or_else(|| held.map(|held| held.settings.clone())).unwrap_or_default();
            (settings, held.is_some_and(|held| held.truncated), upserts, removes)
        }
    };
    let mut draft = Draft::of(held);
    draft.take_out(&removes);
    draft.put_in(upserts);
    // What is behind the cut serves nobody, and takes no silent one out.
    let truncated = draft.cut() || truncated;
    draft.settle();
    draft.forget_what_is_the_same();

    let same =
        |held: &Service| draft.is_unchanged() && held.settings == settings && held.truncated == truncated;
    if held.is_some_and(same) {
        return None;
    }
    let base = match held {
        Some(held) => held.hash.minus(ContentHash::of_head(key, held.settings.policy, held.truncated)),
        None => ContentHash(0),
    };
    let hash = draft.rehash(key, base).plus(ContentHash::of_head(key, settings.policy, truncated));
    let revision = now_ms.max(held.map_or(floor, |held| held.revision) + 1);
    let head = Head { revision, hash, settings, truncated };
    let upserts = draft.stamp(revision);
    let removes = draft.removed.into_keys().collect();
    let service = Service::of(head.clone(), draft.instances);
    let delta =
        Delta { key: key.clone(), from: held.map(|held| held.revision), to: Some(head), upserts, removes };
    Some((Some(service), delta))
}

/// Holds a service's instances while they are changed. Those that are new or different have revision 0, which no
/// held one has.
struct Draft {
    instances: Vec<Arc<Instance>>,
    /// What stood in the place of different ones.
    replaced: HashMap<InstanceId, Arc<Instance>>,
    /// What is gone.
    removed: BTreeMap<InstanceId, Arc<Instance>>,
}

// === impl Draft ===

impl Draft {
    fn of(held: Option<&Service>) -> Self {
        let instances = held.map(|held| held.instances.to_vec()).unwrap_or_default();
        Self { instances, replaced: HashMap::new(), removed: BTreeMap::new() }
    }

    fn take_out(&mut self, ids: &[InstanceId]) {
        if ids.is_empty() {
            return;
        }
        let ids: BTreeSet<&InstanceId> = ids.iter().collect();
        let (gone, kept) = self.instances.drain(..).partition(|instance| ids.contains(&instance.id));
        self.instances = kept;
        self.removed =
            gone.into_iter().map(|instance: Arc<Instance>| (instance.id.clone(), instance)).collect();
    }

    fn put_in(&mut self, upserts: Vec<Instance>) {
        let many = upserts.len() > SEARCHED_FOR_ONE_BY_ONE;
        let mut places: HashMap<InstanceId, usize> = HashMap::new();
        if many {
            places.extend(self.instances.iter().enumerate().map(|(place, one)| (one.id.clone(), place)));
        }
        for mut instance in upserts {
            instance.revision = 0;
            let id = instance.id.clone();
            let place = if many { places.get(&id).copied() } else { self.place(&instance) };
            match place.and_then(|place| self.instances.get_mut(place)) {
                Some(slot) => {
                    let before = std::mem::replace(slot, Arc::new(instance));
                    if before.revision != 0 {
                        self.replaced.insert(id, before);
                    }
                }
                None => {
                    self.replaced.extend(self.removed.remove(&id).map(|before| (id.clone(), before)));
                    places.insert(id, self.instances.len());
                    self.instances.push(Arc::new(instance));
                }
            }
        }
    }

    /// Where it is: at its place in the order, unless its address has changed or others were added.
    fn place(&self, instance: &Instance) -> Option<usize> {
        let ordered = self.instances.binary_search_by(|held| held.order(instance));
        ordered.ok().or_else(|| self.instances.iter().position(|held| held.id == instance.id))
    }

    /// Decides the state of the silent ones.
    fn settle(&mut self) {
        let settled: Settled =
            settle(self.instances.iter().map(|instance| (instance.state, &instance.reason)));
        for slot in self.instances.iter_mut().filter(|instance| instance.reason == Reason::SessionSilent) {
            let state = settled.state(slot.state, &slot.reason);
            if state != slot.state {
                let different = Instance { state, revision: 0, ..Instance::clone(slot) };
                let before = std::mem::replace(slot, Arc::new(different));
                if before.revision != 0 {
                    self.replaced.insert(before.id.clone(), before);
                }
            }
        }
    }

    /// Leaves out what is too much, the last in order; whether there was any.
    fn cut(&mut self) -> bool {
        if self.instances.len() <= INSTANCES_MAX {
            return false;
        }
        self.instances.sort_by(|a, b| a.order(b));
        for instance in self.instances.split_off(INSTANCES_MAX) {
            let before =
                if instance.revision == 0 { self.replaced.remove(&instance.id) } else { Some(instance) };
            self.removed.extend(before.map(|before| (before.id.clone(), before)));
        }
        true
    }

    fn forget_what_is_the_same(&mut self) {
        for slot in self.instances.iter_mut().filter(|instance| instance.revision == 0) {
            let same = self.replaced.get(&slot.id).is_some_and(|before| before.same_content(slot));
            if same && let Some(before) = self.replaced.remove(&slot.id) {
                *slot = before;
            }
        }
    }

    fn is_unchanged(&self) -> bool {
        self.removed.is_empty() && self.instances.iter().all(|instance| instance.revision != 0)
    }

    /// The hash with what is new, and without what it replaces.
    fn rehash(&self, key: &ServiceKey, base: ContentHash) -> ContentHash {
        let gone = self.removed.values().chain(self.replaced.values());
        let base = gone.fold(base, |hash, instance| hash.minus(ContentHash::of_instance(key, instance)));
        let new = self.instances.iter().filter(|instance| instance.revision == 0);
        new.fold(base, |hash, instance| hash.plus(ContentHash::of_instance(key, instance)))
    }

    /// Gives the different ones their revision, and says which they are.
    fn stamp(&mut self, revision: u64) -> Vec<Arc<Instance>> {
        let different = self.instances.iter_mut().filter(|instance| instance.revision == 0);
        different
            .map(|slot| {
                Arc::make_mut(slot).revision = revision;
                slot.clone()
            })
            .collect()
    }
}
