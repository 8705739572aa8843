//! The turns in which pages of lists are read.

use std::sync::Arc;

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

/// Lets pages of all kinds be read one at a time, on threads of their own. A page becomes many times as much before what matters
/// of it is left, and what one thread has used for that, the C library keeps for the one that comes after it: of several at a
/// time, each would have its own. Threads that wait for each other lose nothing, since the index takes in one change at a time.
#[derive(Debug, Clone)]
pub(super) struct Reading(Arc<Semaphore>);

// === impl Reading ===

impl Default for Reading {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Reading {
    /// Reads when it has its turn, which lasts until it is done, whoever still waits for it.
    pub(super) async fn turn<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // Nobody closes it, which alone would be an error.
        let turn = self.0.clone().acquire_owned().await;
        spawn_blocking(move || {
            let _turn = turn;
            read()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
        time::Duration,
    };

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn pages_are_read_one_at_a_time_also_when_nobody_waits_for_them_any_more() {
        let (reading, at_once, done) =
            (Reading::default(), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let read = || {
            let (at_once, done) = (at_once.clone(), done.clone());
            move || {
                let others = at_once.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
                at_once.fetch_sub(1, Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
                others
            }
        };
        let given_up = tokio::spawn({
            let (reading, read) = (reading.clone(), read());
            async move { reading.turn(read).await }
        });
        while at_once.load(Ordering::SeqCst) == 0 {
            yield_now().await;
        }
        given_up.abort();
        let all = (0..8).map(|_| reading.turn(read()));
        let others: Result<Vec<_>, _> = futures::future::join_all(all).await.into_iter().collect();
        assert_eq!(others.unwrap(), [0; 8]);
        assert_eq!(done.load(Ordering::SeqCst), 9, "what was begun is done");
    }

    #[tokio::test]
    async fn a_reader_that_dies_is_an_error_and_holds_up_nobody() {
        let reading = Reading::default();
        assert!(reading.turn(|| panic!("by the test")).await.is_err());
        assert_eq!(reading.turn(|| 7).await.unwrap(), 7);
    }
}
