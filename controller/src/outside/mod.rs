//! The addresses outside the cluster: asked whether they are up by whoever holds the Lease, and by nobody else.
//!
//! ```text
//!  View.outside ─► Schedule: whose turn it is, and what the answers come to ─► Index::probed
//!                     │ ▲                                                      only what changed
//!                     ▼ │ attempts, all within one task, one for all who ask the same of the same
//!                   Dialer: the rule on addresses, and the probe client
//! ```
//!
//! Whoever may write a registration chooses whom we dial, so the answer must be no window into the network: only up
//! or down leaves this folder, in the words of the witnesses.

mod dialer;
mod lanes;
mod pace;
mod peer;
mod prober;
mod schedule;

use rollcall_catalogue::Reach;
use rollcall_net::Shutdown;
use tokio::sync::watch;

use self::{
    dialer::Dialer,
    prober::{Prober, Words},
};
use crate::owner::{IndexHandle, OwnerGone};

/// Probes while `holds_lease` says so, until the process ends. Without the Lease not a packet more is sent: another replica
/// asks then. The index keeps what was answered until that one knows better.
pub(crate) async fn run(
    index: IndexHandle,
    holds_lease: watch::Receiver<bool>,
    reach: Reach,
    mut shutdown: Shutdown,
) -> Result<(), OwnerGone> {
    let view = index.view();
    let tell = |words: Words| {
        index.ask(move |index| words.iter().for_each(|(id, witness)| index.probed(id, *witness)))
    };
    let begin_or_end = |asks| index.ask(move |index| index.asks_outside(asks));
    let prober = Prober { view, ask: Dialer::guarded(reach), tell, begin_or_end };
    tokio::select! {
        () = shutdown.requested() => Ok(()),
        result = prober.run(holds_lease) => result,
    }
}

#[cfg(test)]
mod tests {
    use rollcall_net::shutdown;

    use super::*;
    use crate::{index::Index, operate::Metrics, owner::owner};

    #[tokio::test]
    async fn the_end_of_the_process_and_of_the_owner_are_ends_of_it() {
        let (_alive, index) = owner(Index::default(), Metrics::new());
        let (_lease, holds_lease) = watch::channel(true);
        let (trigger, ear) = shutdown();
        trigger.pull();
        assert_eq!(run(index, holds_lease.clone(), Reach::Cluster, ear).await, Ok(()));

        let (ended, index) = owner(Index::default(), Metrics::new());
        let (_trigger, ear) = shutdown();
        drop(ended);
        assert_eq!(run(index, holds_lease, Reach::Cluster, ear).await, Err(OwnerGone));
    }
}
