//! Rollcall behind the traits of all registries.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use anyhow::{Context, ensure};
use futures::{FutureExt, future::BoxFuture};
use http::{Method, StatusCode};
use rollcall_controller_tests::network::Network;
use rollcall_net::client_config;
use rollcall_results::{Class, Configuration, Program};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{
    pushed::Pushed,
    sidecar::{Place, Sidecar},
    told::Told,
    town::{PodWord, Town, TownArguments, key, token},
};
use crate::peers::{Client, Data, METADATA, PORT, Peer, Registry, TAG, VERSION, Watcher};

/// Where the sidecar of a guest answers, in its network.
pub(crate) const GUEST_PORT: u16 = 7_300;
/// Ports of one sidecar, with one to spare.
const PORTS_EACH: u16 = 4;
/// Watches at each sidecar, beside those of other services: an app may have several, and no pod's apps have a hundred of one
/// service. It is far below what a sidecar allows.
const WATCHES_EACH: usize = 10;

/// Holds what is started.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) data: Data,
    /// The addresses of pods whose apps register what they are.
    pub(crate) registrars: Vec<Ipv4Addr>,
    /// The addresses of pods that somebody else starts, in networks of their own.
    pub(crate) guests: Vec<Ipv4Addr>,
    /// Sidecars with which apps watch.
    pub(crate) watching: u8,
    /// Clients of the wire, at most.
    pub(crate) crowd: u32,
    /// The first port of all.
    pub(crate) port: u16,
}

/// Says who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Witness {
    /// An app at its sidecar, which pushes.
    Sidecar,
    /// A client of the wire, in the place of a sidecar.
    Wire,
}

/// Holds a controller's half and its sidecars, and one way to watch: two share the processes.
#[derive(Clone)]
pub(crate) struct Rollcall {
    parts: Arc<Parts>,
    witness: Witness,
}

struct Parts {
    town: Town,
    registrars: Vec<(Ipv4Addr, Sidecar)>,
    watching: Vec<Sidecar>,
    tls: Arc<ClientConfig>,
    crowd: u32,
    next_watch: AtomicUsize,
    next_member: AtomicU32,
    first_guest: usize,
    controller: SocketAddr,
}

/// Holds one app that looks up.
struct App {
    parts: Arc<Parts>,
}

// === impl Rollcall ===

impl Rollcall {
    /// Both ways to watch, once all sidecars are in session.
    pub(crate) async fn start(wish: &Wish) -> anyhow::Result<[Self; 2]> {
        ensure!(wish.watching > 0, "nobody would watch");
        let watchers = (1..=wish.watching).map(|last| Ipv4Addr::new(10, 251, 0, last));
        let ours = wish.registrars.iter().copied().chain(watchers);
        let pods: Vec<_> = ours.chain(wish.guests.iter().copied()).map(IpAddr::V4).collect();
        // Guests come over a link of their own.
        let listen = if wish.guests.is_empty() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let first_guest = pods.len() - wish.guests.len();
        let town = TownArguments {
            listen: SocketAddr::from((listen, wish.port)),
            services: wish.data.services,
            instances: wish.data.instances,
            pods,
            crowd: wish.crowd,
        };
        let controller = SocketAddr::from((Ipv4Addr::LOCALHOST, wish.port));
        let first_port = wish.port;
        // It waits for processes, which is nothing for a thread that others need.
        let (town, mut sidecars) = spawn_blocking(move || {
            let town = Town::start(&town)?;
            let sidecars = (0..first_guest).map(|number| {
                let port = first_port + PORTS_EACH * (u16::try_from(number)? + 1);
                let place = Place { token: token(number), port, network: None };
                Sidecar::start(place, controller, &town.authority)
            });
            let sidecars = sidecars.collect::<anyhow::Result<Vec<_>>>()?;
            anyhow::Ok((town, sidecars))
        })
        .await??;
        for sidecar in &sidecars {
            sidecar.in_step().await?;
        }
        let watching = sidecars.split_off(wish.registrars.len());
        let tls = client_config(town.authority.as_bytes())?;
        let parts = Arc::new(Parts {
            registrars: wish.registrars.iter().copied().zip(sidecars).collect(),
            town,
            watching,
            tls,
            crowd: wish.crowd,
            next_watch: AtomicUsize::default(),
            next_member: AtomicU32::default(),
            first_guest,
            controller,
        });
        Ok(Self { parts, witness: Witness::Sidecar }.witnesses())
    }

    /// Both ways to watch, each with all processes.
    pub(crate) fn witnesses(&self) -> [Self; 2] {
        [Witness::Sidecar, Witness::Wire].map(|witness| Self { parts: self.parts.clone(), witness })
    }

    /// The sidecar of a guest, by its place among them, in its network; the controller is at the other end of that.
    pub(crate) fn guest(&self, number: usize, network: &Network) -> anyhow::Result<Sidecar> {
        let token = token(self.parts.first_guest + number);
        let place = Place { token, port: GUEST_PORT, network: Some(network.name().to_owned()) };
        let controller = SocketAddr::from((network.host(), self.parts.controller.port()));
        Sidecar::start(place, controller, &self.parts.town.authority)
    }

    /// Tells the controller of a guest, by its place among them, what Kubernetes would.
    pub(crate) fn tell(&self, word: PodWord, number: usize) -> anyhow::Result<()> {
        self.parts.town.tell(word, self.parts.first_guest + number)
    }

    /// How many can watch one service at a time; they are spread evenly over all sidecars.
    pub(crate) fn watchers_max(&self) -> usize {
        match self.witness {
            Witness::Sidecar => self.parts.watching.len() * WATCHES_EACH,
            Witness::Wire => self.parts.crowd as usize,
        }
    }
}

