//! One service as everyone is told of it, and how it follows the one before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    balance::Policy,
    changes::{Delta, Head},
    consolidate::Settings,
    instance::Instance,
    instance_id::InstanceId,
    limits::INSTANCES_MAX,
    liveness::is_silent,
    names::ServiceKey,
    registration::Visibility,
    snapshot::{hash::ContentHash, instances::Instances},
    state::State,
    version::Version,
};

/// Holds one service as everyone is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Never 0, below 2^53 (JavaScript reads it exactly), and larger with each change of this service, over
    /// restarts of the controller too.
    pub revision: u64,
    /// The same as of another service exactly where all but the revisions is.
    pub hash: ContentHash,
    /// How callers spread their requests, where they do not say so themselves.
    pub policy: Policy,
    /// There are more instances than may be listed.
    pub truncated: bool,
    pub instances: Instances,
}

/// Holds a service and who is told of it. That is decided here, and told to nobody.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) service: Arc<Service>,
    pub(super) visibility: Visibility,
}

/// Says what becomes of a service. The instances are as consolidated: their revisions, and the state of silent
/// ones, are not decided yet.
#[derive(Debug, Clone)]
pub enum Update {
    /// No registration names it any more.
    Gone,
    /// This is all of it.
    Whole { settings: Settings, instances: Vec<Instance> },
    /// These instances are new or different, those are gone, and the rest is as it was. Of a service that is not known
    /// it says something only with its settings: nobody knows who may see it otherwise. A service that is truncated
    /// does not know what stood behind the cut: whatever changes, it must be told as a whole.
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

    /// How many of the instances are Serving. A lookup may answer with others: where none is, with the Suspect ones.
    pub fn serving(&self) -> usize {
        self.instances.iter().filter(|instance| instance.state == State::Serving).count()
    }

    pub fn instance(&self, id: &InstanceId) -> Option<&Arc<Instance>> {
        self.instances.find(id)
    }

    /// What everyone is told of it beside its instances.
    pub fn head(&self) -> Head {
        Head { revision: self.revision, hash: self.hash, policy: self.policy, truncated: self.truncated }
    }

    /// The service of this head and these instances, whatever their order; of several with one id, the last counts.
    pub fn of(head: Head, instances: Vec<Arc<Instance>>) -> Self {
        Self::with(head, instances.into_iter().collect())
    }

    pub(crate) fn with(head: Head, instances: Instances) -> Self {
        let Head { revision, hash, policy, truncated } = head;
        Self { revision, hash, policy, truncated, instances }
    }

    /// The hash that a service of this name and content has. Where it is not the one that was told, what is held is
    /// not what was meant, and all of it must be asked for.
    pub fn content_hash(&self, key: &ServiceKey) -> ContentHash {
        let head = ContentHash::of_head(key, self.policy, self.truncated);
        head.plus(ContentHash::of_instances(key, self.instances.iter().map(AsRef::as_ref)))
    }
}

// === impl Listed ===

impl Listed {
    fn settings(&self) -> Settings {
        Settings { policy: self.service.policy, visibility: self.visibility.clone() }
    }
}

/// The service that follows `held`, and what changed; none where that is nothing.
pub(super) fn succeed(
    key: &ServiceKey,
    held: Option<&Listed>,
    update: Update,
    floor: u64,
    now_ms: u64,
) -> Option<(Option<Listed>, Delta)> {
    let (settings, mut draft, truncated) = match (update, held) {
        (Update::Gone, held) => return held.map(|held| (None, Delta::gone(key.clone(), &held.service))),
        (Update::Whole { settings, instances }, held) => (settings, Draft::whole(held, instances), false),
        (Update::Part { settings, upserts, removes }, Some(held)) => {
            let settings = settings.unwrap_or_else(|| held.settings());
            (settings, Draft::part(held, upserts, removes), held.service.truncated)
        }
        // Whoever may see it is not known: a part that comes late, or early, must not show it to everyone.
        (Update::Part { settings: None, .. }, None) => return None,
        (Update::Part { settings: Some(settings), upserts, .. }, None) => {
            (settings, Draft::whole(None, upserts), false)
        }
    };
    let truncated = draft.cut() || truncated;
    draft.settle();
    draft.forget_what_is_the_same();

    let same = |held: &Listed| {
        draft.words.is_empty() && held.settings() == settings && held.service.truncated == truncated
    };
    if held.is_some_and(same) {
        return None;
    }
    let before = held.map(|held| &*held.service);
    let revision = before.map_or(floor, |held| held.revision).saturating_add(1).max(now_ms);
    let changes = draft.changes(revision);
    let hash = changes.rehash(key, before, settings.policy, truncated);
    let head = Head { revision, hash, policy: settings.policy, truncated };
    let instances = draft.held.edited(&changes.gone, &changes.new);
    let delta = Delta {
        key: key.clone(),
        from: before.map(Service::head),
        to: Some(head),
        added: changes.added,
        changed: changes.changed,
        removes: changes.removes,
    };
    let service = Service::with(head, instances);
    Some((Some(Listed { service: Arc::new(service), visibility: settings.visibility }), delta))
}

/// Holds what an update says of single instances, beside those that are held.
struct Draft {
    held: Instances,
    /// What each is from now on; none where it is gone.
    words: BTreeMap<InstanceId, Option<Arc<Instance>>>,
}

