//! The instances of one service, in chunks that a list and the one after it share.

use std::{cmp::Ordering, collections::BTreeMap, fmt, sync::Arc};

use crate::{instance::Instance, instance_id::InstanceId, liveness::Standing};

/// Instances of one chunk. A change copies the chunk it hits and the list of chunks: with 5,000 instances, 32 of the
/// one and 157 of the other, and most services are much smaller.
const CHUNK: usize = 32;

/// Instances that are put into a chunk one by one. To sort it instead looks at all that are in it, which costs more
/// than to copy it does.
const PUT_ONE_BY_ONE: usize = 8;

/// Holds the instances of a service in their stable order, each id once.
#[derive(Clone, Default)]
pub struct Instances {
    by_order: Chunks,
    /// The same ones: an update names what is gone by its id alone.
    by_id: Chunks,
    standing: Standing,
}

/// Holds instances in one order. No two chunks that stand side by side would fit into one.
#[derive(Clone, Default)]
struct Chunks(Arc<[Chunk]>);

type Chunk = Arc<[Arc<Instance>]>;

type Order = fn(&Instance, &Instance) -> Ordering;

fn order_of_ids(a: &Instance, b: &Instance) -> Ordering {
    a.id.cmp(&b.id)
}

// === impl Instances ===

impl Instances {
    /// All in their stable order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Instance>> + Clone {
        self.by_order.0.iter().flat_map(|chunk| chunk.iter())
    }

    pub(crate) fn by_id(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.by_id.0.iter().flat_map(|chunk| chunk.iter())
    }

    pub fn len(&self) -> usize {
        self.by_order.0.iter().map(|chunk| chunk.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.by_order.0.is_empty()
    }

    /// The one at this place of the order.
    pub fn get(&self, place: usize) -> Option<&Arc<Instance>> {
        let mut before = 0;
        for chunk in &*self.by_order.0 {
            if let Some(instance) = place.checked_sub(before).and_then(|place| chunk.get(place)) {
                return Some(instance);
            }
            before += chunk.len();
        }
        None
    }

    /// The one of this id.
    pub fn find(&self, id: &InstanceId) -> Option<&Arc<Instance>> {
        self.by_id.find(|instance| instance.id.cmp(id))
    }

    /// What the settling has to know of all of them.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// The list without those, which are in it, and with these, whose ids are not in it otherwise.
    pub(crate) fn edited(&self, gone: &[Arc<Instance>], new: &[Arc<Instance>]) -> Self {
        let mut standing = self.standing;
        gone.iter().for_each(|instance| standing.leave(instance));
        new.iter().for_each(|instance| standing.join(instance));
        let edited = |chunks: &Chunks, order: Order| {
            let (mut gone, mut new) = (gone.to_vec(), new.to_vec());
            gone.sort_by(|a, b| order(a, b));
            new.sort_by(|a, b| order(a, b));
            chunks.edited(&gone, &new, order)
        };
        Self {
            by_order: edited(&self.by_order, Instance::order),
            by_id: edited(&self.by_id, order_of_ids),
            standing,
        }
    }
}

/// Of several with one id, the last counts.
impl FromIterator<Arc<Instance>> for Instances {
    fn from_iter<I: IntoIterator<Item = Arc<Instance>>>(all: I) -> Self {
        let distinct: BTreeMap<InstanceId, Arc<Instance>> =
            all.into_iter().map(|instance| (instance.id.clone(), instance)).collect();
        Self::default().edited(&[], &distinct.into_values().collect::<Vec<_>>())
    }
}

impl PartialEq for Instances {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Instances {}

impl fmt::Debug for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// === impl Chunks ===

impl Chunks {
    /// The one that is `Equal` to what is looked for, as the order of these chunks has it.
    fn find(&self, compare: impl Fn(&Instance) -> Ordering) -> Option<&Arc<Instance>> {
        let chunk = self.0.get(self.chunk_of(&compare))?;
        chunk.get(chunk.binary_search_by(|held| compare(held)).ok()?)
    }

    /// The chunk in which it is, if it is here, and into which it belongs, if it is not: the last that begins with it
    /// or before it.
    fn chunk_of(&self, compare: impl Fn(&Instance) -> Ordering) -> usize {
        let begins = |chunk: &Chunk| chunk.first().is_some_and(|first| compare(first).is_le());
        self.0.partition_point(begins).saturating_sub(1)
    }

    /// Without those and with these, which are both in `order`. What is in no chunk that they touch is not looked at.
    fn edited(&self, mut gone: &[Arc<Instance>], mut new: &[Arc<Instance>], order: Order) -> Self {
        let mut chunks: Vec<Chunk> = Vec::with_capacity(self.0.len() + 1);
        let mut taken = 0;
        let least = |gone: &[Arc<Instance>], new: &[Arc<Instance>]| {
            gone.first().into_iter().chain(new.first()).min_by(|a, b| order(a, b)).cloned()
        };
        while let Some(least) = least(gone, new) {
            let touched = self.chunk_of(|held| order(held, &least));
            chunks.extend(self.0.get(taken..touched).into_iter().flatten().cloned());
            // All that belongs before the next chunk is done with this one.
            let next = self.0.get(touched + 1).and_then(|chunk| chunk.first());
            let here = |one: &Arc<Instance>| next.is_none_or(|next| order(one, next).is_lt());
            let (out, later_gone) = gone.split_at(gone.partition_point(here));
            let (into, later_new) = new.split_at(new.partition_point(here));
            (gone, new) = (later_gone, later_new);
            let mut out = out.iter().peekable();
            let held = self.0.get(touched).into_iter().flat_map(|chunk| chunk.iter());
            let mut kept: Vec<_> =
                held.filter(|held| out.next_if(|out| Arc::ptr_eq(out, held)).is_none()).cloned().collect();
            if into.len() > PUT_ONE_BY_ONE {
                kept.extend_from_slice(into);
                // Two sorted runs, which this joins in one pass.
                kept.sort_by(|a, b| order(a, b));
            } else {
                for one in into {
                    kept.insert(kept.partition_point(|held| order(held, one).is_lt()), one.clone());
                }
            }
            split(kept, &mut chunks);
            taken = touched + 1;
        }
        chunks.extend(self.0.get(taken..).into_iter().flatten().cloned());
        Self(joined(chunks).into())
    }
}

/// Puts these into chunks: one, or where they are too many for one, several of the same size.
fn split(all: Vec<Arc<Instance>>, chunks: &mut Vec<Chunk>) {
    if all.is_empty() {
        return;
    }
    // Twice as many as a chunk is meant to have, so that the halves have room to grow.
    if all.len() <= 2 * CHUNK {
        return chunks.push(all.into());
    }
    let size = all.len().div_ceil(all.len().div_ceil(CHUNK));
    chunks.extend(all.chunks(size).map(Into::into));
}

/// The same with neighbours that fit into one made one.
fn joined(chunks: Vec<Chunk>) -> Vec<Chunk> {
    let fit = |pair: &[Chunk]| pair.iter().map(|chunk| chunk.len()).sum::<usize>() <= CHUNK;
    if !chunks.windows(2).any(fit) {
        return chunks;
    }
    let mut joined: Vec<Chunk> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        match joined.last_mut().filter(|last| last.len() + chunk.len() <= CHUNK) {
            Some(last) => *last = last.iter().chain(chunk.iter()).cloned().collect(),
            None => joined.push(chunk),
        }
    }
    joined
}

#[cfg(test)]
#[path = "instances_tests.rs"]
mod tests;
