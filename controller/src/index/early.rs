//! What comes before the object that it is about: it waits for that, and not for ever.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
};

/// How long a word waits: the watch of one replica is behind that of another by a second, and begun anew within a minute.
const WAITS_FOR_MS: u64 = 60_000;

/// Words that wait at a time: as many pods as a large rollout makes in a minute.
const WAITING_MAX: usize = 4_096;

/// The same before every kind was listed, when nothing is known yet of what others tell: as many pods as Kubernetes is made
/// for.
const WAITING_MAX_AT_FIRST: usize = 150_000;

/// Holds words on what is not known yet, the newest for each.
#[derive(Debug)]
pub(super) struct Early<K, V> {
    held: BTreeMap<K, (u64, V)>,
    /// In the order in which they came first; some are taken already.
    came: VecDeque<(u64, K)>,
}

// === impl Early ===

impl<K, V> Default for Early<K, V> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), came: VecDeque::new() }
    }
}

impl<K: Ord + Clone, V> Early<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.held.get(key).map(|(_, word)| word)
    }

    /// Keeps a word in the place of an older one. A word in its place waits no longer than that would have.
    pub(super) fn keep(&mut self, key: K, word: V, now_ms: u64, listed: bool) {
        if let Some((_, held)) = self.held.get_mut(&key) {
            *held = word;
            return;
        }
        let most = if listed { WAITING_MAX } else { WAITING_MAX_AT_FIRST };
        while self.came.len() >= most {
            self.drop_oldest();
        }
        self.came.push_back((now_ms, key.clone()));
        self.held.insert(key, (now_ms, word));
    }

    /// What is known now needs to wait no more.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        self.held.remove(key).map(|(_, word)| word)
    }

    pub(super) fn retain(&mut self, wanted: impl Fn(&K) -> bool) {
        self.held.retain(|key, _| wanted(key));
    }

    /// Those that have waited for long enough are forgotten.
    pub(super) fn tidy(&mut self, now_ms: u64) {
        while self.came.front().is_some_and(|(at_ms, _)| now_ms.saturating_sub(*at_ms) >= WAITS_FOR_MS) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((at_ms, key)) = self.came.pop_front() else { return };
        // It may have been taken, and another one kept since.
        if self.held.get(&key).is_some_and(|(held_ms, _)| *held_ms == at_ms) {
            self.held.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_waits_a_minute_and_the_newest_counts() {
        let mut early = Early::default();
        early.keep(1, "old", 1_000, true);
        early.keep(1, "new", 30_000, true);
        early.keep(2, "other", 31_000, true);
        early.tidy(60_999);
        assert_eq!(early.get(&1), Some(&"new"));
        early.tidy(61_000);
        assert_eq!((early.get(&1), early.get(&2)), (None, Some(&"other")));
        assert_eq!((early.take(&2), early.take(&2)), (Some("other"), None));
        // What was taken and is kept once more waits for its own time.
        early.keep(2, "again", 80_000, true);
        early.tidy(91_000);
        assert_eq!(early.get(&2), Some(&"again"));
        early.retain(|key| *key != 2);
        assert_eq!(early.get(&2), None);
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let mut early = Early::default();
        for number in 0..WAITING_MAX + 10 {
            early.keep(number, (), 1_000, true);
        }
        assert_eq!((early.held.len(), early.came.len()), (WAITING_MAX, WAITING_MAX));
        assert!(early.get(&9).is_none() && early.get(&10).is_some());
        // Taken ones make no room by themselves, and do not pile up either.
        for number in 0..3 * WAITING_MAX {
            early.keep(1_000_000 + number, (), 1_000, true);
            early.take(&(1_000_000 + number));
        }
        assert!(early.came.len() <= WAITING_MAX);
        let mut at_first = Early::default();
        (0..2 * WAITING_MAX).for_each(|number| at_first.keep(number, (), 1_000, false));
        assert!(at_first.get(&0).is_some(), "nothing is known yet");
    }
}
