//! Which replica writes to Kubernetes: the holder of one Lease.
//!
//! The rules are in [`machine`], which reads one clock, our own: another's lease counts as expired once we have
//! watched it stand still for its whole duration, and our own as lost once it may look so to the others. A lease is no
//! fence: a write that left before it was lost may land after. Every write is therefore idempotent and guarded by
//! itself. Nor does anybody claim it who could do nothing with it: see `ready` of [`run`].

mod api;
mod leadership;
mod machine;

use std::{future::Future, sync::Arc, time::Duration};

use kube::Client;
use rollcall_net::{Jitter, Shutdown};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use self::{
    api::LeaseApi,
    machine::{Action, Input, Machine},
};
pub use self::{
    leadership::{Leadership, Seat, Term, leadership},
    machine::{CALL_MAX, DURATION, MARGIN, POLL_EVERY, POLL_JITTER, RENEW_EVERY, RENEW_JITTER},
};
use crate::operate::WriteCounts;

/// Giving the lease back may take so long of the process's end, which is less than 2 s in all; whoever cannot leaves
/// it to expire.
const RELEASE_MAX: Duration = Duration::from_secs(1);

/// Says which Lease is meant, and who we are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The controller's own.
    pub namespace: String,
    pub name: String,
    /// People read it in the Lease, with an ending that no other process has: a replica that restarts under its old
    /// name is somebody else.
    pub replica: String,
}

/// Claims, renews and gives back the lease until the process ends; the seat tells everyone else. Nothing is asked of it
/// before we are ready: a replica that held the lease and did not know what to write would keep it from one that does. What
/// was claimed once is kept.
pub async fn run(
    client: Client,
    settings: Settings,
    seat: Seat,
    counts: Arc<WriteCounts>,
    ready: impl Future<Output = ()>,
    mut ear: Shutdown,
) {
    tokio::select! {
        () = ready => debug!(lease = settings.name, "ready for the lease"),
        // Nothing to give back.
        () = ear.requested() => return,
    }
    let mut jitter = Jitter::from_entropy();
    let identity = format!("{}-{:016x}", settings.replica, jitter.next_u64());
    let api = LeaseApi::new(client, &settings, identity.clone(), counts);
    let machine = Machine::new(identity, jitter);
    Keeper { machine, api, seat, origin: Instant::now() }.keep(ear).await;
}

/// Does what the machine asks for.
struct Keeper {
    machine: Machine,
    api: LeaseApi,
    seat: Seat,
    /// What the machine's times count from.
    origin: Instant,
}

// === impl Keeper ===

impl Keeper {
    async fn keep(mut self, mut ear: Shutdown) {
        let mut input = Input::Due;
        loop {
            let action = self.step(input);
            let (ears, next) = (&mut ear, Self::act(&mut self.api, self.origin, action));
            input = tokio::select! {
                input = next => input,
                () = ears.requested() => break,
            };
        }
        if timeout(RELEASE_MAX, self.give_back()).await.is_err() {
            warn!(limit = ?RELEASE_MAX, "the lease could not be given back: it is left to expire");
        }
    }

    async fn give_back(&mut self) {
        let mut action = self.step(Input::End);
        while !matches!(action, Action::Stop) {
            let input = Self::act(&mut self.api, self.origin, action).await;
            action = self.step(input);
        }
        debug!("done with the lease");
    }

    fn step(&mut self, input: Input) -> Action {
        let action = self.machine.step(self.origin.elapsed(), input);
        self.seat.publish(self.machine.held_until().map(|until| self.origin + until));
        action
    }

    async fn act(api: &mut LeaseApi, origin: Instant, action: Action) -> Input {
        match action {
            Action::Wait(until) => {
                sleep_until(origin + until).await;
                Input::Due
            }
            Action::Call(call) => Input::Answered(api.call(call).await),
            // Only ever the last word of an end that was asked for.
            Action::Stop => std::future::pending().await,
        }
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
