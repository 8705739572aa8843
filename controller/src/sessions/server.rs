//! The session server: who is let in, one path, and what all sessions share.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture, stream};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use rollcall_catalogue::PodFacts;
use rollcall_net::{Accept, Accepted, Jitter, Shutdown};
use rollcall_wire::{
    PodIdentity,
    server::{Opening, Server, Way},
};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{Instrument, debug, info, info_span, warn};

use super::{
    admission::{Admission, Stranger},
    bell,
    board::Board,
    callers::Here,
    connection::Connection,
    consumers::Consumers,
    inquiries::Inquiries,
    piece::PIECES_MAX,
    refusal::{Closed, Refusal},
    renewal::Renewal,
    returns::Returns,
    steward::{Steward, addresses, with_room},
    stream::{Clock, Session, replicas},
    turn::Turn,
};
use crate::{
    auth::{self, Authenticator, Reviewer},
    operate::Metrics,
    owner::IndexHandle,
    peers::{Fleet, Moving, PeersHandle},
    told::{self, Told},
};

/// What a `goaway` gets to reach its peer when the process ends.
const FAREWELL_MAX: Duration = Duration::from_millis(1_500);
/// The pause after an accept that failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A session's longest life, so that a token is shown anew now and then, by those too that do not do so in the session; put off
/// where the pod might not be let in again; up to [`LIFE_JITTER`] less, so that sessions
/// which began together do not end together.
/// Tests live through it beat by beat, so theirs is shorter.
const LIFE_MAX: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 12 } * 60 * 60);
const LIFE_JITTER: Duration = Duration::from_secs(60 * 60);

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Holds what every session needs.
pub struct Sessions<R> {
    replica: String,
    peers: PeersHandle,
    fleet: watch::Receiver<Arc<Fleet>>,
    /// The process is about to end: nobody is let in any more.
    leaving: watch::Sender<bool>,
    /// After that, nobody is here any more.
    gone: watch::Sender<bool>,
    index: IndexHandle,
    authenticator: Arc<Authenticator<R>>,
    admission: Arc<Admission>,
    pub(super) board: Arc<Board>,
    inquiries: Arc<Inquiries>,
    returns: Returns,
    told: watch::Receiver<Told>,
    clock: Clock,
    metrics: Metrics,
}

/// Holds who opens a session, before anybody knows.
pub(super) struct Caller {
    pub(super) address: IpAddr,
    pub(super) local: Option<SocketAddr>,
    /// Of the connection.
    pub(super) stranger: Arc<Stranger>,
}

/// Holds what a request has opened.
pub(super) enum Opened {
    Session(Box<Session>),
    /// With another replica.
    Link(Box<Moving>),
}

/// Says why the session server ended before its time.
#[derive(Debug, Error)]
pub enum SessionsError {
    #[error("sessions: the listener's address cannot be read")]
    Address(#[from] std::io::Error),
}

// === impl Sessions ===

impl<R: Reviewer> Sessions<R> {
    /// Those of a process that has no others beside it, and tells nobody of the installation.
    pub fn new(replica: String, index: IndexHandle, reviewer: R, metrics: Metrics) -> Arc<Self> {
        let (_, told) = told::feed("");
        Self::among(PeersHandle::alone(), replica, index, reviewer, metrics, told)
    }

    /// Those of a process that shares them with other replicas; sidecars are told whom to believe, and where to call.
    pub fn among(
        peers: PeersHandle,
        replica: String,
        index: IndexHandle,
        reviewer: R,
        metrics: Metrics,
        told: watch::Receiver<Told>,
    ) -> Arc<Self> {
        Self::shown_by(&Consumers::default(), peers, replica, index, reviewer, metrics, told)
    }

    /// The same, and who calls whom is shown by this.
    pub fn shown_by(
        consumers: &Consumers,
        peers: PeersHandle,
        replica: String,
        index: IndexHandle,
        reviewer: R,
        metrics: Metrics,
        told: watch::Receiver<Told>,
    ) -> Arc<Self> {
        let tokens = peers.tokens().clone();
        let authenticator = Arc::new(Authenticator::new(reviewer, index.clone(), tokens));
        peers.renew_by(authenticator.clone());
        let (admission, board) = (Arc::new(Admission::new()), consumers.board().clone());
        peers.answer_drains_by(Arc::new(Here(board.clone())));
        let (fleet, leaving, gone) = (peers.fleet(), watch::channel(false).0, watch::channel(false).0);
        let inquiries = Arc::new(Inquiries::new(index.clone()));
        let clock = Clock::start();
        Arc::new(Self {
            replica,
            peers,
            fleet,
            leaving,
            gone,
            index,
            authenticator,
            admission,
            board,
            inquiries,
            returns: Returns::default(),
            told,
            clock,
            metrics,
        })
    }

