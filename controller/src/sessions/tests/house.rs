//! A controller without Kubernetes and without sockets, so that paused time stays exact: real TLS and HTTP/2 in memory.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rollcall_catalogue::{
    Attributes, PodFacts, Port, Registration, ServiceKey, Source, Target, liveness::PodLife,
};
use rollcall_net::{Trigger, client_config, server_config, server_name, shutdown};
use rollcall_wire::{Decoder, Down, Duty, PROTOCOL, Up, Upsert, encode};
use rustls::{ClientConfig, ServerConfig};
use tokio::{
    io::{DuplexStream, duplex},
    net::TcpListener,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    Authority,
    auth::{AuthError, Review, Reviewer},
    index::{Change, Index, Kind, NodeFacts},
    operate::{Format, Metrics},
    owner::{IndexHandle, View, owner},
    peers::{
        PeersHandle,
        testing::{Played, played},
    },
    sessions::{Consumers, Sessions, connection::Connection},
    told::{self, Told},
};

/// Longer than anything that is to happen, on the tests' own clock.
pub(super) const EVENTUALLY: Duration = Duration::from_secs(120);
/// Bytes that are under way in each direction, as in a socket's buffers.
const SOCKET_BYTES: usize = 64 * 1024;

/// Plays the API server: a token is the UID of its pod, and whatever comes after a dot.
#[derive(Debug)]
pub(super) struct Tokens {
    is_away: Arc<AtomicBool>,
}

impl Reviewer for Tokens {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(AuthError::Unavailable);
        }
        match token.strip_prefix("token-of-").and_then(|of| of.split('.').next()) {
            Some(uid) => Ok(Review { pod: uid.into() }),
            None => Err(AuthError::Unauthenticated),
        }
    }
}

pub(super) struct House {
    pub(super) index: IndexHandle,
    pub(super) sessions: Arc<Sessions<Tokens>>,
    pub(super) consumers: Consumers,
    /// The other replicas.
    pub(super) peers: Played,
    pub(super) handle: PeersHandle,
    /// The API server answers no review.
    pub(super) is_away: Arc<AtomicBool>,
    pub(super) trigger: Trigger,
    pub(super) metrics: Metrics,
    /// What sidecars are to know of the installation.
    pub(super) telling: watch::Sender<Told>,
    tls: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    shutdown: rollcall_net::Shutdown,
    _parts: JoinSet<()>,
}

/// Holds a sidecar's end of a session, which does nothing by itself.
pub(super) struct Peer {
    up: mpsc::Sender<Bytes>,
    incoming: Incoming,
    decoder: Decoder<Down>,
    connection: Dialled,
    /// As they were told last; they come whenever they change, between other things.
    pub(super) duties: Option<Vec<Duty>>,
    /// In which all that was heard came.
    pub(super) pieces: usize,
}

