//! How well the watches work, for whoever asks, without a lock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::index::Kind;

/// Holds when each watch last proved that it works.
///
/// A proof is an event, a bookmark, the end of a complete list, or a watch call that the API server ended after its
/// full time and without an error. That a call was answered, or that nothing has failed, is none. A quiet cluster
/// gives a proof at each end of a call, so that an age below a minute is as good as any.
#[derive(Debug, Clone)]
pub(crate) struct WatchAges(Arc<Ages>);

/// Counts what complete lists have shown that the watches had not told.
///
/// Now and then each kind is listed anew, as it was at the very revision that its watch had come to. What changed
/// after that revision is not in the list, so each object that is in it and not in the index as it is, or the other
/// way round, was not told by the watch, or was lost by us: it is counted once, and healed. A list for another reason
/// (a start, a revision that is gone) is not counted: it shows what changed meanwhile too. Nor is what a list lacks that
/// is not believed; those are counted for themselves, whatever they were made for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drift(Arc<PerKind<Compared>>);

#[derive(Debug)]
struct Ages {
    begun: Instant,
    /// In milliseconds since the beginning.
    proven_ms: PerKind<AtomicU64>,
}

#[derive(Debug, Default)]
struct Compared {
    lists: AtomicU64,
    differences: AtomicU64,
    doubted: AtomicU64,
}

#[derive(Debug, Default)]
struct PerKind<T> {
    pods: T,
    registrations: T,
    services: T,
    slices: T,
    namespaces: T,
    nodes: T,
}

// === impl WatchAges ===

impl WatchAges {
    /// All of them as old as this.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Ages { begun: Instant::now(), proven_ms: PerKind::default() }))
    }

    /// How long ago this watch proved that it works; where it never did, since it was begun.
    pub(crate) fn age(&self, kind: Kind) -> Duration {
        let proven_ms = self.0.proven_ms.of(kind).load(Ordering::Relaxed);
        self.0.begun.elapsed().saturating_sub(Duration::from_millis(proven_ms))
    }

    pub(crate) fn proven(&self, kind: Kind) {
        let now_ms = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.proven_ms.of(kind).store(now_ms, Ordering::Relaxed);
    }
}

// === impl Drift ===

impl Drift {
    /// The differences so far.
    pub(crate) fn total(&self, kind: Kind) -> u64 {
        self.0.of(kind).differences.load(Ordering::Relaxed)
    }

    /// The complete lists that were compared so far: no difference means nothing where there are none.
    pub(crate) fn lists(&self, kind: Kind) -> u64 {
        self.0.of(kind).lists.load(Ordering::Relaxed)
    }

    /// The lists so far that were not believed.
    pub(crate) fn doubts(&self, kind: Kind) -> u64 {
        self.0.of(kind).doubted.load(Ordering::Relaxed)
    }

    pub(crate) fn doubted(&self, kind: Kind) {
        self.0.of(kind).doubted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn compared(&self, kind: Kind, differences: u64) {
        let compared = self.0.of(kind);
        compared.lists.fetch_add(1, Ordering::Relaxed);
        compared.differences.fetch_add(differences, Ordering::Relaxed);
    }
}

// === impl PerKind ===

impl<T> PerKind<T> {
    fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Pod => &self.pods,
            Kind::Registration => &self.registrations,
            Kind::Service => &self.services,
            Kind::Slice => &self.slices,
            Kind::Namespace => &self.namespaces,
            Kind::Node => &self.nodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_watch_ages_for_itself() {
        let ages = WatchAges::new();
        advance(Duration::from_secs(10)).await;
        assert!(Kind::ALL.iter().all(|kind| ages.age(*kind) == Duration::from_secs(10)), "never proven");
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Slice).for_each(|kind| ages.proven(kind));
        advance(Duration::from_secs(5)).await;
        assert_eq!(ages.age(Kind::Node), Duration::from_secs(5));
        assert_eq!(ages.age(Kind::Slice), Duration::from_secs(15));
    }

    #[test]
    fn lists_are_counted_too() {
        let drift = Drift::default();
        drift.compared(Kind::Pod, 2);
        drift.compared(Kind::Pod, 0);
        assert_eq!((drift.total(Kind::Pod), drift.lists(Kind::Pod)), (2, 2));
        assert_eq!((drift.total(Kind::Slice), drift.lists(Kind::Slice)), (0, 0));
        drift.doubted(Kind::Slice);
        assert_eq!((drift.doubts(Kind::Pod), drift.doubts(Kind::Slice)), (0, 1));
    }
}
