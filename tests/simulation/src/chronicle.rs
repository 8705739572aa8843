//! The chronicle: the last that happened in a run, so that a failing one can be read.

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    fmt::{self, Display},
    hash::{Hash, Hasher},
};

use crate::agenda::Millis;

/// Lines that are kept: a failure's causes lie within its last minute, and nobody reads more.
const LINES_MAX: usize = 400;

/// Holds the last lines of a run, and a sum of all of them: two runs of one seed have the same.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    lines: VecDeque<(Millis, String)>,
    sum: DefaultHasher,
}

// === impl Chronicle ===

impl Chronicle {
    pub(crate) fn note(&mut self, now_ms: Millis, line: String) {
        (now_ms, &line).hash(&mut self.sum);
        if self.lines.len() >= LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back((now_ms, line));
    }

    /// Of everything that was noted, also of what is kept no more.
    pub(crate) fn sum(&self) -> u64 {
        self.sum.finish()
    }
}

impl Display for Chronicle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at_ms, line) in &self.lines {
            writeln!(f, "{:>9.3} s  {line}", *at_ms as f64 / 1e3)?;
        }
        Ok(())
    }
}
