//! Systems get warm before they are measured: a program for a virtual machine is translated while it runs, and caches are empty
//! at first.

use std::time::{Duration, Instant};

use rollcall_results::Record;

use super::load::{Clients, in_a_loop};
use crate::{
    local::{Keys, cpu_of},
    peers::Peer,
};

/// Says how a system gets warm: under all that some connections can make, in windows of so long, until two that follow each
/// other are alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WarmUp {
    window: Duration,
    /// Who is not steady by then is measured all the same, and told of.
    at_most: Duration,
}

/// Holds what a system's warm-up came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Warm {
    pub(crate) took: Duration,
    pub(crate) is_steady: bool,
    lookups: u64,
}

/// Holds what one window came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Window {
    a_second: f64,
    /// Of each answer.
    cpu_us: f64,
    /// Since the warm-up began.
    lookups: u64,
}

/// Two windows that differ by less are alike.
const ALIKE: f64 = 0.05;
const CONNECTIONS: usize = 16;
/// By then a cache has been asked for all that there is.
const ROUNDS_OF_ALL: u64 = 2;

// === impl WarmUp ===

impl WarmUp {
    pub(crate) const USUAL: Self = Self { window: Duration::from_secs(1), at_most: Duration::from_secs(20) };
    /// Of one whose numbers say nothing.
    pub(crate) const QUICK: Self =
        Self { window: Duration::from_millis(200), at_most: Duration::from_secs(1) };

    pub(crate) async fn warm(&self, peer: &dyn Peer, services: u32) -> anyhow::Result<Warm> {
        let (pids, keys) = (peer.pids(), Keys::in_turn(services));
        let mut clients = Clients::connect(peer, CONNECTIONS).await?;
        let begin = Instant::now();
        let mut last = Window::default();
        let mut others = 0;
        let mut is_steady = false;
        while !is_steady && begin.elapsed() < self.at_most {
            let before = cpu_of(&pids)?;
            let outcome = in_a_loop(&mut clients, &keys, others, self.window).await?;
            let cpu_us = (cpu_of(&pids)? - before).as_secs_f64() * 1e6 / outcome.answers.max(1) as f64;
            let lookups = last.lookups + outcome.answers;
            let window = Window { a_second: outcome.a_second(), cpu_us, lookups };
            is_steady = window.is_steady_after(last, services);
            (last, others) = (window, others + CONNECTIONS);
        }
        Ok(Warm { took: begin.elapsed(), is_steady, lookups: last.lookups })
    }
}

// === impl Window ===

impl Window {
    fn is_steady_after(self, last: Self, services: u32) -> bool {
        let are_alike = |one: f64, other: f64| (one - other).abs() < ALIKE * other;
        self.lookups >= ROUNDS_OF_ALL * u64::from(services)
            && are_alike(self.a_second, last.a_second)
            && are_alike(self.cpu_us, last.cpu_us)
    }
}

// === impl Warm ===

impl Warm {
    /// Tells a record all of it.
    pub(crate) fn tell(&self, record: &mut Record) {
        let never_steady = if self.is_steady { 0.0 } else { 1.0 };
        let lookups = self.lookups as f64;
        for (name, value) in
            [("warm_up_s", self.took.as_secs_f64()), ("lookups", lookups), ("never_steady", never_steady)]
        {
            record.values.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_windows_that_are_alike_are_steady_once_all_was_asked_for() {
        let window = |a_second, cpu_us, lookups| Window { a_second, cpu_us, lookups };
        let last = window(1_000.0, 100.0, 1_000);
        for (this, services, expected) in [
            (window(1_000.0, 100.0, 2_000), 1_000, true),
            (window(1_049.0, 95.1, 2_000), 1_000, true),
            (window(951.0, 104.9, 2_000), 1_000, true),
            // Faster still, or cheaper still.
            (window(1_051.0, 100.0, 2_000), 1_000, false),
            (window(1_000.0, 94.0, 2_000), 1_000, false),
            (window(949.0, 100.0, 2_000), 1_000, false),
            (window(1_000.0, 100.0, 1_999), 1_000, false),
        ] {
            assert_eq!(this.is_steady_after(last, services), expected, "{this:?}");
        }
        let first = window(1_000.0, 100.0, 9_000);
        assert!(!first.is_steady_after(Window::default(), 1), "one window is like no other");
        assert!(!Window::default().is_steady_after(Window::default(), 0), "nothing is not steady");
    }
}
