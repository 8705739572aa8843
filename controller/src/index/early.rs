//! What comes before the object that it is about: it waits for that, and not for ever.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
};

/// How long a word waits while our own watches are proven: they are begun anew within a minute, and what such a watch has
/// not brought after ten of these is gone.
const WAITS_FOR_MS: u64 = 600_000;

/// Words that wait at a time: as many pods as Kubernetes makes in some minutes, and some 16 MiB of notes.
const WAITING_MAX: usize = 16_384;

/// The same before every kind was listed, when nothing is known yet of what others tell: as many pods as Kubernetes is made
/// for.
const WAITING_MAX_AT_FIRST: usize = 150_000;

/// Holds words on what is not known yet, the newest for each.
#[derive(Debug)]
pub(super) struct Early<K, V> {
    held: BTreeMap<K, (u64, V)>,
    /// In the order in which they came first; some are taken already.
    came: VecDeque<(u64, K)>,
    /// Before then our own watches were not proven, and nothing was waited for in vain.
    proven_since_ms: u64,
    /// There was no room for one that still waited.
    had_no_room: bool,
}

// === impl Early ===

impl<K, V> Default for Early<K, V> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), came: VecDeque::new(), proven_since_ms: 0, had_no_room: false }
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
        while self.held.len() >= most && !self.came.is_empty() {
            self.had_no_room |= self.drop_oldest();
        }
        if self.came.len() >= 2 * most {
            // Half of them at least are taken.
            let held = &self.held;
            self.came.retain(|(at_ms, key)| held.get(key).is_some_and(|(held_ms, _)| held_ms == at_ms));
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

    /// Those that have waited for long enough are forgotten; none while our own watches are not proven.
    pub(super) fn tidy(&mut self, now_ms: u64, is_proven: bool) {
        if !is_proven {
            self.proven_since_ms = now_ms;
        }
        let since_ms = self.proven_since_ms;
        let is_over = |at_ms: u64| now_ms.saturating_sub(at_ms.max(since_ms)) >= WAITS_FOR_MS;
        while self.came.front().is_some_and(|(at_ms, _)| is_over(*at_ms)) {
            self.drop_oldest();
        }
    }

    /// Whether there was no room for one that still waited, since the last call. What has waited for long enough is about
    /// something that is gone, and nobody is asked for it again.
    pub(super) fn take_had_no_room(&mut self) -> bool {
        std::mem::take(&mut self.had_no_room)
    }

    /// Says whether it still waited.
    fn drop_oldest(&mut self) -> bool {
        let Some((at_ms, key)) = self.came.pop_front() else { return false };
        // It may have been taken, and another one kept since.
        let waited = self.held.get(&key).is_some_and(|(held_ms, _)| *held_ms == at_ms);
        if waited {
            self.held.remove(&key);
        }
        waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_waits_ten_minutes_and_the_newest_counts() {
        let mut early = Early::default();
        early.keep(1, "old", 1_000, true);
        early.keep(1, "new", 30_000, true);
        early.keep(2, "other", 31_000, true);
        early.tidy(600_999, true);
        assert_eq!(early.get(&1), Some(&"new"));
        early.tidy(601_000, true);
        assert_eq!((early.get(&1), early.get(&2)), (None, Some(&"other")));
        assert_eq!((early.take(&2), early.take(&2)), (Some("other"), None));
        // What was taken and is kept once more waits for its own time.
        early.keep(2, "again", 680_000, true);
        early.tidy(691_000, true);
        assert_eq!(early.get(&2), Some(&"again"));
        early.retain(|key| *key != 2);
        assert_eq!(early.get(&2), None);
        assert!(!early.take_had_no_room(), "who has waited for long enough is not asked for again");
    }

    #[test]
    fn nothing_is_waited_for_in_vain_while_our_own_watches_are_not_proven() {
        let mut early = Early::default();
        early.keep(1, (), 1_000, true);
        early.tidy(900_000, false);
        early.tidy(1_499_999, true);
        assert!(early.get(&1).is_some());
        early.tidy(1_500_000, true);
        assert!(early.get(&1).is_none());
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let mut early = Early::default();
        for number in 0..WAITING_MAX + 10 {
            early.keep(number, (), 1_000, true);
        }
        assert_eq!((early.held.len(), early.came.len()), (WAITING_MAX, WAITING_MAX));
        assert!(early.get(&9).is_none() && early.get(&10).is_some());
        assert_eq!([early.take_had_no_room(), early.take_had_no_room()], [true, false], "told once");
        // Those that are taken take nobody's place, and do not pile up.
        early.take(&(WAITING_MAX - 1));
        for number in 0..3 * WAITING_MAX {
            early.keep(1_000_000 + number, (), 1_000, true);
            early.take(&(1_000_000 + number));
        }
        assert!(early.came.len() <= 2 * WAITING_MAX);
        assert!(early.get(&10).is_some() && !early.take_had_no_room());
        let mut at_first = Early::default();
        (0..2 * WAITING_MAX).for_each(|number| at_first.keep(number, (), 1_000, false));
        assert!(at_first.get(&0).is_some(), "nothing is known yet");
    }
}