impl Peer for Rollcall {
    fn name(&self) -> &str {
        match self.witness {
            Witness::Sidecar => "rollcall sidecar (localhost push)",
            Witness::Wire => "rollcall session (wire)",
        }
    }

    fn class(&self) -> Class {
        match self.witness {
            Witness::Sidecar => Class::B,
            Witness::Wire => Class::C,
        }
    }

    fn configuration(&self) -> Configuration {
        Configuration::Default
    }

    fn programs(&self) -> Vec<Program> {
        let program = |name: &str, command: &str| Program {
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.to_owned(),
        };
        vec![
            program(
                "rollcall controller",
                "its owner and its session server, told by hand what watches would tell",
            ),
            program("rollcall-sidecar", "rollcall-sidecar --controller 127.0.0.1:PORT, of its image"),
        ]
    }

    fn pids(&self) -> Vec<u32> {
        let sidecars = self.parts.registrars.iter().map(|(_, sidecar)| sidecar).chain(&self.parts.watching);
        std::iter::once(self.parts.town.pid()).chain(sidecars.filter_map(Sidecar::pid)).collect()
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        async { Ok(Box::new(App { parts: self.parts.clone() }) as Box<dyn Client>) }.boxed()
    }
}

impl Registry for Rollcall {
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            let body = registration(service);
            let sidecar = self.parts.registrar(instance)?;
            let path = format!("/v1/self/{service}");
            let (status, body) = sidecar.localhost.call(Method::PUT, &path, Some(body)).await?;
            // Where the controller has not answered in time, the sidecar says that it goes on saying it: watchers tell when it is done.
            let is_taken = matches!(status, StatusCode::OK | StatusCode::ACCEPTED);
            ensure!(is_taken, "{service}: {status} {}", String::from_utf8_lossy(&body));
            Ok(())
        }
        .boxed()
    }

    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            let sidecar = self.parts.registrar(instance)?;
            let path = format!("/v1/self/{service}");
            let (status, _) = sidecar.localhost.call(Method::DELETE, &path, None).await?;
            ensure!(status == StatusCode::NO_CONTENT, "{service}: {status}");
            Ok(())
        }
        .boxed()
    }

    /// The controller's half and the sidecars of those who register; where apps watch at sidecars, those too.
    fn pids_of_changes(&self, instances: &[String]) -> Vec<u32> {
        let is_meant = |pod: &Ipv4Addr| instances.contains(&pod.to_string());
        let registrars = self.parts.registrars.iter().filter(|(pod, _)| is_meant(pod));
        let registrars = registrars.map(|(_, sidecar)| sidecar);
        let watching: &[Sidecar] = match self.witness {
            Witness::Sidecar => &self.parts.watching,
            Witness::Wire => &[],
        };
        let sidecars = registrars.chain(watching).filter_map(Sidecar::pid);
        std::iter::once(self.parts.town.pid()).chain(sidecars).collect()
    }

    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>> {
        async move {
            Ok(match self.witness {
                Witness::Sidecar => {
                    let turn = self.parts.next_watch.fetch_add(1, Ordering::Relaxed);
                    let sidecar = self.parts.watching.get(turn % self.parts.watching.len());
                    let sidecar = sidecar.context("no sidecar")?;
                    Box::new(Pushed::open(&sidecar.localhost, service).await?) as Box<dyn Watcher>
                }
                Witness::Wire => {
                    let member =
                        self.parts.next_member.fetch_add(1, Ordering::Relaxed) % self.parts.crowd.max(1);
                    let (controller, tls) = (self.parts.controller, self.parts.tls.clone());
                    Box::new(Told::open(member, controller, tls, key(service)?))
                }
            })
        }
        .boxed()
    }
}

/// What an app says of itself. Nobody asks it whether it is well: none of them is there.
pub(crate) fn registration(service: &str) -> String {
    json!({
        "service": service,
        "version": VERSION,
        "ports": {"http": PORT},
        "tags": [TAG],
        "metadata": METADATA.map(|(name, value)| (name.to_owned(), Value::from(value))).into_iter().collect::<serde_json::Map<_, _>>(),
        "probe": "none",
    })
    .to_string()
}

// === impl Parts ===

impl Parts {
    fn registrar(&self, instance: &str) -> anyhow::Result<&Sidecar> {
        let address: Ipv4Addr = instance.parse()?;
        let found = self.registrars.iter().find(|(of, _)| *of == address);
        found.map(|(_, sidecar)| sidecar).with_context(|| format!("no pod has the address {instance}"))
    }
}

// === impl App ===

impl App {
    async fn look(&self, service: u32) -> anyhow::Result<bytes::Bytes> {
        let sidecar = self.parts.watching.first().context("no sidecar")?;
        let path = format!("/v1/services/{}", Data::service(service));
        let (status, body) = sidecar.localhost.call(Method::GET, &path, None).await?;
        ensure!(status == StatusCode::OK, "{path}: {status}");
        Ok(body)
    }
}

impl Client for App {
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        async move {
            let body: Value = serde_json::from_slice(&self.look(service).await?)?;
            let all = body.get("instances").and_then(Value::as_array).context("no instances")?;
            let addresses = all.iter().filter_map(|one| one.get("address")?.as_str().map(str::to_owned));
            let mut addresses: Vec<_> = addresses.collect();
            addresses.sort();
            Ok(addresses)
        }
        .boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        async move { Ok(self.look(service).await?.len()) }.boxed()
    }
}
