//! The watches: what Kubernetes says, mapped at arrival to small changes of the index.

use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    core::DeserializeGuard,
    runtime::watcher::{self, Event},
};
use rollcall_catalogue::PodUid;
use rollcall_crds::ServiceRegistration;
use rollcall_net::{Backoff, Jitter};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::{
    index::{Change, Key, Kind as Of, Object, ObjectKey, StatusDigest},
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

/// A page of 500 objects takes less than a second; a list that gives nothing for so long is begun anew.
const LIST_MAX: Duration = Duration::from_secs(30);
/// A watch of a quiet cluster shows that it works by nothing but its not failing. No failing call takes so long, its
/// pause included.
const FORGIVEN_AFTER: Duration = Duration::from_secs(300);

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

/// Holds what a watch has come to, over all its watchers.
struct Progress {
    listed: bool,
    absence_told: bool,
    failures: Failures,
}

/// Holds how long to wait after the next failure.
struct Failures {
    backoff: Backoff,
    jitter: Jitter,
    last: Option<Instant>,
}

/// What a watcher says.
trait Events<K: Kind>: Stream<Item = watcher::Result<Event<DeserializeGuard<K::Object>>>> {}

impl<K: Kind, S: Stream<Item = watcher::Result<Event<DeserializeGuard<K::Object>>>>> Events<K> for S {}

/// Follows one kind until the owner is gone.
pub(crate) async fn watch<K: Kind>(client: Client, index: IndexHandle) -> Result<(), OwnerGone> {
    let mut jitter = Jitter::from_entropy();
    let mut progress = Progress::new(Jitter::from_entropy());
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
    // Our own back-off: kube's begins anew with every good event, and a list that fails for ever has one, its `Init`.
    consume::<K>(watcher::watcher(api, config), index, progress).await
}

async fn consume<K: Kind>(
    events: impl Events<K>,
    index: &IndexHandle,
    progress: &mut Progress,
) -> Result<(), OwnerGone> {
    let mut events = pin!(events);
    let mut errors = 0;
    let mut listing = true;
    loop {
        let event = if listing {
            let Ok(event) = timeout(LIST_MAX, events.next()).await else {
                let pause = progress.failures.pause(Instant::now());
                warn!(kind = K::NAME, limit = ?LIST_MAX, ?pause, "a list stands still and is begun anew");
                sleep(pause).await;
                return Ok(());
            };
            event
        } else {
            // A quiet watch says nothing for as long as nothing happens; its calls end by themselves.
            events.next().await
        };
        match event {
            None => return Ok(()),
            Some(Ok(event)) => {
                match event {
                    Event::Init => listing = true,
                    // Still nothing proven: the next page may fail.
                    Event::InitApply(_) => {}
                    Event::InitDone => {
                        listing = false;
                        errors = 0;
                        if !progress.listed {
                            info!(kind = K::NAME, "listed");
                        }
                        progress.worked();
                    }
                    Event::Apply(_) | Event::Delete(_) => {
                        errors = 0;
                        progress.failures.forgive();
                    }
                }
                if let Some(change) = change::<K>(event) {
                    index.apply(change).await?;
                }
            }
            Some(Err(error)) if not_installed(&error) && K::ABSENT.is_some() => {
                absent::<K>(index, progress).await?;
                return Ok(());
            }
            Some(Err(error)) => {
                errors += 1;
                let pause = progress.failures.pause(Instant::now());
                warn!(kind = K::NAME, %error, errors, ?pause, "a watch failed and is tried again");
                sleep(pause).await;
                if errors >= ERRORS_MAX {
                    return Ok(());
                }
            }
        }
    }
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

// === impl Progress ===

impl Progress {
    fn new(jitter: Jitter) -> Self {
        let failures = Failures { backoff: Backoff::default(), jitter, last: None };
        Self { listed: false, absence_told: false, failures }
    }

    /// A list came to its end.
    fn worked(&mut self) {
        (self.listed, self.absence_told) = (true, false);
        self.failures.forgive();
    }
}

// === impl Failures ===

impl Failures {
    /// The pause after a failure at this moment: it grows with each that follows another.
    fn pause(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) >= FORGIVEN_AFTER) {
            self.forgive();
        }
        self.last = Some(now);
        self.backoff.next(&mut self.jitter)
    }

    /// Something worked that failures would have kept from working.
    fn forgive(&mut self) {
        self.backoff.reset();
    }
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
    const BEGIN: fn() -> Change = || Change::ListBegins(Of::Pod);
    const END: fn() -> Change = || Change::ListEnds(Of::Pod);
    const ABSENT: Option<&'static str> = None;

    fn seen(pod: &Pod) -> Option<Change> {
        match crate::kubernetes::pod::facts(pod) {
            Ok((facts, problems)) => {
                // A pod is seen about ten times in its life; once it has an address, its annotations are old news.
                if facts.addresses.is_empty() {
                    for problem in problems {
                        warn!(namespace = %facts.namespace, pod = %facts.name, %problem, "an annotation is left out");
                    }
                }
                Some(Change::Pod(Box::new(crate::index::PodSeen {
                    facts,
                    turned_ms: None,
                    problems: Vec::new(),
                })))
            }
            Err(error) => {
                warn!(namespace = pod.metadata.namespace, name = pod.metadata.name, %error, "a pod is left out");
                Self::unreadable(&pod.metadata)
            }
        }
    }

    fn unreadable(meta: &ObjectMeta) -> Option<Change> {
        Some(Change::Unreadable(Key::Pod(uid(meta)?)))
    }

    fn gone(meta: &ObjectMeta) -> Option<Change> {
        Some(Change::Gone(Key::Pod(uid(meta)?)))
    }
}

