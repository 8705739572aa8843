//! Connections that are kept from one call to the next, so that none of them is charged with the making of one.

use std::sync::{Mutex, PoisonError};

/// Holds those that nobody uses at the moment.
pub(super) struct Pool<T>(Mutex<Vec<T>>);

// === impl Pool ===

impl<T> Pool<T> {
    /// One that is good still; what is not is dropped.
    pub(super) fn take(&self, is_good: impl Fn(&T) -> bool) -> Option<T> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(is_good);
        idle.pop()
    }

    pub(super) fn give(&self, one: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_taken_again_while_it_is_good() {
        let pool = Pool::default();
        assert_eq!(pool.take(|_: &u8| true), None);
        for one in [1, 2, 3] {
            pool.give(one);
        }
        assert_eq!(pool.take(|one| *one < 3), Some(2));
        assert_eq!(pool.take(|_| true), Some(1));
        assert_eq!(pool.take(|_| true), None, "3 was not good, and is gone");
    }
}