/// Holds a connection over which requests can be made.
pub(super) struct Dialled {
    requests: http2::SendRequest<Body>,
    /// Ends when the controller has let go of it.
    pub(super) served: JoinHandle<()>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(super) fn key(service: &str) -> ServiceKey {
    format!("{service}.shop").parse().unwrap()
}

/// A pod of namespace `shop` with a sidecar; of this service, if any.
pub(super) fn pod(number: u8, service: Option<&str>) -> PodFacts {
    let registration = |service: &str| Registration {
        key: key(service),
        source: Source::Annotation,
        target: Target::Own,
        policy: None,
        visibility: None,
        attributes: Attributes { ports: vec![Port::tcp(Some("http"), 8080)], ..Attributes::default() },
    };
    PodFacts {
        uid: format!("u{number}").as_str().into(),
        namespace: "shop".parse().unwrap(),
        name: format!("pod-{number}").into(),
        node: Some("n1".into()),
        addresses: [[10, 0, 0, number].into()].into_iter().collect(),
        labels: Arc::default(),
        has_sidecar: true,
        asks_to_drain: false,
        registration: service.map(|service| Arc::new(registration(service))),
        life: PodLife::READY,
    }
}

/// What the watch tells of this pod.
pub(super) fn seen(facts: PodFacts) -> Change {
    Change::Pod(Box::new(facts.into()))
}

pub(super) fn hello(incarnation: &str, sequence: u64) -> Up {
    Up::Hello {
        protocol: PROTOCOL.to_owned(),
        incarnation: incarnation.to_owned(),
        sequence,
        epoch: None,
        cursor: 0,
        held: [].into(),
        registrations: vec![],
    }
}

pub(super) fn subscribe(services: &[&str]) -> Up {
    Up::Subscribe { services: services.iter().map(|name| name.parse().unwrap()).collect(), summary: false }
}

pub(super) fn beat() -> Up {
    // At a cursor that was never told, nothing is compared.
    Up::Heartbeat { cursor: u64::MAX, digest: rollcall_catalogue::ContentHash(0) }
}

// === impl House ===

impl House {
    /// A controller whose first lists held these pods.
    pub(super) async fn with(pods: Vec<PodFacts>) -> Self {
        let metrics = Metrics::new();
        let (owner, index) = owner(Index::default(), metrics.clone());
        let (trigger, ear) = shutdown();
        let authority = Authority::generate("test").unwrap();
        let leaf = authority.leaf("test").unwrap();
        let tls = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
        let client = client_config(authority.certificate_pem.as_bytes()).unwrap();
        let (handle, peers) = played();
        peers.are(Vec::new());
        let is_away = Arc::<AtomicBool>::default();
        let (tokens, name) = (Tokens { is_away: is_away.clone() }, "test".to_owned());
        let consumers = Consumers::default();
        let (telling, told) = told::feed(&authority.certificate_pem);
        let sessions = Sessions::shown_by(
            &consumers,
            handle.clone(),
            name,
            index.clone(),
            tokens,
            metrics.clone(),
            told,
        );
        let mut parts = JoinSet::new();
        parts.spawn(owner.run(ear.clone()));
        parts.spawn(sessions.follow());
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
        index.view().wait_for(|view| view.complete).await.unwrap();
        let shutdown = ear;
        Self {
            index,
            sessions,
            consumers,
            peers,
            handle,
            is_away,
            trigger,
            metrics,
            telling,
            tls,
            client,
            shutdown,
            _parts: parts,
        }
    }

    pub(super) async fn apply(&self, change: Change) {
        self.index.apply(change).await.unwrap();
    }

    /// The other end of a connection that the controller has accepted; none where it does not.
    pub(super) fn accept(&self, address: IpAddr) -> Option<(DuplexStream, JoinHandle<()>)> {
        let (theirs, served) = self.served(address)?;
        Some((theirs, tokio::spawn(served)))
    }

    /// The same, and what moves it.
    pub(super) fn served(
        &self,
        address: IpAddr,
    ) -> Option<(DuplexStream, impl Future<Output = ()> + Send + use<>)> {
        let (ours, theirs) = duplex(SOCKET_BYTES);
        let connection = Connection {
            sessions: self.sessions.clone(),
            tls: self.tls.clone(),
            peer: SocketAddr::new(address, 40_000),
            local: Some(([10, 0, 9, 9], 7310).into()),
            stranger: self.sessions.admission().stranger(address)?,
        };
        Some((theirs, connection.serve(ours, self.shutdown.clone())))
    }

    /// Serves this listener as the process does.
    pub(super) fn serve(&self, listener: TcpListener) -> impl Future<Output = ()> + Send + use<> {
        let served = self.sessions.clone().serve(listener, self.tls.clone(), self.shutdown.clone());
        async move { served.await.unwrap() }
    }

