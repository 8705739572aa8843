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

/// The bell rests for so long for each session that it has woken, five times of what it costs to tell one of a change (four to six
/// microseconds by `cargo xtask bench sessions`): so many changes become one that a fifth of the time goes into telling.
const RESTS_FOR_EACH: Duration = Duration::from_micros(30);

/// Nobody waits for longer: half of what a change may take to be told.
const RESTS_MAX: Duration = Duration::from_millis(10);

/// Wakes sessions; never returns.
pub(crate) async fn follow(mut view: watch::Receiver<Arc<View>>, feed: Arc<Feed>, board: Arc<Board>) {
    let mut seen = view.borrow_and_update().number;
    let mut rests_until = Instant::now();
    let mut summaries_rung = Instant::now();
    let mut summaries_due = false;
    loop {
        let rests = rests_until > Instant::now();
        tokio::select! {
            () = sleep_until(rests_until), if rests => {}
            changed = view.changed(), if !rests => {
                if changed.is_err() {
                    // The owner has ended, and so does the process: sessions hear that from their own shutdown.
                    std::future::pending::<()>().await;
                }
                let number = view.borrow_and_update().number;
                let rung = match feed.changed_since(seen) {
                    Some(services) if services.is_empty() => None,
                    Some(services) => Some(board.ring(&services)),
                    None => Some(board.ring_all()),
                };
                if let Some(rung) = rung {
                    rests_until = Instant::now() + rest(rung);
                    summaries_due = true;
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

/// For how long nobody is woken after so many were.
fn rest(rung: usize) -> Duration {
    RESTS_FOR_EACH.saturating_mul(u32::try_from(rung).unwrap_or(u32::MAX)).min(RESTS_MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use rollcall_catalogue::{Snapshot, Step};
    use rollcall_wire::PodIdentity;
    use tokio::time::advance;

    use super::*;
    use crate::{
        operate::api::fixtures::{instance, key, whole},
        sessions::board::Place,
    };

    /// Holds a catalogue that changes, and what tells of it.
    struct Publisher {
        catalogue: Snapshot,
        feed: Arc<Feed>,
        view: watch::Sender<Arc<View>>,
        turn: u8,
    }

    impl Publisher {
        /// With a bell that follows it.
        fn start(board: &Arc<Board>) -> (Self, tokio::task::JoinHandle<()>) {
            let feed = Arc::new(Feed::new("test".into()));
            let (view, seen) = watch::channel(Arc::new(View::default()));
            let bell = tokio::spawn(follow(seen, feed.clone(), board.clone()));
            (Self { catalogue: Snapshot::default(), feed, view, turn: 0 }, bell)
        }

        fn change(&mut self, service: &str) {
            self.turn = (self.turn + 1) % 250;
            let Step { snapshot, deltas } =
                self.catalogue.next([whole(service, vec![instance(self.turn)])], 1).unwrap();
            self.catalogue = snapshot;
            let number = self.feed.push(deltas);
            let catalogue = self.catalogue.clone();
            self.view.send_replace(Arc::new(View { catalogue, number, ..View::default() }));
        }
    }

    fn join(board: &Arc<Board>, name: &str) -> Place {
        let namespace = "shop".parse().unwrap();
        board.join(&PodIdentity {
            namespace,
            name: name.to_owned(),
            uid: name.to_owned(),
            node: None,
            zone: None,
            addresses: Vec::new(),
        })
    }

    /// Those of them whose bell was rung since that was last asked.
    async fn rung(places: [&Place; 3]) -> [bool; 3] {
        // By then the bell has rested.
        advance(Duration::from_millis(1)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        places.map(|place| place.rung().now_or_never().is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_those_whom_it_concerns() {
        let board = Arc::<Board>::default();
        let (orders, billing, reader) = (join(&board, "a"), join(&board, "b"), join(&board, "c"));
        orders.subscribed(vec![key("orders")]);
        billing.subscribed(vec![key("billing")]);
        reader.wants_summary(true);
        let (mut publisher, bell) = Publisher::start(&board);
        let all = [&orders, &billing, &reader];
        assert_eq!(rung(all).await, [false; 3]);
        advance(SUMMARIES_EVERY).await;
        publisher.change("orders");
        assert_eq!(rung(all).await, [true, false, true]);
        for _ in 0..9 {
            publisher.change("billing");
            assert_eq!(rung(all).await, [false, true, false], "the list waits");
            advance(SUMMARIES_EVERY / 10).await;
        }
        advance(SUMMARIES_EVERY / 10).await;
        assert_eq!(rung(all).await, [false, false, true], "once for all of them");
        advance(SUMMARIES_EVERY * 5).await;
        assert_eq!(rung(all).await, [false; 3], "nothing has changed");
        // More than are remembered at once: anybody's may be among them.
        for _ in 0..5_000 {
            publisher.change("audit");
        }
        assert_eq!(rung(all).await, [true; 3]);
        orders.unsubscribed(vec![key("orders")]);
        publisher.change("orders");
        assert!(!rung(all).await[0]);
        bell.abort();
    }

    /// Beside one service of which all of a crowd are told, what becomes of another one waits for no more than a moment.
    #[tokio::test(start_paused = true)]
    async fn the_more_are_woken_the_longer_the_bell_rests() {
        for (crowd, rests_ms) in [(1, 1), (200, 6), (600, 10)] {
            let board = Arc::<Board>::default();
            let crowd: Vec<_> = (0..crowd).map(|number| join(&board, &format!("s{number}"))).collect();
            crowd.iter().for_each(|one| one.subscribed(vec![key("orders")]));
            let alone = join(&board, "alone");
            alone.subscribed(vec![key("billing")]);
            let (mut publisher, bell) = Publisher::start(&board);
            tokio::task::yield_now().await;
            let began = Instant::now();
            publisher.change("orders");
            for one in &crowd {
                one.rung().await;
            }
            assert_eq!(began.elapsed(), Duration::ZERO, "at once");
            publisher.change("billing");
            alone.rung().await;
            assert_eq!(began.elapsed(), Duration::from_millis(rests_ms), "after {} were woken", crowd.len());
            bell.abort();
        }
    }
}
