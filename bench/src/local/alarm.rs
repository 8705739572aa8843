//! A timer that wakes on time: a runtime's own does so to the millisecond.

use std::{fs::File, io::ErrorKind, os::fd::AsFd, time::Instant};

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe::Receiver;

/// Wakes one who sleeps until then, and leaves the processor to others meanwhile.
pub(crate) struct Alarm {
    timer: TimerFd,
    /// The same timer, as something of which a runtime knows when it can be read: it reads like a pipe.
    rings: Receiver,
    set_to: Option<Instant>,
}

// === impl Alarm ===

impl Alarm {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let rings = Receiver::from_file_unchecked(File::from(timer.as_fd().try_clone_to_owned()?))?;
        Ok(Self { timer, rings, set_to: None })
    }

    /// Returns then, or at once where that is over. Whoever gives up waiting may ask for another time.
    pub(crate) async fn at(&mut self, at: Instant) -> anyhow::Result<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // In a virtual machine each setting is dear.
            if self.set_to != Some(at) {
                self.timer.set(Expiration::OneShot(left.into()), TimerSetTimeFlags::empty())?;
                self.set_to = Some(at);
            }
            self.rings.readable().await?;
            // It may have rung at an earlier time, when nobody waited for it.
            match self.rings.try_read(&mut [0; size_of::<u64>()]) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{runtime::Builder, time::timeout};

    use super::*;

    #[test]
    fn it_wakes_at_the_last_time_that_was_asked_for_and_not_before() {
        let woken = async {
            let mut alarm = Alarm::new()?;
            let begin = Instant::now();
            alarm.at(begin).await?;
            // Given up before it rings, and after it has rung unheard.
            for (given_up_ms, rings_ms) in [(2, 60_000), (4, 2)] {
                let rings = alarm.at(Instant::now() + Duration::from_millis(rings_ms));
                let _ = timeout(Duration::from_millis(given_up_ms), rings).await;
            }
            let mut woken = Vec::new();
            for wait_us in [500, 3_000, 100] {
                let wanted = Instant::now() + Duration::from_micros(wait_us);
                alarm.at(wanted).await?;
                woken.push((wanted, Instant::now()));
            }
            anyhow::Ok(woken)
        };
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let woken = runtime.block_on(async { timeout(Duration::from_secs(20), woken).await });
        let woken = woken.expect("in time").expect("woken");
        assert_eq!(woken.len(), 3);
        assert!(woken.iter().all(|(wanted, came)| came >= wanted), "{woken:?}");
    }
}
