//! What a person sees while something long is under way.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A silence longer than this makes people wonder whether anything still happens.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(15);

/// One named step of a command: says that it runs, that it still runs, and how long it took.
pub struct Step {
    name: String,
    started: Instant,
    last_sign: Cell<Instant>,
}

impl Step {
    pub fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        eprintln!("{name} …");
        let now = Instant::now();
        Self { name, started: now, last_sign: Cell::new(now) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says every quarter of a minute that the step goes on.
    pub fn still_running(&self, detail: impl FnOnce() -> String) {
        if self.last_sign.get().elapsed() >= SIGN_OF_LIFE_EVERY {
            self.last_sign.set(Instant::now());
            eprintln!("  still {} ({:.0} s, {})", self.name, self.started.elapsed().as_secs_f64(), detail());
        }
    }

    pub fn done(self) {
        eprintln!("  {} took {:.1} s", self.name, self.started.elapsed().as_secs_f64());
    }
}
