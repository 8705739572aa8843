//! What the app registers of itself.

use rollcall_catalogue::liveness::ProbeWitness;
use rollcall_net::Shutdown;
use rollcall_wire::{Duty, HealthOf, RegistrationKey, SelfRegistration};
use tokio::sync::watch;

#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
#[allow(dead_code, reason = "a stand-in")]
pub(crate) enum Say {
    Register(SelfRegistration),
    Deregister(RegistrationKey),
    Health { of: Option<HealthOf>, probe: ProbeWitness },
}

pub(crate) async fn run(_: Own, mut shutdown: Shutdown) {
    shutdown.requested().await;
}

#[allow(clippy::unused_self, reason = "a stand-in")]
impl Own {
    pub(crate) async fn due(&self) {
        std::future::pending::<()>().await;
    }

    pub(crate) fn take(&self) -> Vec<Say> {
        Vec::new()
    }

    pub(crate) fn registered(&self, _: &RegistrationKey) {}

    pub(crate) fn rejected(&self, _: &RegistrationKey, _: &str, _: Option<&str>) {}

    pub(crate) fn set_duties(&self, _: &[Duty]) {}

    pub(crate) fn set_in_session(&self, _: bool) {}

    pub(crate) fn saved(&self) -> Vec<u8> {
        Vec::new()
    }

    pub(crate) fn restore(&self, _: &[u8]) {}

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
