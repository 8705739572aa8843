//! Ctrl-C and SIGTERM: the first asks the command to stop and clean up, the second ends it at once.

use crate::Error;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

static ASKED_TO_STOP: AtomicBool = AtomicBool::new(false);

/// Starts listening for SIGINT and SIGTERM.
pub fn listen() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if ASKED_TO_STOP.swap(true, Ordering::SeqCst) {
                end_at_once(signal);
            }
            eprintln!("\nstopping and cleaning up; once more to stop at once");
        }
    })?;
    Ok(())
}

/// Fails once the user asked to stop.
pub fn check() -> Result<(), Error> {
    if ASKED_TO_STOP.load(Ordering::SeqCst) { Err(Error::Interrupted) } else { Ok(()) }
}

#[allow(clippy::exit, reason = "the user asked twice; whatever is left is removed by the next `down`")]
fn end_at_once(signal: i32) -> ! {
    std::process::exit(128 + signal)
}
