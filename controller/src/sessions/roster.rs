//! Who subscribes to what, and how far each has come: so that a change wakes those whom it concerns, and a pod that
//! goes knows when nobody calls it any more. Values and functions, no IO.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rollcall_catalogue::{Namespace, ServiceKey};
use rollcall_wire::ServiceUsage;
use tokio::time::Instant;

use super::consumers::Use;

/// Sessions that all drains together wait for: 128 pods that go at once, each called by 2,000. A wait is a few dozen
/// bytes on either side; a drain that would need more is told at once who has not acknowledged yet.
const WAITS_MAX: usize = 128 * 2_000;

/// Pods that a drain names as late: enough for a person to see which, and a frame stays small.
const LATE_MAX: usize = 32;

/// Names a session of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// Names a drain of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrainId(u64);

/// Holds the live sessions, by what they subscribe to, and the drains that wait for them.
#[derive(Debug, Default)]
pub struct Roster {
    members: HashMap<SessionId, Member>,
    subscribers: HashMap<ServiceKey, BTreeSet<SessionId>>,
    summaries: BTreeSet<SessionId>,
    drains: BTreeMap<DrainId, Drain>,
    /// The sum of what the drains wait for.
    waits: usize,
    given: u64,
}

/// Holds what is known of one session.
#[derive(Debug)]
struct Member {
    /// As `namespace/name`.
    pod: Arc<str>,
    /// With how each is used, as far as that was said.
    subscriptions: BTreeMap<ServiceKey, Option<Box<Use>>>,
    /// All of the catalogue up to this number of the feed is applied there, as far as it concerns this session.
    in_step: u64,
    awaited_by: BTreeSet<DrainId>,
}

#[derive(Debug)]
struct Drain {
    services: Vec<ServiceKey>,
    number: u64,
    late: BTreeSet<SessionId>,
    acked: u32,
}

/// Holds a drain that has begun.
#[derive(Debug, PartialEq, Eq)]
pub struct Begun {
    pub id: DrainId,
    /// These are waited for: they are to look whether they are in step.
    pub awaited: Vec<SessionId>,
    /// Somebody is late, whether or not there is room to wait for them; otherwise the answer is there already.
    pub is_late: bool,
}

/// Says how far a drain has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub acked: u32,
    /// Those who called the pod's services when the drain began, and are still there.
    pub subscribers: u32,
    /// Pods, as `namespace/name`; not all where they are many.
    pub late: Vec<String>,
}

// === impl Outcome ===

impl Outcome {
    /// What is not known, of those in session with one replica: it is never complete.
    pub fn unknown() -> Self {
        Self { acked: 0, subscribers: 1, late: Vec::new() }
    }

    /// Of those here and there.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.acked = self.acked.saturating_add(other.acked);
        self.subscribers = self.subscribers.saturating_add(other.subscribers);
        self.late.extend(other.late);
        self.late.truncate(LATE_MAX);
        self
    }

    pub fn is_complete(&self) -> bool {
        self.acked == self.subscribers
    }
}

// === impl Roster ===

impl Roster {
    /// A session of this pod, which subscribes to nothing so far.
    pub fn joined(&mut self, namespace: &Namespace, pod_name: &str) -> SessionId {
        let id = SessionId(self.next());
        let pod = format!("{namespace}/{pod_name}").into();
        let member = Member { pod, subscriptions: BTreeMap::new(), in_step: 0, awaited_by: BTreeSet::new() };
        self.members.insert(id, member);
        id
    }

    /// The session has ended; gives the drains that wait for nobody any more.
    pub fn left(&mut self, id: SessionId) -> Vec<DrainId> {
        let Some(member) = self.members.remove(&id) else { return Vec::new() };
        self.summaries.remove(&id);
        for key in member.subscriptions.keys() {
            self.forget(key, id);
        }
        member.awaited_by.into_iter().filter(|drain| self.no_longer_late(*drain, id, false)).collect()
    }

    /// It may hold these from earlier, in any state: it is in step again when it says so after this.
    pub fn subscribed(&mut self, id: SessionId, keys: impl IntoIterator<Item = ServiceKey>) {
        self.fell_behind(id);
        let Some(member) = self.members.get_mut(&id) else { return };
        for key in keys {
            // The name is held once, however many subscribe to it.
            let key = self.subscribers.get_key_value(&key).map_or(key, |(held, _)| held.clone());
            self.subscribers.entry(key.clone()).or_default().insert(id);
            member.subscriptions.entry(key).or_default();
        }
    }

