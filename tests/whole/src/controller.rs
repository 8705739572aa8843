//! A controller: all of it that is beneath its ports, and its sessions at a port of the simulated network.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::{net::SocketAddr, path::PathBuf, time::SystemTime};

use anyhow::bail;
use rollcall_controller::{
    auth::{KubeReviewer, user_of},
    authority::{self, Terms},
    index::{Index, ObjectKey},
    lease as leases,
    operate::Metrics,
    parts::{Beneath, Parts},
    peers::{self, Means, peers},
    sessions::Sessions,
};
use rollcall_net::{Accept, server_config_showing, shutdown};
use tokio::sync::oneshot;

use crate::{
    kubernetes::{CONTROLLERS, OURS, client},
    network::{Endpoint, Listener},
};

/// The account that controllers run as here: the one that each namespace has.
const ACCOUNT: &str = "default";

/// Holds what a controller that starts is given.
#[derive(Debug)]
pub struct Setting {
    /// The name of its pod.
    pub replica: String,
    pub lease: String,
    pub endpoint: Endpoint,
    pub api: SocketAddr,
    pub sessions: Listener,
    /// The file with what it shows to the others.
    pub token: PathBuf,
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
    let Setting { replica, lease, endpoint, api, sessions: listener, token, ready } = setting;
    let client = client(endpoint.clone(), api, OURS);
    let (_trigger, ear) = shutdown();
    let metrics = Metrics::new();
    let shared = ObjectKey { namespace: OURS.parse()?, name: lease.as_str().into() };
    let service = ObjectKey { namespace: OURS.parse()?, name: CONTROLLERS.into() };
    let beneath = Beneath {
        client: client.clone(),
        index: Index::default().speaking_of(shared).behind(service),
        lease: leases::Settings { namespace: OURS.to_owned(), name: lease.clone(), replica: replica.clone() },
        metrics: metrics.clone(),
    };
    let mut parts = Parts::new();
    let (index, asks_outside) = beneath.start(&mut parts, &ear);
    let among = peers::Settings {
        replica: replica.clone(),
        namespace: OURS.to_owned(),
        lease_name: lease.clone(),
        port: listener.local_address()?.port(),
        named: Vec::new(),
        token_file: token,
    };
    let (replicas, others) = peers(among, index.clone(), metrics.clone());
    let (trusted, trust) = oneshot::channel();
    let (believed, belief) = oneshot::channel();
    let setting = authority::Setting {
        client: client.clone(),
        namespace: OURS.to_owned(),
        secret: "rollcall-ca".to_owned(),
        source: None,
        lease_name: lease.clone(),
        replica: replica.clone(),
        terms: Terms::default(),
        names: Vec::new(),
        metrics: metrics.clone(),
        clock: Arc::new(SystemTime::now),
    };
    let keeper_ear = ear.clone();
    parts.spawn(async move {
        let (keeper, trust) = authority::begin(setting).await?;
        let _ = believed.send(trust.believed.clone());
        let _ = trusted.send(trust);
        keeper.run(keeper_ear).await;
        Ok("authority")
    });
    let (peer_client, peer_ear) = (client.clone(), ear.clone());
    parts.spawn(async move {
        let means =
            Means { client: peer_client, network: Arc::new(endpoint), tls: belief.await?, asks_outside };
        others.run(means, peer_ear).await?;
        Ok("peers")
    });
    let mut fleet = replicas.fleet();
    let mut view = index.view();
    parts.spawn(async move {
        let trust = trust.await?;
        let told = trust.told.subscribe();
        let tls = server_config_showing(trust.shown)?;
        let replica_user = user_of(OURS, ACCOUNT);
        let reviewer = KubeReviewer { client, writes: metrics.writes().clone(), replica_user };
        let sessions = Sessions::among(replicas, replica, index, reviewer, metrics, told);
        sessions.serve(listener, tls, ear).await?;
        Ok("sessions")
    });
    parts.spawn(async move {
        view.wait_for(|view| view.complete).await?;
        fleet.wait_for(|fleet| fleet.is_met).await?;
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
