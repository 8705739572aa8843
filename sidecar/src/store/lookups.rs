//! How often the store was asked.

use std::sync::atomic::{AtomicU64, Ordering};

/// Says in which language a lookup came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Native,
    Classic,
    Dns,
}

/// Holds the number of lookups of each language.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    native: AtomicU64,
    classic: AtomicU64,
    dns: AtomicU64,
}

// === impl Dialect ===

impl Dialect {
    pub(crate) const ALL: [Self; 3] = [Self::Native, Self::Classic, Self::Dns];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Classic => "classic",
            Self::Dns => "dns",
        }
    }
}

// === impl Lookups ===

impl Lookups {
    pub(super) fn count(&self, dialect: Dialect) {
        self.of(dialect).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn total(&self, dialect: Dialect) -> u64 {
        self.of(dialect).load(Ordering::Relaxed)
    }

    const fn of(&self, dialect: Dialect) -> &AtomicU64 {
        match dialect {
            Dialect::Native => &self.native,
            Dialect::Classic => &self.classic,
            Dialect::Dns => &self.dns,
        }
    }
}
