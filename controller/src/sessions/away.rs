//! Whom this replica has sent to another one: it calls by what it was told here until it is told anew there.

use std::sync::Arc;

use rollcall_catalogue::{PodUid, liveness::QUIET_AFTER_MS};
use rollcall_wire::peer::Note;
use tokio::time::{Duration, sleep, timeout};

use super::board::Place;
use crate::owner::IndexHandle;

/// As long as its session is live by its clock: who is not back by then is missed by everybody, and not only by those who go.
const AWAITED_FOR: Duration = Duration::from_millis(QUIET_AFTER_MS);

/// Looks this far apart are enough: a pod that goes waits for seconds, and thousands may be on their way at once.
const LOOKED_EVERY: Duration = Duration::from_millis(50);

/// Holds the place of one that was sent away, until it is heard elsewhere or was given up.
#[derive(Debug)]
pub(crate) struct Away {
    place: Place,
    index: IndexHandle,
    /// What was known of the session when it was left.
    left: Arc<Note>,
}

// === impl Away ===

impl Away {
    /// This pod's session is over here. None where it has a newer one already, or never had one that anybody knows of.
    pub(crate) fn of(pod: &PodUid, place: Place, index: IndexHandle) -> Option<Self> {
        let left = index.ledger().get(pod).filter(|note| note.origin == *index.feed().epoch())?;
        place.departs();
        Some(Self { place, index, left })
    }

    /// Waits until it is heard anywhere, be it here again.
    pub(crate) async fn run(self) {
        let Self { place, index, left } = self;
        let mut changes = index.ledger_changes();
        let is_heard = || index.ledger().get(&left.pod).is_none_or(|note| !is_of_one_session(&note, &left));
        let heard = async {
            while !is_heard() && changes.changed().await.is_ok() {
                sleep(LOOKED_EVERY).await;
            }
        };
        // Whoever is given up is waited for no longer, as one that is heard.
        let _ = timeout(AWAITED_FOR, heard).await;
        drop(place);
    }
}

/// Its end is told of the same session.
fn is_of_one_session(one: &Note, other: &Note) -> bool {
    let of = |note: &Note| (note.version.generation, note.version.sequence);
    of(one) == of(other) && one.version.incarnation == other.version.incarnation && one.origin == other.origin
}
