//! What the pod says of itself: kept over sessions, since each controller must know it.

use std::collections::BTreeMap;

use rollcall_catalogue::{ServiceName, liveness::ProbeWitness};

use super::event::Full;
use crate::{frame::Up, limits::REGISTRATIONS_MAX, registration::SelfRegistration};

/// Bytes of all registrations as JSON: they must fit into one `hello`, with room for some hundred names that are held.
const REGISTRATIONS_BYTES_MAX: usize = 192 * 1024;

/// Services of one pod whose health is told one by one: what it registers itself, and what others say of it.
const HEALTH_WORDS_MAX: usize = 64;

/// Holds the app's registrations and the latest words on its health.
#[derive(Debug, Default)]
pub(super) struct Words {
    registrations: BTreeMap<ServiceName, Registered>,
    bytes: usize,
    /// None is all of the pod's services, and comes first: what is said of one stands above it.
    health: BTreeMap<Option<ServiceName>, ProbeWitness>,
}

#[derive(Debug)]
struct Registered {
    registration: SelfRegistration,
    bytes: usize,
    /// Frames that say so and have no answer yet.
    unanswered: u32,
}

// === impl Words ===

impl Words {
    pub(super) fn registrations(&self) -> Vec<SelfRegistration> {
        self.registrations.values().map(|held| held.registration.clone()).collect()
    }

    pub(super) fn registrations_bytes(&self) -> usize {
        self.bytes
    }

    /// All that is known of the app's health.
    pub(super) fn health(&self) -> impl Iterator<Item = Up> {
        self.health.iter().map(|(service, probe)| Up::Health { service: service.clone(), probe: *probe })
    }

    /// A new session: `hello` says it all, and what was asked before has no answer any more.
    pub(super) fn begin(&mut self) {
        self.registrations.values_mut().for_each(|held| held.unanswered = 0);
    }

    /// `sent`: it goes out now, and will be answered.
    pub(super) fn register(&mut self, registration: SelfRegistration, sent: bool) -> Result<(), Full> {
        let before = self.registrations.get(&registration.service);
        if before.is_none() && self.registrations.len() >= REGISTRATIONS_MAX {
            return Err(Full { what: "registrations of one pod", max: REGISTRATIONS_MAX });
        }
        // Text, numbers and maps with text keys, which serde_json cannot fail to write; and a comma.
        let bytes = serde_json::to_vec(&registration).map_or(0, |json| json.len() + 1);
        let others = self.bytes - before.map_or(0, |held| held.bytes);
        if others + bytes > REGISTRATIONS_BYTES_MAX {
            return Err(Full { what: "bytes of registrations", max: REGISTRATIONS_BYTES_MAX });
        }
        let unanswered = before.map_or(0, |held| held.unanswered).saturating_add(u32::from(sent));
        self.bytes = others + bytes;
        let held = Registered { bytes, unanswered, registration };
        self.registrations.insert(held.registration.service.clone(), held);
        Ok(())
    }

    /// Whether it was registered.
    pub(super) fn deregister(&mut self, service: &ServiceName) -> bool {
        let held = self.registrations.remove(service);
        self.bytes -= held.as_ref().map_or(0, |held| held.bytes);
        held.is_some()
    }

    pub(super) fn accepted(&mut self, service: &ServiceName) {
        if let Some(held) = self.registrations.get_mut(service) {
            held.unanswered = held.unanswered.saturating_sub(1);
        }
    }

    /// What was refused is not said again, unless it is the one before what is held now.
    pub(super) fn rejected(&mut self, service: &ServiceName) {
        match self.registrations.get_mut(service) {
            Some(held) if held.unanswered > 1 => held.unanswered -= 1,
            Some(_) | None => drop(self.deregister(service)),
        }
    }

    pub(super) fn say_health(
        &mut self,
        service: Option<ServiceName>,
        probe: ProbeWitness,
    ) -> Result<(), Full> {
        if service.is_some() && self.health.len() >= HEALTH_WORDS_MAX && !self.health.contains_key(&service) {
            return Err(Full { what: "services whose health is told", max: HEALTH_WORDS_MAX });
        }
        self.health.insert(service, probe);
        Ok(())
    }
}
