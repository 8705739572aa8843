//! Everything that was ever written, in the order of one revision for all kinds.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use serde_json::Value;
use tokio::time::Instant;

use crate::kinds::Kind;

/// Where the first write finds the revision: not at 0, which means something else to clients.
const BEGINS_AT: u64 = 1_000;

/// Says which object is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The plural name, which no two kinds here share.
    pub kind: &'static str,
    /// Empty where the kind has none.
    pub namespace: String,
    pub name: String,
}

/// Says what a write was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Added,
    Modified,
    Deleted,
}

/// Holds one write.
#[derive(Debug, Clone)]
pub struct Written {
    pub revision: u64,
    pub id: Id,
    pub what: What,
    /// As it was written; of what was deleted the last state, with the revision of that.
    pub object: Arc<Value>,
    pub(crate) at: Instant,
}

/// What an object was from a revision on; none: it was not there.
type StateSince = (u64, Option<Arc<Value>>);

/// Holds all objects as they were at each revision since the last compaction.
#[derive(Debug)]
pub(crate) struct History {
    revision: u64,
    /// What was before it is forgotten; the state at it is not.
    compacted: u64,
    states: BTreeMap<Id, Vec<StateSince>>,
    log: VecDeque<Written>,
}

// === impl Id ===

impl Id {
    pub fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.is_namespaced { namespace } else { "" };
        Self { kind: kind.plural, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

// === impl What ===

impl What {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

// === impl History ===

impl History {
    pub(crate) fn new() -> Self {
        Self { revision: BEGINS_AT, compacted: BEGINS_AT, states: BTreeMap::new(), log: VecDeque::new() }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The object as it is.
    pub(crate) fn get(&self, id: &Id) -> Option<&Arc<Value>> {
        self.get_at(id, self.revision)
    }

    /// The object as it was at this revision.
    pub(crate) fn get_at(&self, id: &Id, revision: u64) -> Option<&Arc<Value>> {
        at(self.states.get(id)?, revision)
    }

    /// All objects of a kind as they were at this revision, by namespace and name; those after this one.
    pub(crate) fn list_at(
        &self,
        kind: &'static str,
        revision: u64,
        after: Option<&Id>,
    ) -> impl Iterator<Item = (&Id, &Arc<Value>)> {
        let first = Id { kind, namespace: String::new(), name: String::new() };
        let from = after.map_or(Bound::Included(first), |after| Bound::Excluded(after.clone()));
        let ours = self.states.range((from, Bound::Unbounded)).take_while(move |(id, _)| id.kind == kind);
        ours.filter_map(move |(id, states)| Some((id, at(states, revision)?)))
    }

    /// All objects as they are.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Id, &Arc<Value>)> {
        self.states.iter().filter_map(|(id, states)| Some((id, at(states, self.revision)?)))
    }

    /// Writes one object, and gives it with its new revision.
    pub(crate) fn put(&mut self, id: Id, object: Value) -> Arc<Value> {
        let what = if self.get(&id).is_some() { What::Modified } else { What::Added };
        let object = self.record(id.clone(), what, object);
        self.states.entry(id).or_default().push((self.revision, Some(object.clone())));
        object
    }

    /// Takes one away, and gives it as it was last, with the revision of that.
    pub(crate) fn take(&mut self, id: &Id) -> Option<Arc<Value>> {
        let last = Value::clone(self.get(id)?);
        let object = self.record(id.clone(), What::Deleted, last);
        self.states.entry(id.clone()).or_default().push((self.revision, None));
        Some(object)
    }

    fn record(&mut self, id: Id, what: What, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let object = Arc::new(object);
        let (revision, at) = (self.revision, Instant::now());
        self.log.push_back(Written { revision, id, what, object: object.clone(), at });
        object
    }

    /// What was written after this revision.
    pub(crate) fn after(&self, revision: u64) -> impl Iterator<Item = &Written> {
        let from = self.log.partition_point(|written| written.revision <= revision);
        self.log.range(from..)
    }

    pub(crate) fn log(&self) -> &VecDeque<Written> {
        &self.log
    }

    /// Forgets what was before this revision.
    pub(crate) fn compact(&mut self, before: u64) {
        self.compacted = before.clamp(self.compacted, self.revision);
        let compacted = self.compacted;
        while self.log.front().is_some_and(|written| written.revision <= compacted) {
            self.log.pop_front();
        }
        self.states.retain(|_, states| {
            let keep = states.partition_point(|(revision, _)| *revision <= compacted).saturating_sub(1);
            states.drain(..keep);
            !matches!(states.as_slice(), [(revision, None)] if *revision <= compacted)
        });
    }
}

fn at(states: &[StateSince], revision: u64) -> Option<&Arc<Value>> {
    let upto = states.partition_point(|(written, _)| *written <= revision);
    states.get(upto.checked_sub(1)?)?.1.as_ref()
}
