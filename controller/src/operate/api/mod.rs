//! The read API, on the pod's loopback: what the catalogue holds and why, for people. They reach it by
//! `kubectl port-forward`, so that their own right to that is what lets them in. docs/read-api.md tells its use.

mod answer;
mod dump;
#[cfg(test)]
pub(crate) mod fixtures;
mod log_level;
mod route;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use http::{Method, Request};
use hyper::body::Incoming;
use rollcall_catalogue::{Namespace, Service, ServiceKey};
use rollcall_net::{
    Callers, Forbidden, Http1, LogFilter, Places, Shutdown, bind, bind_if_present, check_local,
};
use rollcall_wire::{
    Problem, Slug,
    api::{instances_body, service_body, services_body},
    query::{self, Parameter},
};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{Instant, timeout},
};
use tracing::info;

use self::{
    answer::{Answer, json, not_allowed, problem, text},
    dump::{DUMPS_MAX, Dump},
    route::Route,
};
use super::{
    consumers::{Asked, consumers_body},
    explain::explained,
    failing::failing_body,
    hearings::hearings_body,
    lacking::lacking_body,
};
use crate::{
    owner::{IndexHandle, OwnerGone, View},
    sessions::Consumers,
};

/// Connections of people and their scripts.
const CONNECTIONS_MAX: usize = 64;
/// What a question to the index waits for its turn; the longest of them are milliseconds.
const ASK_MAX: Duration = Duration::from_secs(5);
/// Pods that are listed, without a sidecar, failing, or calling a service: whoever sees so many looks for one cause, and asks for a namespace.
const LISTED_MAX: usize = 500;
/// Sessions that are listed: as many as a replica has places for, at some 100 bytes each.
const SESSIONS_MAX: usize = 10_000;

const INDEX: &str = "Rollcall controller

GET /v1/services                       all services; ?namespace=
GET /v1/services/{service}.{namespace} its healthy instances; ?version= &tag= &zone= &port= &protocol= &all=true
GET /v1/services/{service}.{namespace}/consumers  who calls it, of those in session with this replica
GET /v1/instances?address=             whose address is this?
GET /v1/explain/{service}.{namespace}  what each witness says of its instances; /{id} behind it for one alone
GET /v1/catalogue                      everything, one instance a line; ?namespace=
GET /v1/without-sidecar                pods that asked for a sidecar and have none; ?namespace=
GET /v1/failing                        pods whose app fails and is restarted by nobody; ?namespace=
GET /v1/sessions                       pods with a sidecar, and who is heard; ?namespace=
GET /v1/log-level                      what is logged
PUT /v1/log-level                      {\"filter\":\"info,rollcall_controller=debug\"}

On port 7391: /healthz, /readyz, /metrics
";

/// Holds what the answers come from.
#[derive(Debug, Clone)]
pub struct Api {
    index: IndexHandle,
    consumers: Consumers,
    logs: LogFilter,
    replica: Arc<str>,
    dumps: Arc<Semaphore>,
}

/// Listens for people, over IPv6 as well where this machine has its loopback.
pub fn listen(address: SocketAddr, address_v6: SocketAddr) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners =
        vec![bind(address).with_context(|| format!("--read-listen {address}: cannot listen"))?];
    match bind_if_present(address_v6)
        .with_context(|| format!("--read-listen-v6 {address_v6}: cannot listen"))?
    {
        Some(listener) => listeners.push(listener),
        None => info!(address = %address_v6, "this machine has no such address"),
    }
    Ok(listeners)
}

// === impl Api ===

impl Api {
    pub fn new(index: IndexHandle, consumers: Consumers, logs: LogFilter, replica: &str) -> Self {
        Self { index, consumers, logs, replica: replica.into(), dumps: Arc::new(Semaphore::new(DUMPS_MAX)) }
    }

