//! PID 1 of a node of the cluster kit, and of every pod sandbox in it: reaps orphans and waits to be ended.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

fn main() -> Result<(), Errno> {
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGCHLD);
    // The kernel ignores signals without a handler for a PID 1, so the sandbox's end has to be asked for here.
    awaited.add(Signal::SIGTERM);
    awaited.add(Signal::SIGINT);
    awaited.thread_block()?;
    loop {
        reap_orphans();
        match awaited.wait()? {
            Signal::SIGTERM | Signal::SIGINT => return Ok(()),
            _ => {}
        }
    }
}

/// One SIGCHLD may stand for many children, so all of the dead are collected.
fn reap_orphans() {
    while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
    {
    }
}
