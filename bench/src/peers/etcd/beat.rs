//! An instance whose key goes with a lease, which its process keeps alive.

use anyhow::Context;
use futures::{FutureExt, future::BoxFuture};

use super::{
    api::{GRANT, KEEP_ALIVE, PUT, REVOKE, grant, granted, is_kept, lease, put},
    grpc::{Grpc, Stream},
    process::{key, value},
};
use crate::peers::{
    BeatArguments,
    beat::{Beater, Heard},
};

/// Holds a lease, and the stream that keeps it; none where that broke.
pub(in crate::peers) struct ToEtcd {
    arguments: BeatArguments,
    lease: u64,
    kept: Option<(Grpc, Stream)>,
}

// === impl ToEtcd ===

impl ToEtcd {
    pub(in crate::peers) fn new(arguments: BeatArguments) -> Self {
        Self { arguments, lease: 0, kept: None }
    }

    async fn connected(&self) -> anyhow::Result<Grpc> {
        Grpc::connect_from(self.arguments.from, self.arguments.at).await
    }
}

impl Beater for ToEtcd {
    fn register(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        async {
            self.kept = None;
            let mut grpc = self.connected().await?;
            // Leases are of whole seconds.
            let granting = grant(self.arguments.ttl_ms.div_ceil(1_000));
            self.lease = granted(grpc.call(GRANT, &granting).await?)?;
            let (service, instance) = (&self.arguments.service, &self.arguments.instance);
            let putting = put(&key(service, instance), &value(instance), self.lease);
            grpc.call(PUT, &putting).await.map(drop)
        }
        .boxed()
    }

    fn beat(&mut self) -> BoxFuture<'_, anyhow::Result<Heard>> {
        async {
            let keeping = lease(self.lease);
            // Taken out while it is in use: who is given up on in the middle of it begins anew.
            let (grpc, mut stream) = match self.kept.take() {
                Some((grpc, stream)) => {
                    stream.say(&keeping)?;
                    (grpc, stream)
                }
                None => {
                    let mut grpc = self.connected().await?;
                    let stream = grpc.stream(KEEP_ALIVE, &keeping).await?;
                    (grpc, stream)
                }
            };
            let is_kept = is_kept(stream.hear().await?)?;
            self.kept = Some((grpc, stream));
            Ok(if is_kept { Heard::Known } else { Heard::Forgotten })
        }
        .boxed()
    }

    fn leave(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        async {
            let mut grpc = self.connected().await.context("leaving")?;
            grpc.call(REVOKE, &lease(self.lease)).await.map(drop)
        }
        .boxed()
    }
}
