//! The floor: what UDP itself costs. A bare server, of one thread as the sidecar is, that answers every query with the same
//! bytes.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::bail;
use futures::{FutureExt, future::BoxFuture};
use rollcall_cluster::companion::Companion;
use rollcall_results::{Class, Configuration, Program};
use tempfile::TempDir;
use tokio::{net::UdpSocket, runtime::Builder};

use crate::{
    local::measured,
    peers::{Client, NameServer, Peer},
    report::program,
};

/// Holds such a server, which is asked what another one is asked for the first service: that is whose answer it has.
pub(super) struct Floor {
    process: Companion,
    at: SocketAddr,
    of: Arc<dyn NameServer>,
    _folder: TempDir,
}

/// Answers on this port of loopback with the reply that the file has, under the id of each query.
pub(crate) fn serve(port: u16, reply: &Path) -> anyhow::Result<()> {
    let mut reply = fs::read(reply)?;
    let mut query = [0; 512];
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (_, from) = socket.recv_from(&mut query).await?;
            for (to, of_query) in reply.iter_mut().zip(&query).take(2) {
                *to = *of_query;
            }
            socket.send_to(&reply, from).await?;
        }
    })
}

// === impl Floor ===

impl Floor {
    pub(super) fn start(port: u16, reply: &[u8], of: Arc<dyn NameServer>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("reply");
        fs::write(&file, reply)?;
        let process = measured("starting bare UDP", &env::current_exe()?, move |floor| {
            floor.arg("dns-floor").arg(format!("--port={port}")).arg(file);
        })?;
        Ok(Self { process, at: (Ipv4Addr::LOCALHOST, port).into(), of, _folder: folder })
    }
}

impl Peer for Floor {
    fn name(&self) -> &str {
        "bare UDP"
    }

    fn class(&self) -> Class {
        Class::Floor
    }

    fn configuration(&self) -> Configuration {
        Configuration::Default
    }

    fn programs(&self) -> Vec<Program> {
        program(self.name(), env!("CARGO_PKG_VERSION"), self.process.pid()).into_iter().collect()
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        async { bail!("it is asked by DNS alone") }.boxed()
    }
}

impl NameServer for Floor {
    fn dns(&self) -> SocketAddr {
        self.at
    }

    fn hosts(&self, _: u32) -> String {
        self.of.hosts(0)
    }

    fn ports(&self, _: u32) -> String {
        self.of.ports(0)
    }
}
