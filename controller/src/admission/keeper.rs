//! Sees to it that the API server can ask us, and that we know what to tell pods: looks at our Service and at the webhook's
//! configuration, and writes our authorities' certificates into the latter where they are missing.
//!
//! Each replica does so, and no Lease is asked for: they have the authorities of one Secret, so that they write the same
//! bytes, and only where others stand there; what has changed is written at once. Two that notice at the same time are told apart by the object's version; who comes second
//! looks again, and finds nothing to do. A replica that waits for a Lease would be one that the API server does not
//! believe meanwhile.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::Service;
use kube::Client;
use rollcall_injection::Way;
use rollcall_net::{Backoff, Jitter, Shutdown};
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::{
    Names, direct,
    webhook::{Configuration, Due, WebhookApi},
};
use crate::{
    operate::{WriteCounts, WriteKind},
    own_objects::OwnObjects,
    told::Told,
};

/// How often it is looked whether all is as it should be: a certificate that somebody took away is back within so long.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Up to so much less, so that replicas do not look in step.
pub(super) const LOOK_JITTER: Duration = Duration::from_secs(5);
/// A call that takes longer has failed: a loaded API server answers small calls within a second.
pub(super) const CALL_MAX: Duration = Duration::from_secs(5);
/// For so long after the start, readiness waits for us: whoever installs with `--wait` then finds a webhook that works. Not
/// for ever: sessions must be served whatever is wrong with the webhook.
pub(super) const AWAITED_MAX: Duration = Duration::from_secs(10);
/// The name of the Service's port for sessions.
const SESSIONS: &str = "sessions";

/// Holds what it looks after, and whom it tells.
pub(super) struct Keeper {
    services: OwnObjects<Service>,
    webhooks: WebhookApi,
    names: Names,
    told: watch::Sender<Told>,
    writes: Arc<WriteCounts>,
    way: watch::Sender<Option<Arc<Way>>>,
    admitting: Arc<AtomicBool>,
    /// What was said last of each: what lasts is said once.
    of_service: Option<String>,
    of_webhook: Option<String>,
}

