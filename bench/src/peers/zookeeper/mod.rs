//! ZooKeeper, one server of it, with instances as Curator's service discovery and Spring Cloud have them.

mod beat;
mod client;
mod connection;
mod payload;
mod session;
mod watched;
mod wire;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{bail, ensure};
use futures::{FutureExt, future::BoxFuture};
use rollcall_cluster::{Home, ZOOKEEPER};
use rollcall_results::{Class, Configuration, Program};
use tokio::task::spawn_blocking;

use self::{
    client::{Asking, Watching},
    connection::{Connection, Wish},
    payload::payload,
    session::{Change, Session},
    wire::{Lasts, NO_NODE, NODE_EXISTS, Request},
};
use super::{
    Client, Data, Heartbeat, Pace, Peer, Registry, Started, Watcher,
    beat::{BeatArguments, System},
    folder,
    jvm::{Java, Jvm},
};

pub(super) use self::beat::ToZooKeeper;

/// The first of the ports; each server has one.
const PORTS: u16 = 28_200;

/// Where Curator's discovery is told to be.
const SERVICES: &str = "/services";
/// As Curator's clients ask for, and shorter than what the server bears at most: nobody here is to go by accident.
const SESSION_MS: u32 = 30_000;
/// So many requests are on their way at once while it is filled.
const TOGETHER: usize = 500;

/// Says where its log is.
#[derive(Clone, Copy)]
enum Storage {
    Disk,
    Memory,
}

/// Holds a server, and the session in which instances are registered here.
struct ZooKeeper {
    name: String,
    at: SocketAddr,
    configuration: Configuration,
    session: Session,
    process: Jvm,
}

/// Starts it, and fills it; beside the default one, another one whose log is in memory, which tells what the disk costs.
pub(super) fn start(
    data: Data,
    configuration: Configuration,
) -> BoxFuture<'static, anyhow::Result<Vec<Started>>> {
    async move {
        let on_disk = ZooKeeper::start(data, configuration, Storage::Disk).await?;
        let mut rows = vec![Started::heartbeat(Arc::new(on_disk))];
        if configuration == Configuration::Default {
            let in_memory = ZooKeeper::start(data, configuration, Storage::Memory).await?;
            rows.push(Started::registry(Arc::new(in_memory)));
        }
        Ok(rows)
    }
    .boxed()
}

fn path_of(service: &str) -> String {
    format!("{SERVICES}/{service}")
}

// === impl ZooKeeper ===

impl ZooKeeper {
    async fn start(data: Data, configuration: Configuration, storage: Storage) -> anyhow::Result<Self> {
        let (name, port, folder) = match storage {
            Storage::Disk => ("zookeeper", PORTS, folder::on_disk()?),
            Storage::Memory => ("zookeeper on tmpfs", PORTS + 2, folder::in_memory()?),
        };
        let (settings, port) = match configuration {
            Configuration::Default => (include_str!("default.cfg"), port),
            Configuration::Tuned => (include_str!("tuned.cfg"), port + 1),
        };
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let path = folder.path().display();
        let settings =
            format!("{settings}\ndataDir={path}\nclientPortAddress={}\nclientPort={port}\n", at.ip());
        fs::write(folder.path().join("zoo.cfg"), settings)?;
        fs::write(folder.path().join("logback.xml"), include_str!("logback.xml"))?;
        let jars = spawn_blocking(|| ZOOKEEPER.build(&Home::of_this_user()?)).await??;
        let arguments = vec![
            // What its own start script says, for the memory too.
            "-Xmx1000m".to_owned(),
            "-cp".to_owned(),
            format!("{path}:{}/*", jars.display()),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain".to_owned(),
            format!("{path}/zoo.cfg"),
        ];
        let process = Java { program: &ZOOKEEPER, jars, arguments, data: folder }.start()?;
        let mut connection = process.answer(|| Connection::open(Wish::new(at, SESSION_MS))).await?;
        fill(&mut connection, data).await?;
        let session = Session::of(connection);
        Ok(Self { name: name.to_owned(), at, configuration, session, process })
    }

