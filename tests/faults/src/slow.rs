//! A process that hardly gets to run: stopped for most of the time, as on a machine that is far too small for it.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::sys::signal::Signal;
use rollcall_cluster::Process;

/// Holds it back until the value goes.
#[derive(Debug)]
pub struct Slow {
    end: Option<Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

// === impl Slow ===

impl Slow {
    /// Stops it for so long, lets it run for so long, and so on.
    pub fn begin(process: Process, stopped: Duration, runs: Duration) -> Self {
        let (end, told_to_end) = mpsc::channel::<()>();
        let holder = thread::spawn(move || {
            for (signal, lasts) in [(Signal::SIGSTOP, stopped), (Signal::SIGCONT, runs)].into_iter().cycle() {
                // One that is gone is slow enough.
                if process.signal(signal).is_err()
                    || told_to_end.recv_timeout(lasts) != Err(RecvTimeoutError::Timeout)
                {
                    break;
                }
            }
            // Whatever it was in the middle of.
            let _ = process.signal(Signal::SIGCONT);
        });
        Self { end: Some(end), holder: Some(holder) }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.end.take();
        if let Some(holder) = self.holder.take() {
            // It cannot panic: what fails ends it.
            let _ = holder.join();
        }
    }
}
