//! What the pod says of itself: kept over sessions, since each controller must know it.

use std::collections::{BTreeMap, VecDeque};

use rollcall_catalogue::liveness::ProbeWitness;

use super::event::Full;
use crate::{
    frame::{HealthOf, Up},
    limits::{HEALTH_WORDS_MAX, REGISTRATIONS_MAX},
    registration::{RegistrationKey, SelfRegistration},
};

/// Bytes of all registrations as JSON: they must fit into one `hello`, with room for some hundred names that are held. The
/// controller takes less.
const HELLO_BYTES_MAX: usize = 192 * 1024;

/// Holds the app's registrations and the latest words on its health.
#[derive(Debug, Default)]
pub(super) struct Words {
    registrations: BTreeMap<RegistrationKey, Registered>,
    bytes: usize,
    /// None is all that the pod is, and comes first.
    health: BTreeMap<Option<HealthOf>, ProbeWitness>,
    /// What was taken back last: a controller that did not hear it may know of it from elsewhere.
    left: VecDeque<RegistrationKey>,
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

    /// What `hello` does not tell, in the order in which it is to be said.
    pub(super) fn after_hello(&self) -> impl Iterator<Item = Up> {
        let left = self.left.iter().map(|key| Up::Deregister { key: key.clone() });
        left.chain(self.health.iter().map(|(of, probe)| Up::Health { of: of.clone(), probe: *probe }))
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
        let bytes = registration.json_bytes();
        let others = self.bytes - before.map_or(0, |held| held.bytes);
        if others + bytes > HELLO_BYTES_MAX {
            return Err(Full { what: "bytes of registrations", max: HELLO_BYTES_MAX });
        }
        let unanswered = before.map_or(0, |held| held.unanswered).saturating_add(u32::from(sent));
        self.bytes = others + bytes;
        self.left.retain(|left| *left != key);
        self.registrations.insert(key, Registered { bytes, unanswered, registration });
        Ok(())
    }

    /// What the app takes back; whether or not it was registered here, it may be elsewhere.
    pub(super) fn deregister(&mut self, key: &RegistrationKey) {
        self.forget(key);
        self.left.retain(|left| left != key);
        if self.left.len() >= REGISTRATIONS_MAX {
            self.left.pop_front();
        }
        self.left.push_back(key.clone());
    }

    /// What was said of an address that stood beside others goes with it.
    fn forget(&mut self, key: &RegistrationKey) {
        let Some(held) = self.registrations.remove(key) else { return };
        self.bytes -= held.bytes;
        if let Some(port) = key.port.and_then(|port| u16::try_from(port).ok()) {
            self.health.remove(&Some(HealthOf { service: key.service.clone(), port: Some(port) }));
        }
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
            Some(_) | None => self.forget(key),
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
