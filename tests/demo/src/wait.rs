//! Waiting, which ends when somebody asks to stop.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use rollcall_cluster::interrupt;

/// Often enough to waste no time, and seldom enough not to disturb what is measured: each look is a process.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until this holds, for so long; errors on the way are kept for the end.
pub(crate) fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    let mut last = String::new();
    while begin.elapsed() < limit {
        interrupt::check()?;
        match holds() {
            Ok(true) => return Ok(()),
            Ok(false) => last.clear(),
            Err(error) => last = format!("; last error: {error:#}"),
        }
        sleep(LOOK_EVERY);
    }
    bail!("not within {} s: {what}{last}", limit.as_secs())
}

/// Lets time go by.
pub(crate) fn pause(time: Duration) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        interrupt::check()?;
        sleep(LOOK_EVERY.min(time.saturating_sub(begin.elapsed())));
    }
    Ok(())
}
