//! A controller and a sidecar of the real code over real TLS on loopback; only the API server is played.

mod deaf;
mod played;
mod process;

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Parser;
use rollcall_catalogue::{Attributes, PodFacts, Port, Registration, Source, Target, liveness::PodLife};
use rollcall_controller::{
    Authority, IndexHandle, Told,
    auth::{AuthError, Review, Reviewer},
    index::{Change, Index, Key, Kind, NodeFacts},
    operate::Metrics,
    owner,
    peers::{Fleet, PeersHandle},
    sessions::Sessions,
};
use rollcall_net::{Trigger, bind, server_config, shutdown};
use rollcall_sidecar::{app::Sidecar, args::Args};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::sleep,
};

pub use self::{
    deaf::Deaf,
    played::{Played, welcome},
    process::{Process, Volumes, host},
};

/// Longer than any healthy machine takes, so that only what never happens fails.
const EVENTUALLY: Duration = Duration::from_secs(20);

/// Plays the API server: a token is the UID of its pod, or has it where Kubernetes writes it. Counts the ones that it sees, and those that are no good.
#[derive(Clone, Default)]
struct Tokens {
    asked: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Reviewer for Tokens {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match token.strip_prefix("token-of-").map(str::to_owned).or_else(|| named_by(token)) {
            Some(uid) => Ok(Review { pod: uid.as_str().into() }),
            None => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(AuthError::Unauthenticated)
            }
        }
    }
}

