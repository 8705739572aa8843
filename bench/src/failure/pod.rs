//! A pod of ours in a network of its own: an app beside its sidecar.

use std::{
    env,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use rollcall_controller_tests::network::{Fault, Network};

use crate::ours::{GUEST_PORT, PodWord, Rollcall, Sidecar};

/// Holds what stays over the lives of pods that follow each other, of one name and address.
pub(super) struct Pod {
    pub(super) network: Network,
    /// None while there is no such pod.
    sidecar: Mutex<Option<Sidecar>>,
    number: usize,
}

// === impl Pod ===

impl Pod {
    pub(super) fn new(number: usize) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self { network: Network::new()?, sidecar: Mutex::default(), number }))
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.network.own()
    }

    /// There is such a pod, with a sidecar that runs.
    pub(super) fn live(&self, ours: &Rollcall) -> anyhow::Result<()> {
        ours.tell(PodWord::Here, self.number)?;
        *self.sidecar() = Some(ours.guest(self.number, &self.network)?);
        Ok(())
    }

    /// Kubernetes says that it ends.
    pub(super) fn is_deleted(&self, ours: &Rollcall) -> anyhow::Result<()> {
        ours.tell(PodWord::Terminating, self.number)
    }

    /// There is no such pod any more.
    pub(super) fn die(&self, ours: &Rollcall) -> anyhow::Result<()> {
        self.sidecar().take();
        self.network.heal()?;
        ours.tell(PodWord::Gone, self.number)
    }

    pub(super) fn sidecar_pid(&self) -> Option<u32> {
        self.sidecar().as_ref()?.pid()
    }

    pub(super) fn cut(&self) -> anyhow::Result<()> {
        self.network.suffer(Fault::Cut)
    }

    /// The words by which `ip` becomes its app.
    pub(super) fn app(&self, service: &str) -> anyhow::Result<Vec<String>> {
        let program = env::current_exe()?.display().to_string();
        let words = ["netns", "exec", self.network.name(), &program, "app"].map(str::to_owned);
        Ok(words
            .into_iter()
            .chain([format!("--service={service}"), format!("--port={GUEST_PORT}")])
            .collect())
    }

    fn sidecar(&self) -> std::sync::MutexGuard<'_, Option<Sidecar>> {
        self.sidecar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
