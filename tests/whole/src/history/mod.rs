//! What was answered in a story, what was true meanwhile, and whether the promises were kept: pure functions over a record.
//!
//! ```text
//!  apps ── lookups ──► Journal ──► Run *     equal answers of one reader, one after the other, are one run
//!  story ── deeds ───► Life *, Trouble *     what was true, and what explains a late answer
//!                          └──► promises ──► what was broken, by whom, when
//! ```

mod journal;
pub mod promises;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

pub use self::journal::Journal;
use crate::Millis;

/// Names an app that looks up: its pod.
pub type Reader = Arc<str>;

/// Holds one instance as an app was told of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// The UID of its pod.
    pub pod: Arc<str>,
    pub address: IpAddr,
}

/// Says what an app was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Known {
        revision: u64,
        /// In the order of their pods.
        shown: Arc<[Shown]>,
        /// By the state of the process before, which nobody has confirmed yet.
        from_disk: bool,
    },
    /// There is no such service.
    Unknown,
    /// An error of this number.
    Refused(u16),
}

/// Holds answers of one reader about one service that are all alike.
#[derive(Debug, Clone)]
pub struct Run {
    pub reader: Reader,
    /// Counts the processes of this reader's sidecar.
    pub life: u32,
    pub service: Arc<str>,
    pub answer: Answer,
    /// When it was given first, and last.
    pub from_ms: Millis,
    pub until_ms: Millis,
}

/// Holds what is true of a pod.
#[derive(Debug, Clone)]
pub struct Life {
    pub pod: Arc<str>,
    pub address: IpAddr,
    pub service: Arc<str>,
    /// While it was well: ready by its kubelet, its app answering, and its node reaching those that serve. One without an
    /// end goes on.
    pub well: Vec<(Millis, Option<Millis>)>,
    /// Each time that it was to leave the lookups, and in which time.
    pub leaves: Vec<Leave>,
    /// When Kubernetes forgot it.
    pub gone_ms: Option<Millis>,
}

/// Holds that a pod was to leave the lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    pub at_ms: Millis,
    pub within_ms: Millis,
    /// Until it was well again, if it was.
    pub until_ms: Option<Millis>,
}

/// Holds what explains that news came late.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// Whom it concerns; all where none is named.
    pub readers: Option<Vec<Reader>>,
    pub from_ms: Millis,
    /// Until everything is to be as promised again: its end, and what it takes to notice that.
    pub until_ms: Millis,
}

/// Holds the loss of a replica that serves.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    pub at_ms: Millis,
    /// By then every sidecar is in step again.
    pub within_ms: Millis,
}

/// Holds a story that is over.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub runs: Vec<Run>,
    /// When each reader was in step with those that serve, in their order.
    pub steps: Vec<Step>,
    pub lives: Vec<Life>,
    pub troubles: Vec<Trouble>,
    pub losses: Vec<Loss>,
}

/// Holds a time during which a reader's sidecar said that it was in step, or that it was not.
#[derive(Debug, Clone)]
pub struct Step {
    pub reader: Reader,
    pub in_step: bool,
    pub from_ms: Millis,
    pub until_ms: Millis,
}

// === impl Answer ===

impl Answer {
    pub fn shows(&self, pod: &str) -> bool {
        self.shown().iter().any(|shown| &*shown.pod == pod)
    }

    pub fn shown(&self) -> &[Shown] {
        match self {
            Self::Known { shown, .. } => shown,
            Self::Unknown | Self::Refused(_) => &[],
        }
    }

    fn is_from_disk(&self) -> bool {
        matches!(self, Self::Known { from_disk: true, .. })
    }
}
