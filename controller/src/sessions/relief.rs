//! When sessions end because another replica serves from now on: not all at once.

use std::time::Duration;

use rollcall_net::Jitter;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::serving::Role;

/// The sessions of a replica that no longer serves end within so long: the other one has their handshakes one after the
/// other anyway, and what a session tells it is awaited there.
const SPREAD: Duration = Duration::from_secs(1);

/// Tells a session when it is to end since another replica serves.
pub(crate) struct Relief {
    role: watch::Receiver<Role>,
    /// Drawn when the role was lost.
    due: Option<Instant>,
}

// === impl Relief ===

impl Relief {
    pub(crate) fn new(role: watch::Receiver<Role>) -> Self {
        Self { role, due: None }
    }

    /// Returns when the session is to end. Safe to drop and call again.
    pub(crate) async fn due(&mut self) {
        loop {
            let serves = self.role.borrow_and_update().serves();
            let draw = || Instant::now() + Jitter::from_entropy().up_to(SPREAD);
            self.due = (!serves).then(|| self.due.unwrap_or_else(draw));
            let due = self.due;
            tokio::select! {
                Ok(()) = self.role.changed() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => return,
                // Nobody decides any more.
                else => std::future::pending().await,
            }
        }
    }
}
