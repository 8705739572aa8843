//! Records of a service, written once for each of its contents.

use rollcall_catalogue::{Service, ServiceKey};

use crate::Choice;

/// Holds what is said of the instances of one content of a service that a choice takes: their addresses, and their ports.
/// Who asks next begins at the next one.
#[derive(Debug)]
pub struct Records {}

// === impl Records ===

impl Records {
    /// Of the instances that serve, and that the choice takes.
    pub fn of(key: &ServiceKey, service: &Service, choice: Choice<'_>) -> Self {
        let _ = (key, service, choice);
        todo!()
    }

    /// Bytes that they take in memory.
    pub fn bytes(&self) -> usize {
        todo!()
    }
}
