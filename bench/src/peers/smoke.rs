//! All registries in turn, small: whether their answers are equal, and whether they do what the measurements ask of them.

use std::{
    env,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures::FutureExt;
use rollcall_cluster::companion::Companion;
use rollcall_results::Configuration;
use tokio::{
    runtime::Builder,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{ALL, Data, Heartbeat, NameServer, PORT, Pace, Registry, Started, Watcher, dns::Resolver};

/// What does not happen by then never does: of Eureka by default, one and a half leases of 90 s in which all is well, and then
/// two of them, a look at leases each minute, and a minute of caches and polls.
const SEEN_MAX: Duration = Duration::from_secs(480);
/// Who is in nobody's data.
const NEWCOMER: &str = "10.250.0.1";
const BEATING: &str = "10.250.0.2";

/// Tries the systems of these names, or all of them.
pub(crate) fn run(data: Data, only: &[String]) -> anyhow::Result<()> {
    ensure!(data.services > 0 && data.instances > 0, "there is nothing to be looked up");
    for name in only {
        ensure!(ALL.iter().any(|(known, _)| known == name), "there is no {name}: there are {}", names());
    }
    Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
        for (name, start) in ALL {
            if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
                continue;
            }
            for configuration in [Configuration::Default, Configuration::Tuned] {
                let begin = Instant::now();
                let rows = start(data, configuration).await.with_context(|| format!("starting {name}"))?;
                println!("{name}, {configuration:?}: filled after {:.1} s", begin.elapsed().as_secs_f64());
                for row in &rows {
                    let failed = || format!("{}, {configuration:?}", row.peer.name());
                    tried(row, data, configuration).await.with_context(failed)?;
                }
            }
        }
        println!("all that were tried answer the same");
        Ok(())
    })
}

