//! A process that beats, and what happens to it.

use std::{
    env,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rollcall_cluster::companion::Companion;
use tokio::{task::spawn_blocking, time::timeout};

use super::{event::Event, rules};
use crate::peers::Heartbeat;

/// Who is not registered by then never is.
const REGISTERED_MAX: Duration = Duration::from_secs(60);

/// Holds in which registry it beats, and from which address of loopback.
#[derive(Clone)]
pub(super) struct Whom {
    pub(super) heartbeat: Arc<dyn Heartbeat>,
    pub(super) from: Ipv4Addr,
}

/// Holds a process that has registered.
pub(super) struct Victim {
    process: Companion,
    from: Ipv4Addr,
    is_cut: bool,
    pub(super) instance: String,
    /// From before it registered.
    pub(super) since: Instant,
}

// === impl Victim ===

impl Victim {
    pub(super) async fn start(whom: &Whom, service: &str) -> anyhow::Result<Self> {
        let [_, _, high, low] = whom.from.octets();
        let instance = Ipv4Addr::new(10, 249, high, low).to_string();
        let since = Instant::now();
        let words = whom.heartbeat.beating(service, &instance, whom.heartbeat.pace(), whom.from);
        let program = env::current_exe()?;
        let mut process = Companion::start("starting a heartbeat", &program, move |beat: &mut Command| {
            beat.args(words).stdin(Stdio::null()).stdout(Stdio::piped());
        })?;
        let mut hear = BufReader::new(process.take_stdout().context("no output")?);
        let (tell, told) = tokio::sync::oneshot::channel();
        // It goes on to read, so that nobody who prints has to wait for a reader.
        spawn_blocking(move || {
            let mut first = String::new();
            let read = hear.read_line(&mut first);
            // Who waited may have given up.
            let _ = tell.send(read.map(|_| first));
            for line in hear.lines() {
                if line.is_err() {
                    return;
                }
            }
        });
        let first = timeout(REGISTERED_MAX, told).await.context("it does not register")???;
        ensure!(first.trim_end() == "registered", "it said {first:?}");
        Ok(Self { process, from: whom.from, is_cut: false, instance, since })
    }

    pub(super) fn suffer(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Killed => self.signal("KILL"),
            Event::Stopped => self.signal("STOP"),
            Event::Graceful => self.signal("TERM"),
            Event::Cut => {
                rules::cut(self.from)?;
                self.is_cut = true;
                Ok(())
            }
        }
    }

    /// Whatever state it is in.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.process.kill();
        if self.is_cut { rules::heal(self.from) } else { Ok(()) }
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-s", signal, &self.process.pid().to_string()]).status()?;
        ensure!(status.success(), "no signal {signal}: {status}");
        Ok(())
    }
}
