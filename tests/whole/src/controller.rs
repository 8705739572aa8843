//! A controller: all of it that is beneath its ports, and its sessions at a port of the simulated network.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::{net::SocketAddr, time::Duration};

use anyhow::bail;
use rollcall_controller::{
    Authority,
    auth::KubeReviewer,
    index::{Index, ObjectKey},
    lease,
    operate::Metrics,
    parts::{Beneath, Parts},
    serving::{Role, Watchman},
    sessions::Sessions,
};
use rollcall_net::{Jitter, server_config, shutdown};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    kubernetes::{OURS, client},
    network::{Endpoint, Listener},
};

/// As the process tries for it.
const AUTHORITY_MAX: Duration = Duration::from_secs(15);
const AUTHORITY_RETRY_MAX: Duration = Duration::from_secs(5);

/// Holds what a controller that starts is given.
#[derive(Debug)]
pub struct Setting {
    /// The name of its pod.
    pub replica: String,
    pub lease: String,
    pub endpoint: Endpoint,
    pub api: SocketAddr,
    pub sessions: Listener,
    /// What its kubelet finds at `/readyz`.
    pub ready: Ready,
}

/// Holds whether a process is ready.
#[derive(Debug, Clone, Default)]
pub struct Ready(Arc<AtomicBool>);

// === impl Ready ===

impl Ready {
    pub fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs until the process is killed.
pub async fn run(setting: Setting) -> anyhow::Result<()> {
    let Setting { replica, lease, endpoint, api, sessions: listener, ready } = setting;
    let client = client(endpoint, api, OURS);
    let (_trigger, ear) = shutdown();
    let metrics = Metrics::new();
    let shared = ObjectKey { namespace: OURS.parse()?, name: lease.as_str().into() };
    let beneath = Beneath {
        client: client.clone(),
        index: Index::default().speaking_of(shared),
        lease: lease::Settings { namespace: OURS.to_owned(), name: lease, replica: replica.clone() },
        metrics: metrics.clone(),
    };
    let mut parts = Parts::new();
    let (index, holder) = beneath.start(&mut parts, &ear);
    let (told, role) = watch::channel(Role::default());
    let watchman = Watchman {
        replica: replica.clone(),
        port: rollcall_net::Accept::local_address(&listener)?.port(),
        holder,
        index: index.clone(),
        role: told,
        metrics: metrics.clone(),
    };
    parts.spawn(async move {
        watchman.run().await?;
        Ok("role")
    });
    let mut view = index.view();
    parts.spawn(async move {
        let (chain, key) = authority(&client, &metrics).await?;
        let tls = server_config(chain.as_bytes(), key.as_bytes())?;
        let reviewer = KubeReviewer { client, writes: metrics.writes().clone() };
        let sessions = Sessions::in_role(role, replica, index, reviewer, metrics);
        sessions.serve(listener, tls, ear).await?;
        Ok("sessions")
    });
    parts.spawn(async move {
        view.wait_for(|view| view.complete).await?;
        ready.set();
        std::future::pending().await
    });
    match parts.join_next().await {
        Some(Ok(Ok(part))) => bail!("{part} ended by itself"),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(error)) => Err(error.into()),
        None => bail!("there were no parts"),
    }
}

/// The certificate that everyone's sessions are served with, once the API server gives its authority.
async fn authority(client: &kube::Client, metrics: &Metrics) -> anyhow::Result<(String, String)> {
    let mut jitter = Jitter::from_entropy();
    loop {
        let load = Authority::load_or_create(client.clone(), OURS, "rollcall-ca", metrics.writes());
        if let Ok(Ok(authority)) = timeout(AUTHORITY_MAX, load).await {
            let leaf = authority.leaf("rollcall-ca")?;
            return Ok((leaf.certificate_pem, leaf.key_pem));
        }
        sleep(jitter.up_to(AUTHORITY_RETRY_MAX)).await;
    }
}