/// Holds what an update comes to.
#[derive(Default)]
struct Changes {
    /// What is not in the list any more, and what is now: a different one is in both.
    gone: Vec<Arc<Instance>>,
    new: Vec<Arc<Instance>>,
    added: Vec<Arc<Instance>>,
    changed: Vec<Arc<Instance>>,
    removes: Vec<InstanceId>,
}

// === impl Draft ===

impl Draft {
    /// These, and no others.
    fn whole(held: Option<&Listed>, instances: Vec<Instance>) -> Self {
        let held = held.map(|held| held.service.instances.clone()).unwrap_or_default();
        let words = held.iter().map(|instance| (instance.id.clone(), None)).collect();
        let mut draft = Self { held, words };
        draft.put_in(instances);
        draft
    }

    fn part(held: &Listed, upserts: Vec<Instance>, removes: Vec<InstanceId>) -> Self {
        let words = removes.into_iter().map(|id| (id, None)).collect();
        let mut draft = Self { held: held.service.instances.clone(), words };
        draft.put_in(upserts);
        draft
    }

    fn put_in(&mut self, upserts: Vec<Instance>) {
        self.words.extend(upserts.into_iter().map(|one| (one.id.clone(), Some(Arc::new(one)))));
    }

    /// What there will be of those that are spoken of, and what there is.
    fn pairs(&self) -> impl Iterator<Item = (Option<&Arc<Instance>>, Option<&Arc<Instance>>)> {
        self.words.iter().map(|(id, word)| (self.held.find(id), word.as_ref()))
    }

    /// Leaves out what is too much; whether there was any. Who can be called stays before who cannot, and the first in
    /// order before the last.
    fn cut(&mut self) -> bool {
        let (less, more) = self.pairs().fold((0, 0), |(less, more), (before, after)| {
            (less + usize::from(before.is_some()), more + usize::from(after.is_some()))
        });
        if self.held.len() + more - less <= INSTANCES_MAX {
            return false;
        }
        let kept = self.held.iter().filter(|held| !self.words.contains_key(&held.id));
        let mut all: Vec<_> = kept.chain(self.words.values().flatten()).cloned().collect();
        all.sort_by(|a, b| usefulness(a).cmp(&usefulness(b)).then_with(|| a.order(b)));
        self.words.extend(all.into_iter().skip(INSTANCES_MAX).map(|cut| (cut.id.clone(), None)));
        true
    }

    /// Decides the state of the silent ones. Those that were settled before are looked at only where it comes out
    /// otherwise now.
    fn settle(&mut self) {
        let mut standing = self.held.standing();
        for (before, after) in self.pairs() {
            before.into_iter().for_each(|before| standing.leave(before));
            after.into_iter().for_each(|after| standing.join(after));
        }
        if !standing.has_silent() {
            return;
        }
        let settled = standing.settled();
        if self.held.standing().has_silent() && self.held.standing().settled() != settled {
            let others =
                self.held.iter().filter(|held| is_silent(held) && !self.words.contains_key(&held.id));
            let others: Vec<_> = others.map(|held| (held.id.clone(), Some(held.clone()))).collect();
            self.words.extend(others);
        }
        for word in self.words.values_mut().flatten().filter(|word| settled.state(word) != word.state) {
            Arc::make_mut(word).state = settled.state(word);
        }
    }

    fn forget_what_is_the_same(&mut self) {
        let held = &self.held;
        self.words.retain(|id, word| match (held.find(id), word) {
            (None, None) => false,
            (Some(before), Some(after)) => !before.same_content(after),
            _ => true,
        });
    }

    /// What differs, with the revision that it differs from.
    fn changes(&mut self, revision: u64) -> Changes {
        let mut changes = Changes::default();
        for (id, word) in &mut self.words {
            let before = self.held.find(id);
            changes.gone.extend(before.cloned());
            let Some(word) = word else {
                changes.removes.push(id.clone());
                continue;
            };
            Arc::make_mut(word).revision = revision;
            changes.new.push(word.clone());
            let told = if before.is_some() { &mut changes.changed } else { &mut changes.added };
            told.push(word.clone());
        }
        changes
    }
}

/// Where an instance stands when there are too many; the least is the most useful. It goes by what was said of it
/// alone, and so comes out the same on every replica: silent ones may yet be spared.
fn usefulness(instance: &Instance) -> u8 {
    match instance.state {
        _ if is_silent(instance) => 1,
        State::Serving | State::Suspect => 0,
        State::Starting | State::Failing | State::Draining => 2,
    }
}

// === impl Changes ===

impl Changes {
    /// The hash with what is new, and without what it replaces.
    fn rehash(
        &self,
        key: &ServiceKey,
        before: Option<&Service>,
        policy: Policy,
        truncated: bool,
    ) -> ContentHash {
        let base = match before {
            Some(held) => held.hash.with_head(key, (held.policy, held.truncated), (policy, truncated)),
            None => ContentHash::of_head(key, policy, truncated),
        };
        let sum = |all: &[Arc<Instance>]| ContentHash::of_instances(key, all.iter().map(AsRef::as_ref));
        base.minus(sum(&self.gone)).plus(sum(&self.new))
    }
}
