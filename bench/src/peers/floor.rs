//! The floor, as those that are measured above it: what HTTP itself costs with as many answers as a registry has, and as many
//! bytes in each.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::bail;
use futures::{FutureExt, future::BoxFuture};
use rollcall_cluster::companion::Companion;
use rollcall_results::{Class, Configuration, Program};
use tempfile::TempDir;

use super::{
    Client, Data, Peer,
    rollcall::{Asker, Requests, requests},
};
use crate::{
    local::{listening, measured},
    report::program,
};

/// Holds a bare hyper server that has an answer for each service.
pub(crate) struct Floor {
    name: String,
    process: Companion,
    at: SocketAddr,
    requests: Requests,
    _folder: TempDir,
}

/// Holds one connection to it.
struct FloorClient(Box<dyn Client>);

// === impl Floor ===

impl Floor {
    /// With these answers, their heads included, to who asks for the services of this data.
    pub(crate) async fn start(
        name: &str,
        data: Data,
        answers: impl Iterator<Item = Vec<u8>>,
        port: u16,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        for (number, answer) in answers.enumerate() {
            fs::write(folder.path().join(number.to_string()), answer)?;
        }
        let process = measured("starting bare hyper", &env::current_exe()?, {
            let folder = folder.path().to_owned();
            move |floor| {
                floor.arg("lookup-floor").arg(format!("--port={port}")).arg(folder);
            }
        })?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        listening(at, &process).await?;
        let requests = requests(data, at, |service| format!("/v1/services/{}", Data::service(service)));
        Ok(Self { name: name.to_owned(), process, at, requests, _folder: folder })
    }

    /// With answers of so many bytes, where it is known of somebody else's no more than that.
    pub(crate) async fn of_bytes(name: &str, data: Data, bytes: usize, port: u16) -> anyhow::Result<Self> {
        const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        // Its length and the date are hyper's own.
        const OF_HYPER: usize = "content-length: 10000\r\ndate: Sun, 22 Nov 2026 19:30:00 GMT\r\n".len();
        let body = "x".repeat(bytes.saturating_sub(HEAD.len() + OF_HYPER));
        let answer = format!("{HEAD}{body}").into_bytes();
        Self::start(name, data, (0..data.services).map(|_| answer.clone()), port).await
    }
}

impl Peer for Floor {
    fn name(&self) -> &str {
        &self.name
    }

    fn class(&self) -> Class {
        Class::Floor
    }

    fn configuration(&self) -> Configuration {
        Configuration::Default
    }

    fn programs(&self) -> Vec<Program> {
        program("bare hyper", env!("CARGO_PKG_VERSION"), self.process.pid()).into_iter().collect()
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        let asker = Asker::connected(self.at, self.requests.clone());
        let client = async move {
            let client: Box<dyn Client> = Box::new(FloorClient(asker.await?));
            Ok(client)
        };
        client.boxed()
    }
}

// === impl FloorClient ===

impl Client for FloorClient {
    fn instances(&mut self, _: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        async { bail!("nobody is registered at the floor") }.boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        self.0.lookup(service)
    }
}
