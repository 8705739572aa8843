//! A service that comes in several frames: nothing of it counts before the last.

use std::sync::Arc;

use rollcall_catalogue::{ContentHash, Instance, InstanceId, ServiceKey, changes::Head};

use super::event::Violation;

/// Instances of one service that are collected from several frames, and ids of those that are gone: above the
/// controller's own limit per service, so that only a broken peer meets it.
const COLLECTED_MAX: usize = 10_000;

/// Holds what the controller told of one service at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) key: ServiceKey,
    pub(super) head: Head,
    pub(super) base: Option<ContentHash>,
    pub(super) instances: Vec<Arc<Instance>>,
    pub(super) removed: Vec<InstanceId>,
}

/// Holds the parts so far of the one service that is being told.
#[derive(Debug, Default)]
pub(super) struct Parts(Option<Told>);

// === impl Parts ===

impl Parts {
    /// The service that is told by halves.
    pub(super) fn open(&self) -> Option<&ServiceKey> {
        self.0.as_ref().map(|told| &told.key)
    }

    /// All that was told of the service, once this was the last part.
    pub(super) fn add(&mut self, part: Told, more: bool) -> Result<Option<Told>, Violation> {
        let told = match self.0.take() {
            None => part,
            Some(mut told) if (&told.key, told.head, told.base) == (&part.key, part.head, part.base) => {
                told.instances.extend(part.instances);
                told.removed.extend(part.removed);
                told
            }
            Some(told) => return Err(Violation::Parts(told.key)),
        };
        if told.instances.len() > COLLECTED_MAX || told.removed.len() > COLLECTED_MAX {
            return Err(Violation::Parts(told.key));
        }
        if more {
            self.0 = Some(told);
            return Ok(None);
        }
        Ok(Some(told))
    }
}
