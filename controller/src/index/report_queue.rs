//! The objects whose reports are due.

use std::collections::{BTreeMap, HashMap};

use crate::index::ObjectKey;

/// Holds each object once, in the order in which they came: one that is marked again and again keeps its place, and
/// keeps nobody else from theirs. As large as there are objects, since those that are gone are removed.
#[derive(Debug, Default)]
pub(super) struct ReportQueue {
    by_turn: BTreeMap<u64, ObjectKey>,
    turns: HashMap<ObjectKey, u64>,
    next_turn: u64,
}

// === impl ReportQueue ===

impl ReportQueue {
    /// Puts it behind all others, unless it waits already.
    pub(super) fn insert(&mut self, key: ObjectKey) {
        if self.turns.contains_key(&key) {
            return;
        }
        self.by_turn.insert(self.next_turn, key.clone());
        self.turns.insert(key, self.next_turn);
        self.next_turn += 1;
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) {
        if let Some(turn) = self.turns.remove(key) {
            self.by_turn.remove(&turn);
        }
    }

    /// The one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<ObjectKey> {
        let (_, key) = self.by_turn.pop_first()?;
        self.turns.remove(&key);
        Some(key)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_turn.is_empty()
    }
}

impl Extend<ObjectKey> for ReportQueue {
    fn extend<T: IntoIterator<Item = ObjectKey>>(&mut self, keys: T) {
        keys.into_iter().for_each(|key| self.insert(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "shop".parse().unwrap(), name: name.into() }
    }

    fn names(mut queue: ReportQueue) -> Vec<String> {
        let names = std::iter::from_fn(|| queue.pop()).map(|key| key.name.to_string()).collect();
        assert!(queue.is_empty() && queue.turns.is_empty());
        names
    }

    #[test]
    fn who_came_first_goes_first_however_often_it_is_marked() {
        let mut queue = ReportQueue::default();
        queue.extend(["z", "b", "a", "b", "z"].map(key));
        assert!(!queue.is_empty());
        assert_eq!(queue.pop(), Some(key("z")));
        // It comes back, and waits for the others.
        queue.insert(key("z"));
        queue.insert(key("a"));
        assert_eq!(names(queue), ["b", "a", "z"]);
    }

    #[test]
    fn what_is_removed_leaves_nothing_and_comes_back_as_new() {
        let mut queue = ReportQueue::default();
        for _ in 0..3 {
            queue.extend(["a", "b"].map(key));
            queue.remove(&key("a"));
            queue.remove(&key("nobody"));
            assert_eq!((queue.by_turn.len(), queue.turns.len()), (1, 1));
        }
        queue.insert(key("a"));
        assert_eq!(names(queue), ["b", "a"]);
    }
}
