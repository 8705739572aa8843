//! A sidecar without ports, for whoever plays its pod: sessions go over any network, and what an app asks is asked here.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use rollcall_net::{Network, Shutdown};
use rollcall_wire::{Down, client::Violation};

use crate::{
    api::{Api, answer, lookup::Asked},
    args::Args,
    core::Core,
    own::AppWord,
    owners::Owners,
    session::Trust,
};

/// Holds a sidecar that is about to run.
pub struct Embedded {
    core: Core,
    app: App,
}

/// Holds the app's way to it.
#[derive(Debug, Clone)]
pub struct App(Arc<Api>);

// === impl Embedded ===

impl Embedded {
    /// With these flags, of which those that name ports are of no matter, nor those that say how names are resolved.
    pub fn new(mut args: Args, network: Arc<dyn Network>) -> anyhow::Result<Self> {
        let trust = Trust::new(&std::mem::take(&mut args.ca_pem)).context("--ca-pem (ROLLCALL_CA_PEM)")?;
        let core = Core::new(args, network, None, trust);
        let app = App(Api::new(Owners::Pod(core.owner.clone())));
        Ok(Self { core, app })
    }

    pub fn app(&self) -> App {
        self.app.clone()
    }

    /// Takes what a controller says, in place of the session that [`Self::run`] keeps: for whoever plays the controller as well,
    /// without a network. A `welcome` begins it.
    pub fn hear(&mut self, frame: Down) -> Result<(), Violation> {
        self.core.hear(frame)
    }

    /// Keeps a session, and the disk, until it is told to end.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        self.core.run(shutdown).await
    }
}

// === impl App ===

impl App {
    /// The answer of `GET /v1/services/{name}`.
    pub async fn lookup(&self, name: &str) -> Response<Bytes> {
        let answered = self.0.lookup(name, &Asked::default(), HeaderMap::new()).await;
        let (head, body) = answered.unwrap_or_else(|refusal| answer::problem(&refusal)).into_parts();
        let Ok(body) = body.collect().await;
        Response::from_parts(head, body.to_bytes())
    }

    /// What `PUT /v1/self/health` says: that the app is well, or that it is not.
    pub fn says(&self, failing: bool) {
        self.0.owners.app_says(&AppWord { failing, ttl_ms: None, output: String::new() });
    }

    /// Whether everything asked for is current.
    pub fn in_step(&self) -> bool {
        self.0.store.in_step()
    }
}
