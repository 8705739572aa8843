//! Who looks instances up: each time anew, or again and again.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::{Instant as TokioInstant, sleep_until};

use crate::peers::{Client, Data, Watcher};

use super::{
    kept::{Counted, Kept},
    payload::{addresses, path_of},
};

/// Asks for one app, as a client does that is told which one it needs.
pub(super) struct Asking {
    at: SocketAddr,
    kept: Kept,
    counted: Counted,
}

/// Asks for an app in turns, since Eureka tells nobody of changes.
pub(super) struct Polling {
    kept: Kept,
    path: String,
    every: Duration,
    due: TokioInstant,
    last: Option<Vec<String>>,
}

// === impl Asking ===

impl Asking {
    pub(super) fn new(at: SocketAddr) -> Self {
        Self { at, kept: Kept::new(at, Ipv4Addr::LOCALHOST), counted: Counted::new(at) }
    }
}

impl Client for Asking {
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        async move { found(&mut self.kept, &path_of(&Data::service(service))).await }.boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        async move {
            let path = path_of(&Data::service(service));
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\r\n", self.at);
            self.counted.bytes(&request).await
        }
        .boxed()
    }
}

/// Who is up, of this app; nobody where there is none.
async fn found(kept: &mut Kept, path: &str) -> anyhow::Result<Vec<String>> {
    kept.get(path).await?.map_or_else(|| Ok(Vec::new()), |body| addresses(&body))
}

// === impl Polling ===

impl Polling {
    /// Asks now, and each `every` from then on; the second time that much sooner that those who begin together do not ask
    /// together: `turn` tells them apart.
    pub(super) fn new(at: SocketAddr, service: &str, every: Duration, turn: u32) -> Self {
        let kept = Kept::new(at, Ipv4Addr::LOCALHOST);
        // The golden ratio: however many there are, their turns are spread evenly.
        let sooner = every.mul_f64((f64::from(turn) * 0.618_033_988_75).fract());
        let due = TokioInstant::now() - sooner;
        Self { kept, path: path_of(service), every, due, last: None }
    }
}

impl Watcher for Polling {
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>> {
        async move {
            loop {
                sleep_until(self.due).await;
                let now = found(&mut self.kept, &self.path).await?;
                let at = Instant::now();
                // Who was not asked for a while does not make up for it.
                self.due = (self.due + self.every).max(TokioInstant::now());
                if self.last.as_ref() != Some(&now) {
                    self.last = Some(now.clone());
                    return Ok((at, now));
                }
            }
        }
        .boxed()
    }
}
