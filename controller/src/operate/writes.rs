//! How much is written to Kubernetes, by kind.

use std::sync::atomic::{AtomicU64, Ordering};

/// Names what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    Status,
    /// A registration of our own.
    Registration,
    Lease,
    /// The sign of life of a replica that misses another one.
    Sign,
    Event,
    /// The authority of the sessions' certificates.
    Secret,
    /// The certificate by which the API server knows us, in the webhook's configuration.
    Webhook,
    /// Asks only, but the API server counts it among the writes.
    TokenReview,
}

/// Counts the calls that were sent to write something, whatever came of them.
#[derive(Debug, Default)]
pub struct WriteCounts {
    status: AtomicU64,
    registration: AtomicU64,
    lease: AtomicU64,
    sign: AtomicU64,
    event: AtomicU64,
    secret: AtomicU64,
    webhook: AtomicU64,
    token_review: AtomicU64,
    events_dropped: AtomicU64,
}

// === impl WriteKind ===

impl WriteKind {
    pub const ALL: [Self; 8] = [
        Self::Status,
        Self::Registration,
        Self::Lease,
        Self::Sign,
        Self::Event,
        Self::Secret,
        Self::Webhook,
        Self::TokenReview,
    ];

    /// The word in `api_writes_total{kind}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Registration => "registration",
            Self::Lease => "lease",
            Self::Sign => "sign",
            Self::Event => "event",
            Self::Secret => "secret",
            Self::Webhook => "webhook",
            Self::TokenReview => "token-review",
        }
    }
}

// === impl WriteCounts ===

impl WriteCounts {
    pub fn of(&self, kind: WriteKind) -> u64 {
        self.counter(kind).load(Ordering::Relaxed)
    }

    /// Events that nobody will see: too many waited to be written, or the API server did not take them.
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
            WriteKind::Registration => &self.registration,
            WriteKind::Lease => &self.lease,
            WriteKind::Sign => &self.sign,
            WriteKind::Event => &self.event,
            WriteKind::Secret => &self.secret,
            WriteKind::Webhook => &self.webhook,
            WriteKind::TokenReview => &self.token_review,
        }
    }
}
