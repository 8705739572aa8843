//! The server itself: what is behind all clients, and how a call is answered.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    faults::{Faults, Harm},
    history::{Id, Written},
    kinds::Kind,
    read::Read,
    refusal::Refusal,
    replica::Replica,
    request::{Call, Verb},
    state::{Options, State},
    watch::Watching,
};

/// For so long a replica waits for what it is asked for and has not come to.
const FRESH_WITHIN: Duration = Duration::from_secs(3);

type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Holds the way to the one history and its replicas; its copies are the same.
#[derive(Debug, Clone)]
pub struct ApiServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Grows with all that watches may have to look at.
    written: watch::Sender<u64>,
}

/// What a call comes to.
enum Answer {
    Text(u16, String),
    Watch(Box<Watching>),
    /// The replica has to come to this revision first.
    Behind(u64, u64),
}

// === impl ApiServer ===

impl Default for ApiServer {
    fn default() -> Self {
        Self::new(1)
    }
}

impl ApiServer {
    /// With so many replicas, none of which lags; and with the namespace `default`.
    pub fn new(replicas: usize) -> Self {
        Self::at(replicas, Timestamp::now())
    }

    /// The same, that begins at this time of its own clock.
    pub fn at(replicas: usize, began: Timestamp) -> Self {
        let state = Mutex::new(State::new(replicas, began));
        let server = Self(Arc::new(Shared { state, written: watch::Sender::new(0) }));
        server.change(|state| {
            let namespace = json!({"metadata": {"name": "default"}});
            let _ = state.create(Kind::of("namespaces"), "", namespace, &Options::by("kube-apiserver"));
        });
        server
    }

    /// A client of one replica, for which this goes wrong.
    pub fn client(&self, replica: usize, faults: &Faults) -> Client {
        self.client_among(&[replica], faults)
    }

