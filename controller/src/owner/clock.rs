//! The owner's clock: time enters the index as an argument, and from here.

use std::time::{Duration, SystemTime};

use rollcall_net::time_of_day;
use tokio::time::Instant;

/// Holds a clock that never goes back, in milliseconds since 1970 as the machine had them when the process began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    started_ms: u64,
}

// === impl Clock ===

impl Clock {
    pub(super) fn start() -> Self {
        let since = time_of_day().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }

    pub(super) fn now_ms(&self) -> u64 {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_ms.saturating_add(since)
    }

    /// When this clock shows so much.
    pub(super) fn instant(&self, at_ms: u64) -> Instant {
        self.started + Duration::from_millis(at_ms.saturating_sub(self.started_ms))
    }
}