    /// Answers until the process ends.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) {
        let http = Http1 { listener, places: Places::new(CONNECTIONS_MAX), callers: Callers::Apps };
        http.serve(move |request| self.clone().answer(request), shutdown).await;
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        match self.routed(request).await {
            Ok(answer) => answer,
            Err(refusal) => problem(&refusal),
        }
    }

    async fn routed(&self, request: Request<Incoming>) -> Result<Answer, Problem> {
        check_local(request.uri(), request.headers()).map_err(|forbidden| match forbidden {
            Forbidden::Host => Problem::forbidden_host(),
            Forbidden::Origin => Problem::forbidden_origin(),
        })?;
        let route = Route::of(request.uri().path())?;
        let writes = route == Route::LogLevel && request.method() == Method::PUT;
        if !writes && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(not_allowed(if route == Route::LogLevel { "GET, HEAD, PUT" } else { "GET, HEAD" }));
        }
        let parameters = query::parameters(request.uri().query())?;
        if writes {
            query::only(&parameters, &[])?;
            return log_level::change(&self.logs, request).await;
        }
        self.read(route, &parameters).await
    }

    async fn read(&self, route: Route, parameters: &[Parameter]) -> Result<Answer, Problem> {
        match route {
            Route::Index => {
                query::only(parameters, &[])?;
                Ok(text(INDEX))
            }
            Route::LogLevel => {
                query::only(parameters, &[])?;
                log_level::current(&self.logs)
            }
            Route::Services => {
                let namespace = namespace(parameters)?;
                let view = self.complete()?;
                let services = sorted(&view, namespace.as_ref());
                let counts = self.consumers.counts(services.iter().map(|(key, _)| *key));
                let services = services.into_iter().zip(counts);
                Ok(json(services_body(services.map(|((key, service), count)| (key, service, count)))))
            }
            Route::Service(key) => {
                let query = query::filters(parameters, &[])?;
                let view = self.complete()?;
                let service = view.catalogue.get(&key).ok_or_else(|| unknown_service(&key))?;
                Ok(json(service_body(&key, service, &query)))
            }
            Route::Consumers(key) => {
                query::only(parameters, &[])?;
                let view = self.complete()?;
                self.consumers(&key, &view)
            }
            Route::Instances => {
                query::only(parameters, &["address"])?;
                let address = query::address(parameters, "address")?.ok_or_else(|| {
                    Problem::new(Slug::InvalidQuery, "address: missing")
                        .field("address")
                        .hint("ask with ?address=10.1.2.3")
                })?;
                let view = self.complete()?;
                Ok(json(instances_body(sorted(&view, None), address)))
            }
            Route::Explain(key, id) => {
                query::only(parameters, &[])?;
                self.complete()?;
                self.explain(key, id.as_deref()).await
            }
            Route::WithoutSidecar => {
                let namespace = namespace(parameters)?;
                self.complete()?;
                self.without_sidecar(namespace).await
            }
            Route::Failing => {
                let namespace = namespace(parameters)?;
                self.complete()?;
                self.failing(namespace).await
            }
            Route::Sessions => {
                let namespace = namespace(parameters)?;
                self.complete()?;
                self.sessions(namespace).await
            }
            Route::Catalogue => {
                let namespace = namespace(parameters)?;
                let view = self.complete()?;
                let place = self.dumps.clone().try_acquire_owned().map_err(|_| {
                    Problem::new(Slug::LimitReached, format!("{DUMPS_MAX} dumps are being read already"))
                        .hint("try again in a second")
                })?;
                Ok(answer::streamed(dump::streamed(
                    Dump::of(&view, &self.replica, namespace.as_ref()),
                    place,
                )))
            }
        }
    }

    async fn without_sidecar(&self, namespace: Option<Namespace>) -> Result<Answer, Problem> {
        let question = self.index.ask(move |index| index.lacking(namespace.as_ref(), LISTED_MAX));
        let (pods, total) = in_its_turn(question).await?;
        Ok(json(lacking_body(&pods, total)))
    }

    async fn failing(&self, namespace: Option<Namespace>) -> Result<Answer, Problem> {
        let question = self.index.ask(move |index| index.failing(namespace.as_ref(), LISTED_MAX));
        let (pods, total) = in_its_turn(question).await?;
        Ok(json(failing_body(&pods, total, now_ms())))
    }

    /// A name that nobody registers may have consumers: they wait for it.
    fn consumers(&self, key: &ServiceKey, view: &View) -> Result<Answer, Problem> {
        let (consumers, total) = self.consumers.of(key, LISTED_MAX);
        if total == 0 && view.catalogue.get(key).is_none() {
            return Err(unknown_service(key));
        }
        let others =
            view.replicas.iter().map(|replica| &*replica.name).filter(|name| **name != *self.replica);
        let asked = Asked { replica: &self.replica, others: others.collect(), now: Instant::now() };
        Ok(json(consumers_body(key, &consumers, total, asked)))
    }

    async fn sessions(&self, namespace: Option<Namespace>) -> Result<Answer, Problem> {
        let now_ms = self.index.now_ms();
        let question = self.index.ask(move |index| index.hearings(namespace.as_ref(), SESSIONS_MAX, now_ms));
        let (pods, total) = in_its_turn(question).await?;
        Ok(json(hearings_body(&self.replica, &pods, total)))
    }

    async fn explain(&self, key: ServiceKey, id: Option<&str>) -> Result<Answer, Problem> {
        let asked = key.clone();
        let question = self.index.ask(move |index| index.explain(&asked));
        let witnessed = in_its_turn(question).await?.ok_or_else(|| unknown_service(&key))?;
        explained(&key, id, &witnessed, now_ms()).map(json)
    }

    /// The catalogue, once it is one: before that, what is not in it proves nothing.
    fn complete(&self) -> Result<Arc<View>, Problem> {
        let view = self.index.view().borrow().clone();
        if view.complete {
            return Ok(view);
        }
        let kinds: Vec<_> = view.awaited.iter().map(|kind| kind.as_str()).collect();
        Err(not_synced(match kinds.as_slice() {
            [] => "the first lists are not complete yet".to_owned(),
            kinds => format!("the first lists are not complete yet: {}", kinds.join(", ")),
        }))
    }
}

