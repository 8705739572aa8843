//! A load that keeps its pace, whatever becomes of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;

use super::outcome::{Outcome, micros};

/// So many requests a second, at the times when they are due, whatever became of those before: each client makes those of its
/// turns, by their numbers, and has a thread of its own, since the kernel wakes those on time, and a runtime's timer only to
/// the millisecond.
pub(crate) fn open<C>(clients: Vec<C>, a_second: u32, lasts: Duration) -> anyhow::Result<Outcome>
where
    C: FnMut(usize) -> anyhow::Result<()> + Send,
{
    let begin = Instant::now();
    let apart = Duration::from_secs(1) / a_second;
    let all = usize::try_from(lasts.as_micros() / apart.as_micros())?;
    let together = clients.len();
    let turns = move |first: usize, mut ask: C| {
        let mut delays_us = Vec::with_capacity(all / together + 1);
        for turn in (first..all).step_by(together) {
            let due = begin + apart * u32::try_from(turn)?;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            ask(turn)?;
            delays_us.push(micros(due.elapsed()));
        }
        anyhow::Ok(delays_us)
    };
    let delays_us = thread::scope(|scope| {
        let numbered = clients.into_iter().enumerate();
        let running: Vec<_> = numbered.map(|(first, ask)| scope.spawn(move || turns(first, ask))).collect();
        let ended =
            running.into_iter().map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?);
        ended.collect::<anyhow::Result<Vec<_>>>()
    })?;
    Ok(Outcome::of(begin, delays_us.concat()))
}
