//! Who asks the cluster's DNS for the addresses of a headless Service again and again.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::peers::{Resolver, Watcher};

/// More often than apps do: what is measured is how soon the answer is another one.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Cluster DNS is there when its pods are.
const ANSWERS_WITHIN: Duration = Duration::from_secs(90);

/// Holds one who asks.
pub(super) struct Asking {
    resolver: Resolver,
    name: String,
    ticks: Interval,
}

// === impl Asking ===

impl Asking {
    pub(super) async fn open(dns: SocketAddr, name: String) -> Result<Self> {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { resolver: Resolver::connect(dns).await?, name, ticks })
    }

    /// Returns once so many instances have addresses.
    pub(super) async fn until(&mut self, many: usize) -> Result<()> {
        let all_there = async {
            loop {
                self.ticks.tick().await;
                // It may not be there yet, or not know the name.
                if self.resolver.addresses(&self.name).await.is_ok_and(|all| all.len() == many) {
                    return;
                }
            }
        };
        timeout(ANSWERS_WITHIN, all_there).await.with_context(|| format!("{}: not in DNS", self.name))
    }
}

impl Watcher for Asking {
    fn next(&mut self) -> BoxFuture<'_, Result<(Instant, Vec<String>)>> {
        async {
            self.ticks.tick().await;
            let all = self.resolver.addresses(&self.name).await?;
            Ok((Instant::now(), all))
        }
        .boxed()
    }
}
