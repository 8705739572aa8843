//! The local HTTP API: who may ask, what can be asked, and the answers.
//!
//! ```text
//!  request ─► known name, nothing else asked? ── yes ──► the answer, from memory, at once
//!                │ no
//!                ├─ not below /v1/ ─► classic
//!                └─ Host, Origin ─► Route ─► method ─┬─ lookup ─► Follow (waits for a name's next state)
//!                                                    ├─ pick, report ─► Balancers
//!                                                    ├─ watch ─► Follow, as a stream
//!                                                    ├─ list, gate
//!                                                    └─ own: /v1/self
//! ```

pub(crate) mod answer;
mod balancers;
pub(crate) mod body;
mod follow;
mod gate;
mod list;
pub(crate) mod lookup;
pub(crate) mod own;
mod pick;
mod route;
mod watch;

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use futures::future::{BoxFuture, Either, FutureExt};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use rollcall_net::{Forbidden, check_local};
use rollcall_wire::{Problem, Slug, query};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use self::lookup::FIRST_ANSWER_MAX;
use self::{
    answer::{Answer, json, problem, text},
    balancers::Balancers,
    lookup::Asked,
    route::Route,
};
use crate::{
    agent::Errands,
    classic,
    owners::Owners,
    store::{Dialect, Known, Store},
};

/// Requests that may wait at a time; the others are told to come back.
const WAITING_MAX: usize = 256;
/// First lookups over DNS that wait at a time. They have places of their own: resolvers ask again and again for what has no
/// answer, and would keep everyone else from waiting; and who waits for a change would keep resolvers from all names that
/// are new.
const RESOLVING_MAX: usize = 128;
/// Watches at a time. With all of those that wait they leave a quarter of the connections to lookups.
const WATCHES_MAX: usize = 128;
/// Connections of the app: a pool of a client library is a tenth of this.
pub(crate) const CONNECTIONS_MAX: usize = 512;

const OPENAPI: &str = include_str!("../../openapi.json");

const INDEX: &str = "Rollcall sidecar

GET  /v1/services/{name}            the healthy instances of a service: `orders`, or `orders.shop` of another namespace
                                    ?version= &tag= &zone= &port= &protocol= &all=true   which of them
                                    ?index= &wait=                                       wait for the next revision
                                    ?max-age=                                            no older than this
GET  /v1/services/{name}/pick       one of them: ?policy=random|round-robin|weighted|least-loaded|p2c|hash &key=
GET  /v1/services/{name}/watch      them, and what changes of them, as server-sent events
POST /v1/report                     how a call to a picked one went
GET  /v1/services                   all services
GET  /v1/instances?address=         whose address is this?
GET  /v1/explain/{name}[/{id}]      why instances are in their states
GET  /v1/ready?deps=orders>=2&wait= whether what an app needs is there
     /v1/self                       what this app says of itself: GET, PUT, DELETE; /health, /drain
GET  /v1/openapi.json               all of this, for programs
GET  /healthz, /readyz              alive; in step with the controller
";

/// Holds what an answer needs.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) errands: Errands,
    pub(crate) owners: Owners,
    pub(crate) waiting: Arc<Semaphore>,
    resolving: Semaphore,
    watches: Arc<Semaphore>,
    balancers: Balancers,
}

/// Holds an answer, or the way to it.
pub(crate) type Answering = Either<Ready<Answer>, BoxFuture<'static, Answer>>;

// === impl Api ===

impl Api {
    /// Lookups are those of the first who speaks.
    pub(crate) fn new(owners: Owners) -> Arc<Self> {
        Arc::new(Self {
            store: owners.first().store.clone(),
            errands: owners.first().errands.clone(),
            owners,
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            resolving: Semaphore::new(RESOLVING_MAX),
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
            balancers: Balancers::default(),
        })
    }

    /// What is there is answered at once, and everything else in a box of its own: the way of a lookup of a known name
    /// stays as short as it can be.
    pub(crate) fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> Answering {
        match self.at_once(&mut request) {
            Some(answer) => Either::Left(ready(answer)),
            None => Either::Right(async move { self.route(request).await }.boxed()),
        }
    }

    /// The answer about a known name to who asks for nothing else.
    fn at_once(&self, request: &mut Request<Incoming>) -> Option<Answer> {
        let uri = request.uri();
        if *request.method() != Method::GET || uri.query().is_some() {
            return None;
        }
        let names = self.store.names();
        let slot = names.find(uri.path().strip_prefix(route::SERVICES)?)?;
        let known = slot.known();
        let Known::Service(held) = &**known else { return None };
        check_local(uri, request.headers()).ok()?;
        self.store.looked_up(slot, Dialect::Native);
        let headers = std::mem::take(request.headers_mut());
        Some(answer::service(held, held.plain(slot.is_asked_again()), self.standing(Some(held)), headers))
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if !path.starts_with("/v1/")
            && let Some(call) = classic::call(request.method(), path)
        {
            return classic::answer(&self, call, request).await;
        }
        match self.native(request).await {
            Ok(answer) => answer,
            Err(refusal) => problem(&refusal),
        }
    }

    async fn native(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Problem> {
        check_local(request.uri(), request.headers()).map_err(|forbidden| match forbidden {
            Forbidden::Host => Problem::forbidden_host(),
            Forbidden::Origin => Problem::forbidden_origin(),
        })?;
        let route = Route::of(request.uri().path())?;
        let allow = route.methods(request.uri().path());
        if !allow.split(", ").any(|method| method == request.method().as_str()) {
            return Err(Problem::method_not_allowed(allow));
        }
        let query = request.uri().query();
        match route {
            Route::Service(name) => {
                let asked = Asked::of(query)?;
                self.lookup(&name, &asked, request.into_parts().0.headers).await
            }
            Route::Pick(name) => self.pick(&name, query).await,
            Route::Watch(name) => self.watch(&name, query, &request).await,
            Route::Services => self.services(query, request.headers()).await,
            Route::Instances => self.instances(query, request.headers()).await,
            Route::Explain(name, id) => self.explain(&name, id.as_deref(), query).await,
            Route::Gate => self.gate(query).await,
            Route::Own => own::answer(&self, request).await,
            Route::Report => {
                without_query(query)?;
                let (head, body) = request.into_parts();
                self.report(body::read(&head.headers, body).await?).await
            }
            Route::OpenApi => {
                without_query(query)?;
                Ok(json(StatusCode::OK, OPENAPI))
            }
            Route::Index => {
                without_query(query)?;
                Ok(text(StatusCode::OK, INDEX))
            }
            Route::Alive => Ok(text(StatusCode::OK, "ok\n")),
            Route::InStep if self.store.in_step() => Ok(text(StatusCode::OK, "ok\n")),
            Route::InStep => Ok(text(StatusCode::SERVICE_UNAVAILABLE, "not in step with the controller\n")),
        }
    }

    /// A place among those that wait.
    pub(crate) fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.place_of(Dialect::Native)
    }

    /// A place among those that wait for a first answer in this language.
    fn place_of(&self, dialect: Dialect) -> Result<SemaphorePermit<'_>, Problem> {
        let places = match dialect {
            Dialect::Native | Dialect::Classic => &*self.waiting,
            Dialect::Dns => &self.resolving,
        };
        places.try_acquire().map_err(|_| {
            Problem::new(Slug::LimitReached, "too many requests wait already").hint("try again in a second")
        })
    }
}

fn without_query(query: Option<&str>) -> Result<(), Problem> {
    query::only(&query::parameters(query)?, &[])
}
