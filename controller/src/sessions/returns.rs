//! Who was refused here because another replica serves better, and comes once more: it has found nobody else.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, header::AUTHORIZATION};
use tokio::time::{Duration, Instant};

/// A refusal counts for so long: a sidecar that finds nobody goes round all replicas within a few seconds, and later comes
/// each 30 s.
const COUNTS_FOR: Duration = Duration::from_secs(60);

/// Refusals that are remembered: each session that we may have, twice. With more, all are refused once more.
const REFUSED_MAX: usize = 8_192;

/// Holds when each was refused first, by its token, which nobody has looked at yet: a sidecar has one of its own, and shares
/// its address where a node hides its pods.
#[derive(Debug, Default)]
pub(super) struct Returns {
    hasher: RandomState,
    refused: Mutex<HashMap<u64, Instant>>,
}

// === impl Returns ===

impl Returns {
    /// Whether this one is to be refused: the first time it is.
    pub(super) fn is_first(&self, headers: &HeaderMap) -> bool {
        let key = self.hasher.hash_one(headers.get(AUTHORIZATION));
        let now = Instant::now();
        // A map stays whole whoever panicked while holding it.
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |at: &Instant| now.saturating_duration_since(*at) < COUNTS_FOR;
        if refused.get(&key).is_some_and(counts) {
            return false;
        }
        if refused.len() >= REFUSED_MAX {
            refused.retain(|_, at| counts(at));
        }
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        refused.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> HeaderMap {
        [(AUTHORIZATION, format!("Bearer {number}").parse().unwrap())].into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_again_soon_is_not_refused_again_and_few_are_remembered() {
        let returns = Returns::default();
        for number in 0..2 {
            assert_eq!([number; 3].map(|number| returns.is_first(&token(number))), [true, false, false]);
        }
        tokio::time::advance(COUNTS_FOR).await;
        assert!(returns.is_first(&token(0)), "that was long ago");
        for number in 0..3 * REFUSED_MAX {
            returns.is_first(&token(number));
            assert!(returns.refused.lock().unwrap().len() <= REFUSED_MAX);
        }
    }
}
