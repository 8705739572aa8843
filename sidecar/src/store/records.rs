//! What DNS tells of one content of a service: the records of each choice are written once, when they are asked for first.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rollcall_catalogue::Transport;
use rollcall_dns::{Choice, PortAsked, Records};

/// Choices whose records are kept beside those of all that serve. An app asks for a version or a port or two; of who asks
/// for more than this, the newest are kept: an answer begins where the last one of the same records did not.
const CHOSEN_MAX: usize = 8;
/// Bytes of them for each instance, which is what a choice of all of them takes some times, and for the service itself.
const CHOSEN_INSTANCE_BYTES: usize = 400;
const CHOSEN_SERVICE_BYTES: usize = 4 * 1024;

/// Holds the records that were written.
#[derive(Debug, Default)]
pub(super) struct Written {
    all: OnceLock<Arc<Records>>,
    chosen: ArcSwap<Vec<Chosen>>,
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
    /// Those of this choice, written where they are not kept, of a content with so many instances.
    pub(super) fn of(
        &self,
        choice: Choice<'_>,
        instances: usize,
        write: impl FnOnce() -> Records,
    ) -> Arc<Records> {
        if choice == Choice::default() {
            return self.all.get_or_init(|| Arc::new(write())).clone();
        }
        let kept = self.chosen.load();
        if let Some(chosen) = kept.iter().find(|chosen| chosen.is_of(choice)) {
            return chosen.records.clone();
        }
        let records = Arc::new(write());
        let mut next = Vec::clone(&kept);
        next.push(Chosen::new(choice, records.clone()));
        let room = CHOSEN_SERVICE_BYTES + instances * CHOSEN_INSTANCE_BYTES;
        while next.len() > CHOSEN_MAX || bytes(&next) > room {
            next.remove(0);
        }
        self.chosen.store(Arc::new(next));
        records
    }
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