    /// From now on nobody is let in, and everybody is sent to the other replicas, one after the other within 5 s;
    /// [`Sessions::serve`] returns when they are gone.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
    }

    /// Serves sessions until the process ends, then says goodbye to each.
    pub async fn serve(
        self: Arc<Self>,
        listener: impl Accept,
        tls: Arc<ServerConfig>,
        mut shutdown: Shutdown,
    ) -> Result<(), SessionsError> {
        info!(address = %listener.local_address()?, "serving sessions");
        let mut connections = JoinSet::new();
        let mut bell = std::pin::pin!(self.follow());
        let mut gone = self.gone.subscribe();
        // Connections end when the process does, or when it is to end and nobody is in session any more.
        let (end, ear) = rollcall_net::shutdown();
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Ok(_) = gone.wait_for(|gone| *gone) => break,
                () = bell.as_mut() => {}
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        warn!(%error, "a connection's task died");
                    }
                }
                (Accepted { stream, peer, local }, place) = accept(&listener, &self.admission) => {
                    let Some(stranger) = self.admission.stranger(peer.ip()) else {
                        debug!(%peer, "too many connections without a session: one more is closed");
                        continue;
                    };
                    let (sessions, tls) = (self.clone(), tls.clone());
                    let connection = Connection { sessions, tls, peer, local, stranger };
                    let served = connection.serve(stream, ear.clone());
                    let span = info_span!("session", %peer);
                    connections.spawn(async move {
                        served.instrument(span).await;
                        drop(place);
                    });
                }
            }
        }
        end.pull();
        let farewell = async { while connections.join_next().await.is_some() {} };
        if timeout(FAREWELL_MAX, farewell).await.is_err() {
            info!(cut = connections.len(), "sessions were cut at shutdown");
        }
        Ok(())
    }

    /// Wakes sessions when something has changed that concerns them, and looks after where they are; never returns.
    pub(super) fn follow(&self) -> impl Future<Output = ()> + Send + use<R> {
        let rings = bell::follow(self.index.view(), self.index.feed().clone(), self.board.clone());
        let steward = Steward {
            replica: self.replica.as_str().into(),
            board: self.board.clone(),
            peers: self.peers.clone(),
            view: self.index.view(),
            leaving: self.leaving.subscribe(),
            gone: self.gone.clone(),
            metrics: self.metrics.clone(),
        };
        async move {
            tokio::join!(rings, steward.run());
        }
    }

    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Answers one request; what it opens is given to its connection.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        caller: Caller,
        opened: &mpsc::Sender<Opened>,
    ) -> Response<Body> {
        let answered = match request.uri().path() {
            "/v1/peer" => self.link(request, caller).await,
            _ => self.open(request, caller).await,
        };
        let (open, response) = match answered {
            Ok(opened) => opened,
            Err(refusal) => {
                debug!(%refusal, "a request is refused");
                return refusal.response();
            }
        };
        // As many as there are streams.
        match opened.try_send(open) {
            Ok(()) => response,
            Err(_) => Refusal::Full.response(),
        }
    }

    /// Why nobody is let in, if so; given whether the catalogue is complete.
    fn closed(&self, is_complete: bool) -> Option<Closed> {
        match self.fleet.borrow().is_met {
            _ if *self.leaving.borrow() => Some(Closed::Leaving),
            _ if !is_complete => Some(Closed::Incomplete),
            false => Some(Closed::NotMet),
            true => None,
        }
    }

    fn refusal(&self, closed: Closed) -> Refusal {
        let other = any(&addresses(&self.fleet.borrow()));
        other.map_or(Refusal::Nowhere(closed), |other| Refusal::Elsewhere(closed, other))
    }

    /// All places are taken here; where others have some, whoever comes is led there.
    fn full(&self) -> Refusal {
        any(&with_room(&self.fleet.borrow())).map_or(Refusal::Full, Refusal::FullHere)
    }

    /// Lets in another replica, which is no session and takes no place of one.
    async fn link(
        &self,
        request: Request<Incoming>,
        caller: Caller,
    ) -> Result<(Opened, Response<Body>), Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        self.authenticator.authenticate_replica(request.headers(), caller.address).await?;
        let (outgoing, frames) = mpsc::channel(1);
        let link = self.peers.link(request.into_body(), outgoing).await.ok_or(Refusal::Linked)?;
        caller.stranger.becomes_known();
        Ok((Opened::Link(link), streamed(frames)))
    }

    async fn open(
        &self,
        request: Request<Incoming>,
        caller: Caller,
    ) -> Result<(Opened, Response<Body>), Refusal> {
        if request.uri().path() != "/v1/session" {
            return Err(Refusal::NotFound);
        }
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        // Before anything is asked about the token: who is refused in any case costs the API server nothing.
        let view = self.index.view();
        if let Some(closed) = self.closed(view.borrow().complete) {
            return Err(self.refusal(closed));
        }
        if self.fleet.borrow().gives_way && self.returns.is_first(request.headers()) {
            return Err(self.refusal(Closed::Behind));
        }
        let facts = self.authenticator.authenticate(request.headers(), caller.address).await?;
        let shown = auth::shown(request.headers(), &facts.uid);
        let permit = self.admission.session().ok_or_else(|| self.full())?;
        info!(namespace = %facts.namespace, pod = %facts.name, "a session is open");
        let uid = facts.uid.clone();
        let zone = match facts.node.clone() {
            Some(node) => self.index.zone(node).await.unwrap_or_default(),
            None => None,
        };
        let pod = identity(facts, zone.as_deref());
        let (place, local) = (self.board.join(&pod), caller.local.map(plain));
        place.shows(shown.clone());
        let renewal = Renewal::new(
            uid.clone(),
            caller.address,
            shown,
            self.authenticator.clone(),
            self.peers.tokens().clone(),
            self.metrics.clone(),
        );
        let life = LIFE_MAX - Jitter::from_entropy().up_to(LIFE_JITTER);
        let mut told = self.told.clone();
        let opening = Opening {
            replica: self.replica.clone(),
            replicas: replicas(local, &place.others()),
            way: way(&told.borrow_and_update()),
            pod,
            life_ms: u64::try_from(life.as_millis()).unwrap_or(u64::MAX),
        };
        let (outgoing, frames) = mpsc::channel(PIECES_MAX);
        let session = Session {
            uid,
            server: Server::new(opening, self.index.feed().clone(), self.clock.now_ms()),
            clock: self.clock,
            incoming: request.into_body(),
            outgoing,
            index: self.index.clone(),
            inquiries: self.inquiries.clone(),
            view,
            place,
            local,
            told,
            peers: self.peers.clone(),
            metrics: self.metrics.clone(),
            renewal,
            turn: Turn::new(self.admission.clone()),
            stranger: caller.stranger,
            _permit: permit,
        };
        // Boxed, since a channel has room for 32 of what it carries.
        Ok((Opened::Session(Box::new(session)), streamed(frames)))
    }
}

