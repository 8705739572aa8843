//! The parts beneath the ports: all that knows Kubernetes, and opens no port of ours. The process runs them beneath its
//! servers; a test can run them over whatever answers as an API server does.

use std::future::Future;

use kube::Client;
use rollcall_catalogue::Reach;
use rollcall_net::Shutdown;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    index::Index,
    kubernetes::watch_all,
    lease,
    operate::Metrics,
    outside,
    owner::{IndexHandle, OwnerGone, owner},
    status,
};

/// Holds the tasks that run; each gives its name when it ends.
pub type Parts = JoinSet<anyhow::Result<&'static str>>;

/// Holds what the parts are made of that need no port: the owner and the watches that tell it, the Lease, and the
/// writers and the prober that need that.
pub struct Beneath {
    pub client: Client,
    /// Empty, and as the flags want it.
    pub index: Index,
    pub lease: lease::Settings,
    pub metrics: Metrics,
}

// === impl Beneath ===

impl Beneath {
    /// Starts them: gives the way to what they know, and whether it is ours to ask
    /// addresses outside. They end when the ear
    /// hears so. Dropped with `parts`, they end as a process does that is killed.
    pub fn start(self, parts: &mut Parts, ear: &Shutdown) -> (IndexHandle, watch::Receiver<bool>) {
        let (owner, index) = owner(self.index, self.metrics.clone());
        let owner_ear = ear.clone();
        parts.spawn(async move {
            owner.run(owner_ear).await;
            Ok("owner")
        });
        for (name, watch) in watch_all(&self.client, &index, self.metrics.watch_ages(), self.metrics.drift())
        {
            parts.spawn(until(ear.clone(), name, watch));
        }
        let asks_outside = write(parts, &self.client, self.lease, &index, &self.metrics, ear);
        (index, asks_outside)
    }
}

/// The parts that write to Kubernetes, or speak to the world outside, and the Lease without which they do not; gives
/// whether we hold it.
fn write(
    parts: &mut Parts,
    client: &Client,
    settings: lease::Settings,
    index: &IndexHandle,
    metrics: &Metrics,
    ear: &Shutdown,
) -> watch::Receiver<bool> {
    let (seat, leadership) = lease::leadership();
    let replica = settings.replica.clone();
    let (writes, ready) = (metrics.writes().clone(), listed(index));
    let keeping = lease::run(client.clone(), settings, seat, writes, ready, ear.clone());
    parts.spawn(async move {
        keeping.await;
        Ok("lease")
    });
    let writing = status::run(
        client.clone(),
        index.clone(),
        leadership.clone(),
        replica,
        metrics.writes().clone(),
        ear.clone(),
    );
    parts.spawn(async move {
        writing.await?;
        Ok("status")
    });
    let (told, holds_lease) = watch::channel(false);
    parts.spawn(async move {
        leadership.tell(told).await;
        Ok("lease's word")
    });
    let probing = outside::run(index.clone(), holds_lease.clone(), Reach::Cluster, ear.clone());
    parts.spawn(async move {
        probing.await?;
        Ok("prober")
    });
    holds_lease
}

/// Returns when every kind is listed: before that, the writers know nothing to write.
fn listed(index: &IndexHandle) -> impl Future<Output = ()> + use<> {
    let mut view = index.view();
    async move {
        // An owner that is gone is a process that ends, and no reason to claim anything.
        if view.wait_for(|view| view.complete).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Runs a part that has no goodbye to say.
pub(crate) async fn until(
    mut shutdown: Shutdown,
    name: &'static str,
    part: impl Future<Output = Result<(), OwnerGone>>,
) -> anyhow::Result<&'static str> {
    tokio::select! {
        result = part => result?,
        () = shutdown.requested() => {}
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use rollcall_net::shutdown;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::index::{Change, Kind};

    #[tokio::test(start_paused = true)]
    async fn the_lease_waits_for_every_list_and_for_no_owner() {
        for dies in [false, true] {
            let (owner, index) = owner(Index::default(), Metrics::new());
            let (_trigger, ear) = shutdown();
            let part = tokio::spawn(owner.run(ear));
            let mut listed = Box::pin(listed(&index));
            let (last, kinds) = Kind::ALL.split_last().unwrap();
            for kind in kinds {
                index.apply(Change::ListBegins(*kind)).await.unwrap();
                index.apply(Change::ListEnds(*kind)).await.unwrap();
            }
            sleep(Duration::from_secs(60)).await;
            assert!(listed.as_mut().now_or_never().is_none(), "{last:?} is not listed");
            if dies {
                part.abort();
                assert!(timeout(Duration::from_secs(60), listed).await.is_err());
                continue;
            }
            index.apply(Change::ListBegins(*last)).await.unwrap();
            index.apply(Change::ListEnds(*last)).await.unwrap();
            timeout(Duration::from_secs(60), listed).await.unwrap();
        }
    }
}