/// A token as Kubernetes gives it to the pod of this UID.
pub fn token_of(uid: &str) -> String {
    let claims =
        format!(r#"{{"kubernetes.io":{{"namespace":"shop","pod":{{"name":"pod","uid":"{uid}"}}}}}}"#);
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

/// The UID in a token of that kind.
fn named_by(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["kubernetes.io"]["pod"]["uid"].as_str().map(str::to_owned)
}

pub struct Controller {
    pub index: IndexHandle,
    pub address: SocketAddr,
    /// The other replicas.
    pub fleet: watch::Sender<Arc<Fleet>>,
    /// What sidecars are told of the installation.
    pub telling: watch::Sender<Told>,
    sessions: Arc<Sessions<Tokens>>,
    tokens: Tokens,
    trigger: Trigger,
    parts: JoinSet<()>,
}

pub struct Pod {
    pub api: SocketAddr,
    /// None on a machine without IPv6.
    pub api_v6: Option<SocketAddr>,
    pub health: SocketAddr,
    pub dns: SocketAddr,
    _files: TempDir,
    _trigger: Trigger,
    _parts: JoinSet<()>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// A pod of namespace `shop` with a sidecar; of service `orders` where it has a port.
pub fn pod(number: u8, port: Option<u16>) -> PodFacts {
    let registration = |port| Registration {
        key: "orders.shop".parse().unwrap(),
        source: Source::Annotation,
        target: Target::Own,
        policy: None,
        visibility: None,
        attributes: Attributes {
            version: "1.4.2".parse().ok(),
            ports: vec![Port::tcp(Some("http"), port)],
            ..Attributes::default()
        },
    };
    PodFacts {
        uid: format!("u{number}").as_str().into(),
        namespace: "shop".parse().unwrap(),
        name: format!("pod-{number}").into(),
        node: Some("n1".into()),
        addresses: [[10, 0, 0, number].into()].into(),
        labels: Default::default(),
        has_sidecar: true,
        asks_to_drain: false,
        registration: port.map(|port| Arc::new(registration(port))),
        life: PodLife::READY,
    }
}

/// What the watch tells of this pod.
pub fn seen(facts: PodFacts) -> Change {
    Change::Pod(Box::new(facts.into()))
}

/// What the watch tells of a pod that is gone.
pub fn gone(uid: &str) -> Change {
    Change::Gone(Key::Pod(uid.into()))
}

impl Controller {
    /// A controller whose first lists held these pods.
    pub async fn start(authority: &Authority, address: SocketAddr, pods: Vec<PodFacts>) -> Self {
        let (owner, index) = owner(Index::default(), Metrics::new());
        let (trigger, ear) = shutdown();
        let leaf = authority.leaf("test").unwrap();
        let tls = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
        let listener = bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let tokens = Tokens::default();
        let (fleet, watched) = watch::channel(Arc::new(Fleet { is_met: true, ..Fleet::default() }));
        let (replica, metrics) = ("test".to_owned(), Metrics::new());
        let peers = PeersHandle::watching(watched);
        let (telling, told) =
            watch::channel(Told { ca_pem: authority.certificate_pem.as_str().into(), controller: None });
        let sessions = Sessions::among(peers, replica, index.clone(), tokens.clone(), metrics, told);
        let mut parts = JoinSet::new();
        parts.spawn(owner.run(ear.clone()));
        let served = sessions.clone();
        parts.spawn(async move { served.serve(listener, tls, ear).await.unwrap() });
        for kind in Kind::ALL {
            index.apply(Change::ListBegins(kind)).await.unwrap();
            if kind == Kind::Pod {
                for facts in &pods {
                    index.apply(seen(facts.clone())).await.unwrap();
                }
            }
            if kind == Kind::Node {
                let facts =
                    NodeFacts { zone: None, unknown: false, pod_ranges: Vec::new(), addresses: Vec::new() };
                index.apply(Change::Node("n1".into(), facts)).await.unwrap();
            }
            index.apply(Change::ListEnds(kind)).await.unwrap();
        }
        Self { index, address, fleet, telling, sessions, tokens, trigger, parts }
    }

    pub async fn apply(&self, change: Change) {
        self.index.apply(change).await.unwrap();
    }

    /// It is about to end, and sends its sessions to the other replicas.
    pub fn leave(&self) {
        self.sessions.leave();
    }

    /// How many tokens were refused with 401.
    pub fn refused(&self) -> u64 {
        self.tokens.refused.load(Ordering::Relaxed)
    }

    /// How many tokens it has asked about.
    pub fn asked(&self) -> u64 {
        self.tokens.asked.load(Ordering::Relaxed)
    }

    /// Ends it as SIGTERM would.
    pub async fn stop(mut self) {
        self.trigger.pull();
        while self.parts.join_next().await.is_some() {}
    }
}

impl Pod {
    /// The sidecar of this pod.
    pub async fn start(authority: &Authority, controller: SocketAddr, uid: &str) -> Self {
        Self::with_token(authority, controller, &format!("token-of-{uid}")).await
    }

    /// A sidecar that shows this token.
    pub async fn with_token(authority: &Authority, controller: SocketAddr, text: &str) -> Self {
        Self::with_flags(authority, controller, text, &[]).await
    }

    /// The same, with these flags as well.
    pub async fn with_flags(
        authority: &Authority,
        controller: SocketAddr,
        text: &str,
        flags: &[String],
    ) -> Self {
        let files = tempfile::tempdir().unwrap();
        let (ca, token, state) =
            (files.path().join("ca.crt"), files.path().join("token"), files.path().join("state"));
        fs::create_dir(&state).unwrap();
        fs::write(&ca, &authority.certificate_pem).unwrap();
        fs::write(&token, text).unwrap();
        let dns = SocketAddr::from((host(), 7353));
        let own = [
            "rollcall-sidecar".to_owned(),
            format!("--controller={controller}"),
            format!("--ca-file={}", ca.display()),
            format!("--token-file={}", token.display()),
            format!("--state-dir={}", state.display()),
            "--memory-max-mib=24".to_owned(),
            "--api-listen=127.0.0.1:0".to_owned(),
            "--api-listen-v6=[::1]:0".to_owned(),
            "--health-listen=127.0.0.1:0".to_owned(),
            format!("--dns-listen={dns}"),
        ];
        let args = Args::parse_from(own.iter().chain(flags));
        let sidecar = Sidecar::bind(args).unwrap();
        let (addresses, health) = (sidecar.api_addresses().unwrap(), sidecar.health_address().unwrap());
        let (api, api_v6) = (addresses[0], addresses.get(1).copied());
        let (trigger, ear) = shutdown();
        let mut parts = JoinSet::new();
        parts.spawn(async move { Box::pin(sidecar.run(ear)).await.unwrap() });
        Self { api, api_v6, health, dns, _files: files, _trigger: trigger, _parts: parts }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n")).await
    }

    /// One request with this head.
    pub async fn ask(&self, head: &str) -> Answer {
        request(self.api, head).await
    }

    pub async fn orders(&self) -> Answer {
        self.get("/v1/services/orders").await
    }
}

impl Answer {
    /// The addresses in it, in their order.
    pub fn addresses(&self) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let instances = body["instances"].as_array().cloned().unwrap_or_default();
        instances.iter().map(|instance| instance["address"].as_str().unwrap().to_owned()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub async fn request(address: SocketAddr, head: &str) -> Answer {
    request_with(address, head, "").await
}

/// The same with a body, of which the head says how long it is.
pub async fn request_with(address: SocketAddr, head: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Waits until this holds, and says how long it took.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < EVENTUALLY, "never happened: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    begin.elapsed()
}
