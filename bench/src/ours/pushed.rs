//! An app's watch at its sidecar, on localhost.

use std::time::Instant;

use anyhow::Context;
use futures::{FutureExt, future::BoxFuture};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{events::View, localhost::Localhost};
use crate::peers::Watcher;

/// Holds an open watch.
pub(crate) struct Pushed {
    body: Incoming,
    view: View,
}

// === impl Pushed ===

impl Pushed {
    pub(crate) async fn open(sidecar: &Localhost, service: &str) -> anyhow::Result<Self> {
        let body = sidecar.stream(&format!("/v1/services/{service}/watch")).await?.into_body();
        Ok(Self { body, view: View::default() })
    }
}

impl Watcher for Pushed {
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>> {
        async {
            loop {
                let frame = self.body.frame().await.context("the watch ended")??;
                let Ok(bytes) = frame.into_data() else { continue };
                if self.view.hear(&bytes)? {
                    let addresses = self.view.addresses();
                    return Ok((Instant::now(), addresses));
                }
            }
        }
        .boxed()
    }
}
