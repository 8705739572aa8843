//! Who beats for an instance over HTTP.

use anyhow::ensure;
use futures::{FutureExt, future::BoxFuture};
use http::{Method, StatusCode};

use crate::peers::{
    Pace,
    beat::{BeatArguments, Beater, Heard},
};

use super::{
    kept::Kept,
    payload::{beat_path, instance_path, path_of, registration},
};

/// Holds one who beats.
pub(in crate::peers) struct ToEureka {
    kept: Kept,
    arguments: BeatArguments,
}

// === impl ToEureka ===

impl ToEureka {
    pub(in crate::peers) fn new(arguments: BeatArguments) -> Self {
        Self { kept: Kept::new(arguments.at, arguments.from), arguments }
    }
}

impl Beater for ToEureka {
    fn register(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        async {
            let &BeatArguments { ref service, ref instance, ttl_ms, beat_ms, .. } = &self.arguments;
            let body = registration(service, instance, Pace { ttl_ms, beat_ms });
            self.kept.ask(Method::POST, &path_of(service), body).await?.good().map(drop)
        }
        .boxed()
    }

    fn beat(&mut self) -> BoxFuture<'_, anyhow::Result<Heard>> {
        async {
            let path = beat_path(&self.arguments.service, &self.arguments.instance);
            let answer = self.kept.ask(Method::PUT, &path, String::new()).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(Heard::Forgotten);
            }
            answer.good().map(|_| Heard::Known)
        }
        .boxed()
    }

    fn leave(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        async {
            let path = instance_path(&self.arguments.service, &self.arguments.instance);
            let answer = self.kept.ask(Method::DELETE, &path, String::new()).await?;
            ensure!(answer.status.is_success(), "not deregistered: {}", answer.status);
            Ok(())
        }
        .boxed()
    }
}
