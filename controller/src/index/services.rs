//! One service as the index holds it: who registers it, and whom that has made a member.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use rollcall_catalogue::{
    Few, InstanceId, Port, Profile, Registration, Source, State, Version,
    consolidate::{Consolidated, Finding, Profiles, Settings, settings},
};

use crate::index::{endpoints::OwnerId, members::Members, registrations::Registrations, words::Words};

/// Distinct lists of findings that are kept once for the members that have equal ones: those of one template have, and
/// templates are few. Where every member's are of its own kind, there is no use in searching.
const FINDINGS_SHARED: usize = 16;

/// Names a registration that is not a pod's own word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RegistrationId {
    Object(Arc<str>),
    /// A Service of a namespace that adopts them.
    Adopted(Arc<str>),
}

/// Holds one service.
#[derive(Debug, Default)]
pub(super) struct ServiceEntry {
    pub(super) registrations: Registrations,
    /// The objects of ours that keep it known for a while after its last pod.
    pub(super) managed: BTreeSet<Arc<str>>,
    pub(super) members: Members,
    pub(super) profiles: Profiles,
    pub(super) settings: Settings,
    /// What was decided for the service as a whole, and whom that is said to.
    pub(super) said: Vec<Finding>,
    /// It is in the catalogue.
    pub(super) published: bool,
    words: Words,
    /// What the settings follow from has changed since they were decided.
    unsettled: bool,
    findings: VecDeque<Arc<[Finding]>>,
    /// The versions of the pods that registered themselves.
    versions: BTreeMap<Option<Version>, u32>,
    instances: usize,
}

/// Holds what one owner has in a service: usually one instance; none while it has no address or is not to be listed.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) standings: Few<Standing>,
    pub(super) findings: Arc<[Finding]>,
    word: Option<Arc<Registration>>,
}

/// Holds one instance as it was published last: that of its owner and the primary port of its profile.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) profile: Arc<Profile>,
    pub(super) state: State,
    pub(super) since_ms: u64,
}

// === impl RegistrationId ===

impl RegistrationId {
    /// The object that stands for it; an adopted Service's is one of ours, where there is one.
    pub(super) fn object(&self) -> &Arc<str> {
        match self {
            Self::Object(name) | Self::Adopted(name) => name,
        }
    }
}

// === impl Member ===

impl Member {
    /// It says itself that it is of this service.
    pub(super) fn registers_itself(&self) -> bool {
        self.word.is_some()
    }

    fn standing_at(&self, port: u16) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.profile.port == port)
    }
}

// === impl Standing ===

impl Standing {
    pub(super) fn id(&self, owner: &OwnerId) -> InstanceId {
        let port = self.profile.port;
        match owner {
            OwnerId::Pod(uid) => InstanceId::of_pod(uid, port),
            OwnerId::Address(address) => InstanceId::of_address(*address, port),
        }
    }
}

// === impl ServiceEntry ===

impl ServiceEntry {
    /// Nobody registers it any more.
    pub(super) fn is_unused(&self) -> bool {
        self.registrations.is_empty() && self.managed.is_empty() && self.members.is_empty()
    }

    pub(super) fn instances(&self) -> usize {
        self.instances
    }

    /// The versions of the pods that registered themselves, in semver's order.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Option<Version>> {
        self.versions.keys()
    }

    /// The ports of one of the pods that registered themselves; the same one whoever came first.
    pub(super) fn ports(&self) -> Vec<Port> {
        self.words.ports()
    }

    /// Gives the registration that counts no more for this one.
    pub(super) fn register(
        &mut self,
        id: &RegistrationId,
        registration: &Arc<Registration>,
    ) -> Option<RegistrationId> {
        self.unsettled = true;
        self.registrations.insert(id, registration)
    }

    /// Gives the registration that counts in the place of this one.
    pub(super) fn unregister(
        &mut self,
        id: &RegistrationId,
        registration: &Registration,
    ) -> Option<Arc<Registration>> {
        self.unsettled = true;
        self.registrations.remove(id, registration)
    }

    /// Puts what an owner has now in the place of what it had; gives the instances that it has no more.
    pub(super) fn set_member(
        &mut self,
        owner: &OwnerId,
        word: Option<Arc<Registration>>,
        consolidated: &[Consolidated],
        findings: Vec<Finding>,
        now_ms: u64,
    ) -> Vec<InstanceId> {
        let findings = self.share_findings(findings);
        let before = self.members.get(owner);
        let standing = |one: &Consolidated| {
            let instance = &one.instance;
            let held = before.and_then(|before| before.standing_at(instance.profile.port));
            let since_ms =
                held.filter(|held| held.state == instance.state).map_or(now_ms, |held| held.since_ms);
            Standing { profile: instance.profile.clone(), state: instance.state, since_ms }
        };
        let member = Member { standings: consolidated.iter().map(standing).collect(), findings, word };
        self.remember(&member);
        let kept: Vec<_> = member.standings.iter().map(|standing| standing.profile.port).collect();
        let Some(before) = self.members.insert(owner, member) else { return Vec::new() };
        self.forget(&before);
        let gone = before.standings.iter().filter(|held| !kept.contains(&held.profile.port));
        gone.map(|held| held.id(owner)).collect()
    }

    pub(super) fn remove_member(&mut self, owner: &OwnerId) -> Vec<InstanceId> {
        let Some(before) = self.members.remove(owner) else { return Vec::new() };
        self.forget(&before);
        before.standings.iter().map(|standing| standing.id(owner)).collect()
    }

    /// Decides anew what all instances have in common; none where that stays as it is.
    pub(super) fn settle(&mut self) -> Option<Settings> {
        if !std::mem::take(&mut self.unsettled) {
            return None;
        }
        let registrations = self.registrations.counting().map(AsRef::as_ref);
        let (settings, mut said) = settings(registrations.chain(self.words.of_service()));
        // Pods have no conditions to be told by.
        said.retain(|finding| matches!(finding.loser(), Source::Object { .. }));
        self.said = said;
        (settings != self.settings).then(|| {
            self.settings = settings.clone();
            settings
        })
    }

    fn share_findings(&mut self, findings: Vec<Finding>) -> Arc<[Finding]> {
        if findings.is_empty() {
            return Arc::default();
        }
        if let Some(held) = self.findings.iter().find(|held| ***held == *findings) {
            return held.clone();
        }
        let findings: Arc<[Finding]> = findings.into();
        // The oldest goes first, and with it what nobody has any more.
        if self.findings.len() >= FINDINGS_SHARED {
            self.findings.pop_front();
        }
        self.findings.push_back(findings.clone());
        findings
    }

    fn remember(&mut self, member: &Member) {
        self.instances += member.standings.len();
        let Some(word) = &member.word else { return };
        self.unsettled |= self.words.add(word);
        for standing in &member.standings {
            *self.versions.entry(standing.profile.version.clone()).or_default() += 1;
        }
    }

    fn forget(&mut self, member: &Member) {
        self.instances -= member.standings.len();
        let Some(word) = &member.word else { return };
        self.unsettled |= self.words.remove(word);
        for standing in &member.standings {
            if let Some(count) = self.versions.get_mut(&standing.profile.version) {
                *count -= 1;
                if *count == 0 {
                    self.versions.remove(&standing.profile.version);
                }
            }
        }
    }
}
