//! The registrations that we write ourselves, so that people see with `kubectl` what the catalogue has without them.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use rollcall_catalogue::{Port, Transport};
use rollcall_crds::{
    LabelSelector, Port as SpecPort, ServiceRegistration, ServiceRegistrationSpec, ServiceTarget, Target,
};
use rollcall_net::Jitter;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{debug, info, warn};

use super::{
    FIELD_MANAGER, KEEP_EVERY,
    api::{Failure, call},
    keeper::{Keeper, Step},
    pace::Pause,
    source::Source,
};
use crate::{
    index::{ManagedSpec, ObjectKey, Origin},
    lease::{Leadership, Term},
    operate::{WriteCounts, WriteKind},
    owner::OwnerGone,
};

/// The label that says who wrote an object; a person who takes one over removes it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// What that label says of ours.
pub const MANAGED_BY_US: &str = "rollcall-controller";
/// The label of a pod that names its service.
pub const SERVICE_LABEL: &str = "rollcall.dev/service";
/// The name of a port that nobody named: the schema asks for one.
const UNNAMED_PORT: &str = "primary";

/// Creates what is missing and deletes what nobody wants any more, in each term that we come to.
pub(super) async fn run<S: Source>(
    client: Client,
    source: S,
    mut leadership: Leadership,
    counts: Arc<WriteCounts>,
) -> Result<(), OwnerGone> {
    loop {
        let term = leadership.held().await;
        let keeping =
            Keeping { client: client.clone(), leadership: leadership.clone(), term, counts: &counts };
        tokio::select! {
            ended = keeping.keep(&source) => ended?,
            () = leadership.over(term) => {}
        }
    }
}

/// The object that says so.
pub(super) fn object(key: &ObjectKey, spec: &ManagedSpec) -> ServiceRegistration {
    let service = spec.service.service.to_string();
    let mut written = ServiceRegistrationSpec {
        service: Some(service.clone()),
        version: None,
        target: Target::default(),
        ports: Vec::new(),
        tags: [].into(),
        metadata: [].into(),
        weight: None,
        probe: None,
        heartbeat: None,
        load_balancing: None,
        visibility: None,
    };
    let mut owners = None;
    match &spec.origin {
        Origin::Pods { version, ports } => {
            let match_labels = [(SERVICE_LABEL.to_owned(), service)].into();
            written.target.selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
            written.version = version.as_ref().map(ToString::to_string);
            written.ports = ports.iter().map(port).collect();
        }
        Origin::Service { name, uid } => {
            written.target.service = Some(ServiceTarget { name: name.to_string() });
            // Never in the way of the Service's own deletion, and deleted with it.
            owners = Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                name: name.to_string(),
                uid: uid.to_string(),
                block_owner_deletion: None,
                controller: None,
            }]);
        }
    }
    let metadata = ObjectMeta {
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY_US.to_owned())].into()),
        owner_references: owners,
        ..ObjectMeta::default()
    };
    ServiceRegistration { metadata, spec: written, status: None }
}

/// Holds what one term's work needs.
struct Keeping<'a> {
    client: Client,
    leadership: Leadership,
    term: Term,
    counts: &'a WriteCounts,
}

fn port(port: &Port) -> SpecPort {
    let protocol = match port.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Sctp => "SCTP",
    };
    SpecPort {
        name: port.name.as_deref().unwrap_or(UNNAMED_PORT).to_owned(),
        port: i32::from(port.port),
        protocol: protocol.to_owned(),
        app_protocol: port.app_protocol.as_deref().map(str::to_owned),
    }
}

// === impl Keeping ===

impl Keeping<'_> {
    async fn keep<S: Source>(&self, source: &S) -> Result<(), OwnerGone> {
        let mut keeper = Keeper::new(Jitter::from_entropy());
        let mut pause = Pause::new(Jitter::from_entropy());
        let mut round = interval(KEEP_EVERY);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            sleep_until(pause.over_at(Instant::now())).await;
            let Some(managed) = source.managed().await? else { continue };
            for step in keeper.plan(&managed, Instant::now()) {
                // Before each write, since those before it took their time.
                if !self.leadership.lasts(self.term) {
                    return Ok(());
                }
                if !self.take(&step, &mut pause).await {
                    keeper.unanswered(step.object(), Instant::now());
                    break;
                }
                keeper.rest(step.object(), Instant::now());
            }
        }
    }

    /// Whether the API server answered: if not, the rest of the round is left to a later one.
    async fn take(&self, step: &Step, pause: &mut Pause) -> bool {
        let ObjectKey { namespace, name } = step.object();
        let result = self.write(step).await;
        if let Err(failure @ Failure::Unavailable(_)) = &result {
            warn!(%namespace, name = %name, %failure, "a managed registration is not seen to");
            pause.failed(Instant::now());
            return false;
        }
        pause.answered();
        match (step, result) {
            (Step::Create(..), Ok(())) => {
                info!(%namespace, name = %name, "a managed registration is created");
            }
            (Step::Delete { .. }, Ok(())) => {
                info!(%namespace, name = %name, "a managed registration is deleted: nobody wants it any more");
            }
            (_, Err(failure @ (Failure::Refused(_) | Failure::Denied(_)))) => {
                warn!(%namespace, name = %name, %failure, "a managed registration is left alone");
            }
            // Somebody else's of that name, or one that was made anew or deleted meanwhile: not ours to touch.
            (_, Err(failure)) => {
                debug!(%namespace, name = %name, %failure, "a managed registration is left alone");
            }
        }
        true
    }

    async fn write(&self, step: &Step) -> Result<(), Failure> {
        let api =
            Api::<ServiceRegistration>::namespaced(self.client.clone(), step.object().namespace.as_str());
        self.counts.count(WriteKind::Registration);
        match step {
            Step::Create(key, spec) => {
                // Not applied: that would take over an object of this name which a person wrote.
                let params =
                    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                call(api.create(&params, &object(key, spec))).await.map(drop)
            }
            Step::Delete { object, uid } => {
                let preconditions = Preconditions { resource_version: None, uid: Some(uid.to_string()) };
                let params = DeleteParams::default().preconditions(preconditions);
                call(api.delete(&object.name, &params)).await.map(drop)
            }
        }
    }
}

#[cfg(test)]
#[path = "managed_tests.rs"]
mod tests;
