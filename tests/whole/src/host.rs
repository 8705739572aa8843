//! A process: a runtime of its own, whose clock stands still until the world moves it.

use std::{future::Future, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, yield_now},
    time::{Instant, advance, sleep_until},
};

use crate::Millis;

/// Threads beside the process' own, for what blocks: a small file is written now and then.
const BLOCKING_THREADS_MAX: usize = 1;

/// How often everyone has a turn of those that come due in the last moment of a step, and of those that they wake.
const TURNS: usize = 8;

/// Holds a process that runs. Dropping it ends the process as `kill -9` does: nothing of it says goodbye.
#[derive(Debug)]
pub struct Host {
    runtime: Runtime,
    main: JoinHandle<anyhow::Result<()>>,
    began: Instant,
    began_ms: Millis,
    /// What its clock shows.
    at_ms: Millis,
}

// === impl Host ===

impl Host {
    /// A process that begins now.
    pub fn start(now_ms: Millis, main: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()
            .expect("a runtime needs nothing but memory");
        let (main, began) = runtime.block_on(async { (tokio::spawn(main), Instant::now()) });
        Self { runtime, main, began, began_ms: now_ms, at_ms: now_ms }
    }

    /// Does all that is to be done until then, each thing when it is due.
    pub fn run_until(&mut self, now_ms: Millis) {
        self.at_ms = now_ms.max(self.at_ms);
        let until = self.began + Duration::from_millis(self.at_ms - self.began_ms);
        self.runtime.block_on(async {
            sleep_until(until).await;
            for _ in 0..TURNS {
                yield_now().await;
            }
        });
    }

    /// The same after it stood still until now: all that came due meanwhile is late, and comes at once.
    pub fn wake_at(&mut self, now_ms: Millis) {
        let stood_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms += stood_ms;
        self.runtime.block_on(async { advance(Duration::from_millis(stood_ms)).await });
        self.run_until(now_ms);
    }

    /// Does something at once, on its clock.
    pub fn within<T>(&self, deed: impl FnOnce() -> T) -> T {
        let _entered = self.runtime.enter();
        deed()
    }

    /// Why it has ended by itself, if it has.
    pub fn ended(&mut self) -> Option<String> {
        if !self.main.is_finished() {
            return None;
        }
        let ended = self.runtime.block_on(&mut self.main);
        Some(match ended {
            Ok(Ok(())) => "it ended".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::{interval, sleep};

    use super::*;

    type Beats = Arc<Mutex<Vec<u128>>>;

    /// Notes the time each second.
    fn beating() -> (Host, Beats) {
        let beats = Beats::default();
        let noted = beats.clone();
        let host = Host::start(5_000, async move {
            let began = Instant::now();
            let mut every = interval(Duration::from_secs(1));
            every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                noted.lock().unwrap().push(began.elapsed().as_millis());
            }
        });
        (host, beats)
    }

    #[test]
    fn a_process_does_each_thing_when_it_is_due_however_it_is_stepped() {
        let (mut host, beats) = beating();
        for now_ms in [5_000, 5_010, 7_500, 8_000, 8_000] {
            host.run_until(now_ms);
        }
        assert_eq!(*beats.lock().unwrap(), [0, 1_000, 2_000, 3_000]);
        assert!(host.ended().is_none());
    }

    #[test]
    fn who_stood_still_finds_that_the_time_went_on() {
        let (mut host, beats) = beating();
        host.run_until(6_500);
        host.wake_at(66_500);
        assert_eq!(*beats.lock().unwrap(), [0, 1_000, 61_500], "once, and late");
        host.run_until(68_000);
        assert_eq!(beats.lock().unwrap().last(), Some(&62_500));
    }

    #[test]
    fn one_process_wakes_another_and_who_ends_says_why() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut waits = Host::start(0, async move {
            receiver.await?;
            anyhow::bail!("heard")
        });
        let mut says = Host::start(0, async move {
            sleep(Duration::from_millis(300)).await;
            let _ = sender.send(());
            Ok(())
        });
        for now_ms in (0..300).step_by(10) {
            says.run_until(now_ms);
            waits.run_until(now_ms);
            assert_eq!(waits.ended(), None);
        }
        says.run_until(300);
        waits.run_until(310);
        assert_eq!(waits.ended().as_deref(), Some("heard"));
        assert_eq!(says.ended().as_deref(), Some("it ended"));
    }
}
