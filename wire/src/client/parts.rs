//! A service that comes in several frames: nothing of it counts before the last.

use std::sync::Arc;

use rollcall_catalogue::{ContentHash, Instance, InstanceId, ServiceKey, changes::Head};

use super::{event::Violation, weight};

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
pub(super) struct Parts(Option<Open>);

#[derive(Debug)]
struct Open {
    /// Without what was passed over.
    told: Told,
    bytes: usize,
    /// Nobody wants it, or it does not fit: what comes of it is counted, and not kept.
    passed_over: bool,
}

/// Says what a part makes of what came before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It goes on, or has ended and counts for nothing.
    Nothing,
    Whole(Told),
    /// It takes more than the room that there is. Said once.
    TooLarge(ServiceKey),
}

// === impl Parts ===

impl Parts {
    /// The service that is told by halves.
    pub(super) fn open(&self) -> Option<&ServiceKey> {
        self.0.as_ref().map(|open| &open.told.key)
    }

    /// Takes a part of a service for which there are so many bytes of room; none where nobody wants it.
    pub(super) fn add(&mut self, part: Told, more: bool, room: Option<usize>) -> Result<Added, Violation> {
        let Told { key, head, base, instances, removed } = part;
        let mut open = match self.0.take() {
            None => {
                let told = Told { key, head, base, instances: Vec::new(), removed: Vec::new() };
                Open { told, bytes: 0, passed_over: false }
            }
            Some(open) if (&open.told.key, open.told.head, open.told.base) == (&key, head, base) => open,
            Some(open) => return Err(Violation::Parts(open.told.key)),
        };
        open.passed_over |= room.is_none();
        let mut too_large = false;
        if !open.passed_over {
            open.bytes += instances.iter().map(|one| weight::of_instance(one)).sum::<usize>();
            open.bytes += removed.iter().map(weight::of_id).sum::<usize>();
            too_large = room.is_some_and(|room| open.bytes > room);
            open.passed_over = too_large;
        }
        if open.passed_over {
            (open.told.instances, open.told.removed) = (Vec::new(), Vec::new());
        } else {
            open.told.instances.extend(instances);
            open.told.removed.extend(removed);
        }
        if open.told.instances.len() > COLLECTED_MAX || open.told.removed.len() > COLLECTED_MAX {
            return Err(Violation::Parts(open.told.key));
        }
        let added = match (too_large, open.passed_over || more) {
            (true, _) => Added::TooLarge(open.told.key.clone()),
            (false, true) => Added::Nothing,
            (false, false) => return Ok(Added::Whole(open.told)),
        };
        self.0 = more.then_some(open);
        Ok(added)
    }
}
