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
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn one_page_is_read_at_a_time_also_when_nobody_waits_for_it_any_more() {
        let reading = Reading::default();
        let (begun, has_begun) = oneshot::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let reading = reading.clone();
            async move {
                let read = move || {
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                };
                reading.turn(read).await
            }
        });
        has_begun.await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(reading.0.available_permits(), 0, "the first is being read");
        let mut second = Box::pin(reading.turn(|| 7));
        assert!(futures::poll!(&mut second).is_pending());
        go_on.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 7);
        assert_eq!(reading.0.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_reader_that_dies_is_an_error_and_holds_up_nobody() {
        let reading = Reading::default();
        assert!(reading.turn(|| panic!("by the test")).await.is_err());
        assert_eq!(reading.turn(|| 7).await.unwrap(), 7);
    }
}
