//! The word that ends a process: heard by every part, spoken once.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Holds the right to end the process; dropping it ends it too, so that no part outlives its owner.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Holds an ear for the end of the process.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

pub fn shutdown() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

// === impl Trigger ===

impl Trigger {
    pub fn pull(&self) {
        self.0.send_replace(true);
    }

    /// Returns when the kubelet (SIGTERM) or a person (SIGINT) ends the process.
    pub async fn signalled() -> std::io::Result<&'static str> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        })
    }
}

// === impl Shutdown ===

impl Shutdown {
    /// Returns once the process is to end.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, which says the same.
        let _ = self.0.wait_for(|requested| *requested).await;
    }

    /// Whether the word was spoken since this ear was made, at no more cost than a look.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }
}
