//! Apps that fail and that nobody restarts: we take them out of the lookups and no more, and Kubernetes does not look where there
//! is no livenessProbe. After a while a person should hear of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use rollcall_catalogue::{Namespace, PodUid, Reason, ServiceKey, State};

use crate::index::{About, Index, Notice, NoticeReason, ObjectKey, join::Joined};

/// So long an app fails before anybody is told: what a livenessProbe of usual thresholds would have restarted in half of it, and
/// longer than most apps take that come back by themselves.
const LASTING_AFTER_MS: u64 = 120_000;

/// Those that are told of each second: fewer than the Events that are written, so that what is said of others never waits behind
/// the thousands of apps that fail together.
const TOLD_AT_ONCE: usize = 2;

/// What to do about it.
pub(crate) const REMEDY: &str =
    "give the app's container a livenessProbe: Kubernetes restarts it then, and Rollcall never does";

/// Holds the pods whose app fails by its sidecar's word, and that Kubernetes would not restart. `*_ms` are of the owner's clock.
#[derive(Debug, Default)]
pub(super) struct Failing {
    episodes: BTreeMap<PodUid, Episode>,
    /// Those that do not last yet, by when they will.
    young: BTreeSet<(u64, PodUid)>,
    /// Those that last, and nobody was told of.
    untold: BTreeSet<PodUid>,
}

/// Holds one time in which the app of a pod fails, in whatever it serves.
#[derive(Debug)]
struct Episode {
    since_ms: u64,
    /// At least one.
    services: BTreeMap<ServiceKey, Reason>,
}

/// Holds a pod whose app has been failing for a while, and that nobody restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailingPod {
    pub(crate) pod: ObjectKey,
    /// The first by its name, where it is several.
    pub(crate) service: ServiceKey,
    pub(crate) reason: Reason,
    pub(crate) since_ms: u64,
}

/// Whether it is the app that is at fault, by its sidecar's word.
pub(super) fn is_of_app(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::ProbeRefused
            | Reason::ProbeFailed
            | Reason::ListensOnLoopbackOnly
            | Reason::HeartbeatMissed
            | Reason::AppSaysFailing
    )
}

// === impl Failing ===

impl Failing {
    /// In this service, the pod's app fails for this from now on; or does not.
    fn turns(&mut self, uid: &PodUid, key: &ServiceKey, reason: Option<Reason>, now_ms: u64) {
        match (self.episodes.get_mut(uid), reason) {
            (None, None) => {}
            (Some(episode), Some(reason)) => drop(episode.services.insert(key.clone(), reason)),
            (Some(episode), None) => {
                episode.services.remove(key);
                if episode.services.is_empty() {
                    self.forget(uid);
                }
            }
            (None, Some(reason)) => {
                let services = [(key.clone(), reason)].into();
                self.episodes.insert(uid.clone(), Episode { since_ms: now_ms, services });
                self.young.insert((lasts_at_ms(now_ms), uid.clone()));
            }
        }
    }

    /// The pod is gone, or fails in nothing any more.
    pub(super) fn forget(&mut self, uid: &PodUid) {
        if let Some(episode) = self.episodes.remove(uid) {
            self.young.remove(&(lasts_at_ms(episode.since_ms), uid.clone()));
            self.untold.remove(uid);
        }
    }

    /// Time has passed: gives those that a person is to be told of now.
    fn tick(&mut self, now_ms: u64) -> Vec<PodUid> {
        while self.young.first().is_some_and(|(due_ms, _)| *due_ms <= now_ms) {
            self.untold.extend(self.young.pop_first().map(|(_, uid)| uid));
        }
        std::iter::from_fn(|| self.untold.pop_first()).take(TOLD_AT_ONCE).collect()
    }

    /// Those that last, told or not.
    fn lasting(&self) -> impl Iterator<Item = (&PodUid, &Episode)> {
        let is_young = |uid: &PodUid, episode: &Episode| {
            self.young.contains(&(lasts_at_ms(episode.since_ms), uid.clone()))
        };
        self.episodes.iter().filter(move |(uid, episode)| !is_young(uid, episode))
    }

    fn lasting_count(&self) -> usize {
        self.episodes.len() - self.young.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.episodes.is_empty() && self.young.is_empty() && self.untold.is_empty()
    }
}

fn lasts_at_ms(since_ms: u64) -> u64 {
    since_ms.saturating_add(LASTING_AFTER_MS)
}

// === impl Index ===

impl Index {
    /// Compares what a pod has come to in a service with what it had come to before.
    pub(super) fn note_failing(
        &mut self,
        key: &ServiceKey,
        uid: &PodUid,
        joined: Option<&Joined>,
        now_ms: u64,
    ) {
        let nobody_restarts = self.pods.get(uid).is_some_and(|entry| !entry.has_liveness_probe);
        let instances = joined.into_iter().flat_map(|joined| &joined.consolidated).map(|one| &one.instance);
        let mut failing = instances.filter(|one| one.state == State::Failing && is_of_app(&one.reason));
        let reason = failing.next().filter(|_| nobody_restarts).map(|one| one.reason.clone());
        self.failing.turns(uid, key, reason, now_ms);
    }

    /// Tells people of those that have failed for long enough.
    pub(super) fn notice_failing(&mut self, now_ms: u64) {
        for uid in self.failing.tick(now_ms) {
            let Some(FailingPod { pod, service, reason, since_ms }) = self.failing_pod(&uid) else {
                continue;
            };
            let since = i64::try_from(since_ms / 1_000).ok().and_then(|s| Timestamp::from_second(s).ok());
            let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
            let message = format!(
                "{reason} in `{service}`{since}, and none of its app's containers has a livenessProbe; {REMEDY}"
            );
            let about = About::Pod { object: pod, uid: (*uid.text()).into() };
            self.notice(Notice { about, reason: NoticeReason::AppFailing, message });
        }
    }

    /// How many have failed for long enough.
    pub(crate) fn failing_count(&self) -> usize {
        self.failing.lasting_count()
    }

    /// The first so many of them, by namespace and name, of one namespace or of all; and how many there are.
    pub(crate) fn failing(&self, namespace: Option<&Namespace>, max: usize) -> (Vec<FailingPod>, usize) {
        let all = self.failing.lasting().filter_map(|(uid, _)| self.failing_pod(uid));
        let mut wanted: Vec<_> =
            all.filter(|one| namespace.is_none_or(|only| *only == one.pod.namespace)).collect();
        wanted.sort_unstable_by(|one, other| one.pod.cmp(&other.pod));
        let total = wanted.len();
        wanted.truncate(max);
        (wanted, total)
    }

    fn failing_pod(&self, uid: &PodUid) -> Option<FailingPod> {
        let (facts, episode) = (self.pod(uid)?, self.failing.episodes.get(uid)?);
        let (service, reason) = episode.services.first_key_value()?;
        let pod = ObjectKey { namespace: facts.namespace.clone(), name: facts.name.clone() };
        let (service, reason) = (service.clone(), reason.clone());
        Some(FailingPod { pod, service, reason, since_ms: episode.since_ms })
    }
}