/// Says what is wrong, and what helps.
#[derive(Debug, Error)]
enum Trouble {
    #[error(
        "there is no Service {0}, so that pods get no sidecar; create it, or name the right one in --service-name"
    )]
    NoService(String),
    #[error(
        "the Service {0} has no address of its own, so that pods get no sidecar; delete it, and create it without `clusterIP: None` and of type ClusterIP"
    )]
    Headless(String),
    #[error(
        "the Service {0} has no port named `{SESSIONS}`, so that pods get no sidecar; name the one for sessions so"
    )]
    NoPort(String),
    #[error("{what} is forbidden; grant the controller `{verb}`: {message}")]
    Denied { what: String, verb: &'static str, message: String },
    /// Whoever installs wants no injection, or not yet: nothing of ours is amiss.
    #[error(
        "no MutatingWebhookConfiguration {0} leads to the Service {1}: pods get no sidecar until one does"
    )]
    NoWebhook(String, String),
    #[error("{0} was written by somebody else at the same time")]
    Conflict(String),
    #[error("{what}: {why}")]
    Unavailable { what: String, why: String },
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(
        client: Client,
        names: Names,
        told: watch::Sender<Told>,
        writes: Arc<WriteCounts>,
        way: watch::Sender<Option<Arc<Way>>>,
        admitting: Arc<AtomicBool>,
    ) -> Self {
        let services = OwnObjects::new(client.clone(), &names.namespace);
        let webhooks = WebhookApi::new(client, &names.webhook);
        let (of_service, of_webhook) = (None, None);
        Self { services, webhooks, names, told, writes, way, admitting, of_service, of_webhook }
    }

    /// Looks after them until the process ends, or is to.
    pub(super) async fn run(self, mut ear: Shutdown) {
        let admitting = self.admitting.clone();
        let patience = async {
            sleep(AWAITED_MAX).await;
            if !admitting.swap(true, Ordering::Release) {
                warn!(limit = ?AWAITED_MAX, "readiness waits no longer for the webhook");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = ear.requested() => {}
            () = patience => {}
            () = self.keep(Jitter::from_entropy()) => {}
        }
    }

    async fn keep(mut self, mut jitter: Jitter) {
        let mut backoff = Backoff::default();
        let mut told = self.told.subscribe();
        loop {
            let bundle = told.borrow_and_update().ca_pem.clone();
            let pause = if self.look(&bundle).await {
                self.admitting.store(true, Ordering::Release);
                backoff.reset();
                LOOK_EVERY - jitter.up_to(LOOK_JITTER)
            } else {
                backoff.next(&mut jitter)
            };
            let changed = told.wait_for(|told| told.ca_pem != bundle);
            // Whoever asks us must believe an authority before it signs: what is news is not left to wait.
            let _ = timeout(pause, changed).await;
        }
    }

    /// Looks at both, and does what is to be done; false where that is to be tried again soon.
    async fn look(&mut self, bundle: &Arc<str>) -> bool {
        let service = self.service().await;
        match &service {
            Ok(controller) => self.tell(Some(*controller), bundle),
            Err(trouble) if trouble.is_of_the_service() => self.tell(None, bundle),
            // It is out of our sight, and most likely as it was.
            Err(_) => self.tell(self.told.borrow().controller, bundle),
        }
        let webhook = self.webhook(bundle).await;
        let good = service.is_ok() && matches!(webhook, Ok(()) | Err(Trouble::NoWebhook(..)));
        say(&mut self.of_service, service.err());
        say(&mut self.of_webhook, webhook.err());
        good
    }

    /// Where pods reach us.
    async fn service(&self) -> Result<SocketAddr, Trouble> {
        let Names { namespace, service, .. } = &self.names;
        let name = format!("{namespace}/{service}");
        let found = match called(self.services.get(service)).await {
            Ok(found) => found,
            Err(Failure::Absent) => return Err(Trouble::NoService(name)),
            Err(failure) => return Err(failure.about(format!("Service {name}"), "get of services")),
        };
        let spec = found.spec.unwrap_or_default();
        let address: Option<IpAddr> = spec.cluster_ip.and_then(|address| address.parse().ok());
        let Some(address) = address else { return Err(Trouble::Headless(name)) };
        let port = spec.ports.iter().flatten().find(|port| port.name.as_deref() == Some(SESSIONS));
        match port.and_then(|port| u16::try_from(port.port).ok()) {
            Some(port) => Ok((address, port).into()),
            None => Err(Trouble::NoPort(name)),
        }
    }

    fn tell(&self, controller: Option<SocketAddr>, bundle: &Arc<str>) {
        let way = controller.map(|controller| Arc::new(direct(controller, bundle)));
        self.way.send_if_modified(|known| {
            let is_news = *known != way;
            *known = way;
            is_news
        });
        let before = self.told.borrow().controller;
        if before == controller {
            return;
        }
        self.told.send_modify(|told| told.controller = controller);
        let controller = controller.map(tracing::field::display);
        match before {
            Some(before) => warn!(
                %before, controller,
                "the Service's address has changed; sidecars in session are told, others that were given the one before ask DNS"
            ),
            None => info!(controller, "where new pods reach us"),
        }
    }

    /// Puts the configuration right.
    async fn webhook(&self, bundle: &str) -> Result<(), Trouble> {
        let Names { namespace, service, webhook } = &self.names;
        let none = || Trouble::NoWebhook(webhook.clone(), format!("{namespace}/{service}"));
        let about = |failure: Failure| {
            let what = format!("MutatingWebhookConfiguration {webhook}");
            failure.about(what, "get and patch of mutatingwebhookconfigurations")
        };
        let found = match called(self.webhooks.get()).await {
            Ok(found) => found,
            Err(Failure::Absent) => return Err(none()),
            Err(failure) => return Err(about(failure)),
        };
        let patch = match self.due(&found, bundle) {
            Due::Nothing => return Ok(()),
            Due::NotOurs => return Err(none()),
            Due::Patch(patch) => patch,
        };
        self.writes.count(WriteKind::Webhook);
        let patched = called(self.webhooks.patch(patch)).await.map_err(about)?;
        match self.due(&patched, bundle) {
            Due::Nothing => info!(webhook, "the API server is told whom to believe when it asks us"),
            _ => return Err(about(Failure::Conflict)),
        }
        Ok(())
    }

    fn due(&self, configuration: &Configuration, bundle: &str) -> Due {
        configuration.due(&self.names, bundle)
    }
}

/// Says what is wrong, where that was not what was said last; and when it is over.
fn say(last: &mut Option<String>, trouble: Option<Trouble>) {
    let text = trouble.as_ref().map(ToString::to_string);
    if *last == text {
        return;
    }
    match trouble {
        None => debug!("it is as it should be again"),
        Some(Trouble::Conflict(what)) => debug!(what, "somebody else wrote it as well"),
        Some(Trouble::NoWebhook(..)) => {
            warn!("{}", text.as_deref().unwrap_or_default());
        }
        Some(trouble @ Trouble::Unavailable { .. }) => warn!(error = %trouble, "tried again"),
        Some(trouble) => error!(error = %trouble, "injection does not work"),
    }
    *last = text;
}

/// Says what a failed call means.
enum Failure {
    Absent,
    Denied(String),
    Conflict,
    Unavailable(String),
}

async fn called<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(CALL_MAX, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(match status.code {
            404 => Failure::Absent,
            403 => Failure::Denied(status.message.clone()),
            409 => Failure::Conflict,
            code => Failure::Unavailable(format!("{code}: {}", status.message)),
        }),
        Ok(Err(error)) => Err(Failure::Unavailable(error.to_string())),
        Err(_) => Err(Failure::Unavailable(format!("no answer in {CALL_MAX:?}"))),
    }
}

// === impl Failure ===

impl Failure {
    fn about(self, what: String, verb: &'static str) -> Trouble {
        match self {
            // It was there a moment ago.
            Self::Absent | Self::Conflict => Trouble::Conflict(what),
            Self::Denied(message) => Trouble::Denied { what, verb, message },
            Self::Unavailable(why) => Trouble::Unavailable { what, why },
        }
    }
}

// === impl Trouble ===

impl Trouble {
    /// The Service is not what pods could be told of, and not only out of our sight.
    fn is_of_the_service(&self) -> bool {
        matches!(self, Self::NoService(_) | Self::Headless(_) | Self::NoPort(_))
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
