//! Whether this replica serves sessions: every one does, since they share what their sessions tell.

mod role;

use tokio::sync::watch;

pub use self::role::Role;

/// The role of a process that has no others beside it.
pub fn alone() -> watch::Receiver<Role> {
    watch::channel(Role::Serving).1
}
