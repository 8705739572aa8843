//! A session that beats, and an ephemeral node that is there for as long as it lasts.

use anyhow::{Context, bail};
use futures::{FutureExt, future::BoxFuture};

use crate::peers::beat::{BeatArguments, Beater, Heard};

use super::{
    connection::{Connection, Wish},
    path_of,
    payload::payload,
    wire::{Lasts, NO_NODE, NODE_EXISTS, Request, Ticket},
};

/// On a machine without time for it, a session of a second is over before anything was said in it; clients try again.
const TRIES: u32 = 5;

/// Holds one who beats: first of all, nobody.
pub(in crate::peers) struct ToZooKeeper {
    wish: Wish,
    path: String,
    payload: String,
    connection: Option<Connection>,
}

// === impl ToZooKeeper ===

impl ToZooKeeper {
    pub(in crate::peers) fn new(arguments: &BeatArguments) -> Self {
        let (service, instance) = (&arguments.service, &arguments.instance);
        let timeout_ms = u32::try_from(arguments.ttl_ms).unwrap_or(u32::MAX);
        let wish = Wish { at: arguments.at, from: arguments.from, timeout_ms, ticket: Ticket::default() };
        let path = format!("{}/{instance}", path_of(service));
        Self { wish, path, payload: payload(service, instance), connection: None }
    }

    async fn create(&mut self) -> anyhow::Result<()> {
        let mut tries = TRIES;
        while let Err(error) = self.create_once().await {
            tries -= 1;
            if tries == 0 {
                return Err(error);
            }
        }
        Ok(())
    }

    async fn create_once(&mut self) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.wish).await?;
        // The node of a session before this one would go when that one ends, under our name.
        match connection.ask(Request::Delete(&self.path)).await? {
            Ok(_) | Err(NO_NODE) => {}
            Err(error) => bail!("an older node does not go: error {error}"),
        }
        let (path, data) = (&*self.path, self.payload.as_bytes());
        match connection.ask(Request::Create { path, data, lasts: Lasts::AsItsSession }).await? {
            Ok(_) => {}
            Err(NODE_EXISTS) => bail!("somebody else is registered by that name"),
            Err(error) => bail!("not registered: error {error}"),
        }
        self.wish.ticket = connection.ticket();
        self.connection = Some(connection.outlived());
        Ok(())
    }

    async fn ping(&mut self) -> anyhow::Result<Heard> {
        // It is out of its place while it is asked: who gives up waiting does not use it again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match Connection::resume(self.wish).await? {
                Some(connection) => connection.outlived(),
                None => return Ok(Heard::Forgotten),
            },
        };
        connection.ping().await?;
        self.connection = Some(connection);
        Ok(Heard::Known)
    }
}

impl Beater for ToZooKeeper {
    fn register(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        self.create().boxed()
    }

    fn beat(&mut self) -> BoxFuture<'_, anyhow::Result<Heard>> {
        self.ping().boxed()
    }

    fn leave(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        async { self.connection.take().context("there is no connection")?.leave().await }.boxed()
    }
}
