//! What the pod says of itself: kept over sessions, since each controller must know it.

use std::collections::BTreeMap;

use rollcall_catalogue::liveness::ProbeWitness;

use super::event::Full;
use crate::{
    frame::{HealthOf, Up},
    limits::{HEALTH_WORDS_MAX, REGISTRATIONS_MAX},
    registration::{RegistrationKey, SelfRegistration},
};

/// Bytes of all registrations as JSON: they must fit into one `hello`, with room for some hundred names that are held.
const REGISTRATIONS_BYTES_MAX: usize = 192 * 1024;

/// Holds the app's registrations and the latest words on its health.
#[derive(Debug, Default)]
pub(super) struct Words {
    registrations: BTreeMap<RegistrationKey, Registered>,
    bytes: usize,
    /// None is all that the pod is, and comes first.
    health: BTreeMap<Option<HealthOf>, ProbeWitness>,
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
        self.health.iter().map(|(of, probe)| Up::Health { of: of.clone(), probe: *probe })
    }

    /// A new session: `hello` says it all, and what was asked before has no answer any more.
    pub(super) fn begin(&mut self) {
        self.registrations.values_mut().for_each(|held| held.unanswered = 0);
    }

    /// `sent`: it goes out now, and will be answered.
    pub(super) fn register(&mut self, registration: SelfRegistration, sent: bool) -> Result<(), Full> {
        let key = registration.key();
        let before = self.registrations.get(&key);
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
        self.registrations.insert(key, Registered { bytes, unanswered, registration });
        Ok(())
    }

    /// Whether it was registered. What was said of an address that stood beside others goes with it.
    pub(super) fn deregister(&mut self, key: &RegistrationKey) -> bool {
        let held = self.registrations.remove(key);
        self.bytes -= held.as_ref().map_or(0, |held| held.bytes);
        if held.is_some()
            && let Some(port) = key.port.and_then(|port| u16::try_from(port).ok())
        {
            self.health.remove(&Some(HealthOf { service: key.service.clone(), port: Some(port) }));
        }
        held.is_some()
    }

    pub(super) fn accepted(&mut self, key: &RegistrationKey) {
        if let Some(held) = self.registrations.get_mut(key) {
            held.unanswered = held.unanswered.saturating_sub(1);
        }
    }

    /// What was refused is not said again, unless it is the one before what is held now.
    pub(super) fn rejected(&mut self, key: &RegistrationKey) {
        match self.registrations.get_mut(key) {
            Some(held) if held.unanswered > 1 => held.unanswered -= 1,
            Some(_) | None => drop(self.deregister(key)),
        }
    }

    pub(super) fn say_health(&mut self, of: Option<HealthOf>, probe: ProbeWitness) -> Result<(), Full> {
        if of.is_some() && !self.health.contains_key(&of) && self.health.len() >= HEALTH_WORDS_MAX {
            // Whoever heard that there is nothing to say of something need not hear it again.
            let silent = self.health.iter().find(|(_, probe)| **probe == ProbeWitness::NotAsked);
            let Some(silent) = silent.map(|(of, _)| of.clone()) else {
                return Err(Full { what: "words on the health of one pod", max: HEALTH_WORDS_MAX });
            };
            self.health.remove(&silent);
        }
        self.health.insert(of, probe);
        Ok(())
    }
}
