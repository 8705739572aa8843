//! Spring Cloud's Eureka server, one of it. Apps ask it for everything each 30 s by default and answer lookups from what they
//! have: what is measured here is the server, and how soon it is asked.

mod beat;
mod client;
mod kept;
mod neighbours;
mod payload;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use futures::{FutureExt, TryStreamExt, future::BoxFuture, stream};
use http::{Method, StatusCode};
use rollcall_cluster::{EUREKA, Home};
use rollcall_results::{Class, Configuration, Program};
use tokio::{runtime::Handle, task::spawn_blocking};

use self::{
    client::{Asking, Polling},
    kept::Kept,
    neighbours::Neighbours,
    payload::{instance_path, path_of, registration},
};
use super::{
    Client, Data, Heartbeat, Pace, Peer, Registry, Started, Watcher,
    beat::{BeatArguments, System},
    folder,
    jvm::{Java, Jvm},
};

pub(super) use self::beat::ToEureka;

/// The first of the ports; each server has one.
const PORTS: u16 = 28_250;

/// What it is filled with is to stay though nobody beats for it: beats of ten thousand would be a load of their own.
const LASTING: Pace = Pace { ttl_ms: 24 * 60 * 60 * 1_000, beat_ms: 30_000 };
/// So many are registered at once while it is filled.
const TOGETHER: usize = 8;

/// Holds a server.
struct Eureka {
    at: SocketAddr,
    configuration: Configuration,
    data: Data,
    runtime: Handle,
    /// Connections that nobody uses now.
    idle: Mutex<Vec<Kept>>,
    /// How many have begun to poll.
    polling: AtomicU32,
    /// Who beats for all that it is filled with, once a measurement is of heartbeats.
    neighbours: Mutex<Option<Neighbours>>,
    process: Jvm,
}

pub(super) fn start(
    data: Data,
    configuration: Configuration,
) -> BoxFuture<'static, anyhow::Result<Vec<Started>>> {
    async move { Ok(vec![Started::heartbeat(Arc::new(Eureka::start(data, configuration).await?))]) }.boxed()
}

// === impl Eureka ===

impl Eureka {
    async fn start(data: Data, configuration: Configuration) -> anyhow::Result<Self> {
        let (settings, port) = match configuration {
            Configuration::Default => (include_str!("default.properties"), PORTS),
            Configuration::Tuned => (include_str!("tuned.properties"), PORTS + 1),
        };
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let folder = folder::on_disk()?;
        let file = folder.path().join("application.properties");
        fs::write(&file, format!("{settings}\nserver.address={}\nserver.port={port}\n", at.ip()))?;
        let jars = spawn_blocking(|| EUREKA.build(&Home::of_this_user()?)).await??;
        let arguments = vec![
            "-jar".to_owned(),
            format!("{}/eureka.jar", jars.display()),
            format!("--spring.config.additional-location=file:{}", file.display()),
        ];
        let process = Java { program: &EUREKA, jars, arguments, data: folder }.start()?;
        // It listens before it lets anybody in.
        process
            .answer(|| async move {
                let answer =
                    Kept::new(at, Ipv4Addr::LOCALHOST).ask(Method::GET, "/eureka/apps", String::new()).await;
                answer?.good()
            })
            .await?;
        let eureka = Self {
            at,
            configuration,
            data,
            runtime: Handle::current(),
            idle: Mutex::default(),
            polling: AtomicU32::new(0),
            neighbours: Mutex::default(),
            process,
        };
        eureka.fill().await?;
        Ok(eureka)
    }

    async fn fill(&self) -> anyhow::Result<()> {
        let data = self.data;
        let all = (0..data.services).flat_map(|service| {
            data.addresses(service).map(move |instance| (Data::service(service), instance))
        });
        stream::iter(all.map(anyhow::Ok))
            .try_for_each_concurrent(TOGETHER, async |(service, instance)| {
                let body = registration(&service, &instance, LASTING);
                self.ask(Method::POST, &path_of(&service), body).await.map(drop)
            })
            .await
    }

    /// Asks over a connection that nobody else uses meanwhile.
    async fn ask(&self, method: Method, path: &str, body: String) -> anyhow::Result<StatusCode> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut kept = idle.unwrap_or_else(|| Kept::new(self.at, Ipv4Addr::LOCALHOST));
        let answer = kept.ask(method, path, body).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        let status = answer.status;
        ensure!(status.is_success() || status == StatusCode::NOT_FOUND, "{path}: {status}");
        Ok(status)
    }
}

impl Peer for Eureka {
    fn name(&self) -> &str {
        "eureka"
    }

    fn class(&self) -> Class {
        Class::C
    }

    fn configuration(&self) -> Configuration {
        self.configuration
    }

    fn programs(&self) -> Vec<Program> {
        vec![self.process.program().clone()]
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        async { Ok(Box::new(Asking::new(self.at)) as Box<dyn Client>) }.boxed()
    }
}

impl Registry for Eureka {
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            let body = registration(service, instance, LASTING);
            let status = self.ask(Method::POST, &path_of(service), body).await?;
            ensure!(status == StatusCode::NO_CONTENT, "not registered: {status}");
            Ok(())
        }
        .boxed()
    }

    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move { self.ask(Method::DELETE, &instance_path(service, instance), String::new()).await.map(drop) }.boxed()
    }

    /// Polls as often as clients do by default; where it is tuned, each second.
    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>> {
        let every = match self.configuration {
            Configuration::Default => Duration::from_secs(30),
            Configuration::Tuned => Duration::from_secs(1),
        };
        let turn = self.polling.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Box::new(Polling::new(self.at, service, every, turn)) as Box<dyn Watcher>) }.boxed()
    }
}

impl Heartbeat for Eureka {
    /// The lease that clients ask for by default; or the shortest that Eureka's users report to be of use. It lasts twice as long
    /// in truth, since each beat adds its length twice.
    fn pace(&self) -> Pace {
        match self.configuration {
            Configuration::Default => Pace { ttl_ms: 90_000, beat_ms: 30_000 },
            Configuration::Tuned => Pace { ttl_ms: 3_000, beat_ms: 1_000 },
        }
    }

    /// With self-preservation, nobody is evicted while more than 15 % of the beats that are expected are missing: so those that
    /// it is filled with beat from now on, too.
    fn beating(&self, service: &str, instance: &str, pace: Pace, from: Ipv4Addr) -> Vec<String> {
        if self.configuration == Configuration::Default {
            let mut neighbours = self.neighbours.lock().unwrap_or_else(PoisonError::into_inner);
            neighbours.get_or_insert_with(|| Neighbours::of(&self.runtime, self.at, self.data, pace));
        }
        let (service, instance) = (service.to_owned(), instance.to_owned());
        let (ttl_ms, beat_ms) = (pace.ttl_ms, pace.beat_ms);
        BeatArguments { system: System::Eureka, at: self.at, from, service, instance, ttl_ms, beat_ms }
            .to_command_line()
    }
}
