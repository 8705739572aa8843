//! etcd: a store with one key for each instance, as its own libraries for naming have it.

mod api;
mod beat;
mod grpc;
mod process;
mod protobuf;
mod watch;

use std::{net::Ipv4Addr, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use rollcall_results::{Class, Configuration, Program};
use serde::Deserialize;

pub(super) use self::beat::ToEtcd;
use self::{
    api::{DELETE, PUT, RANGE, Read, delete, put, range, ranged},
    grpc::Grpc,
    process::{Disk, Etcd, key, prefix, value},
    protobuf::Message,
    watch::Keys,
};
use super::{
    BeatArguments, Client, Data, Heartbeat, Pace, Peer, Registry, Started, Watcher, beat::System, pool::Pool,
};

/// Holds a row of the tables.
struct Row {
    name: &'static str,
    read: Read,
    configuration: Configuration,
    etcd: Arc<Etcd>,
    /// To whom registrations are told.
    connections: Pool<Grpc>,
}

/// Holds one client.
struct Lookups {
    read: Read,
    grpc: Grpc,
}

/// Holds an instance as its key's value has it.
#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Addr")]
    address_and_port: String,
}

/// Starts it, and fills it; beside the default one, another one in memory.
pub(super) fn start(
    data: Data,
    configuration: Configuration,
) -> BoxFuture<'static, anyhow::Result<Vec<Started>>> {
    async move {
        let etcd = Arc::new(Etcd::start(data, configuration, Disk::Real).await?);
        let row = |name, read, etcd: &Arc<Etcd>| {
            Arc::new(Row { name, read, configuration, etcd: etcd.clone(), connections: Pool::default() })
        };
        let mut rows = vec![
            Started::heartbeat(row("etcd, linearizable", Read::Linearizable, &etcd)),
            Started::peer(row("etcd, serializable", Read::Serializable, &etcd)),
        ];
        if configuration == Configuration::Default {
            let in_memory = Arc::new(Etcd::start(data, configuration, Disk::Tmpfs).await?);
            rows.push(Started::registry(row("etcd on tmpfs", Read::Linearizable, &in_memory)));
        }
        Ok(rows)
    }
    .boxed()
}

/// The addresses that these values have, sorted.
fn addresses<'a>(values: impl Iterator<Item = &'a [u8]>) -> anyhow::Result<Vec<String>> {
    let address = |value| {
        let endpoint: Endpoint = serde_json::from_slice(value)?;
        let (address, _) = endpoint.address_and_port.rsplit_once(':').unwrap_or_default();
        anyhow::Ok(address.to_owned())
    };
    let mut all: Vec<_> = values.map(address).collect::<Result<_, _>>()?;
    all.sort();
    Ok(all)
}

// === impl Row ===

impl Row {
    async fn write(&self, method: &str, message: &Message) -> anyhow::Result<()> {
        let mut grpc = match self.connections.take(Grpc::is_open) {
            Some(grpc) => grpc,
            None => Grpc::connect(self.etcd.at).await?,
        };
        grpc.call(method, message).await?;
        self.connections.give(grpc);
        Ok(())
    }
}

impl Peer for Row {
    fn name(&self) -> &str {
        self.name
    }

    fn class(&self) -> Class {
        Class::C
    }

    fn configuration(&self) -> Configuration {
        self.configuration
    }

    fn programs(&self) -> Vec<Program> {
        vec![self.etcd.program()]
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.etcd.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        async {
            let grpc = Grpc::connect(self.etcd.at).await?;
            Ok(Box::new(Lookups { read: self.read, grpc }) as Box<dyn Client>)
        }
        .boxed()
    }
}

impl Registry for Row {
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move { self.write(PUT, &put(&key(service, instance), &value(instance), 0)).await }.boxed()
    }

    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        async move { self.write(DELETE, &delete(&key(service, instance))).await }.boxed()
    }

    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>> {
        async move { Ok(Box::new(Keys::connect(self.etcd.at, &prefix(service)).await?) as Box<dyn Watcher>) }
            .boxed()
    }
}

impl Heartbeat for Row {
    /// A lease is kept alive thrice in its time, as etcd's own client does it.
    fn pace(&self) -> Pace {
        match self.configuration {
            Configuration::Default => Pace { ttl_ms: 5_000, beat_ms: 1_666 },
            Configuration::Tuned => Pace { ttl_ms: 2_000, beat_ms: 666 },
        }
    }

    fn beating(&self, service: &str, instance: &str, pace: Pace, from: Ipv4Addr) -> Vec<String> {
        let arguments = BeatArguments {
            system: System::Etcd,
            at: self.etcd.at,
            from,
            service: service.to_owned(),
            instance: instance.to_owned(),
            ttl_ms: pace.ttl_ms,
            beat_ms: pace.beat_ms,
        };
        arguments.to_command_line()
    }
}

// === impl Lookups ===

impl Client for Lookups {
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        async move {
            let asked = range(&prefix(&Data::service(service)), self.read);
            let found = ranged(self.grpc.call(RANGE, &asked).await?)?;
            addresses(found.values.values().map(AsRef::as_ref))
        }
        .boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        async move {
            let asked = range(&prefix(&Data::service(service)), self.read);
            Ok(self.grpc.whole(RANGE, &asked).await?.len())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let written = ["10.0.0.2", "10.0.0.1"].map(value);
        assert_eq!(addresses(written.iter().map(String::as_bytes)).unwrap(), ["10.0.0.1", "10.0.0.2"]);
        assert!(addresses([&b"{}"[..]].into_iter()).is_err());
    }
}
