//! The watches: what Kubernetes says, mapped at arrival to small changes of the index.

use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use rollcall_catalogue::PodUid;
use rollcall_crds::ServiceRegistration;
use rollcall_net::Jitter;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::{
    index::{Change, ObjectKey},
    owner::{IndexHandle, OwnerGone},
};

/// A watch call ends after so many seconds and is started anew: a connection that died unseen costs no longer.
const WATCH_SECONDS: u32 = 60;
/// Errors in a row after which the watcher is thrown away with its resource version, which a server may have
/// forgotten: the next one lists from the start.
const ERRORS_MAX: u32 = 5;
/// The pause before a new watcher, drawn from this range, so that replicas do not list in step.
const RESTART_MAX: Duration = Duration::from_secs(5);
/// The least pause of them: a server in trouble is not helped by haste.
const RESTART_MIN: Duration = Duration::from_millis(500);

/// Says how one kind is watched. Objects are read behind a guard: one that cannot be read stops nothing.
pub(crate) trait Kind: Send + 'static {
    type Object: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static;
    const NAME: &'static str;
    const BEGIN: fn() -> Change;
    const END: fn() -> Change;
    /// What takes the place of a kind that is not installed; none where it always is.
    const ABSENT: Option<&'static str>;

    fn seen(object: &Self::Object) -> Option<Change>;
    fn unreadable(meta: &ObjectMeta) -> Option<Change>;
    fn gone(meta: &ObjectMeta) -> Option<Change>;
}

/// Pods, of all namespaces.
pub(crate) struct Pods;

/// `ServiceRegistration`s, of all namespaces.
pub(crate) struct Registrations;

/// Holds what a watch has come to.
#[derive(Default)]
struct Progress {
    listed: bool,
    absence_told: bool,
}

/// Follows one kind until the owner is gone.
pub(crate) async fn watch<K: Kind>(client: Client, index: IndexHandle) -> Result<(), OwnerGone> {
    let mut jitter = Jitter::from_entropy();
    let mut progress = Progress::default();
    loop {
        follow::<K>(client.clone(), &index, &mut progress).await?;
        sleep(RESTART_MIN + jitter.up_to(RESTART_MAX)).await;
    }
}

/// Follows one watcher until it is to be replaced.
async fn follow<K: Kind>(
    client: Client,
    index: &IndexHandle,
    progress: &mut Progress,
) -> Result<(), OwnerGone> {
    let api = Api::<DeserializeGuard<K::Object>>::all(client);
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let mut events = pin!(watcher::watcher(api, config).default_backoff());
    let mut errors = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                errors = 0;
                if matches!(event, Event::InitDone) {
                    if !progress.listed {
                        info!(kind = K::NAME, "listed");
                    }
                    *progress = Progress { listed: true, absence_told: false };
                }
                if let Some(change) = change::<K>(event) {
                    index.apply(change).await?;
                }
            }
            Err(error) if not_installed(&error) && K::ABSENT.is_some() => {
                absent::<K>(index, progress).await?;
                return Ok(());
            }
            Err(error) => {
                errors += 1;
                warn!(kind = K::NAME, %error, errors, "a watch failed and is tried again");
                if errors >= ERRORS_MAX {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A kind that is not installed has no objects. That is believed only before its first list: later the same answer
/// comes from an API server that is starting, and would take everything out.
async fn absent<K: Kind>(index: &IndexHandle, progress: &mut Progress) -> Result<(), OwnerGone> {
    if !progress.absence_told {
        let meanwhile = K::ABSENT.unwrap_or_default();
        warn!(kind = K::NAME, meanwhile, "its CRD is not installed and is awaited");
        progress.absence_told = true;
    }
    if !progress.listed {
        index.apply((K::BEGIN)()).await?;
        index.apply((K::END)()).await?;
    }
    Ok(())
}

fn not_installed(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    let (InitialListFailed(error) | WatchStartFailed(error)) = error else { return false };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn change<K: Kind>(event: Event<DeserializeGuard<K::Object>>) -> Option<Change> {
    match event {
        Event::Init => Some((K::BEGIN)()),
        Event::InitDone => Some((K::END)()),
        Event::InitApply(DeserializeGuard(Ok(object))) | Event::Apply(DeserializeGuard(Ok(object))) => {
            K::seen(&object)
        }
        Event::InitApply(DeserializeGuard(Err(invalid))) | Event::Apply(DeserializeGuard(Err(invalid))) => {
            let meta = &invalid.metadata;
            warn!(
                kind = K::NAME,
                namespace = meta.namespace,
                name = meta.name,
                error = invalid.error,
                "an object cannot be read: what was known of it stays"
            );
            K::unreadable(meta)
        }
        Event::Delete(DeserializeGuard(Ok(object))) => K::gone(object.meta()),
        Event::Delete(DeserializeGuard(Err(invalid))) => K::gone(&invalid.metadata),
    }
}

// === impl Pods ===

impl Kind for Pods {
    type Object = Pod;
    const NAME: &'static str = "Pod";
    const BEGIN: fn() -> Change = || Change::PodsBegin;
    const END: fn() -> Change = || Change::PodsEnd;
    const ABSENT: Option<&'static str> = None;

    fn seen(pod: &Pod) -> Option<Change> {
        match crate::facts::facts(pod) {
            Ok((facts, problems)) => {
                // A pod is seen about ten times in its life; once it has an address, its annotations are old news.
                if facts.addresses.is_empty() {
                    for problem in problems {
                        warn!(namespace = %facts.namespace, pod = facts.name, %problem, "an annotation is left out");
                    }
                }
                Some(Change::Pod(Box::new(facts)))
            }
            Err(error) => {
                warn!(namespace = pod.metadata.namespace, name = pod.metadata.name, %error, "a pod is left out");
                Self::unreadable(&pod.metadata)
            }
        }
    }

    fn unreadable(meta: &ObjectMeta) -> Option<Change> {
        Some(Change::PodUnreadable(uid(meta)?))
    }

    fn gone(meta: &ObjectMeta) -> Option<Change> {
        Some(Change::PodGone(uid(meta)?))
    }
}

fn uid(meta: &ObjectMeta) -> Option<PodUid> {
    meta.uid.as_deref().map(PodUid::from)
}

// === impl Registrations ===

impl Kind for Registrations {
    type Object = ServiceRegistration;
    const NAME: &'static str = "ServiceRegistration";
    const BEGIN: fn() -> Change = || Change::RegistrationsBegin;
    const END: fn() -> Change = || Change::RegistrationsEnd;
    const ABSENT: Option<&'static str> = Some("pods register by their annotations alone");

    fn seen(object: &ServiceRegistration) -> Option<Change> {
        let key = object_key(&object.metadata)?;
        Some(match rollcall_crds::registration(object) {
            Ok(registration) => {
                debug!(namespace = %key.namespace, name = key.name, "a registration is seen");
                Change::Registration(key, Arc::new(registration))
            }
            Err(error) => {
                warn!(namespace = %key.namespace, name = key.name, %error, "a registration is left out");
                Change::RegistrationUnreadable(key)
            }
        })
    }

    fn unreadable(meta: &ObjectMeta) -> Option<Change> {
        Some(Change::RegistrationUnreadable(object_key(meta)?))
    }

    fn gone(meta: &ObjectMeta) -> Option<Change> {
        Some(Change::RegistrationGone(object_key(meta)?))
    }
}

fn object_key(meta: &ObjectMeta) -> Option<ObjectKey> {
    Some(ObjectKey { namespace: meta.namespace.as_deref()?.parse().ok()?, name: meta.name.clone()? })
}
