//! The measurement as a process of its own in a network of its own, which is ended as a whole.

use std::{
    env,
    process::{Child, Command, ExitStatus},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rollcall_cluster::interrupt;
use tokio::signal::unix::{SignalKind, signal};

/// Says that the network is our own already.
const ISOLATED: &str = "ROLLCALL_BENCH_ISOLATED";
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whether this is the process in the network of its own.
pub(super) fn is_here() -> bool {
    env::var_os(ISOLATED).is_some()
}

/// Runs this program once more, in a network of its own and with this told it; whoever interrupts this process, which
/// listens for that already, interrupts that one, and this one ends when all is ended.
pub(super) fn run(told: impl IntoIterator<Item = (&'static str, std::ffi::OsString)>) -> anyhow::Result<()> {
    let mut isolated = Command::new("unshare");
    isolated.args(["--net", "--"]).arg(env::current_exe()?).args(env::args_os().skip(1));
    isolated.env(ISOLATED, "1").envs(told);
    let mut child = isolated.spawn().context("`unshare` is needed, and root; it is Debian's util-linux")?;
    let status = ended(&mut child)?;
    interrupt::check().context("all that was started is ended")?;
    ensure!(status.success(), "the measurement ended with {status}");
    Ok(())
}

fn ended(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let mut is_asked = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if !is_asked && interrupt::check().is_err() {
            is_asked = true;
            // A terminal has told it already, which is the same.
            kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        }
        sleep(LOOK_EVERY);
    }
}

/// Does this until it is done or somebody interrupts it; what it has started ends with it.
pub(crate) async fn interruptible(measure: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        done = measure => return done,
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    bail!("interrupted: all that was started is ended, and what was measured is kept")
}
