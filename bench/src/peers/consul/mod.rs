//! Consul: a server, and a client agent that has joined it, each asked in the ways that its documentation names.

mod beat;
mod health;
mod process;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context;
use futures::{FutureExt, future::BoxFuture};
use http::Method;
use rollcall_results::{Class, Configuration, Program};
use serde_json::{Value, json};

pub(super) use self::beat::ToConsul;
use self::{
    health::{Health, Lookups},
    process::{ANSWER_MAX, Agent, Processes, check, described, id, node},
};
use super::{
    BeatArguments, Client, Data, Heartbeat, NameServer, Pace, Peer, Registry, Started, Watcher, beat::System,
    http::Http, pool::Pool,
};

/// Holds one way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The server, by the consistency that is its default: it answers as the leader that it believes to be.
    Server,
    /// The server, which would answer so also where it follows another one.
    ServerStale,
    /// The server, from the cache that it has as an agent.
    ServerCached,
    /// The client agent, which asks the server each time.
    Agent,
    /// The client agent, from what the server streams to it.
    AgentCached,
}

/// Holds a row of the tables.
struct Row {
    way: Way,
    configuration: Configuration,
    processes: Arc<Processes>,
    /// To whom registrations are told.
    connections: Pool<Http>,
}

/// Starts both, and fills the catalogue.
pub(super) fn start(
    data: Data,
    configuration: Configuration,
) -> BoxFuture<'static, anyhow::Result<Vec<Started>>> {
    async move {
        let processes = Arc::new(Processes::start(data, configuration).await?);
        let row = |way| {
            let (processes, connections) = (processes.clone(), Pool::default());
            Arc::new(Row { way, configuration, processes, connections })
        };
        let (server, agent, cached) = (row(Way::Server), row(Way::Agent), row(Way::AgentCached));
        // The DNS of an agent asks the server each time, unless it is told to use its cache.
        let (of_agent, of_cached) = match configuration {
            Configuration::Default => {
                (Started::peer(agent.clone()).with_names(agent), Started::heartbeat(cached))
            }
            Configuration::Tuned => {
                (Started::peer(agent), Started::heartbeat(cached.clone()).with_names(cached))
            }
        };
        Ok(vec![
            Started::heartbeat(server.clone()).with_names(server),
            Started::peer(row(Way::ServerStale)),
            Started::peer(row(Way::ServerCached)),
            of_agent,
            of_cached,
        ])
    }
    .boxed()
}

// === impl Way ===

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "consul server",
            Self::ServerStale => "consul server ?stale",
            Self::ServerCached => "consul server ?cached",
            Self::Agent => "consul agent",
            Self::AgentCached => "consul agent ?cached",
        }
    }

    /// Where the answer is: an agent that asks each time has none.
    fn class(self) -> Class {
        match self {
            Self::AgentCached => Class::B,
            Self::Server | Self::ServerStale | Self::ServerCached | Self::Agent => Class::C,
        }
    }

    fn query(self) -> &'static str {
        match self {
            Self::Server | Self::Agent => "passing",
            Self::ServerStale => "passing&stale",
            Self::ServerCached | Self::AgentCached => "passing&cached",
        }
    }

    fn is_of_the_agent(self) -> bool {
        matches!(self, Self::Agent | Self::AgentCached)
    }

    /// What of this service is healthy.
    fn path(self, service: &str) -> String {
        format!("/v1/health/service/{service}?{}", self.query())
    }
}

// === impl Row ===

impl Row {
    fn asked(&self) -> &Agent {
        if self.way.is_of_the_agent() { &self.processes.client } else { &self.processes.server }
    }

    async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let mut http = match self.connections.take(Http::is_open) {
            Some(http) => http,
            None => Http::connect(self.asked().at).await?,
        };
        let answer = http.ask(Method::PUT, path, body.to_string(), ANSWER_MAX).await?;
        self.connections.give(http);
        answer.good().map(drop)
    }
}

impl Peer for Row {
    fn name(&self) -> &str {
        self.way.name()
    }

    fn class(&self) -> Class {
        self.way.class()
    }

    fn configuration(&self) -> Configuration {
        self.configuration
    }

    fn programs(&self) -> Vec<Program> {
        self.processes.programs(self.way.is_of_the_agent())
    }

    /// An agent that asks the server each time costs both. One that has the answer is the only one whom a lookup costs.
    fn pids(&self) -> Vec<u32> {
        let (server, client) = (self.processes.server.process.pid(), self.processes.client.process.pid());
        match self.way {
            Way::Server | Way::ServerStale | Way::ServerCached => vec![server],
            Way::Agent => vec![client, server],
            Way::AgentCached => vec![client],
        }
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        async { Ok(Box::new(Lookups::connect(self.asked().at, self.way).await?) as Box<dyn Client>) }.boxed()
    }
}

/// At the server by the catalogue, as what mirrors another registry does; at the agent as a service of its node, as apps do.
impl Registry for Row {
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            let mut of_service = described(service, instance);
            let fields = of_service.as_object_mut().context("not an object")?;
            if !self.way.is_of_the_agent() {
                fields.insert("Service".to_owned(), json!(service));
                let all = json!({
                    "Node": node(instance), "Address": instance, "Service": of_service,
                    "Check": check(service, instance),
                });
                return self.put("/v1/catalog/register", &all).await;
            }
            fields.insert("Name".to_owned(), json!(service));
            // Healthy at once, and for longer than any measurement lasts.
            fields.insert("Check".to_owned(), json!({"Name": "alive", "TTL": "24h", "Status": "passing"}));
            self.put("/v1/agent/service/register", &of_service).await
        }
        .boxed()
    }

    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            if self.way.is_of_the_agent() {
                let path = format!("/v1/agent/service/deregister/{}", id(service, instance));
                return self.put(&path, &Value::Null).await;
            }
            // With the node goes all that is on it.
            self.put("/v1/catalog/deregister", &json!({"Node": node(instance)})).await
        }
        .boxed()
    }

    /// What an agent is told it tells the server; and the server's own news reach the agents that watch.
    fn registering(&self) -> Vec<u32> {
        vec![self.processes.client.process.pid(), self.processes.server.process.pid()]
    }

    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>> {
        let path = self.way.path(service);
        async move { Ok(Box::new(Health::connect(self.asked().at, path).await?) as Box<dyn Watcher>) }.boxed()
    }
}

impl Heartbeat for Row {
    fn pace(&self) -> Pace {
        match self.configuration {
            Configuration::Default => Pace { ttl_ms: 15_000, beat_ms: 5_000 },
            Configuration::Tuned => Pace { ttl_ms: 3_000, beat_ms: 1_000 },
        }
    }

    fn beating(&self, service: &str, instance: &str, pace: Pace, from: Ipv4Addr) -> Vec<String> {
        let arguments = BeatArguments {
            system: System::Consul,
            at: self.asked().at,
            from,
            service: service.to_owned(),
            instance: instance.to_owned(),
            ttl_ms: pace.ttl_ms,
            beat_ms: pace.beat_ms,
        };
        arguments.to_command_line()
    }
}

impl NameServer for Row {
    fn dns(&self) -> SocketAddr {
        self.asked().dns
    }

    fn hosts(&self, service: u32) -> String {
        format!("{}.service.consul", Data::service(service))
    }

    fn ports(&self, service: u32) -> String {
        self.hosts(service)
    }
}
