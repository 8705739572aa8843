//! Replicas with real owners, session servers, TLS and HTTP/2, over a network in memory and on paused time.

mod lives;
mod net;
mod outside;

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::Method;
use rollcall_catalogue::{PodFacts, PodUid, ServiceKey, liveness::PodLife};
use rollcall_net::{Trigger, client_config, server_config, shutdown};
use rollcall_wire::peer::{Note, Standing};
use rustls::ClientConfig;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use self::net::{Ether, Machine};
use super::{AwaitsSubscribers, Fleet, Means, PeersHandle, Settings, peers};
use crate::{
    Authority,
    auth::{AuthError, Review, Reviewer},
    index::{Change, Index, Kind, NodeFacts},
    operate::{Format, Metrics},
    owner::{IndexHandle, Opened, Presence, View, owner},
    scripted_api::{Reply, problem, scripted},
    sessions::{Sessions, roster::Outcome},
    told,
};

/// Longer than anything that is to happen, on the tests' own clock.
const EVENTUALLY: Duration = Duration::from_secs(120);
const PORT: u16 = 7310;

/// Plays the API server's reviews: a sidecar's token is the UID of its pod, and that of all replicas is one word.
#[derive(Debug)]
struct Tokens {
    answers: Arc<AtomicBool>,
}

impl Reviewer for Tokens {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        match token.strip_prefix("token-of-") {
            Some(uid) => Ok(Review { pod: uid.into() }),
            None => Err(AuthError::Unauthenticated),
        }
    }

    async fn review_replica(&self, token: &str) -> Result<(), AuthError> {
        match token {
            _ if !self.answers.load(Ordering::Relaxed) => Err(AuthError::Unavailable),
            "replica" | "replica-renewed" => Ok(()),
            "away" => Err(AuthError::Unavailable),
            _ => Err(AuthError::NoReplica),
        }
    }
}

/// Counts on: so many call whatever is asked of, and some of them are late.
struct Callers {
    acked: u32,
    late: bool,
}

impl AwaitsSubscribers for Callers {
    fn drained(&self, services: Vec<ServiceKey>, _: u64, _: Instant) -> BoxFuture<'static, Outcome> {
        assert!(!services.is_empty());
        let late = if self.late { vec!["shop/late".to_owned()] } else { vec![] };
        let subscribers = self.acked + u32::from(self.late);
        let outcome = Outcome { acked: self.acked, subscribers, late };
        std::future::ready(outcome).boxed()
    }
}

/// Holds what all replicas have in common.
struct World {
    ether: Ether,
    authority: Authority,
    client: Arc<ClientConfig>,
    leases: Arc<Mutex<Leases>>,
    /// Of the replicas.
    token: NamedTempFile,
    /// Reviews are answered.
    reviews: Arc<AtomicBool>,
}

/// Holds Leases as an API server does.
#[derive(Debug, Default)]
struct Leases {
    held: std::collections::BTreeMap<String, Value>,
    version: u64,
}

struct Replica {
    name: &'static str,
    address: SocketAddr,
    ether: Ether,
    index: IndexHandle,
    peers: PeersHandle,
    metrics: Metrics,
    /// It reaches the API server.
    api: Arc<AtomicBool>,
    trigger: Trigger,
    parts: JoinSet<()>,
}

fn ip(number: u8) -> IpAddr {
    [10, 0, 1, number].into()
}

fn uid(number: u8) -> PodUid {
    format!("u{number}").as_str().into()
}

fn pod(number: u8) -> PodFacts {
    PodFacts {
        uid: uid(number),
        namespace: "shop".parse().unwrap(),
        name: format!("pod-{number}").into(),
        node: Some("n1".into()),
        addresses: [[10, 0, 0, number].into()].into_iter().collect(),
        labels: Arc::default(),
        has_sidecar: true,
        asks_to_drain: false,
        registration: None,
        life: PodLife::READY,
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let authority = Authority::generate("test").unwrap();
        let client = client_config(authority.certificate_pem.as_bytes()).unwrap();
        let mut token = NamedTempFile::new().unwrap();
        token.write_all(b"replica\n").unwrap();
        Self {
            ether: Ether::new(),
            authority,
            client,
            leases: Arc::default(),
            token,
            reviews: Arc::new(true.into()),
        }
    }

    /// A replica of this name and number, which knows where so many others may be.
    async fn replica(&self, name: &'static str, number: u8, others: u8, callers: Callers) -> Replica {
        let metrics = Metrics::new();
        let (owner, index) = owner(Index::default(), metrics.clone());
        let (trigger, ear) = shutdown();
        let machine = self.ether.machine(ip(number));
        let settings = Settings {
            replica: name.to_owned(),
            namespace: "rollcall-system".to_owned(),
            lease_name: "rollcall-controller".to_owned(),
            port: PORT,
            named: (1..=others).map(|number| SocketAddr::new(ip(number), PORT)).collect(),
            token_file: self.token.path().to_owned(),
        };
        let (handle, part) = peers(settings, index.clone(), metrics.clone());
        handle.answer_drains_by(Arc::new(callers));
        handle.set_own(0, Standing::Serving);
        let leaf = self.authority.leaf("test").unwrap();
        let tls = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
        let tokens = Tokens { answers: self.reviews.clone() };
        let sessions = Sessions::among(
            handle.clone(),
            name.to_owned(),
            index.clone(),
            tokens,
            metrics.clone(),
            told::feed("").1,
        );
        let api = Arc::new(AtomicBool::new(true));
        let (answers, leases) = (api.clone(), self.leases.clone());
        let (client, _) = scripted(move |asked| match answers.load(Ordering::Relaxed) {
            true => leases.lock().unwrap().answer(&asked.method, &asked.path, &asked.body),
            false => Reply::Hang,
        });
        let means = Means {
            client,
            network: Arc::new(machine.clone()),
            tls: watch::channel(self.client.clone()).1,
            asks_outside: watch::channel(number == 1).1,
        };
        let mut parts = JoinSet::new();
        parts.spawn(owner.run(ear.clone()));
        let serving = sessions.serve(machine.listen(PORT), tls, ear.clone());
        parts.spawn(async move { serving.await.unwrap() });
        parts.spawn(async move { part.run(means, ear).await.unwrap() });
        let address = SocketAddr::new(ip(number), PORT);
        let ether = self.ether.clone();
        let replica = Replica { name, address, ether, index, peers: handle, metrics, api, trigger, parts };
        replica.list().await;
        replica
    }

    /// Two or three, that have met.
    async fn fleet(&self, count: u8) -> Vec<Replica> {
        let mut replicas = Vec::new();
        for (number, name) in (1..=count).zip(["a", "b", "c"]) {
            replicas.push(self.replica(name, number, count, Callers { acked: 2, late: number == 3 }).await);
        }
        for replica in &replicas {
            replica.knows(|fleet| fleet.is_met && fleet.others.len() + 1 == usize::from(count)).await;
        }
        replicas
    }
}

