//! Who still calls a pod: in session here, and with the other replicas.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use rollcall_catalogue::{PodUid, ServiceKey};
use rollcall_wire::peer::Version;
use tokio::time::Instant;

use super::{
    board::{Asker, Board},
    roster::Outcome,
};
use crate::{
    owner::IndexHandle,
    peers::{AwaitsSubscribers, PeersHandle},
};

/// Holds the right to ask on behalf of a session's pod.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    pub(crate) index: IndexHandle,
    pub(crate) pod: PodUid,
    pub(crate) here: Asker,
    pub(crate) elsewhere: PeersHandle,
}

/// Says what is awaited: a state in which the pod has left these services.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) services: Vec<ServiceKey>,
    /// Our own number of that state.
    pub(crate) number: u64,
    /// The other replicas' way to know it: the record that says so; none where Kubernetes does.
    pub(crate) version: Option<Version>,
}

/// Answers for those in session here when another replica asks.
#[derive(Debug)]
pub(crate) struct Here(pub(crate) Arc<Board>);

// === impl Callers ===

impl Callers {
    /// What is written of the pod by now, which has all that its sidecar was answered.
    pub(crate) fn version(&self) -> Option<Version> {
        self.index.ledger().get(&self.pod).map(|note| note.version.clone())
    }

    /// Waits until nobody calls the pod any more, or until the deadline; says whether that is so, and how far they have come.
    pub(crate) async fn let_go(&self, departure: Departure, deadline: Instant) -> (bool, Outcome) {
        let Departure { services, number, version } = departure;
        let here = self.here.drained(services.clone(), number, deadline);
        let elsewhere = self.elsewhere.drained(self.pod.clone(), version, services, deadline);
        let (here, elsewhere) = futures::join!(here, elsewhere);
        let is_known = here.is_some();
        let all = here.unwrap_or_default().and(elsewhere);
        (is_known && all.is_complete(), all)
    }
}

// === impl Here ===

impl AwaitsSubscribers for Here {
    fn drained(
        &self,
        services: Vec<ServiceKey>,
        number: u64,
        deadline: Instant,
    ) -> BoxFuture<'static, Outcome> {
        let board = self.0.clone();
        async move {
            // The pod's session is not here.
            let outcome = board.drained(services, number, deadline, None).await;
            outcome.unwrap_or_else(Outcome::unknown)
        }
        .boxed()
    }
}