    /// Nothing that it has said so far says what it holds.
    pub fn fell_behind(&mut self, id: SessionId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.in_step = 0;
        }
    }

    /// Gives the drains that wait for nobody any more: who has dropped a service does not call it.
    pub fn unsubscribed(
        &mut self,
        id: SessionId,
        keys: impl IntoIterator<Item = ServiceKey>,
    ) -> Vec<DrainId> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        let dropped: Vec<_> = keys
            .into_iter()
            .filter_map(|key| member.subscriptions.remove_entry(&key))
            .map(|(key, _)| key)
            .collect();
        let calls = |drain: &Drain| drain.services.iter().any(|key| member.subscriptions.contains_key(key));
        let free = member.awaited_by.iter().copied();
        let free: Vec<_> =
            free.filter(|drain| self.drains.get(drain).is_some_and(|drain| !calls(drain))).collect();
        member.awaited_by.retain(|drain| !free.contains(drain));
        for key in &dropped {
            self.forget(key, id);
        }
        free.into_iter().filter(|drain| self.no_longer_late(*drain, id, false)).collect()
    }

    /// So has its app used these; of what it does not subscribe to, nothing is kept.
    pub fn used(&mut self, id: SessionId, said: Vec<ServiceUsage>, now: Instant) {
        let Some(member) = self.members.get_mut(&id) else { return };
        for usage in said {
            if let Some(held) = member.subscriptions.get_mut(&usage.service) {
                *held = Some(Box::new(Use::of(&usage, now)));
            }
        }
    }

    /// Who subscribes to this service, as `namespace/name`, and how each uses it.
    pub(crate) fn consumers(
        &self,
        key: &ServiceKey,
    ) -> impl Iterator<Item = (SessionId, &Arc<str>, Option<&Use>)> {
        self.subscribers.get(key).into_iter().flatten().filter_map(|id| {
            let member = self.members.get(id)?;
            Some((*id, &member.pod, member.subscriptions.get(key)?.as_deref()))
        })
    }

    /// How many subscribe to this service.
    pub fn consumer_count(&self, key: &ServiceKey) -> usize {
        self.subscribers.get(key).map_or(0, BTreeSet::len)
    }

    /// How many there are of all services.
    pub fn subscriptions(&self) -> usize {
        self.subscribers.values().map(BTreeSet::len).sum()
    }

    pub fn wants_summary(&mut self, id: SessionId, wanted: bool) {
        if !wanted {
            self.summaries.remove(&id);
        } else if self.members.contains_key(&id) {
            self.summaries.insert(id);
        }
    }

    /// This session has applied everything up to this number of the feed; gives the drains that wait for nobody any
    /// more.
    pub fn acked(&mut self, id: SessionId, number: u64) -> Vec<DrainId> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        member.in_step = member.in_step.max(number);
        let in_step = member.in_step;
        let reached = |drain: &DrainId| self.drains.get(drain).is_none_or(|held| held.number <= in_step);
        let reached: Vec<_> = member.awaited_by.iter().copied().filter(reached).collect();
        member.awaited_by.retain(|drain| !reached.contains(drain));
        reached.into_iter().filter(|drain| self.no_longer_late(*drain, id, true)).collect()
    }

    /// Those whom a change of these services concerns.
    pub fn subscribers_of<'a>(&self, keys: impl IntoIterator<Item = &'a ServiceKey>) -> BTreeSet<SessionId> {
        keys.into_iter().filter_map(|key| self.subscribers.get(key)).flatten().copied().collect()
    }

    /// Those who hold the list of all services.
    pub fn summary_readers(&self) -> impl Iterator<Item = SessionId> {
        self.summaries.iter().copied()
    }

    pub fn all(&self) -> impl Iterator<Item = SessionId> {
        self.members.keys().copied()
    }

    /// Whether it has applied all that it was to know, after it asked for the last.
    pub fn is_in_step(&self, id: SessionId) -> bool {
        self.members.get(&id).is_some_and(|member| member.in_step > 0)
    }

    /// Waits for all who subscribe to one of these services now until they have applied this number; the pod's own
    /// session, where it is here, is not asked. Who may not see the service is asked as well: it may have been told of it before, and calls
    /// the pod until it has applied that this is over. If not, nothing is on its way to it, and it is in step at once.
    pub fn begin(&mut self, services: Vec<ServiceKey>, number: u64, asker: Option<SessionId>) -> Begun {
        let id = DrainId(self.next());
        let subscribers: BTreeSet<SessionId> = services
            .iter()
            .filter_map(|key| self.subscribers.get(key))
            .flatten()
            .copied()
            .filter(|session| Some(*session) != asker)
            .collect();
        let is_late =
            |session: &SessionId| self.members.get(session).is_some_and(|member| member.in_step < number);
        let (late, acked): (BTreeSet<_>, BTreeSet<_>) = subscribers.into_iter().partition(is_late);
        let awaited: Vec<_> =
            if self.waits + late.len() > WAITS_MAX { Vec::new() } else { late.iter().copied().collect() };
        for session in &awaited {
            if let Some(member) = self.members.get_mut(session) {
                member.awaited_by.insert(id);
            }
        }
        self.waits += awaited.len();
        let acked = u32::try_from(acked.len()).unwrap_or(u32::MAX);
        let is_late = !late.is_empty();
        self.drains.insert(id, Drain { services, number, late, acked });
        Begun { id, awaited, is_late }
    }

    /// The drain is over, whether or not everyone has acknowledged.
    pub fn end(&mut self, id: DrainId) -> Outcome {
        let Some(drain) = self.drains.remove(&id) else { return Outcome::default() };
        let mut late = Vec::new();
        for session in &drain.late {
            let Some(member) = self.members.get_mut(session) else { continue };
            if member.awaited_by.remove(&id) {
                self.waits -= 1;
            }
            if late.len() < LATE_MAX {
                late.push(member.pod.to_string());
            }
        }
        let outstanding = u32::try_from(drain.late.len()).unwrap_or(u32::MAX);
        Outcome { acked: drain.acked, subscribers: drain.acked.saturating_add(outstanding), late }
    }

    /// Whether nobody is late any more, now that this session is not.
    fn no_longer_late(&mut self, drain: DrainId, id: SessionId, acked: bool) -> bool {
        self.waits -= 1;
        let Some(drain) = self.drains.get_mut(&drain) else { return false };
        drain.late.remove(&id);
        drain.acked += u32::from(acked);
        drain.late.is_empty()
    }

    fn forget(&mut self, key: &ServiceKey, id: SessionId) {
        if let Some(subscribers) = self.subscribers.get_mut(key) {
            subscribers.remove(&id);
            if subscribers.is_empty() {
                self.subscribers.remove(key);
            }
        }
    }

    fn next(&mut self) -> u64 {
        self.given += 1;
        self.given
    }
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
