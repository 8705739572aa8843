//! How much is written to Kubernetes, by kind.

use std::sync::atomic::{AtomicU64, Ordering};

/// Names what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    Status,
    Managed,
    Lease,
    Event,
}

/// Counts the calls that were sent to write something, whatever came of them.
#[derive(Debug, Default)]
pub struct WriteCounts {
    status: AtomicU64,
    managed: AtomicU64,
    lease: AtomicU64,
    event: AtomicU64,
    events_dropped: AtomicU64,
}

// === impl WriteKind ===

impl WriteKind {
    pub const ALL: [Self; 4] = [Self::Status, Self::Managed, Self::Lease, Self::Event];

    /// The word in `api_writes_total{kind}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Managed => "managed",
            Self::Lease => "lease",
            Self::Event => "event",
        }
    }
}

// === impl WriteCounts ===

impl WriteCounts {
    pub fn of(&self, kind: WriteKind) -> u64 {
        self.counter(kind).load(Ordering::Relaxed)
    }

    /// Events that nobody will see, since more came than are written.
    pub fn events_dropped(&self) -> u64 {
        self.events_dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, kind: WriteKind) {
        self.counter(kind).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_events(&self, many: u64) {
        self.events_dropped.fetch_add(many, Ordering::Relaxed);
    }

    fn counter(&self, kind: WriteKind) -> &AtomicU64 {
        match kind {
            WriteKind::Status => &self.status,
            WriteKind::Managed => &self.managed,
            WriteKind::Lease => &self.lease,
            WriteKind::Event => &self.event,
        }
    }
}