fn uid(meta: &ObjectMeta) -> Option<PodUid> {
    meta.uid.as_deref().map(PodUid::from)
}

// === impl Registrations ===

impl Kind for Registrations {
    type Object = ServiceRegistration;
    const NAME: &'static str = "ServiceRegistration";
    const BEGIN: fn() -> Change = || Change::ListBegins(Of::Registration);
    const END: fn() -> Change = || Change::ListEnds(Of::Registration);
    const ABSENT: Option<&'static str> = Some("pods register by their annotations alone");

    fn seen(object: &ServiceRegistration) -> Option<Change> {
        let key = object_key(&object.metadata)?;
        Some(match rollcall_crds::registration(object) {
            Ok(registration) => {
                debug!(namespace = %key.namespace, name = %key.name, "a registration is seen");
                Change::Registration(
                    key,
                    Box::new(Object {
                        uid: object.metadata.uid.clone().unwrap_or_default().into(),
                        generation: object.metadata.generation.unwrap_or_default(),
                        managed: false,
                        told: StatusDigest::default(),
                        registration: Ok(Arc::new(registration)),
                    }),
                )
            }
            Err(error) => {
                warn!(namespace = %key.namespace, name = %key.name, %error, "a registration is left out");
                Change::Unreadable(Key::Registration(key))
            }
        })
    }

    fn unreadable(meta: &ObjectMeta) -> Option<Change> {
        Some(Change::Unreadable(Key::Registration(object_key(meta)?)))
    }

    fn gone(meta: &ObjectMeta) -> Option<Change> {
        Some(Change::Gone(Key::Registration(object_key(meta)?)))
    }
}

fn object_key(meta: &ObjectMeta) -> Option<ObjectKey> {
    Some(ObjectKey {
        namespace: meta.namespace.as_deref()?.parse().ok()?,
        name: meta.name.as_deref()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use rollcall_net::shutdown;

    use super::*;
    use crate::owner::owner;

    fn index() -> IndexHandle {
        let (owner, index) = owner();
        let (trigger, ear) = shutdown();
        tokio::spawn(async move {
            owner.run(ear).await;
            drop(trigger);
        });
        index
    }

    /// What the watcher says of an API server that answers each list with an error.
    fn failing() -> impl Events<Pods> {
        let round = || [Ok(Event::Init), Err(watcher::Error::NoResourceVersion)];
        stream::iter(std::iter::repeat_with(round).flatten()).boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_fails_for_ever_is_tried_ever_more_rarely() {
        let (index, mut progress) = (index(), Progress::new(Jitter::new(7)));
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let begin = Instant::now();
            consume::<Pods>(failing(), &index, &mut progress).await.unwrap();
            pauses.push(begin.elapsed());
        }
        let late: Duration = pauses.iter().rev().take(10).sum();
        assert!(late > Duration::from_secs(8 * 50), "50 tries, 15 s apart on average: {pauses:?}");
        assert!(!progress.listed);

        let listed = stream::iter([Ok(Event::Init), Ok(Event::InitDone)]);
        consume::<Pods>(listed, &index, &mut progress).await.unwrap();
        let pause = progress.failures.pause(Instant::now());
        assert!(progress.listed && pause <= Duration::from_secs(1), "a good list begins anew: {pause:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_stands_still_is_begun_anew_and_a_quiet_watch_is_not() {
        let (index, mut progress) = (index(), Progress::new(Jitter::new(7)));
        let stuck = stream::iter([Ok(Event::Init)]).chain(stream::pending());
        let begin = Instant::now();
        consume::<Pods>(stuck, &index, &mut progress).await.unwrap();
        assert!(begin.elapsed() >= LIST_MAX);
        let quiet = stream::iter([Ok(Event::Init), Ok(Event::InitDone)]).chain(stream::pending());
        let followed = timeout(LIST_MAX * 100, consume::<Pods>(quiet, &index, &mut progress)).await;
        assert!(followed.is_err(), "followed for as long as it lives");
    }

    #[test]
    fn rare_failures_are_not_added_up() {
        let mut failures = Progress::new(Jitter::new(7)).failures;
        let mut now = Instant::now();
        for _ in 0..100 {
            assert!(failures.pause(now) <= Duration::from_secs(1));
            now += FORGIVEN_AFTER;
        }
    }
}
