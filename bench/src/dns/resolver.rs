//! Servers of DNS as peers: looked up by one kind of record over UDP, as the resolvers of apps do.

use std::{
    io,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures::{FutureExt, future::BoxFuture};
use rollcall_results::{Class, Configuration, Program};
use tokio::{
    net::UdpSocket,
    time::{sleep, timeout},
};

use super::query::{Kind, Query, REPLY_BYTES};
use crate::{
    local::ANSWER_MAX,
    peers::{Client, Data, NameServer, Peer},
};

/// Holds a server, and what it is asked for each service.
pub(super) struct Resolver {
    server: Arc<dyn NameServer>,
    queries: Arc<[Query]>,
}

/// Holds one client: a socket of its own, and a query at most that is not answered.
struct Asker {
    socket: UdpSocket,
    id: u16,
    packet: Vec<u8>,
    reply: Vec<u8>,
    queries: Arc<[Query]>,
}

/// What does not answer by then never does: CoreDNS reads its zone first.
const START_MAX: Duration = Duration::from_secs(60);

// === impl Resolver ===

impl Resolver {
    pub(super) fn new(server: Arc<dyn NameServer>, kind: Kind, data: Data) -> Self {
        let name = |service| match kind {
            Kind::A => server.hosts(service),
            Kind::Srv => server.ports(service),
        };
        let queries = (0..data.services).map(|service| Query::new(kind, &name(service), data.instances));
        let queries = queries.collect();
        Self { server, queries }
    }

    /// The reply to the first query, once the server answers.
    pub(super) async fn first_reply(&self) -> anyhow::Result<Vec<u8>> {
        let begin = Instant::now();
        loop {
            let mut asker = self.asker().await?;
            match asker.ask(0).await {
                Ok(reply) => return Ok(reply.to_vec()),
                // The port is nobody's yet.
                Err(error)
                    if error.downcast_ref::<io::Error>().map(io::Error::kind)
                        == Some(io::ErrorKind::ConnectionRefused) => {}
                Err(error) => return Err(error),
            }
            if begin.elapsed() > START_MAX {
                bail!("nobody answers at {}", self.server.dns());
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn asker(&self) -> anyhow::Result<Asker> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(self.server.dns()).await?;
        let reply = vec![0; usize::from(REPLY_BYTES)];
        Ok(Asker { socket, id: 0, packet: Vec::new(), reply, queries: self.queries.clone() })
    }
}

impl Peer for Resolver {
    fn name(&self) -> &str {
        self.server.name()
    }

    fn class(&self) -> Class {
        self.server.class()
    }

    fn configuration(&self) -> Configuration {
        self.server.configuration()
    }

    fn programs(&self) -> Vec<Program> {
        self.server.programs()
    }

    fn pids(&self) -> Vec<u32> {
        self.server.pids()
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        let client = async {
            let client: Box<dyn Client> = Box::new(self.asker().await?);
            Ok(client)
        };
        client.boxed()
    }
}

// === impl Asker ===

impl Asker {
    async fn ask(&mut self, service: u32) -> anyhow::Result<&[u8]> {
        let query = self.queries.get(service as usize).context("no such service")?;
        self.id = self.id.wrapping_add(1);
        self.packet.clear();
        self.packet.extend_from_slice(&self.id.to_be_bytes());
        self.packet.extend_from_slice(query.behind_id());
        self.socket.send(&self.packet).await?;
        let bytes = timeout(ANSWER_MAX, self.socket.recv(&mut self.reply)).await.context("no reply")??;
        let reply = self.reply.get(..bytes).unwrap_or_default();
        ensure!(
            reply.starts_with(&self.id.to_be_bytes()) && query.is_answered_by(reply),
            "not the reply to {query:?}: {reply:?}"
        );
        Ok(reply)
    }
}

impl Client for Asker {
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        let found = async move {
            let query = self.queries.get(service as usize).context("no such service")?.clone();
            let addresses = query.addresses(self.ask(service).await?)?;
            Ok(addresses.iter().map(Ipv4Addr::to_string).collect())
        };
        found.boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        async move { Ok(self.ask(service).await?.len()) }.boxed()
    }
}
