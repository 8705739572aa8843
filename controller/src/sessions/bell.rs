//! One task that follows the catalogue for all sessions, and wakes those whom a change concerns.

use std::{sync::Arc, time::Duration};

use rollcall_wire::Feed;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::board::Board;
use crate::owner::View;

/// The list of all services is for people and their tools: nobody waits for it, and any change anywhere changes it.
const SUMMARIES_EVERY: Duration = Duration::from_secs(1);

/// Wakes sessions for as long as there is an owner.
pub(crate) async fn follow(mut view: watch::Receiver<Arc<View>>, feed: Arc<Feed>, board: Arc<Board>) {
    let mut seen = view.borrow_and_update().number;
    let mut summaries_rung = Instant::now();
    let mut summaries_due = false;
    loop {
        tokio::select! {
            changed = view.changed() => {
                if changed.is_err() {
                    return;
                }
                let number = view.borrow_and_update().number;
                match feed.changed_since(seen) {
                    Some(services) if services.is_empty() => {}
                    Some(services) => {
                        board.ring(&services);
                        summaries_due = true;
                    }
                    None => {
                        board.ring_all();
                        summaries_due = true;
                    }
                }
                seen = number;
            }
            () = sleep_until(summaries_rung + SUMMARIES_EVERY), if summaries_due => {
                summaries_due = false;
                summaries_rung = Instant::now();
                board.ring_summary_readers();
            }
        }
    }
}
