//! The list of all services that may be seen, for those who want it.

use std::{collections::BTreeMap, sync::Arc};

use rollcall_catalogue::ServiceKey;

use super::{event::Violation, weight};
use crate::frame::ServiceSummary;

/// Bytes of the list in memory: the 16,000 services of the largest cluster that this is made for, with a version or two
/// each, take 5 MB. The last list is shown while the next is collected.
const BYTES_MAX: usize = 6 * 1024 * 1024;

/// Holds the list, and what is collected of the next one.
#[derive(Debug, Default)]
pub(super) struct Summary {
    wanted: bool,
    /// In this session.
    asked: bool,
    answered: bool,
    /// Said in this session, and shown once it is whole, and its teller not behind.
    next: Option<List>,
    next_is_whole: bool,
    shown: Option<List>,
}

/// Holds services by their names, and what they take in memory.
#[derive(Debug, Default)]
struct List {
    services: Arc<BTreeMap<ServiceKey, ServiceSummary>>,
    bytes: usize,
}

// === impl Summary ===

impl Summary {
    /// The list as it was last known to be whole.
    pub(super) fn shown(&self) -> Option<&Arc<BTreeMap<ServiceKey, ServiceSummary>>> {
        self.shown.as_ref().map(|list| &list.services)
    }

    pub(super) fn answered(&self) -> bool {
        self.answered || !self.wanted
    }

    /// Whether that is another wish than before.
    pub(super) fn want(&mut self, wanted: bool) -> bool {
        if self.wanted == wanted {
            return false;
        }
        *self = Self { wanted, ..Self::default() };
        true
    }

    /// A new session: the list begins anew, and the last one is shown until then. Whether it is to be asked for.
    pub(super) fn begin(&mut self) -> bool {
        (self.asked, self.answered, self.next, self.next_is_whole) = (false, false, None, false);
        self.ask()
    }

    /// Whether it is to be asked for now: from here on it is.
    pub(super) fn ask(&mut self) -> bool {
        let ask = self.wanted && !self.asked;
        self.asked |= ask;
        ask
    }

    /// Whether what is shown changes.
    pub(super) fn take(
        &mut self,
        services: Vec<ServiceSummary>,
        removed: &[ServiceKey],
        begins: bool,
    ) -> Result<bool, Violation> {
        if !self.asked {
            return Ok(false);
        }
        if begins {
            (self.next, self.next_is_whole) = (Some(List::default()), false);
        }
        let collecting = self.next.is_some();
        // Changes under way of a list that was left, and is asked for again, change nothing.
        let Some(list) = self.next.as_mut().or(self.shown.as_mut().filter(|_| self.answered)) else {
            return Ok(false);
        };
        list.change(services, removed)?;
        Ok(!collecting)
    }

    /// The list is whole.
    pub(super) fn synced(&mut self) {
        if self.next.is_some() {
            (self.answered, self.next_is_whole) = (true, true);
        }
    }

    /// Shows the list if it is whole; one of who is `behind` only where there is none to be shown. Whether what is shown
    /// changes.
    pub(super) fn settle(&mut self, behind: bool) -> bool {
        if !self.next_is_whole || (behind && self.shown.is_some()) {
            return false;
        }
        self.next_is_whole = false;
        let next = self.next.take();
        let changes = next.is_some();
        self.shown = next.or(self.shown.take());
        changes
    }
}

// === impl List ===

impl List {
    fn change(&mut self, services: Vec<ServiceSummary>, removed: &[ServiceKey]) -> Result<(), Violation> {
        // Whoever reads the list as it was keeps that one.
        let held = Arc::make_mut(&mut self.services);
        for key in removed {
            self.bytes -= held.remove(key).map_or(0, |one| weight::of_summary(&one));
        }
        for one in services {
            self.bytes += weight::of_summary(&one);
            if self.bytes > BYTES_MAX {
                return Err(Violation::Summary);
            }
            let before = held.insert(one.service.clone(), one);
            self.bytes -= before.map_or(0, |one| weight::of_summary(&one));
        }
        Ok(())
    }
}
