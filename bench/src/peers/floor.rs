//! The floor, as those that are measured above it: what HTTP itself costs with as many bytes as a registry's answer has.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::bail;
use futures::{FutureExt, future::BoxFuture};
use rollcall_cluster::companion::Companion;
use rollcall_results::{Class, Configuration, Program};
use tempfile::TempDir;

use super::{Client, Peer, rollcall::Asker};
use crate::{
    local::{listening, measured},
    report::program,
};

/// Holds a bare hyper server that answers everything with the same.
pub(crate) struct Floor {
    name: String,
    process: Companion,
    at: SocketAddr,
    _folder: TempDir,
}

/// Holds one connection to it.
struct FloorClient(Box<dyn Client>);

// === impl Floor ===

impl Floor {
    /// With this answer, its head included.
    pub(crate) async fn start(name: &str, answer: &[u8], port: u16) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("answer");
        fs::write(&file, answer)?;
        let process = measured("starting bare hyper", &env::current_exe()?, {
            move |floor| {
                floor.arg("lookup-floor").arg(format!("--port={port}")).arg(file);
            }
        })?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        listening(at, &process).await?;
        Ok(Self { name: name.to_owned(), process, at, _folder: folder })
    }

    /// With an answer of so many bytes, where it is known of somebody else's no more than that.
    pub(crate) async fn of_bytes(name: &str, bytes: usize, port: u16) -> anyhow::Result<Self> {
        const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        // Its length and the date are hyper's own.
        const OF_HYPER: usize = "content-length: 10000\r\ndate: Sun, 22 Nov 2026 19:30:00 GMT\r\n".len();
        let body = "x".repeat(bytes.saturating_sub(HEAD.len() + OF_HYPER));
        Self::start(name, format!("{HEAD}{body}").as_bytes(), port).await
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
        let request = format!("GET /v1/services/order-service-0 HTTP/1.1\r\nHost: {}\r\n\r\n", self.at);
        let asker = Asker::connected(self.at, Arc::new([request]));
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

    /// Whatever is asked for, the answer is the same.
    fn lookup(&mut self, _: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        self.0.lookup(0)
    }
}