/// Any of them: who are refused together do not all go to the same.
fn any(others: &[SocketAddr]) -> Option<SocketAddr> {
    let number = usize::try_from(Jitter::from_entropy().next_u64() >> 32).unwrap_or_default();
    number.checked_rem(others.len()).and_then(|number| others.get(number)).copied()
}

/// A response that stays open, and says what comes.
fn streamed(mut frames: mpsc::Receiver<Bytes>) -> Response<Body> {
    let body = stream::poll_fn(move |context| {
        frames.poll_recv(context).map(|frame: Option<Bytes>| Some(Ok(Frame::data(frame?))))
    });
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

/// An IPv4 address as such, also where a socket for both kinds has taken the connection.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What of it a sidecar is told.
pub(super) fn way(told: &Told) -> Way {
    Way { ca: Some(told.ca_pem.clone()), controller: told.controller }
}

fn identity(facts: PodFacts, zone: Option<&str>) -> PodIdentity {
    let PodFacts { namespace, name, uid, node, addresses, .. } = facts;
    PodIdentity {
        namespace,
        name: name.to_string(),
        uid: uid.to_string(),
        node: node.as_deref().map(str::to_owned),
        zone: zone.map(str::to_owned),
        addresses: addresses.iter().copied().collect(),
    }
}

async fn accept(listener: &impl Accept, admission: &Admission) -> (Accepted, OwnedSemaphorePermit) {
    loop {
        let place = admission.connection().await;
        match listener.accept().await {
            Ok(accepted) => return (accepted, place),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

// === impl Opened ===

impl Opened {
    /// Moves it until it has ended. A session takes no more memory than it needs, though a link may need more.
    pub(super) fn run(self, shutdown: Shutdown) -> BoxFuture<'static, ()> {
        match self {
            Self::Session(session) => session.run(shutdown).boxed(),
            Self::Link(link) => link.run(shutdown).boxed(),
        }
    }
}
