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

use super::{event::Event, pod::Pod, rules};
use crate::{
    ours::Rollcall,
    peers::{Heartbeat, Pace, Registry},
};

/// Who is not registered by then never is.
const REGISTERED_MAX: Duration = Duration::from_secs(60);

/// Says who it is, and whose.
#[derive(Clone)]
pub(super) enum Whom {
    /// Beats in that registry, from that address of loopback.
    Process(Arc<dyn Heartbeat>, Ipv4Addr),
    /// Is an app beside its sidecar.
    Pod(Arc<Rollcall>, Arc<Pod>),
}

/// Holds a process that has registered.
pub(super) struct Victim {
    process: Companion,
    whom: Whom,
    is_cut: bool,
    pub(super) instance: String,
    /// From before it registered.
    pub(super) since: Instant,
}

// === impl Victim ===

impl Victim {
    pub(super) async fn start(whom: &Whom, service: &str) -> anyhow::Result<Self> {
        let since = Instant::now();
        let (instance, program, words) = match whom {
            Whom::Process(heartbeat, from) => {
                let [_, _, high, low] = from.octets();
                let instance = Ipv4Addr::new(10, 249, high, low).to_string();
                let words = heartbeat.beating(service, &instance, heartbeat.pace(), *from);
                (instance, env::current_exe()?, words)
            }
            Whom::Pod(ours, pod) => {
                pod.live(ours)?;
                (pod.address().to_string(), "ip".into(), pod.app(service)?)
            }
        };
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
        Ok(Self { process, whom: whom.clone(), is_cut: false, instance, since })
    }

    pub(super) fn suffer(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Killed => self.signal("KILL"),
            Event::KilledWhole => self.both("KILL"),
            Event::Stopped => self.both("STOP"),
            Event::Graceful => self.signal("TERM"),
            Event::Cut => {
                match &self.whom {
                    Whom::Process(_, from) => rules::cut(*from)?,
                    Whom::Pod(_, pod) => pod.cut()?,
                }
                self.is_cut = true;
                Ok(())
            }
        }
    }

    /// Whatever state it is in.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.process.kill();
        match &self.whom {
            Whom::Process(_, from) if self.is_cut => rules::heal(*from),
            Whom::Process(..) => Ok(()),
            Whom::Pod(_, pod) => pod.die(),
        }
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        send(signal, &[self.process.pid()])
    }

    /// Its sidecar as well, where it has one, by one call.
    fn both(&self, signal: &str) -> anyhow::Result<()> {
        let sidecar = match &self.whom {
            Whom::Process(..) => None,
            Whom::Pod(_, pod) => pod.sidecar_pid(),
        };
        send(signal, &[Some(self.process.pid()), sidecar].into_iter().flatten().collect::<Vec<_>>())
    }
}

// === impl Whom ===

impl Whom {
    pub(super) fn registry(&self) -> &dyn Registry {
        match self {
            Self::Process(heartbeat, _) => &**heartbeat,
            Self::Pod(ours, _) => &**ours,
        }
    }

    pub(super) fn events(&self) -> &'static [Event] {
        match self {
            Self::Process(..) => Event::OF_PROCESS,
            Self::Pod(..) => Event::OF_POD,
        }
    }

    /// None of a pod, whose sidecar beats as it is built.
    pub(super) fn pace(&self) -> Option<Pace> {
        match self {
            Self::Process(heartbeat, _) => Some(heartbeat.pace()),
            Self::Pod(..) => None,
        }
    }

    /// Whom a registry still has it need not have any more; a pod's end is Kubernetes' to tell.
    pub(super) async fn forget(&self, service: &str, instance: &str) {
        if let Self::Process(heartbeat, _) = self {
            // Whom it has forgotten already it need not forget again.
            let _ = heartbeat.deregister(service, instance).await;
        }
    }
}

fn send(signal: &str, pids: &[u32]) -> anyhow::Result<()> {
    let status = Command::new("kill").args(["-s", signal]).args(pids.iter().map(u32::to_string)).status()?;
    ensure!(status.success(), "no signal {signal}: {status}");
    Ok(())
}
