//! Whose turn it is to be told a first state.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::admission::Admission;

/// How long a session may keep others waiting for their first state: a peer that is slower goes on beside them.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Says whether it is this session's turn to be told its first state.
pub(crate) enum Turn {
    /// It has subscribed to nothing.
    NotAsked(Arc<Admission>),
    Waiting(BoxFuture<'static, OwnedSemaphorePermit>),
    Held {
        _permit: OwnedSemaphorePermit,
        until: Instant,
    },
    Over,
}

// === impl Turn ===

impl Turn {
    /// Turns are given by these.
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        Self::NotAsked(admission)
    }

    /// Now, and for so long as it may last.
    pub(super) fn held(permit: OwnedSemaphorePermit) -> Self {
        Self::Held { _permit: permit, until: Instant::now() + TURN_MAX }
    }

    /// Asks for a turn, once; says whether it did.
    pub(super) fn ask(&mut self) -> bool {
        let Self::NotAsked(admission) = self else { return false };
        *self = Self::Waiting(Box::pin(admission.first_sync()));
        true
    }

    pub(super) async fn come(&mut self) -> OwnedSemaphorePermit {
        match self {
            Self::Waiting(turn) => turn.await,
            _ => std::future::pending().await,
        }
    }

    pub(super) fn ends_at(&self) -> Option<Instant> {
        match self {
            Self::Held { until, .. } => Some(*until),
            _ => None,
        }
    }

    pub(super) fn end_if_over(&mut self) {
        if self.ends_at().is_some_and(|ends_at| ends_at <= Instant::now()) {
            self.end();
        }
    }

    /// Gives a turn back that is held.
    pub(super) fn end(&mut self) {
        if matches!(self, Self::Held { .. }) {
            *self = Self::Over;
        }
    }
}
