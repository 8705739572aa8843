//! A process that registers an instance and beats for it until it is killed: what fails, where failures are measured.
//!
//! It prints a line for all that happens: `registered` once the registry has said that it is, `missed: …` for a beat that was
//! not answered well, `again` when the registry had forgotten it and it registered anew, and after a SIGTERM `left` once it has
//! deregistered.

use std::{
    io::{Write, stdout},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use futures::future::BoxFuture;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{consul::ToConsul, etcd::ToEtcd, eureka::ToEureka, zookeeper::ToZooKeeper};

/// Holds who beats, and where.
#[derive(Args, Clone, Debug)]
pub(crate) struct BeatArguments {
    pub(crate) system: System,
    /// Where the registry listens.
    #[arg(long)]
    pub(crate) at: SocketAddr,
    /// Where the connection comes from, so that this process alone can be cut off.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    pub(crate) from: Ipv4Addr,
    #[arg(long)]
    pub(crate) service: String,
    /// Its address.
    #[arg(long)]
    pub(crate) instance: String,
    #[arg(long)]
    pub(crate) ttl_ms: u64,
    #[arg(long)]
    pub(crate) beat_ms: u64,
}

/// Says whose protocol it beats in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    Consul,
    Etcd,
    Eureka,
    Zookeeper,
}

/// Is what one registry's protocol makes of it.
pub(super) trait Beater: Send {
    /// Registers, over a new connection; what was there of an older one is gone.
    fn register(&mut self) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Over the connection that there is, or over a new one where that one broke.
    fn beat(&mut self) -> BoxFuture<'_, anyhow::Result<Heard>>;
    fn leave(&mut self) -> BoxFuture<'_, anyhow::Result<()>>;
}

/// Says what the registry answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Known,
    /// It has no such instance, check, lease or session any more.
    Forgotten,
}

/// Beats until SIGTERM.
pub(crate) fn run(arguments: &BeatArguments) -> anyhow::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut beater = beater(arguments);
        beater.register().await?;
        say("registered")?;
        let mut terminated = signal(SignalKind::terminate())?;
        let each = Duration::from_millis(arguments.beat_ms);
        let mut beats = interval(each);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = terminated.recv() => break,
                _ = beats.tick() => {}
            }
            // A beat is of use until the next one is due.
            let heard = timeout(each, beater.beat()).await.context("no answer").flatten();
            let registered = match heard {
                Ok(Heard::Known) => continue,
                Ok(Heard::Forgotten) => timeout(each, beater.register()).await.context("no answer").flatten(),
                Err(error) => Err(error),
            };
            match registered {
                Ok(()) => say("again")?,
                Err(error) => say(&format!("missed: {error:#}"))?,
            }
        }
        beater.leave().await?;
        say("left")
    })
}

fn beater(arguments: &BeatArguments) -> Box<dyn Beater> {
    match arguments.system {
        System::Consul => Box::new(ToConsul::new(arguments.clone())),
        System::Etcd => Box::new(ToEtcd::new(arguments.clone())),
        System::Eureka => Box::new(ToEureka::new(arguments.clone())),
        System::Zookeeper => Box::new(ToZooKeeper::new(arguments)),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

// === impl BeatArguments ===

impl BeatArguments {
    /// What this program is started with to beat so.
    pub(super) fn to_command_line(&self) -> Vec<String> {
        let system = self.system.to_possible_value().map(|value| value.get_name().to_owned());
        vec![
            "beat".to_owned(),
            system.unwrap_or_default(),
            format!("--at={}", self.at),
            format!("--from={}", self.from),
            format!("--service={}", self.service),
            format!("--instance={}", self.instance),
            format!("--ttl-ms={}", self.ttl_ms),
            format!("--beat-ms={}", self.beat_ms),
        ]
    }
}
