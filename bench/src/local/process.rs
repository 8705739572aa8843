//! Processes under measurement: started on a processor of their own, and asked of the kernel what they cost.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{time::clock_getcpuclockid, unistd::Pid};
use rollcall_cluster::companion::Companion;
use tokio::{net::TcpStream, time::sleep};

/// What is not there by then does not come.
const START_MAX: Duration = Duration::from_secs(60);

/// Starts it on the processor that is for what is measured; this process keeps to the other one.
pub(crate) fn measured(
    step: &str,
    program: &Path,
    set: impl FnOnce(&mut Command) + Send + 'static,
) -> anyhow::Result<Companion> {
    let program = program.to_owned();
    let pinned = move |command: &mut Command| {
        command.args(["-c", "0"]).arg(program).stdin(Stdio::null()).stdout(Stdio::null());
        set(command);
    };
    Ok(Companion::start(step, Path::new("taskset"), pinned)?)
}

/// Keeps this process, and what it starts from now on, to the second processor. There this process alone comes before all
/// others: a load that waits for who makes the changes would tell of that, and not of what is measured. (Niceness would not do:
/// the kernel weighs sessions of processes against each other, whatever they say inside of them.) It must sleep now and then:
/// since 6.12 the kernel leaves a twentieth of the processor to those who starve behind it, and before that it stopped whoever
/// took more than 95 % of a second for the rest of it. Where a load was so busy, its results say so.
pub(crate) fn stand_aside() -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    told("taskset", &["-a", "-c", "-p", "1", &pid]).context("two processors are needed")?;
    told("chrt", &["--all-tasks", "--reset-on-fork", "--fifo", "--pid", "10", &pid])
        .context("root is needed, to come before others")
}

fn told(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("{program} is needed; it is Debian's util-linux"))?;
    if !status.success() {
        bail!("{program} {}: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Returns once somebody listens there.
pub(crate) async fn listening(at: SocketAddr, process: &Companion) -> anyhow::Result<()> {
    let begin = Instant::now();
    while TcpStream::connect(at).await.is_err() {
        if let Some(ended) = process.ended() {
            bail!("{at}: ended by itself: {ended}");
        }
        if begin.elapsed() > START_MAX {
            bail!("{at}: nobody listens");
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// How many there are, also where this process keeps to one of them.
pub(crate) fn processors() -> anyhow::Result<usize> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let many = text.lines().filter(|line| line.starts_with("processor")).count();
    Ok(many.max(1))
}

/// What all threads of a process have computed, those that have ended among them.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?;
    Ok(Duration::from(clock.now()?))
}

/// What all of these have.
pub(crate) fn cpu_of(pids: &[u32]) -> anyhow::Result<Duration> {
    pids.iter().map(|pid| cpu(*pid).with_context(|| format!("process {pid} is gone"))).sum()
}

/// What a process holds in memory, in MiB: all of it, and what is its own alone.
pub(crate) fn memory(pid: u32) -> anyhow::Result<(f64, f64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = |name: &str| -> anyhow::Result<f64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        Ok(value.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0)
    };
    Ok((line("VmRSS:")?, line("RssAnon:")?))
}
