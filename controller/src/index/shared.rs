//! What many objects have in common, kept once for all of them.

use std::{collections::HashSet, hash::Hash, sync::Arc};

/// Values that come before those that nobody has any more are looked for, beside a quarter of what is held: to look
/// costs a look at all of them.
const UNSWEPT: usize = 64;

/// Holds each distinct value once. The order in which the objects come makes no difference to what is kept.
#[derive(Debug)]
pub(super) struct Shared<T: ?Sized> {
    held: HashSet<Arc<T>>,
    /// At so many, those that nobody has any more are let go of.
    full: usize,
}

// === impl Shared ===

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Self { held: HashSet::new(), full: UNSWEPT }
    }
}

impl<T: Eq + Hash + ?Sized> Shared<T> {
    /// Puts the value that is held in the place of an equal one.
    pub(super) fn share(&mut self, value: &mut Arc<T>) {
        if let Some(held) = self.held.get(&**value) {
            *value = held.clone();
            return;
        }
        if self.held.len() >= self.full {
            self.held.retain(|held| Arc::strong_count(held) > 1);
            self.full = self.held.len() + self.held.len() / 4 + UNSWEPT;
        }
        self.held.insert(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_what_nobody_has_is_let_go_of() {
        let mut shared = Shared::<str>::default();
        let (mut first, mut equal): (Arc<str>, Arc<str>) = ("node-1".into(), "node-1".into());
        shared.share(&mut first);
        shared.share(&mut equal);
        assert!(Arc::ptr_eq(&first, &equal));
        for number in 0..100 * UNSWEPT {
            shared.share(&mut format!("gone-{number}").into());
            assert!(shared.held.len() <= 2 * UNSWEPT + 1);
        }
        let mut late: Arc<str> = "node-1".into();
        shared.share(&mut late);
        assert!(Arc::ptr_eq(&first, &late), "somebody had it all the time");
    }
}
