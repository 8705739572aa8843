//! The local HTTP API: who may ask, what can be asked, and the answers.

pub(crate) mod answer;
pub(crate) mod body;
mod lookup;

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use rollcall_net::{Forbidden, check_local};
use rollcall_wire::{Problem, Slug};
use tokio::sync::Semaphore;

use self::answer::{Answer, problem, text};
use crate::{agent::Errands, own::Own, store::Store};

/// Lookups that may wait for a first answer at a time; the others are told to come back.
const WAITING_MAX: usize = 256;
/// Connections of the app: a pool of a client library is a tenth of this.
pub(crate) const CONNECTIONS_MAX: usize = 512;

const SERVICES: &str = "/v1/services/";

const INDEX: &str = "Rollcall sidecar

GET /v1/services/{name}   the healthy instances of a service: `orders`, or `orders.shop` of another namespace
GET /healthz              alive
GET /readyz               in step with the controller
";

/// Holds what an answer needs.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    store: Store,
    errands: Errands,
    waiting: Arc<Semaphore>,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(store: Store, errands: Errands, _: Own) -> Self {
        Self { store, errands, waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    pub(crate) async fn answer(self, request: Request<Incoming>) -> Answer {
        match self.route(&request).await {
            Ok(answer) => answer,
            Err(refusal) => problem(&refusal),
        }
    }

    async fn route(&self, request: &Request<Incoming>) -> Result<Answer, Problem> {
        check_local(request.uri(), request.headers()).map_err(|forbidden| match forbidden {
            Forbidden::Host => Problem::forbidden_host(),
            Forbidden::Origin => Problem::forbidden_origin(),
        })?;
        let path = request.uri().path();
        let name = path.strip_prefix(SERVICES).filter(|name| !name.contains('/'));
        if name.is_none() && !matches!(path, "/" | "/healthz" | "/readyz") {
            return Err(
                Problem::new(Slug::UnknownPath, "there is nothing here").hint("GET / lists what there is")
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::new(Slug::MethodNotAllowed, "this can only be read").hint("use GET"));
        }
        if let Some(query) = request.uri().query()
            && !query.is_empty()
        {
            return Err(Problem::new(Slug::InvalidQuery, "this version takes no query parameters")
                .field("query")
                .hint("leave out everything behind the question mark"));
        }
        match (name, path) {
            (Some(name), _) => self.lookup(name, request.headers()).await,
            (None, "/healthz") => Ok(text(StatusCode::OK, "ok\n")),
            (None, "/readyz") if self.store.in_step() => Ok(text(StatusCode::OK, "ok\n")),
            (None, "/readyz") => {
                Ok(text(StatusCode::SERVICE_UNAVAILABLE, "not in step with the controller\n"))
            }
            (None, _) => Ok(text(StatusCode::OK, INDEX)),
        }
    }
}
