//! An app that is well, and what happens to it.

use std::{
    env,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rollcall_catalogue::liveness::QUIET_AFTER_MS;
use rollcall_cluster::companion::Companion;
use rollcall_wire::limits::HEARTBEAT_EVERY;
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
        let (whom, service) = (whom.clone(), service.to_owned());
        // Programs are started, and waited for: what else is measured meanwhile does not wait.
        let (victim, hear) = spawn_blocking(move || Self::begin(whom, &service, since)).await??;
        let (tell, told) = tokio::sync::oneshot::channel();
        // It goes on to read, so that nobody who prints has to wait for a reader.
        spawn_blocking(move || {
            let mut hear = hear;
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
        Ok(victim)
    }

    fn begin(whom: Whom, service: &str, since: Instant) -> anyhow::Result<(Self, impl BufRead + use<>)> {
        let instance = whom.instance();
        let (program, words) = match &whom {
            Whom::Process(heartbeat, from) => {
                (env::current_exe()?, heartbeat.beating(service, &instance, heartbeat.pace(), *from))
            }
            Whom::Pod(ours, pod) => {
                pod.live(ours)?;
                ("ip".into(), pod.app(service)?)
            }
        };
        let mut process = Companion::start("starting a heartbeat", &program, move |beat: &mut Command| {
            beat.args(words).stdin(Stdio::null()).stdout(Stdio::piped());
        })?;
        let hear = BufReader::new(process.take_stdout().context("no output")?);
        Ok((Self { process, whom, is_cut: false, instance, since }, hear))
    }

    /// Says when it began to.
    pub(super) async fn suffer(mut self, event: Event) -> anyhow::Result<(Self, Instant)> {
        let suffered = spawn_blocking(move || {
            let since = Instant::now();
            self.suffer_now(event)?;
            anyhow::Ok((self, since))
        });
        suffered.await?
    }

    fn suffer_now(&mut self, event: Event) -> anyhow::Result<()> {
        let app = self.process.pid();
        let both = || match &self.whom {
            Whom::Process(..) => vec![app],
            Whom::Pod(_, pod) => [Some(app), pod.sidecar_pid()].into_iter().flatten().collect(),
        };
        match event {
            Event::Killed => send(Signal::SIGKILL, &[app]),
            Event::PodKilled => send(Signal::SIGKILL, &both()),
            Event::Hung => send(Signal::SIGSTOP, &[app]),
            Event::Stopped => send(Signal::SIGSTOP, &both()),
            Event::Cut => {
                self.is_cut = true;
                match &self.whom {
                    Whom::Process(_, from) => rules::cut(*from),
                    Whom::Pod(_, pod) => pod.cut(),
                }
            }
            Event::Deleted => match &self.whom {
                // It deregisters.
                Whom::Process(..) => send(Signal::SIGTERM, &[app]),
                Whom::Pod(ours, pod) => pod.is_deleted(ours),
            },
        }
    }

    /// Whatever state it is in.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        spawn_blocking(move || {
            self.process.kill();
            match &self.whom {
                Whom::Process(_, from) if self.is_cut => rules::heal(*from),
                Whom::Process(..) => Ok(()),
                Whom::Pod(ours, pod) => pod.die(ours),
            }
        })
        .await?
    }
}

// === impl Whom ===

impl Whom {
    /// Those by whom it is watched: of ours one each for both ways to watch, which see the same failure.
    pub(super) fn witnesses(&self) -> Vec<Arc<dyn Registry>> {
        match self {
            Self::Process(heartbeat, _) => vec![heartbeat.clone()],
            Self::Pod(ours, _) => {
                ours.witnesses().map(|witness| Arc::new(witness) as Arc<dyn Registry>).to_vec()
            }
        }
    }

    pub(super) fn events(&self) -> &'static [Event] {
        match self {
            Self::Process(..) => Event::OF_PROCESS,
            Self::Pod(..) => Event::OF_POD,
        }
    }

    /// A sidecar's is its session's, as it is built: who is quiet for so long is out where somebody else serves.
    pub(super) fn pace(&self) -> Pace {
        match self {
            Self::Process(heartbeat, _) => heartbeat.pace(),
            Self::Pod(..) => Pace {
                ttl_ms: QUIET_AFTER_MS,
                beat_ms: u64::try_from(HEARTBEAT_EVERY.as_millis()).unwrap_or(u64::MAX),
            },
        }
    }

    /// The address that it is registered by.
    pub(super) fn instance(&self) -> String {
        match self {
            Self::Process(_, from) => {
                let [_, _, high, low] = from.octets();
                Ipv4Addr::new(10, 249, high, low).to_string()
            }
            Self::Pod(_, pod) => pod.address().to_string(),
        }
    }

    /// Whom a registry still has it need not have any more.
    pub(super) async fn forget(&self, service: &str) {
        if let Self::Process(heartbeat, _) = self {
            // Whom it has forgotten already it need not forget again.
            let _ = heartbeat.deregister(service, &self.instance()).await;
        }
    }
}

fn send(signal: Signal, pids: &[u32]) -> anyhow::Result<()> {
    for pid in pids {
        kill(Pid::from_raw(i32::try_from(*pid)?), signal)
            .with_context(|| format!("no {signal} for {pid}"))?;
    }
    Ok(())
}
