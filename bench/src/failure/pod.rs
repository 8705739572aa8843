//! A pod of ours in a network of its own: an app beside its sidecar.

use std::{
    env,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use rollcall_controller_tests::network::{Fault, Network};

use crate::ours::{GUEST_PORT, Rollcall, Sidecar};

/// Holds what stays over its app's and its sidecar's lives.
pub(super) struct Pod {
    pub(super) network: Network,
    /// None before the first of its lives.
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

    /// A sidecar that runs.
    pub(super) fn live(&self, ours: &Rollcall) -> anyhow::Result<()> {
        let mut held = self.sidecar.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(sidecar) => sidecar.run()?,
            None => *held = Some(ours.guest(self.number, &self.network)?),
        }
        Ok(())
    }

    pub(super) fn die(&self) -> anyhow::Result<()> {
        if let Some(sidecar) = &mut *self.sidecar.lock().unwrap_or_else(PoisonError::into_inner) {
            sidecar.kill();
        }
        self.network.heal()
    }

    pub(super) fn sidecar_pid(&self) -> Option<u32> {
        self.sidecar.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.pid()
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
}
