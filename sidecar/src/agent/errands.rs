//! What the other parts want of the agent.

use std::time::Duration;

use rollcall_catalogue::ServiceKey;
use rollcall_wire::{Question, Told, client::Drained};
use tokio::sync::mpsc;

/// Wishes that wait for the agent.
pub(crate) const WISHES_MAX: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct Errands(mpsc::Sender<ServiceKey>);

pub(crate) fn errands() -> (Errands, mpsc::Receiver<ServiceKey>) {
    let (sender, receiver) = mpsc::channel(WISHES_MAX);
    (Errands(sender), receiver)
}

impl Errands {
    pub(crate) fn wish(&self, key: &ServiceKey) -> bool {
        self.0.try_send(key.clone()).is_ok()
    }

    pub(crate) fn wish_summary(&self) -> bool {
        !self.0.is_closed()
    }

    pub(crate) async fn ask(&self, _: Question) -> Option<Told> {
        std::future::ready(None).await
    }

    pub(crate) async fn drain(&self, _: rollcall_wire::Drain, _: Duration) -> Option<Drained> {
        std::future::ready(None).await
    }
}
