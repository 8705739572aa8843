//! The session clock of all pods: a queue of deadlines instead of a scan, and the guard that is asked before anybody
//! is judged.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use rollcall_catalogue::{
    Few, PodUid,
    liveness::{
        Assessment, FreezeCause, Guard, NodeView, OwnHealth, RegistryHealth, SessionFacts, SessionWitness,
        Ticks,
    },
};

use crate::index::{Index, NodeFacts, PodEntry, endpoints::OwnerId, sessions::is_doubt};

/// How often the guard looks, whatever happens.
const ASSESSED_EVERY_MS: u64 = 1_000;

/// Deadlines within this time are one: the guard looks at all sessions for each, and of the second that the promise of
/// 10 s leaves to the way to the sidecars this takes a twentieth.
const DEADLINE_STEP_MS: u64 = 50;

/// Holds when whose witness changes by time alone, and what the guard remembers. `*_ms` are of the owner's clock.
#[derive(Debug, Default)]
pub(super) struct SessionClock {
    /// The pods that ever had a session, here or elsewhere: the guard looks at these alone.
    pods: HashSet<PodUid>,
    /// One for each of them at most.
    deadlines: BTreeSet<(u64, PodUid)>,
    /// Since when Kubernetes does not see these nodes.
    unknown_since_ms: BTreeMap<Arc<str>, u64>,
    /// The latest time that came in.
    now_ms: u64,
    ticks: Ticks,
    watches_stale: bool,
    guard: Guard,
    assessment: Assessment,
    /// When all sessions were looked at last.
    looked_at_ms: Option<u64>,
    /// A node has turned since: before its pods are judged, the guard has to look.
    outdated: bool,
    /// Kubernetes' facts decide alone.
    pub(super) observes: bool,
}

// === impl SessionClock ===

impl SessionClock {
    /// Time comes in with what happens.
    pub(super) fn reaches(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Whether we stood still so lately that silence was our own.
    pub(super) fn recovers(&self, now_ms: u64) -> bool {
        self.ticks.recovering(now_ms)
    }

    /// The latest time that came in.
    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// A pod has a session, here or elsewhere.
    pub(super) fn meets(&mut self, uid: &PodUid) {
        self.pods.insert(uid.clone());
    }

    pub(super) fn forget(&mut self, uid: &PodUid, due_ms: Option<u64>) {
        self.pods.remove(uid);
        self.reschedule(uid, due_ms, None);
    }

    pub(super) fn reschedule(&mut self, uid: &PodUid, before_ms: Option<u64>, after_ms: Option<u64>) {
        if before_ms == after_ms {
            return;
        }
        if let Some(before_ms) = before_ms {
            self.deadlines.remove(&(before_ms, uid.clone()));
        }
        if let Some(after_ms) = after_ms {
            self.deadlines.insert((after_ms, uid.clone()));
        }
    }

    /// Kubernetes sees a node, or has lost it; or another replica stands differently.
    pub(super) fn node_turned(&mut self) {
        self.outdated = true;
    }

    /// How far what is not heard of a pod may be trusted.
    pub(super) fn health(&self, node: Option<&str>, last_word_ms: Option<u64>) -> RegistryHealth {
        match self.observes {
            true => RegistryHealth::Observing,
            false => self.assessment.health(node, last_word_ms),
        }
    }

    /// How far it could be trusted, where it is only observed.
    pub(super) fn unobserved(&self, node: Option<&str>, facts: &SessionFacts) -> Option<RegistryHealth> {
        self.observes.then(|| self.assessment.health(node, facts.last_word_ms(self.now_ms)))
    }

    /// Those whose time has come.
    fn due(&self, now_ms: u64) -> Vec<PodUid> {
        let due = self.deadlines.iter().take_while(|(due_ms, _)| *due_ms <= now_ms);
        due.map(|(_, uid)| uid.clone()).collect()
    }

    /// Since when Kubernetes does not see which node. It is looked at once a second, which is exact enough for a matter
    /// of 15 s.
    fn look_at_nodes<'a>(&mut self, now_ms: u64, nodes: impl Iterator<Item = (&'a Arc<str>, &'a NodeFacts)>) {
        let mut before = std::mem::take(&mut self.unknown_since_ms);
        let unknown = nodes.filter(|(_, facts)| facts.unknown);
        self.unknown_since_ms = unknown
            .map(|(name, _)| before.remove_entry(name).unwrap_or_else(|| (name.clone(), now_ms)))
            .collect();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.deadlines.is_empty()
    }
}

// === impl Index ===

impl Index {
    /// The same index, to which Kubernetes' facts decide alone.
    #[must_use]
    pub fn observing(mut self, observes: bool) -> Self {
        self.clock.observes = observes;
        self
    }