// === impl Leases ===

impl Leases {
    fn answer(&mut self, method: &Method, path: &str, body: &Value) -> Reply {
        let name = path.rsplit("/leases").next().unwrap().trim_start_matches('/').to_owned();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        match (method, self.held.get(&name)) {
            (&Method::GET, Some(lease)) => Reply::Json(200, lease.clone()),
            (&Method::PUT, Some(lease)) if version(lease) == version(body) => self.keep(name, body.clone()),
            (&Method::POST, _) => {
                self.keep(body["metadata"]["name"].as_str().unwrap().to_owned(), body.clone())
            }
            (&Method::PUT, Some(_)) => problem(409),
            _ => problem(404),
        }
    }

    fn keep(&mut self, name: String, mut lease: Value) -> Reply {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.held.insert(name, lease.clone());
        Reply::Json(200, lease)
    }
}

// === impl Replica ===

impl Replica {
    /// The first lists, with some pods.
    async fn list(&self) {
        for kind in Kind::ALL {
            self.index.apply(Change::ListBegins(kind)).await.unwrap();
            for number in 1..=9 {
                let node =
                    NodeFacts { zone: None, unknown: false, pod_ranges: Vec::new(), addresses: Vec::new() };
                match kind {
                    Kind::Pod => self.index.apply(Change::Pod(Box::new(pod(number).into()))).await.unwrap(),
                    Kind::Node => self.index.apply(Change::Node("n1".into(), node)).await.unwrap(),
                    _ => {}
                }
            }
            self.index.apply_at(Change::ListEnds(kind), Some(1)).await.unwrap();
        }
        self.index.view().wait_for(|view| view.complete).await.unwrap();
    }

    /// A node changes by this revision, and its watch says so.
    async fn reads(&self, revision: u64) {
        let node = NodeFacts { zone: None, unknown: false, pod_ranges: Vec::new(), addresses: Vec::new() };
        self.index.apply_at(Change::Node("n1".into(), node), Some(revision)).await.unwrap();
    }

    /// A session of this pod, for as long as it is held.
    async fn session(&self, number: u8, incarnation: &str) -> Presence {
        match self.index.open_session(uid(number), incarnation.to_owned(), 1, vec![]).await.unwrap() {
            Opened::Open(presence) => presence,
            _ => panic!("no session"),
        }
    }

    fn epoch(&self) -> Arc<str> {
        self.index.feed().epoch().clone()
    }

    async fn knows(&self, holds: impl Fn(&Fleet) -> bool) -> Duration {
        let began = Instant::now();
        let mut fleet = self.peers.fleet();
        let waited = timeout(EVENTUALLY, fleet.wait_for(|fleet| holds(fleet))).await;
        assert!(waited.is_ok(), "{}: {:?}", self.name, self.peers);
        began.elapsed()
    }

    /// Waits until this is written of the pod's session.
    async fn hears(&self, number: u8, holds: impl Fn(&Note) -> bool) -> Duration {
        let began = Instant::now();
        while !self.index.ledger().get(&uid(number)).is_some_and(|note| holds(&note)) {
            let held = self.index.ledger().get(&uid(number));
            assert!(began.elapsed() < EVENTUALLY, "{}: {held:?}", self.name);
            sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    fn count(&self, state: &str) -> usize {
        let text = self.metrics.render(&View::default(), Format::OpenMetrics);
        let line = format!("rollcall_peers{{state=\"{state}\"}} ");
        text.lines().find_map(|held| held.strip_prefix(&line)).unwrap().parse().unwrap()
    }

    async fn counts(&self, linked: usize, missed: usize, lost: usize) -> Duration {
        let began = Instant::now();
        loop {
            let counts = ["linked", "missed", "lost"].map(|state| self.count(state));
            if counts == [linked, missed, lost] {
                return began.elapsed();
            }
            assert!(began.elapsed() < EVENTUALLY, "{}: {counts:?}", self.name);
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its machine loses power: nothing is said any more, or its kernel says that nobody is there.
    fn kill(mut self) {
        self.ether.kill(self.address);
        self.parts.abort_all();
    }
}