/// What the index says when it is its turn.
async fn in_its_turn<T>(question: impl Future<Output = Result<T, OwnerGone>>) -> Result<T, Problem> {
    match timeout(ASK_MAX, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(gone)) => Err(not_synced(gone.to_string())),
        Err(_) => Err(not_synced(format!("the index gave no answer for {ASK_MAX:?}"))),
    }
}

fn namespace(parameters: &[Parameter]) -> Result<Option<Namespace>, Problem> {
    query::only(parameters, &["namespace"])?;
    let parsed = |value: &str| {
        value.parse().map_err(|error: rollcall_catalogue::NameError| {
            Problem::new(Slug::InvalidQuery, error.to_string())
                .field("namespace")
                .hint("use a namespace's name, or leave it out for all of them")
        })
    };
    query::one(parameters, "namespace")?.map(parsed).transpose()
}

/// The services of one namespace or of all, by namespace and name.
fn sorted<'a>(view: &'a View, namespace: Option<&Namespace>) -> Vec<(&'a ServiceKey, &'a Service)> {
    let all =
        view.catalogue.iter().filter(|(key, _)| namespace.is_none_or(|wanted| key.namespace == *wanted));
    let mut services: Vec<_> = all.map(|(key, service)| (key, service.as_ref())).collect();
    services.sort_by_key(|(key, _)| *key);
    services
}

fn unknown_service(key: &ServiceKey) -> Problem {
    Problem::new(Slug::UnknownService, format!("no registration names `{key}`"))
        .field("name")
        .hint("GET /v1/services lists what there is")
}

fn not_synced(detail: String) -> Problem {
    Problem::new(Slug::NotSynced, detail)
        .hint("try again in a second; GET /readyz on port 7391 says what is awaited")
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
