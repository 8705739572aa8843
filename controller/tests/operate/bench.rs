//! A controller's ports without its watches, and a plain HTTP client.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock, atomic::AtomicBool},
    time::Duration,
};

use rollcall_catalogue::{Attributes, PodFacts, Port, Registration, Source, Target, liveness::PodLife};
use rollcall_controller::{
    IndexHandle,
    index::{Change, Index, Kind, NodeFacts},
    operate::{Metrics, api::Api, health::Health},
    owner,
    peers::PeersHandle,
    sessions::Consumers,
};
use rollcall_injection::Namespaces;
use rollcall_net::{LogFilter, Shutdown, Trigger, bind, shutdown};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// The logs are the process', so that all tests share them.
pub(crate) static LOGS: LazyLock<LogFilter> = LazyLock::new(|| rollcall_net::init_logs().unwrap());

/// Longer than any healthy machine takes, so that only what never happens fails.
const EVENTUALLY: Duration = Duration::from_secs(20);

pub(crate) struct Controller {
    pub(crate) index: IndexHandle,
    pub(crate) api: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) serving: Arc<AtomicBool>,
    pub(crate) metrics: Metrics,
    trigger: Trigger,
    parts: JoinSet<()>,
}

/// One connection, over which requests follow each other.
pub(crate) struct Connection(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A pod of this namespace that registers itself as `orders`.
pub(crate) fn pod(namespace: &str, number: u8, version: &str) -> Change {
    let registration = Registration {
        key: format!("orders.{namespace}").parse().unwrap(),
        source: Source::Annotation,
        target: Target::Own,
        policy: None,
        visibility: None,
        attributes: Attributes {
            version: version.parse().ok(),
            ports: vec![Port::tcp(Some("http"), 8080)],
            ..Attributes::default()
        },
    };
    let facts = PodFacts {
        uid: format!("u{number}").as_str().into(),
        namespace: namespace.parse().unwrap(),
        name: format!("orders-{number}").into(),
        node: Some("n1".into()),
        addresses: [[10, 0, 0, number].into()].into(),
        labels: Default::default(),
        has_sidecar: false,
        asks_to_drain: false,
        registration: Some(Arc::new(registration)),
        life: PodLife::READY,
    };
    Change::Pod(Box::new(facts.into()))
}

// === impl Controller ===

impl Controller {
    /// A controller that has listed nothing yet.
    pub(crate) async fn start() -> Self {
        let index = Index::default().expecting_sidecars(Namespaces::default(), "own".parse().unwrap());
        let (owner, index) = owner(index, Metrics::new());
        let (trigger, ear) = shutdown();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let (read, probes) = (bind(any).unwrap(), bind(any).unwrap());
        let (api, health) = (read.local_addr().unwrap(), probes.local_addr().unwrap());
        let (serving, metrics) = (Arc::<AtomicBool>::default(), Metrics::new());
        let mut parts = JoinSet::new();
        parts.spawn(owner.run(ear.clone()));
        let reads = Api::new(index.clone(), Consumers::default(), LOGS.clone(), "r1");
        parts.spawn(reads.serve(read, Shutdown::clone(&ear)));
        let answers = Health {
            index: index.clone(),
            serving: serving.clone(),
            admitting: Arc::new(true.into()),
            fleet: PeersHandle::alone().fleet(),
            leaving: Arc::default(),
            beside: None,
            metrics: metrics.clone(),
        };
        parts.spawn(answers.serve(probes, ear));
        Self { index, api, health, serving, metrics, trigger, parts }
    }

    /// The first lists come, with these in them.
    pub(crate) async fn list(&self, pods: Vec<Change>) {
        for kind in Kind::ALL {
            self.index.apply(Change::ListBegins(kind)).await.unwrap();
        }
        let facts = NodeFacts { zone: None, unknown: false, pod_ranges: Vec::new(), addresses: Vec::new() };
        for object in pods.into_iter().chain([Change::Node("n1".into(), facts)]) {
            self.index.apply(object).await.unwrap();
        }
        for kind in Kind::ALL {
            self.index.apply(Change::ListEnds(kind)).await.unwrap();
        }
        let mut view = self.index.view();
        timeout(EVENTUALLY, view.wait_for(|view| view.complete)).await.unwrap().unwrap();
    }

    /// Two versions in one namespace, one pod in another.
    pub(crate) async fn shop() -> Self {
        let controller = Self::start().await;
        let pods = vec![pod("shop", 1, "1.4.2"), pod("shop", 2, "2.0.0"), pod("far", 3, "1.4.2")];
        controller.list(pods).await;
        controller
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "").await
    }

    /// One request with these further header lines and this body.
    pub(crate) async fn ask(&self, method: &str, path: &str, lines: &str, body: &str) -> Answer {
        let mut connection = Connection::open(self.api).await;
        connection.ask(method, path, &format!("Host: localhost\r\n{lines}"), body).await
    }

    /// What the health port says.
    pub(crate) async fn probe(&self, method: &str, path: &str, lines: &str) -> Answer {
        let mut connection = Connection::open(self.health).await;
        connection.ask(method, path, &format!("Host: 10.0.0.1\r\n{lines}"), "").await
    }

    /// Ends it as SIGTERM would, and waits for all of it.
    pub(crate) async fn stop(mut self) {
        self.trigger.pull();
        let ended = async {
            while let Some(part) = self.parts.join_next().await {
                part.unwrap();
            }
        };
        timeout(EVENTUALLY, ended).await.unwrap();
    }
}

// === impl Connection ===

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, lines: &str, body: &str) -> Answer {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{method} {path} HTTP/1.1\r\n{lines}{length}\r\n{body}");
        self.0.write_all(request.as_bytes()).await.unwrap();
        timeout(EVENTUALLY, self.answer(method == "HEAD")).await.unwrap()
    }

    /// Whether the server has closed it.
    pub(crate) async fn is_closed(&mut self) -> bool {
        timeout(EVENTUALLY, self.0.read_u8()).await.unwrap().is_err()
    }

    async fn answer(&mut self, headless: bool) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).await.unwrap() > 0, "closed after {head:?}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        if headless || status == 204 {
            return answer;
        }
        let mut body = Vec::new();
        match answer.header("content-length") {
            Some(length) => {
                body.resize(length.parse().unwrap(), 0);
                self.0.read_exact(&mut body).await.unwrap();
            }
            None => loop {
                let mut line = String::new();
                self.0.read_line(&mut line).await.unwrap();
                let mut piece = vec![0; usize::from_str_radix(line.trim(), 16).unwrap() + 2];
                self.0.read_exact(&mut piece).await.unwrap();
                if piece.len() == 2 {
                    break;
                }
                body.extend(&piece[..piece.len() - 2]);
            },
        }
        answer.body = String::from_utf8(body).unwrap();
        answer
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The status and the slug of a problem that is written as one.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status);
        assert!(body["hint"].is_string(), "{self:?}");
        let slug = body["type"].as_str().unwrap().strip_prefix("urn:rollcall:problem:").unwrap();
        (self.status, slug.to_owned())
    }
}
