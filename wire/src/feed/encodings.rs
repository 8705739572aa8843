//! Frames that are encoded already, for all sessions that need the same ones.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use rollcall_catalogue::{ContentHash, ServiceKey, changes::Head};

use crate::limits::ENCODED_BYTES_MAX;

/// What an entry takes beside its frames, nearly: places in two maps, two counters, a name.
const ENTRY_BYTES: usize = 256;

/// Holds one encoding, or nothing while it is being made: who comes meanwhile waits for it. None where a service cannot
/// be told this way.
pub(super) type Encoding = Arc<OnceLock<Option<Arc<[Bytes]>>>>;

/// Holds the encodings that were used last, all of them towards the newest states.
#[derive(Debug, Default)]
pub(super) struct Encodings {
    services: HashMap<ServiceKey, Vec<Entry>>,
    /// Whose each use was that is the last of its entry.
    uses: BTreeMap<u64, ServiceKey>,
    use_count: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    base: Option<ContentHash>,
    to: Head,
    encoding: Encoding,
    used: u64,
    bytes: usize,
}

// === impl Encodings ===

impl Encodings {
    /// The one that turns `base`, or nothing, into this state.
    pub(super) fn find(
        &mut self,
        key: &ServiceKey,
        base: Option<ContentHash>,
        to: &Head,
    ) -> Option<Encoding> {
        Some(self.used(key, base, to)?.encoding.clone())
    }

    /// The same, and a new one to be made where there is none.
    pub(super) fn find_or_add(&mut self, key: &ServiceKey, base: Option<ContentHash>, to: &Head) -> Encoding {
        if let Some(encoding) = self.find(key, base, to) {
            return encoding;
        }
        self.use_count += 1;
        let (encoding, used) = (Encoding::default(), self.use_count);
        let entry = Entry { base, to: *to, encoding: encoding.clone(), used, bytes: ENTRY_BYTES };
        self.services.entry(key.clone()).or_default().push(entry);
        self.uses.insert(used, key.clone());
        self.bytes += ENTRY_BYTES;
        self.shrink();
        encoding
    }

    /// It was made, and takes so much.
    pub(super) fn weigh(&mut self, key: &ServiceKey, base: Option<ContentHash>, to: &Head, bytes: usize) {
        if let Some(entry) = self.used(key, base, to) {
            entry.bytes += bytes;
            self.bytes += bytes;
            self.shrink();
        }
    }

    /// There is a newer state: nobody needs what leads to the one before.
    pub(super) fn forget(&mut self, key: &ServiceKey) {
        for entry in self.services.remove(key).into_iter().flatten() {
            self.uses.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }

    fn used(&mut self, key: &ServiceKey, base: Option<ContentHash>, to: &Head) -> Option<&mut Entry> {
        let entries = self.services.get_mut(key)?;
        let entry = entries.iter_mut().find(|entry| entry.base == base && entry.to == *to)?;
        self.use_count += 1;
        self.uses.remove(&entry.used);
        self.uses.insert(self.use_count, key.clone());
        entry.used = self.use_count;
        Some(entry)
    }

    /// Forgets what was used longest ago. What was used last stays, however large: all ask for it now.
    fn shrink(&mut self) {
        while self.bytes > ENCODED_BYTES_MAX && self.uses.len() > 1 {
            let Some((used, key)) = self.uses.pop_first() else { break };
            let Some(entries) = self.services.get_mut(&key) else { continue };
            let Some(place) = entries.iter().position(|entry| entry.used == used) else { continue };
            self.bytes -= entries.swap_remove(place).bytes;
            if entries.is_empty() {
                self.services.remove(&key);
            }
        }
    }
}

#[cfg(test)]
#[path = "encodings_tests.rs"]
mod tests;
