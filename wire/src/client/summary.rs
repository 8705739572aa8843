//! The list of all services that may be seen, for those who want it.

use std::collections::BTreeMap;

use rollcall_catalogue::ServiceKey;

use super::event::Violation;
use crate::frame::ServiceSummary;

/// Services in the list: twice as many as the largest cluster that this is made for has. One takes a few hundred bytes.
const SERVICES_MAX: usize = 32_768;

/// Holds the list, and what is collected of the next one.
#[derive(Debug, Default)]
pub(super) struct Summary {
    wanted: bool,
    /// In this session.
    asked: bool,
    answered: bool,
    /// Said in this session, and shown once it is whole.
    next: Option<BTreeMap<ServiceKey, ServiceSummary>>,
    shown: Option<BTreeMap<ServiceKey, ServiceSummary>>,
}

// === impl Summary ===

impl Summary {
    /// The list as it was last known to be whole.
    pub(super) fn shown(&self) -> Option<&BTreeMap<ServiceKey, ServiceSummary>> {
        self.shown.as_ref()
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
        (self.asked, self.answered, self.next) = (false, false, None);
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
            self.next = Some(BTreeMap::new());
        }
        let collecting = self.next.is_some();
        // Changes under way of a list that was left, and is asked for again, change nothing.
        let Some(list) = self.next.as_mut().or(self.shown.as_mut().filter(|_| self.answered)) else {
            return Ok(false);
        };
        removed.iter().for_each(|key| drop(list.remove(key)));
        list.extend(services.into_iter().map(|one| (one.service.clone(), one)));
        if list.len() > SERVICES_MAX {
            return Err(Violation::Summary);
        }
        Ok(!collecting)
    }

    /// The list is whole. Whether what is shown changes.
    pub(super) fn synced(&mut self) -> bool {
        let Some(next) = self.next.take() else { return false };
        self.answered = true;
        self.shown = Some(next);
        true
    }
}
