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
    deletion::Leaving,
    faults::{Faults, Harm},
    history::{Id, Written},
    kinds::Kind,
    ownership::{self, Manager},
    patch,
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
        let (server, faults, mut turns) =
            (self.clone(), faults.clone(), replicas.to_vec().into_iter().cycle());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, faults, replica) =
                (server.clone(), faults.clone(), turns.next().unwrap_or_default());
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
                self.change(|state| state.write(call, body))?
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

impl State {
    fn write(&mut self, call: &Call, body: &[u8]) -> Result<Answer, Refusal> {
        let (kind, namespace) = (call.kind, call.namespace.as_deref().unwrap_or_default());
        let of_status = call.subresource == "status";
        let is_known = match (call.verb, call.subresource.as_str()) {
            (_, "") => true,
            (Verb::Update | Verb::Patch, "status") => kind.has_status,
            (Verb::Create, "token") => kind.plural == "serviceaccounts",
            _ => false,
        };
        if !is_known {
            return Err(Refusal::not_served());
        }
        let value = match body {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?,
        };
        let applies = call.content_type == "application/apply-patch+yaml";
        let manager = Manager { name: call.manager(), applies, of_status };
        let options = Options { manager, dry_run: call.parameter("dryRun") == Some("All") };
        let text = |object: &Value| object.to_string();
        match call.verb {
            Verb::Create if kind.plural == "tokenreviews" => Ok(Answer::Text(201, text(&self.review(value)))),
            Verb::Create if call.subresource == "token" => {
                Ok(Answer::Text(201, text(&self.issue(namespace, &call.name, value)?)))
            }
            Verb::Create => Ok(Answer::Text(201, self.create(kind, namespace, value, &options)?.to_string())),
            Verb::Update => self.replace(call, namespace, value, &options),
            Verb::Patch => self.patch(call, namespace, &value, &options),
            Verb::DeleteAll => {
                let selection = call.selection()?;
                let all = self.history.list_at(kind.plural, self.history.revision(), None);
                let all = all.filter(|(id, object)| selection.has(id, object)).map(|(id, _)| id.clone());
                for id in all.collect::<Vec<_>>() {
                    self.delete(kind, &id.namespace, &id.name, &value)?;
                }
                Ok(Answer::Text(
                    200,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}).to_string(),
                ))
            }
            _ => Ok(Answer::Text(
                200,
                match self.delete(kind, namespace, &call.name, &value)? {
                    Leaving::Still(object) => text(&object),
                    Leaving::Gone(object)
                        if ["pods", "services", "serviceaccounts"].contains(&kind.plural) =>
                    {
                        text(&object)
                    }
                    Leaving::Gone(object) => json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                    "status": "Success", "details": {"name": call.name, "group": kind.group,
                    "kind": kind.plural, "uid": object["metadata"]["uid"]}})
                    .to_string(),
                },
            )),
        }
    }

    fn replace(
        &mut self,
        call: &Call,
        namespace: &str,
        value: Value,
        options: &Options,
    ) -> Result<Answer, Refusal> {
        let (kind, name) = (call.kind, call.name.as_str());
        let version = value["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
        let is_there = self.history.get(&Id::new(kind, namespace, name)).is_some();
        if !is_there && kind.is_created_by_update && call.subresource.is_empty() {
            if let Some(uid) = value["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
                let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
                return Err(Refusal::conflict(kind, name, &why));
            }
            if version.is_none() {
                return Ok(Answer::Text(201, self.create(kind, namespace, value, options)?.to_string()));
            }
        }
        if is_there && kind.needs_version && version.is_none() {
            let why = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update";
            return Err(Refusal::invalid(kind, name, why));
        }
        Ok(Answer::Text(200, self.update(kind, namespace, name, options, |_, _| Ok(value))?.to_string()))
    }

    fn patch(
        &mut self,
        call: &Call,
        namespace: &str,
        value: &Value,
        options: &Options,
    ) -> Result<Answer, Refusal> {
        let (kind, name) = (call.kind, call.name.as_str());
        let is_there = self.history.get(&Id::new(kind, namespace, name)).is_some();
        if options.manager.applies {
            if call.parameter("fieldManager").is_none() {
                return Err(Refusal::bad_request(
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                ));
            }
            if value["apiVersion"].is_null() || value["kind"].is_null() {
                return Err(Refusal::bad_request("Object 'Kind' or 'apiVersion' is missing"));
            }
            if !value["metadata"]["managedFields"].is_null() {
                return Err(Refusal::bad_request("metadata.managedFields must be nil"));
            }
            let force = call.parameter("force") == Some("true");
            if !is_there && call.subresource.is_empty() {
                return self.create_by_apply(call, namespace, value, options);
            }
            let applied = self.update(kind, namespace, name, options, |before, now| {
                ownership::apply(kind, before, value, &options.manager, force, now)
                    .map_err(|owned| Refusal::owned(&owned))
            })?;
            return Ok(Answer::Text(200, applied.to_string()));
        }
        let patched = self.update(kind, namespace, name, options, |before, _| {
            let mut after = before.clone();
            match call.content_type.as_str() {
                "application/merge-patch+json" => patch::merge(&mut after, value),
                "application/strategic-merge-patch+json" if !kind.is_custom => {
                    patch::strategic(kind, &mut after, value, "");
                }
                "application/json-patch+json" => patch::by_operations(kind, name, &mut after, value)?,
                other => return Err(Refusal::unsupported(other)),
            }
            Ok(after)
        })?;
        Ok(Answer::Text(200, patched.to_string()))
    }

    fn create_by_apply(
        &mut self,
        call: &Call,
        namespace: &str,
        value: &Value,
        options: &Options,
    ) -> Result<Answer, Refusal> {
        let (kind, name) = (call.kind, call.name.as_str());
        if value["metadata"]["uid"].is_string() {
            return Err(Refusal::conflict(
                kind,
                name,
                "uid mismatch: the provided object specified uid, and no existing object was found",
            ));
        }
        let now = self.now_text();
        let mut value = value.clone();
        value["metadata"]["name"] = json!(name);
        let created =
            self.create(kind, namespace, value.clone(), &Options { dry_run: true, ..options.clone() })?;
        let mut bare = Value::clone(&created);
        bare["metadata"].as_object_mut().map(|meta| meta.remove("managedFields"));
        let owned = ownership::apply(kind, &bare, &value, &options.manager, true, &now)
            .map_err(|owned| Refusal::owned(&owned))?;
        if options.dry_run {
            return Ok(Answer::Text(201, owned.to_string()));
        }
        let created = self.history.put(Id::new(kind, namespace, name), owned);
        self.collect();
        Ok(Answer::Text(201, created.to_string()))
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