fn names() -> String {
    ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

async fn tried(row: &Started, data: Data, configuration: Configuration) -> anyhow::Result<()> {
    ensure!(row.peer.configuration() == configuration, "it says that it is {:?}", row.peer.configuration());
    println!("  {} (class {:?})", row.peer.name(), row.peer.class());
    for program in row.peer.programs() {
        println!("    {} {}: {}", program.name, program.version, program.command);
    }
    ensure!(!row.peer.pids().is_empty(), "it has no processes");
    let mut client = row.peer.client().await?;
    for service in [0, data.services - 1] {
        let mut expected: Vec<_> = data.addresses(service).collect();
        expected.sort();
        let found = client.instances(service).await?;
        ensure!(found == expected, "service {service} has {found:?}, not {expected:?}");
        let bytes = client.lookup(service).await?;
        // An address each, even in four bytes.
        ensure!(bytes > expected.len() * 4, "{bytes} bytes are no answer");
        if service == 0 {
            println!(
                "    an answer of {bytes} bytes, of the {} addresses that it should have",
                expected.len()
            );
        }
    }
    if let Some(names) = &row.names {
        resolves(&**names, data).await?;
    }
    if let Some(registry) = &row.registry {
        comes_and_goes(&**registry).await?;
    }
    if let Some(heartbeat) = &row.heartbeat {
        beats(&**heartbeat).await?;
    }
    Ok(())
}

/// The same is found by name.
async fn resolves(names: &dyn NameServer, data: Data) -> anyhow::Result<()> {
    let mut resolver = Resolver::connect(names.dns()).await?;
    let mut expected: Vec<_> = data.addresses(0).collect();
    expected.sort();
    let found = resolver.addresses(&names.hosts(0)).await?;
    ensure!(found == expected, "{} has the addresses {found:?}, not {expected:?}", names.hosts(0));
    let mut expected: Vec<_> = expected.iter().map(|address| format!("{address}:{PORT}")).collect();
    expected.sort();
    let found = resolver.ports(&names.ports(0)).await?;
    ensure!(found == expected, "{} has the ports {found:?}, not {expected:?}", names.ports(0));
    println!("    DNS at {} has them as {} and as {}", names.dns(), names.hosts(0), names.ports(0));
    Ok(())
}

/// An instance that comes is seen, and so is that it goes.
async fn comes_and_goes(registry: &dyn Registry) -> anyhow::Result<()> {
    let service = Data::service(0);
    let mut watcher = registry.watch(&service).await?;
    seen(&mut *watcher, "the first state", |now| !now.is_empty()).await?;
    let begin = Instant::now();
    registry.register(&service, NEWCOMER).await?;
    let registered = begin.elapsed();
    let at = seen(&mut *watcher, "who came", |now| has(now, NEWCOMER)).await?;
    let came = at.saturating_duration_since(begin);
    let mut client = registry.client().await?;
    let begin = Instant::now();
    // Where lookups are answered from a cache, they may lag behind the watchers.
    while !has(&client.instances(0).await?, NEWCOMER) {
        ensure!(begin.elapsed() < SEEN_MAX, "lookups never find who came");
        sleep(Duration::from_millis(2)).await;
    }
    let begin = Instant::now();
    registry.deregister(&service, NEWCOMER).await?;
    let at = seen(&mut *watcher, "who went", |now| !has(now, NEWCOMER)).await?;
    let went = at.saturating_duration_since(begin);
    println!(
        "    registered in {registered:.1?}; a watcher saw it after {came:.1?}, and its end after {went:.1?}"
    );
    Ok(())
}

/// An instance that beats is there, and is gone once it is terminated or killed.
async fn beats(heartbeat: &dyn Heartbeat) -> anyhow::Result<()> {
    let (service, pace) = (Data::service(0), heartbeat.pace());
    let mut watcher = heartbeat.watch(&service).await?;
    let leaving = beating(heartbeat, &service, pace).await?;
    seen(&mut *watcher, "who beats", |now| has(now, BEATING)).await?;
    let begin = Instant::now();
    let told = Command::new("kill").arg(leaving.pid().to_string()).status()?;
    ensure!(told.success(), "kill: {told}");
    let at = seen(&mut *watcher, "that who was terminated is out", |now| !has(now, BEATING)).await?;
    let left = at.saturating_duration_since(begin);

    let mut killed = beating(heartbeat, &service, pace).await?;
    seen(&mut *watcher, "who beats again", |now| has(now, BEATING)).await?;
    // Watched on over the kill: what waits for the next state is not to be cut off.
    let mut out = seen(&mut *watcher, "that who was killed is out", |now| !has(now, BEATING)).boxed();
    let lasting = Duration::from_millis(pace.ttl_ms * 3 / 2);
    ensure!(timeout(lasting, &mut out).await.is_err(), "it is out though it beats");
    let begin = Instant::now();
    killed.kill();
    let out = out.await?.saturating_duration_since(begin);
    println!(
        "    beats each {} ms for {} ms: terminated, it was out after {left:.1?}; killed, after {out:.1?}",
        pace.beat_ms, pace.ttl_ms
    );
    Ok(())
}

/// A process that beats, and has registered.
async fn beating(heartbeat: &dyn Heartbeat, service: &str, pace: Pace) -> anyhow::Result<Companion> {
    let arguments = heartbeat.beating(service, BEATING, pace, Ipv4Addr::LOCALHOST);
    let mut beating = Companion::start("starting a heartbeat", &env::current_exe()?, {
        move |beat: &mut Command| {
            beat.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        }
    })?;
    let mut heard = BufReader::new(beating.take_stdout().context("no output")?);
    let first = spawn_blocking(move || {
        let mut line = String::new();
        heard.read_line(&mut line).map(|_| line)
    });
    let first = timeout(SEEN_MAX, first).await.context("it does not register")???;
    ensure!(first.trim_end() == "registered", "{first:?}");
    Ok(beating)
}

/// When the watcher knew a state that is so.
async fn seen(
    watcher: &mut dyn Watcher,
    what: &str,
    is_so: impl Fn(&[String]) -> bool + Send,
) -> anyhow::Result<Instant> {
    let watching = async {
        loop {
            let (at, now) = watcher.next().await?;
            if is_so(&now) {
                return anyhow::Ok(at);
            }
        }
    };
    timeout(SEEN_MAX, watching).await.with_context(|| format!("a watcher never sees {what}"))?
}

fn has(instances: &[String], instance: &str) -> bool {
    instances.iter().any(|one| one == instance)
}
