//! The wiring: every part is a task, and the end of any of them is seen.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use rollcall_net::{Callers, Http1, Kernel, Places, Shutdown, Trigger, bind_any, shutdown};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tracing::{info, warn};

use crate::{
    api::Api,
    args::Args,
    core::Core,
    dns,
    finder::{Find, Finder},
    health,
    owners::Owners,
    ports::{Listen, Ports},
    prestop::PreStop,
    session::Trust,
    store::Store,
};

/// All parts have ended by then, or are cut off: answers come from memory, so nothing takes longer.
const END_MAX: Duration = Duration::from_millis(1_500);

/// Holds the open ports of a sidecar that is about to run.
#[derive(Debug)]
pub struct Sidecar {
    args: Args,
    trust: Trust,
    ports: Ports,
    health: TcpListener,
}

/// Runs the sidecar until it is told to end, or until a part of it does.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let sidecar = Sidecar::bind(args)?;
    let (trigger, ear) = shutdown();
    let mut parts = JoinSet::new();
    parts.spawn(sidecar.run(ear));
    let result = tokio::select! {
        signal = Trigger::signalled() => {
            info!(signal = signal?, "shutting down");
            Ok(())
        }
        Some(ended) = parts.join_next() => ended?,
    };
    trigger.pull();
    if timeout(END_MAX, async { while parts.join_next().await.is_some() {} }).await.is_err() {
        warn!("some parts were cut off");
    }
    result
}

// === impl Sidecar ===

impl Sidecar {
    /// Opens the ports, and reads the authority where it was given: a mistake must fail the start, not the first request.
    pub fn bind(mut args: Args) -> anyhow::Result<Self> {
        let trust = Trust::new(&std::mem::take(&mut args.ca_pem)).context("--ca-pem (ROLLCALL_CA_PEM)")?;
        if args.memory_mib() != args.memory_max_mib {
            warn!(
                limit_mib = args.memory_max_mib,
                taken_for_mib = args.memory_mib(),
                "the memory limit is not one that we go by; use 24Mi to 4Gi (ROLLCALL_MEMORY_MAX_MIB)"
            );
        }
        let health = bind_any(args.health_listen)
            .with_context(|| format!("--health-listen {}: cannot listen", args.health_listen))?;
        // Last: whoever can connect there finds the others open as well.
        let ports = Ports::bind(Listen {
            api: args.api_listen,
            api_v6: args.api_listen_v6,
            dns: &args.dns_listen,
            forward: &args.dns_forward,
        })?;
        Ok(Self { args, trust, ports, health })
    }

    /// Where lookups are answered.
    pub fn api_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.ports.api_addresses()
    }

    /// Where the kubelet is answered.
    pub fn health_address(&self) -> std::io::Result<SocketAddr> {
        self.health.local_addr()
    }

    /// Answers until it is told to end, or until a part ends by itself. What the disk has is known before the first answer,
    /// and both before anybody is called.
    pub async fn run(self, mut shutdown: Shutdown) -> anyhow::Result<()> {
        let addresses = self.api_addresses()?;
        let controller = self.args.controller;
        let finder = Finder::new(self.args.controller_name.clone(), self.args.dns_forward.clone());
        let finder = finder.map(|finder| Box::new(finder) as Box<dyn Find>);
        let core = Core::new(self.args, Arc::new(Kernel), finder, self.trust);
        let (store, hooks, counts) = (core.owner.store.clone(), core.hooks.clone(), self.ports.counts());
        let api = Api::new(Owners::Pod(core.owner.clone()));
        let mut parts = JoinSet::new();
        self.ports.serve(&api, &mut parts, &shutdown);
        parts.spawn(serve_health(self.health, store, counts, hooks, shutdown.clone()));
        let agent = core.start(&mut parts, &shutdown);
        info!(?addresses, %controller, "answering lookups");
        // The session has no goodbye to say: the controller sees it end.
        tokio::select! {
            () = Box::pin(agent.run()) => anyhow::bail!("the agent ended by itself; this is a bug"),
            Some(ended) = parts.join_next() => {
                ended?;
                // The word to end reaches all parts at once; the others finish below.
                timeout(END_MAX, shutdown.requested()).await.context("a part ended by itself; this is a bug")?;
            }
            () = shutdown.requested() => {}
        }
        while let Some(ended) = parts.join_next().await {
            ended?;
        }
        Ok(())
    }
}

async fn serve_health(
    listener: TcpListener,
    store: Store,
    counts: dns::Counts,
    hooks: PreStop,
    shutdown: Shutdown,
) {
    let places = Places::new(health::CONNECTIONS_MAX).per_peer(health::CONNECTIONS_OF_ONE_MAX);
    let http = Http1 { listener, places, callers: Callers::Hooks };
    http.serve(
        move |request| health::answer(request, store.clone(), counts.clone(), hooks.clone()),
        shutdown,
    )
    .await;
}
