//! One API server of several over the one history: what it has heard of it so far.

use std::time::Duration;

use tokio::time::Instant;

use crate::history::History;

/// Holds how far one replica's watch cache has come.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    /// It hears of each write so much later.
    pub(crate) lag: Duration,
    /// It hears of nothing beyond this.
    pub(crate) frozen_at: Option<u64>,
    /// What its cache began with: of what was before it can tell nobody.
    pub(crate) remembers_from: u64,
    /// Its watches that were begun in an earlier life of it have ended.
    pub(crate) life: u64,
    /// How far it was seen to be: it never goes back.
    reached: u64,
}

// === impl Replica ===

impl Replica {
    pub(crate) fn new(reached: u64) -> Self {
        Self { lag: Duration::ZERO, frozen_at: None, remembers_from: 0, life: 0, reached }
    }

    /// Everything up to this revision has come to it by now.
    pub(crate) fn reached(&mut self, history: &History) -> u64 {
        let now = Instant::now();
        let heard = if self.lag.is_zero() {
            history.revision()
        } else {
            let log = history.log();
            let upto = log.partition_point(|written| written.at + self.lag <= now);
            match upto.checked_sub(1).and_then(|last| log.get(last)) {
                Some(last) => last.revision,
                None => history.compacted(),
            }
        };
        self.reached = self.reached.max(heard.min(self.frozen_at.unwrap_or(u64::MAX)));
        self.reached
    }

    /// When it hears of the next write, where that is only a matter of time.
    pub(crate) fn hears_next_at(&self, history: &History) -> Option<Instant> {
        let next = history.after(self.reached).next()?;
        let frozen = self.frozen_at.is_some_and(|at| next.revision > at);
        (!frozen && !self.lag.is_zero()).then(|| next.at + self.lag)
    }
}