    /// A connection with TLS and HTTP/2, of a peer that has room for so many bytes.
    pub(super) async fn dial(&self, window: u32) -> Dialled {
        let (io, served) = self.accept([127, 0, 0, 1].into()).unwrap();
        let tls = TlsConnector::from(self.client.clone()).connect(server_name().unwrap(), io).await.unwrap();
        let (requests, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(window)
            .initial_connection_window_size(window)
            .handshake(TokioIo::new(tls))
            .await
            .unwrap();
        // However it ends, the test sees what came over it.
        tokio::spawn(connection);
        Dialled { requests, served }
    }

    /// The session stream of this pod, on which nothing is said yet.
    pub(super) async fn open(&self, uid: &str) -> Peer {
        self.dial(1 << 20).await.open(uid).await
    }

    /// A session of this pod, greeted.
    pub(super) async fn session(&self, uid: &str) -> Peer {
        let mut peer = self.open(uid).await;
        peer.say(&hello("i", 1)).await;
        assert!(matches!(peer.hear().await, Some(Down::Welcome { .. })));
        peer
    }

    /// Waits for a view of which this is true.
    pub(super) async fn shows(&self, holds: impl FnMut(&Arc<View>) -> bool) {
        let mut view = self.index.view();
        timeout(EVENTUALLY, view.wait_for(holds)).await.expect("is published").unwrap();
    }

    pub(super) fn metric(&self, line: &str) -> bool {
        let text = self.metrics.render(&View::default(), Format::OpenMetrics);
        text.lines().any(|held| held == line)
    }

    pub(super) async fn eventually(&self, line: &str) {
        let waited = timeout(EVENTUALLY, async {
            while !self.metric(line) {
                sleep(Duration::from_millis(10)).await;
            }
        });
        let text = || self.metrics.render(&View::default(), Format::OpenMetrics);
        waited.await.unwrap_or_else(|_| panic!("no {line} in {}", text()));
    }
}

// === impl Dialled ===

impl Dialled {
    /// One request whose body is still to be said.
    pub(super) async fn request(
        &mut self,
        method: Method,
        path: &str,
        token: &str,
    ) -> (mpsc::Sender<Bytes>, Response<Incoming>) {
        let (up, frames) = mpsc::channel::<Bytes>(16);
        let body = stream::unfold(frames, |mut frames| async move {
            let bytes = frames.recv().await?;
            Some((Ok(Frame::data(bytes)), frames))
        });
        let request = Request::builder()
            .method(method)
            .uri(format!("https://controller{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(BodyExt::boxed_unsync(StreamBody::new(body)))
            .unwrap();
        (up, self.requests.send_request(request).await.unwrap())
    }

    pub(super) async fn open(mut self, uid: &str) -> Peer {
        let (up, response) = self.request(Method::POST, "/v1/session", &format!("token-of-{uid}")).await;
        assert_eq!(response.status(), 200);
        Peer {
            up,
            incoming: response.into_body(),
            decoder: Decoder::default(),
            connection: self,
            duties: None,
            pieces: 0,
        }
    }
}

// === impl Peer ===

impl Peer {
    pub(super) async fn say(&self, frame: &Up) {
        self.bytes(encode(frame).unwrap()).await;
    }

    pub(super) async fn bytes(&self, bytes: Vec<u8>) {
        timeout(EVENTUALLY, self.up.send(bytes.into())).await.expect("is heard").expect("is open");
    }

    /// The next frame but heartbeats and duties; none where the stream has ended.
    pub(super) async fn hear(&mut self) -> Option<Down> {
        loop {
            match self.hear_any().await {
                Some(Down::Heartbeat) => {}
                other => return other,
            }
        }
    }

    /// The next frame but duties.
    pub(super) async fn hear_any(&mut self) -> Option<Down> {
        loop {
            match self.frame().await? {
                Down::Duties { duties } => self.duties = Some(duties),
                frame => return Some(frame),
            }
        }
    }

    /// What its pod is, by the newest that was heard; by the next that comes where none was.
    pub(super) async fn duties(&mut self) -> Vec<Duty> {
        loop {
            if let Some(duties) = self.duties.take() {
                return duties;
            }
            match self.frame().await {
                Some(Down::Duties { duties }) => self.duties = Some(duties),
                Some(Down::Heartbeat) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn frame(&mut self) -> Option<Down> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let frame = timeout(EVENTUALLY, self.incoming.frame()).await.expect("something is said");
            self.decoder.push(&frame?.ok()?.into_data().ok()?);
            self.pieces += 1;
        }
    }

    /// Hears up to a `synced`, and acknowledges it; says what was told of.
    pub(super) async fn sync(&mut self) -> Vec<ServiceKey> {
        let (told, cursor) = self.synced().await;
        self.say(&Up::Ack { cursor }).await;
        told
    }

    /// Hears up to a `synced`.
    pub(super) async fn synced(&mut self) -> (Vec<ServiceKey>, u64) {
        let mut told = Vec::new();
        loop {
            match self.hear().await {
                Some(Down::Upsert(Upsert { service, .. }) | Down::Remove { service, .. }) => {
                    told.push(service);
                }
                Some(Down::Synced { cursor, .. }) => return (told, cursor),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Why the session ended: its last frame.
    pub(super) async fn goodbye(&mut self) -> String {
        self.goodbye_to().await.0
    }

    /// The same, and where it is to come back.
    pub(super) async fn goodbye_to(&mut self) -> (String, Option<SocketAddr>) {
        loop {
            match self.hear().await {
                Some(Down::Goaway { reason, dial }) => {
                    assert!(self.hear_any().await.is_none(), "nothing comes after it");
                    return (reason, dial);
                }
                Some(_) => {}
                None => panic!("no goodbye"),
            }
        }
    }

    /// Closes the stream, as a sidecar that ends.
    pub(super) fn close(self) -> Dialled {
        self.connection
    }

    pub(super) fn connection(&mut self) -> &mut Dialled {
        &mut self.connection
    }
}