    /// Why sessions evict nobody now; empty while they do.
    pub fn freezes(&self) -> impl Iterator<Item = FreezeCause> + '_ {
        self.clock.assessment.causes()
    }

    /// When [`Self::tick`] is to be called, at the latest.
    pub fn wakes_at_ms(&self, now_ms: u64) -> u64 {
        let next_ms = self.clock.looked_at_ms.map_or(now_ms, |at_ms| at_ms.saturating_add(ASSESSED_EVERY_MS));
        let deadline_ms = self
            .clock
            .deadlines
            .first()
            .map(|(due_ms, _)| due_ms.checked_next_multiple_of(DEADLINE_STEP_MS).unwrap_or(*due_ms));
        deadline_ms.map_or(next_ms, |deadline_ms| deadline_ms.min(next_ms))
    }

    /// Time has passed. `heard` has the last frames of the open sessions, and `watches_stale` says that Kubernetes is
    /// not heard. Gives the pods whose open session is doubted or late from now on: its next frame is news.
    pub fn tick(
        &mut self,
        now_ms: u64,
        watches_stale: bool,
        heard: impl Fn(&PodUid) -> Option<u64>,
    ) -> Vec<PodUid> {
        self.clock.reaches(now_ms);
        self.clock.ticks.tick(now_ms);
        self.clock.watches_stale = watches_stale;
        let mut doubted = Vec::new();
        for uid in self.clock.due(now_ms) {
            if let Some(heard_ms) = heard(&uid) {
                self.note_heard(&uid, heard_ms);
            }
            let session = self.pods.get(&uid).and_then(|entry| entry.session.as_ref());
            match session.map(|session| session.facts.witness(now_ms) != session.witness) {
                Some(true) => doubted.push(uid),
                _ => self.settle_session(&uid, now_ms, false),
            }
        }
        let last_ms = self.clock.looked_at_ms;
        let its_time = last_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= ASSESSED_EVERY_MS);
        if doubted.is_empty() && !its_time {
            return doubted;
        }
        let known: Vec<_> = self.clock.pods.iter().cloned().collect();
        let mut late = Vec::new();
        for uid in known {
            if let Some(heard_ms) = heard(&uid) {
                self.heard(&uid, heard_ms, now_ms);
                if self.note_lateness(&uid, now_ms) {
                    late.push(uid);
                }
            }
        }
        if self.complete() {
            self.sharing.early.tidy(now_ms, !watches_stale);
            self.early_answers.tidy(now_ms, !watches_stale);
        }
        self.clock.looked_at_ms = Some(now_ms);
        self.notice_failing(now_ms);
        self.assess();
        doubted.iter().for_each(|uid| self.settle_session(uid, now_ms, true));
        let is_open = |uid: &PodUid| {
            let session = self.pods.get(uid).and_then(|entry| entry.session.as_ref());
            session.is_some_and(|session| session.is_open() && is_doubt(session.witness))
        };
        doubted.retain(is_open);
        doubted.extend(late);
        doubted
    }

    /// When this pod was last heard, as far as it was taken note of.
    pub(super) fn last_word_ms(&self, entry: &PodEntry) -> Option<u64> {
        entry.session.as_ref()?.facts.last_word_ms(self.clock.now_ms)
    }

    /// Asks the guard where something has changed that it has not seen: before anybody is joined.
    pub(super) fn assess_if_outdated(&mut self) {
        if self.clock.outdated {
            self.assess();
        }
    }

    fn assess(&mut self) {
        let now_ms = self.clock.now_ms;
        // Half a list of nodes is no loss of the other half.
        if !self.complete() {
            return;
        }
        self.clock.outdated = false;
        self.clock.look_at_nodes(now_ms, self.nodes.iter());
        let views = self.node_views(now_ms);
        let own = OwnHealth {
            recovering: self.clock.recovers(now_ms),
            watches_stale: self.clock.watches_stale,
            peers_unheard_since_ms: self.sharing.unheard_since_ms(),
            unheard_peer_lost_ms: self.sharing.unheard_lost_ms,
        };
        let after = self.clock.guard.assess(now_ms, &views, own).clone();
        let before = std::mem::replace(&mut self.clock.assessment, after);
        if before != self.clock.assessment {
            self.mark_reassessed(&before);
            self.notice_freeze(&before);
        }
    }

    /// What the guard is to know of each node: a node of which there is no session has no say, but is one.
    fn node_views(&self, now_ms: u64) -> BTreeMap<Arc<str>, NodeView> {
        let since_ms = |name: &Arc<str>| self.clock.unknown_since_ms.get(name).copied();
        let mut views: BTreeMap<_, _> =
            self.nodes.keys().map(|name| (name.clone(), NodeView::new(since_ms(name)))).collect();
        for entry in self.clock.pods.iter().filter_map(|uid| self.pods.get(uid)) {
            let (Some(node), Some(session)) = (&entry.facts.node, &entry.session) else { continue };
            if entry.is_alive() {
                let view = views.entry(node.clone()).or_insert_with(|| NodeView::new(None));
                view.add(&session.facts, now_ms);
            }
        }
        views
    }

    /// Those whose verdict may be another one, because the guard is of another mind.
    fn mark_reassessed(&mut self, before: &Assessment) {
        let after = &self.clock.assessment;
        let differs = |node: Option<&Arc<str>>, word_ms| {
            let node = node.map(AsRef::as_ref);
            before.health(node, word_ms) != after.health(node, word_ms)
        };
        let mut changed: Vec<(PodUid, Few<_>)> = Vec::new();
        for (uid, entry) in self.clock.pods.iter().filter_map(|uid| Some((uid, self.pods.get(uid)?))) {
            let Some(session) = &entry.session else { continue };
            // Who is heard is served, whatever the guard thinks.
            let heard = matches!(session.witness, SessionWitness::Live | SessionWitness::HeardByPeer);
            if !heard && differs(entry.facts.node.as_ref(), self.last_word_ms(entry)) {
                changed.push((uid.clone(), entry.services.clone()));
            }
        }
        // All pods are looked at only when something has turned for those without a session.
        if differs(None, None) || self.nodes.keys().any(|node| differs(Some(node), None)) {
            for entry in self.pods.iter().filter(|entry| entry.session.is_none()) {
                if differs(entry.facts.node.as_ref(), None) {
                    changed.push((entry.facts.uid.clone(), entry.services.clone()));
                }
            }
        }
        for (uid, services) in changed {
            self.mark_owner(&services, &OwnerId::Pod(uid));
        }
    }
}
