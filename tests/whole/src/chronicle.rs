//! The world's clock as its processes may read it, and the chronicle: what was done, and what processes said about it.

use std::{
    collections::VecDeque,
    fmt::{self, Display},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use rollcall_net::{pretend_chance, pretend_time_of_day};
use tracing::{dispatcher::DefaultGuard, level_filters::LevelFilter, subscriber::set_default};
use tracing_subscriber::fmt::MakeWriter;

use crate::Millis;

/// The time of day at which a world begins, in seconds since 1970. Certificates are judged by the machine's own clock.
pub const BEGINS_AT: u64 = 1_900_000_000;

/// Lines that are kept of what processes log, and of what was done: the causes of a failure lie within its last minutes.
const LINES_MAX: usize = 3_000;

/// Says to print what everyone logs while it happens.
const ALOUD: &str = "ROLLCALL_ALOUD";

/// Holds the milliseconds since the world began.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicU64>);

/// Holds the last lines of a story.
#[derive(Debug, Clone, Default)]
pub struct Chronicle(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// Who is having his turn.
    who: String,
    kept: VecDeque<String>,
    clock: Clock,
    aloud: bool,
}

/// Holds this thread's surroundings for as long as a world is played on it.
pub struct Surroundings {
    _logs: DefaultGuard,
}

// === impl Clock ===

impl Clock {
    pub fn now_ms(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }

    /// The time of day goes with it.
    pub(crate) fn set(&self, now_ms: Millis) {
        self.0.store(now_ms, Ordering::Relaxed);
        pretend_time_of_day(Some(
            SystemTime::UNIX_EPOCH + Duration::from_secs(BEGINS_AT) + Duration::from_millis(now_ms),
        ));
    }
}

// === impl Chronicle ===

impl Chronicle {
    pub(crate) fn new(clock: Clock) -> Self {
        let aloud = std::env::var_os(ALOUD).is_some();
        Self(Arc::new(Mutex::new(Lines { clock, aloud, ..Lines::default() })))
    }

    /// Until that is dropped, this thread's chance comes from this seed, and what is logged on it comes here.
    pub(crate) fn surround(&self, seed: u64) -> Surroundings {
        pretend_chance(Some(seed));
        let level = if std::env::var(ALOUD).is_ok_and(|level| level == "debug") {
            LevelFilter::DEBUG
        } else {
            LevelFilter::INFO
        };
        let logs = tracing_subscriber::fmt()
            .with_max_level(level)
            .without_time()
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        Surroundings { _logs: set_default(logs) }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is logged from now on is this process' word.
    pub(crate) fn turn_of(&self, who: &str) {
        let mut lines = self.lines();
        lines.who.clear();
        lines.who.push_str(who);
    }

    pub fn note(&self, line: &str) {
        self.turn_of("world");
        self.keep(line);
    }

    fn keep(&self, line: &str) {
        let mut lines = self.lines();
        let line =
            format!("{:>9.3} s  {:<14} {}", lines.clock.now_ms() as f64 / 1e3, lines.who, line.trim_end());
        if lines.aloud {
            eprintln!("{line}");
        }
        if lines.kept.len() >= LINES_MAX {
            lines.kept.pop_front();
        }
        lines.kept.push_back(line);
    }
}

impl Display for Chronicle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().kept.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl io::Write for Chronicle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.keep(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Chronicle {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

// === impl Surroundings ===

impl Drop for Surroundings {
    fn drop(&mut self) {
        pretend_time_of_day(None);
        pretend_chance(None);
    }
}
