//! What DNS tells of one content of a service: the records of each choice are written once, when they are asked for first.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use rollcall_catalogue::{Service, ServiceKey, Transport};
use rollcall_dns::{Choice, PortAsked, Records};
use rollcall_net::Jitter;

/// Choices whose records are kept beside those of all that serve. An app asks for a version or a port or two.
const CHOSEN_MAX: usize = 8;
/// Bytes of them for each instance, and for the service itself. An instance takes 24 bytes in the records of a version (52
/// with IPv6) and 8 in those of a port: the versions of a service, of which each instance has one, and some ports of all.
const CHOSEN_INSTANCE_BYTES: usize = 100;
const CHOSEN_SERVICE_BYTES: usize = 4 * 1024;

/// Holds the records that were written. Whenever they are written they begin at another instance, so that those that are
/// not kept go round as well.
#[derive(Debug, Default)]
pub(super) struct Written {
    all: OnceLock<Arc<Records>>,
    /// None until one was.
    chosen: ArcSwapOption<Vec<Chosen>>,
    /// How often a choice was written.
    writes: AtomicU64,
}

/// Holds the records of a choice.
#[derive(Debug, Clone)]
struct Chosen {
    version: Option<Box<str>>,
    port: Option<(Box<str>, Transport)>,
    records: Arc<Records>,
}

// === impl Written ===

impl Written {
    /// Those of this choice, written where they are not kept.
    pub(super) fn of(
        &self,
        key: &ServiceKey,
        service: &Service,
        choice: Choice<'_>,
        seed: u64,
    ) -> Arc<Records> {
        let all = self.all.get_or_init(|| Arc::new(Records::of(key, service, seed)));
        if choice == Choice::default() {
            return all.clone();
        }
        let held = self.chosen.load();
        let kept = held.as_deref().map_or(&[][..], Vec::as_slice);
        if let Some(chosen) = kept.iter().find(|chosen| chosen.is_of(choice)) {
            return chosen.records.clone();
        }
        let mut draws = Jitter::new(seed.wrapping_add(self.writes.fetch_add(1, Ordering::Relaxed)));
        let records = Arc::new(all.chosen(service, choice, draws.next_u64()));
        let room = room(service);
        if records.bytes() > room {
            return records;
        }
        let mut next = kept.to_vec();
        // Any of the others goes: of choices that are asked for in turn, the oldest is always the one that is asked for next.
        while next.len() >= CHOSEN_MAX || bytes(&next) + records.bytes() > room {
            let place = usize::try_from(draws.next_u64() >> 32).unwrap_or_default();
            next.swap_remove(place.checked_rem(next.len()).unwrap_or_default());
        }
        next.push(Chosen::new(choice, records.clone()));
        // Of two that write at once, one is kept: the other is written anew when it is asked for again.
        self.chosen.store(Some(Arc::new(next)));
        records
    }
}

/// Bytes that the records of all choices of a service may take.
fn room(service: &Service) -> usize {
    CHOSEN_SERVICE_BYTES + service.instances.len() * CHOSEN_INSTANCE_BYTES
}

fn bytes(chosen: &[Chosen]) -> usize {
    chosen.iter().map(|chosen| chosen.records.bytes()).sum()
}

// === impl Chosen ===

impl Chosen {
    fn new(choice: Choice<'_>, records: Arc<Records>) -> Self {
        let Choice { version, port } = choice;
        Self {
            version: version.map(Into::into),
            port: port.map(|port| (port.name.into(), port.transport)),
            records,
        }
    }

    fn is_of(&self, choice: Choice<'_>) -> bool {
        let port = self.port.as_ref().map(|(name, transport)| PortAsked { name, transport: *transport });
        Choice { version: self.version.as_deref(), port } == choice
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