    /// One whose calls go to these replicas in turn, as a load balancer does it.
    pub fn client_among(&self, replicas: &[usize], faults: &Faults) -> Client {
        let (server, faults, replicas) = (self.clone(), faults.clone(), replicas.to_vec());
        let mut turn = 0;
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, faults, replica) = (server.clone(), faults.clone(), replicas[turn % replicas.len()]);
            turn += 1;
            async move { server.serve(replica, &faults, request).await }
        });
        Client::new(service, "default")
    }

    /// One for which nothing goes wrong.
    pub fn plain_client(&self) -> Client {
        self.client(0, &Faults::default())
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.state().history.revision()
    }

    /// What was written after this revision.
    pub fn written_after(&self, revision: u64) -> Vec<Written> {
        self.state().history.after(revision).cloned().collect()
    }

    /// An object as it is.
    pub fn object(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let id = Id::new(Kind::of(plural), namespace, name);
        self.state().history.get(&id).map(|object| Value::clone(object))
    }

    /// All objects of a kind as they are.
    pub fn objects(&self, plural: &str) -> Vec<Value> {
        let state = self.state();
        let all = state.history.list_at(Kind::of(plural).plural, state.history.revision(), None);
        all.map(|(_, object)| Value::clone(object)).collect()
    }

    /// Writes an object by no rule at all: what no API server would have taken.
    pub fn put_raw(&self, plural: &str, namespace: &str, name: &str, object: Value) {
        self.change(|state| state.put_raw(Id::new(Kind::of(plural), namespace, name), object));
    }

    /// Forgets what was before this revision.
    pub fn compact(&self, before: u64) {
        self.change(|state| state.history.compact(before));
    }

    /// Whether garbage is kept until [`Self::collect_garbage`]: Kubernetes says only that it goes some time.
    pub fn keep_garbage(&self, keeps: bool) {
        self.change(|state| state.keeps_garbage = keeps);
    }

    pub fn collect_garbage(&self) {
        self.change(State::collect_now);
    }

    /// One more replica, that has come to this revision and no further.
    pub fn replica_frozen_at(&self, revision: u64) -> usize {
        self.change(|state| {
            let mut replica = Replica::new(revision);
            replica.frozen_at = Some(revision);
            state.replicas.push(replica);
            state.replicas.len() - 1
        })
    }

    /// A replica hears of nothing more; or of all again.
    pub fn freeze(&self, replica: usize, is_frozen: bool) {
        self.of_replica(replica, |replica, reached| replica.frozen_at = is_frozen.then_some(reached));
    }

    /// A replica that is frozen comes to this revision.
    pub fn thaw_to(&self, replica: usize, revision: u64) {
        self.of_replica(replica, |replica, _| replica.frozen_at = Some(revision));
    }

    /// A replica hears of each write so much later.
    pub fn lag(&self, replica: usize, by: Duration) {
        self.of_replica(replica, |replica, _| replica.lag = by);
    }

    /// A replica is started anew: its watches are cut, and its cache begins with what is.
    pub fn restart(&self, replica: usize) {
        self.of_replica(replica, |replica, reached| {
            replica.life += 1;
            replica.remembers_from = reached;
        });
    }

    fn of_replica(&self, replica: usize, change: impl FnOnce(&mut Replica, u64)) {
        self.change(|state| {
            let reached = state.reached(replica);
            if let Some(replica) = state.replicas.get_mut(replica) {
                change(replica, reached);
            }
        });
    }

    /// Changes the state, and wakes who waits for that.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.0.written.send_modify(|changes| *changes += 1);
        result
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.0.written.subscribe()
    }

    /// Answers one call of a client, with all that goes wrong on the way.
    async fn serve(self, replica: usize, faults: &Faults, request: Request<Body>) -> io::Result<Reply> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let call = match Call::of(&parts) {
            Ok(call) => call,
            Err(refusal) => return Ok(refused(&refusal)),
        };
        // Asked of a process that is dead: nobody waits for the answer.
        let hung = async || std::future::pending::<io::Result<Reply>>().await;
        if faults.is_dead() {
            return hung().await;
        }
        let harm = faults.harm(&call);
        let takes = match harm {
            Some(Harm::Late { milliseconds }) => Duration::from_millis(milliseconds),
            _ => faults.time_of_a_call(),
        };
        if !takes.is_zero() {
            sleep(takes).await;
        }
        if faults.is_away() || harm == Some(Harm::Refused) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        match harm {
            Some(Harm::CrashBefore) => {
                faults.crash();
                return hung().await;
            }
            Some(Harm::Conflict) => return Ok(refused(&Refusal::modified(call.kind, &call.name))),
            Some(Harm::TooManyRequests { retry_after_seconds }) => {
                return Ok(refused(&Refusal::too_many(retry_after_seconds)));
            }
            Some(Harm::Empty) if call.verb == Verb::List => {
                let text = self.state().empty_list(&call);
                return Ok(reply(200, text));
            }
            Some(Harm::Garbage) => return Ok(reply(200, "{\"kind\":".to_owned())),
            _ => {}
        }
        let answered = self.answer(replica, faults, &call, &body).await;
        if faults.is_dead() {
            return hung().await;
        }
        match harm {
            Some(Harm::CrashAfter) => {
                faults.crash();
                return hung().await;
            }
            Some(Harm::Lost) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Harm::LostBehindGateway) => return Ok(refused(&Refusal::gateway())),
            _ => {}
        }
        Ok(match answered {
            Ok(Answer::Text(code, text)) => reply(code, text),
            Ok(Answer::Watch(watching)) => Response::new(
                StreamBody::new(watching.lines().map(|line| line.map(Frame::data))).boxed_unsync(),
            ),
            Ok(Answer::Behind(asked, reached)) => refused(&Refusal::too_large(asked, reached)),
            Err(refusal) => refused(&refusal),
        })
    }

    /// Does what is asked for; of a replica that is behind it is awaited for a while that it comes on.
    async fn answer(
        &self,
        replica: usize,
        faults: &Faults,
        call: &Call,
        body: &[u8],
    ) -> Result<Answer, Refusal> {
        let give_up_at = Instant::now() + FRESH_WITHIN;
        let mut written = self.written();
        loop {
            written.mark_unchanged();
            let answer = if call.verb.writes() {
                let (code, text) = self.change(|state| state.write(call, body))?;
                Answer::Text(code, text)
            } else {
                self.read(replica, faults, call)?
            };
            let Answer::Behind(..) = &answer else { return Ok(answer) };
            tokio::select! {
                _ = written.changed() => {}
                () = sleep_until(give_up_at) => return Ok(answer),
            }
        }
    }

    fn read(&self, replica: usize, faults: &Faults, call: &Call) -> Result<Answer, Refusal> {
        let mut state = self.state();
        let read = match call.verb {
            Verb::Watch => {
                let watching = Watching::begin(self, replica, faults, call, &mut state)?;
                return Ok(Answer::Watch(Box::new(watching)));
            }
            Verb::List => state.list(replica, call)?,
            _ => state.get(replica, call)?,
        };
        Ok(match read {
            Read::Text(text) => Answer::Text(200, text),
            Read::Behind(behind) => Answer::Behind(behind.asked, behind.reached),
        })
    }
}

fn refused(refusal: &Refusal) -> Reply {
    let mut reply = reply(refusal.code, refusal.body().to_string());
    if let Some(seconds) = refusal.details["retryAfterSeconds"].as_u64() {
        reply.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    reply
}

fn reply(code: u16, text: String) -> Reply {
    let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    reply
}
