//! Which replica serves sessions: one of them, until they share what their sessions tell.
//!
//! With sessions at two replicas, one would not know of an app that the other one's sidecars call dead. So the holder of
//! the Lease serves, as long as its pod is alive, and the others stand by: they watch, join, answer people and are ready.

mod role;

use std::sync::Arc;

use tokio::sync::watch;
use tracing::info;

pub use self::role::{Role, role};
use crate::{
    index::Index,
    lease::Holder,
    operate::Metrics,
    owner::{IndexHandle, OwnerGone, View},
};

/// Holds what a replica must know to decide, and whom it tells.
pub struct Watchman {
    /// Our own name.
    pub replica: String,
    /// Where all replicas have their sessions.
    pub port: u16,
    pub holder: watch::Receiver<Holder>,
    pub index: IndexHandle,
    pub role: watch::Sender<Role>,
    pub metrics: Metrics,
}

// === impl Watchman ===

impl Watchman {
    /// Decides anew whenever something of it changes.
    pub async fn run(mut self) -> Result<(), OwnerGone> {
        let mut view = self.index.view();
        loop {
            let holder = self.holder.borrow_and_update().clone();
            if let Some(name) = holder.name().cloned() {
                self.index.ask(move |index| index.keep_vigil_of(name)).await?;
            }
            // Until somebody else holds the Lease, or whoever kept it has ended and nobody will.
            let mut is_kept = true;
            while is_kept {
                let seen = view.borrow_and_update().clone();
                self.decide(&holder, &seen).await?;
                tokio::select! {
                    changed = view.changed() => changed.map_err(|_| OwnerGone)?,
                    Ok(()) = self.holder.changed() => is_kept = false,
                }
            }
        }
    }

    async fn decide(&self, holder: &Holder, view: &Arc<View>) -> Result<(), OwnerGone> {
        let Some(decided) = role(&self.replica, holder, view.vigil.as_ref(), self.port) else {
            return Ok(());
        };
        let is_news = self.role.send_if_modified(|role| std::mem::replace(role, decided) != decided);
        if !is_news {
            return Ok(());
        }
        self.metrics.serving(decided.serves());
        match decided {
            Role::Standby { serving } => info!(%serving, "another replica serves the sessions: we stand by"),
            _ => info!("this replica serves the sessions"),
        }
        self.index.ask(Index::hand_over_closed_sessions).await
    }
}

/// The role of a process that has no others beside it.
pub fn alone() -> watch::Receiver<Role> {
    watch::channel(Role::Serving).1
}

#[cfg(test)]
#[path = "serving_tests.rs"]
mod tests;