    fn wish(&self) -> Wish {
        Wish::new(self.at, SESSION_MS)
    }
}

/// What it is filled with lasts without anybody's session, which Curator calls permanent.
async fn fill(connection: &mut Connection, data: Data) -> anyhow::Result<()> {
    make(connection, [(SERVICES.to_owned(), String::new())]).await?;
    let services = (0..data.services).map(|service| (path_of(&Data::service(service)), String::new()));
    make(connection, services).await?;
    let instances = (0..data.services).flat_map(|service| {
        data.addresses(service).map(move |instance| {
            let service = Data::service(service);
            (format!("{}/{instance}", path_of(&service)), payload(&service, &instance))
        })
    });
    make(connection, instances).await
}

/// Creates these nodes, some at a time.
async fn make(
    connection: &mut Connection,
    nodes: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    let mut nodes = nodes.into_iter();
    loop {
        let mut numbers = Vec::with_capacity(TOGETHER);
        for (path, text) in nodes.by_ref().take(TOGETHER) {
            let create = Request::Create { path: &path, data: text.as_bytes(), lasts: Lasts::UntilDeleted };
            numbers.push(connection.put(create)?);
        }
        if numbers.is_empty() {
            return Ok(());
        }
        connection.say().await?;
        for number in numbers {
            let made = connection.reply(number).await?;
            ensure!(made.is_ok(), "a node is not created: {made:?}");
        }
    }
}

impl Peer for ZooKeeper {
    fn name(&self) -> &str {
        &self.name
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
        async { Ok(Box::new(Asking::connect(self.wish()).await?) as Box<dyn Client>) }.boxed()
    }
}

impl Registry for ZooKeeper {
    /// As Curator does: an ephemeral node, in the place of an older one, below a node that is made where there is none.
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            let path = format!("{}/{instance}", path_of(service));
            let mut tries = 3;
            loop {
                let (path, data) = (path.clone(), payload(service, instance).into_bytes());
                let create = Change::Create { path: path.clone(), data, lasts: Lasts::AsItsSession };
                let error = match self.session.make(create).await? {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                };
                tries -= 1;
                let before = match error {
                    _ if tries == 0 => bail!("not registered: error {error}"),
                    NO_NODE => {
                        let (path, data) = (path_of(service), Vec::new());
                        Change::Create { path, data, lasts: Lasts::UntilDeleted }
                    }
                    NODE_EXISTS => Change::Delete { path },
                    error => bail!("not registered: error {error}"),
                };
                // Somebody else may have been there first; the next try tells.
                let _ = self.session.make(before).await?;
            }
        }
        .boxed()
    }

    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            let path = format!("{}/{instance}", path_of(service));
            match self.session.make(Change::Delete { path }).await? {
                Ok(()) | Err(NO_NODE) => Ok(()),
                Err(error) => bail!("not deregistered: error {error}"),
            }
        }
        .boxed()
    }

    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>> {
        async move { Ok(Box::new(Watching::begin(self.wish(), service).await?) as Box<dyn Watcher>) }.boxed()
    }
}

impl Heartbeat for ZooKeeper {
    /// The shortest session that there is: two ticks. It beats three times in one, as its clients do.
    fn pace(&self) -> Pace {
        let ttl_ms = match self.configuration {
            Configuration::Default => 4_000,
            Configuration::Tuned => 1_000,
        };
        Pace { ttl_ms, beat_ms: ttl_ms / 3 }
    }

    fn beating(&self, service: &str, instance: &str, pace: Pace, from: Ipv4Addr) -> Vec<String> {
        let (service, instance) = (service.to_owned(), instance.to_owned());
        let (ttl_ms, beat_ms) = (pace.ttl_ms, pace.beat_ms);
        BeatArguments { system: System::Zookeeper, at: self.at, from, service, instance, ttl_ms, beat_ms }
            .to_command_line()
    }
}
