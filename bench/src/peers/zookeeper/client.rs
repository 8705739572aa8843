//! Who looks instances up: each time anew, or by a watch.

use std::time::Instant;

use anyhow::{bail, ensure};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::{Instant as TokioInstant, timeout_at};

use crate::peers::{Client, Data, Watcher};

use super::{
    connection::{Connection, Wish},
    path_of,
    payload::address,
    watched::Watched,
    wire::{self, NO_NODE, Request},
};

/// Asks for the names of a service's nodes, and then for what all of them hold, in one piece: as fast as a client can. (Curator
/// asks for one node after another, and waits for each.)
pub(super) struct Asking {
    wish: Wish,
    connection: Connection,
}

/// Watches a service's node and all below it, and reads what is new there, as Curator's cache does.
pub(super) struct Watching {
    connection: Connection,
    watched: Watched,
}

// === impl Asking ===

impl Asking {
    pub(super) async fn connect(wish: Wish) -> anyhow::Result<Self> {
        Ok(Self { wish, connection: Connection::open(wish).await? })
    }

    /// What each of the service's nodes holds.
    async fn ask(
        &mut self,
        service: u32,
        mut heard: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if self.connection.ping_due() < Instant::now() {
            // Nobody asked for a while, and nobody said meanwhile that the client is there.
            self.connection = Connection::open(self.wish).await?;
        }
        let path = path_of(&Data::service(service));
        let names = match self.connection.ask(Request::Children(&path)).await? {
            Ok(names) => names,
            Err(NO_NODE) => return Ok(()),
            Err(error) => bail!("no names: error {error}"),
        };
        let names = wire::children(&names)?;
        let mut first = None;
        for name in &names {
            let number = self.connection.put(Request::Data(&format!("{path}/{name}")))?;
            first.get_or_insert(number);
        }
        let Some(first) = first else { return Ok(()) };
        self.connection.say().await?;
        for number in (first..).take(names.len()) {
            match self.connection.reply(number).await? {
                Ok(body) => heard(&body)?,
                // It went between the two questions.
                Err(NO_NODE) => {}
                Err(error) => bail!("no data: error {error}"),
            }
        }
        Ok(())
    }
}

impl Client for Asking {
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        async move {
            let mut all = Vec::new();
            self.ask(service, |body| {
                all.extend(address(wire::data(body)?)?);
                Ok(())
            })
            .await?;
            all.sort();
            Ok(all)
        }
        .boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        async move {
            let mut bytes = 0;
            self.ask(service, |body| {
                bytes += body.len();
                Ok(())
            })
            .await?;
            ensure!(bytes > 0, "{} has no instances", Data::service(service));
            Ok(bytes)
        }
        .boxed()
    }
}

// === impl Watching ===

impl Watching {
    pub(super) async fn begin(wish: Wish, service: &str) -> anyhow::Result<Self> {
        let mut connection = Connection::open(wish).await?;
        let watched = Watched::begin(path_of(service), |request: Request<'_>| connection.put(request))?;
        connection.say().await?;
        Ok(Self { connection, watched })
    }
}

impl Watcher for Watching {
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>> {
        async move {
            loop {
                let ping_at = TokioInstant::from_std(self.connection.ping_due());
                let is_new = match timeout_at(ping_at, self.connection.hear()).await {
                    Ok(frame) => {
                        self.watched.take(&frame?, |request: Request<'_>| self.connection.put(request))?
                    }
                    Err(_) => {
                        self.connection.put(Request::Ping)?;
                        false
                    }
                };
                self.connection.say().await?;
                if is_new {
                    return Ok((Instant::now(), self.watched.addresses()));
                }
            }
        }
        .boxed()
    }
}
