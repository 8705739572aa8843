//! What is true of each registration, in the words of its conditions.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
    net::IpAddr,
    sync::Arc,
};

use rollcall_catalogue::{
    Instance, Namespace, PodFacts, Registration, Source, State, Target, ValueError,
    consolidate::Finding as Decided,
};
use rollcall_crds::{Accepted, ConditionReason, Finding, Ready, Resolved};

use crate::{
    index::{
        About, Index, Managed, ManagedSpec, NOTICES_MAX, Notice, NoticeReason, Object, ObjectKey, Origin,
        Present, REPORTED_MAX, Report, ServiceKey,
        endpoints::OwnerId,
        join::Reached,
        registrations::COUNTING_MAX,
        services::{Member, RegistrationId, ServiceEntry},
    },
    status::managed_name,
};

/// Refused addresses that a message names; the first few show what is wrong with all.
const NAMED_MAX: usize = 5;

/// Members that are looked at before the owner does something else: some ten milliseconds. What is left waits in its
/// place for the next look, and one report is always made.
const MEMBERS_LOOKED_AT: usize = 20_000;

/// Holds what a registration has come to.
#[derive(Default)]
struct Outcome<'a> {
    /// So many are older that it does not count.
    surplus: bool,
    /// Owners that it reaches, with or without instances.
    reached: usize,
    refused: BTreeMap<IpAddr, &'static str>,
    instances: Vec<Arc<Instance>>,
    conflicts: HashSet<&'a Decided>,
    left_out: HashSet<&'a Decided>,
}

impl Index {
    /// What became true of registrations since it was last asked, of as many of them; nothing before every kind was
    /// listed.
    pub(crate) fn take_reports(&mut self, max: usize) -> Vec<Report> {
        if !self.complete() {
            return Vec::new();
        }
        let (mut reports, mut looked_at) = (Vec::new(), 0);
        while reports.len() < max && looked_at < MEMBERS_LOOKED_AT {
            let Some(key) = self.reports.pop() else { break };
            looked_at += self.members_of(&key);
            reports.extend(self.report(&key));
        }
        reports
    }

    /// Everything is to be reported anew: whoever reported it before was somebody else.
    pub(crate) fn report_all(&mut self) {
        for (namespace, names) in &self.namespaces {
            let key = |name: &Arc<str>| ObjectKey { namespace: namespace.clone(), name: name.clone() };
            self.reports.extend(names.objects.keys().map(key));
        }
    }

    pub(crate) fn take_notices(&mut self, max: usize) -> Vec<Notice> {
        let count = self.notices.len().min(max);
        self.notices.drain(..count).collect()
    }

    /// The registrations that we write ourselves.
    pub(crate) fn managed(&self) -> Managed {
        let mut managed = Managed::default();
        if !self.complete() {
            return managed;
        }
        for (namespace, names) in &self.namespaces {
            let ours = |object: &&Object| object.managed && object.app.is_none();
            for (name, object) in names.objects.iter().filter(|(_, object)| ours(object)) {
                let key = ObjectKey { namespace: namespace.clone(), name: name.clone() };
                let registration = object.registration.as_ref().ok().cloned();
                let target = registration.as_ref().map(|registration| &registration.target);
                let at_once = matches!(target, Some(Target::Service(_)));
                let (uid, app) = (object.uid.clone(), None);
                managed.present.insert(key, Present { uid, at_once, registration, app });
            }
        }
        for (key, entry) in &self.services {
            let mut versions = entry.versions().peekable();
            // Once for all of them: it looks at what every pod says.
            let ports = versions.peek().map(|_| entry.ports()).unwrap_or_default();
            for version in versions {
                let name = managed_name(&key.service, version.as_ref());
                let origin = Origin::Pods { version: version.clone(), ports: ports.clone() };
                self.want(&mut managed, key, name, origin);
            }
            for id in entry.registrations.ids() {
                let RegistrationId::Adopted(name) = id else { continue };
                let service =
                    self.namespaces.get(&key.namespace).and_then(|names| names.kube_services.get(name));
                let Some(facts) = service.and_then(|service| service.facts.as_ref()) else { continue };
                let origin = Origin::Service { name: name.clone(), uid: facts.uid.clone() };
                self.want(&mut managed, key, name.clone(), origin);
            }
        }
        self.manage_written(&mut managed);
        managed
    }

    pub(super) fn want(&self, managed: &mut Managed, service: &ServiceKey, name: Arc<str>, origin: Origin) {
        let object = self.namespaces.get(&service.namespace).and_then(|names| names.objects.get(&name));
        // What a person wrote under that name says enough.
        if object.is_none_or(|object| object.managed) {
            let key = ObjectKey { namespace: service.namespace.clone(), name };
            managed.wanted.insert(key, ManagedSpec { service: service.clone(), origin });
        }
    }

    /// All registrations of a service that count may have something new to be told; the others were told so.
    pub(super) fn mark_reports(&mut self, key: &ServiceKey, entry: &ServiceEntry) {
        let names = entry.registrations.counting_ids().map(RegistrationId::object).chain(&entry.managed);
        self.mark_for_report(&key.namespace, names);
    }

    /// A Service came or went: the registrations that mean it have something new to be told, be it that it is missing.
    pub(super) fn report_aiming_at(&mut self, service: &ObjectKey) {
        let names = self.namespaces.get(&service.namespace);
        let aiming = names.and_then(|names| names.kube_services.get(&service.name));
        let names: Vec<_> = aiming
            .into_iter()
            .flat_map(|service| service.aimed_at_by.keys().map(|id| id.object().clone()))
            .collect();
        self.mark_for_report(&service.namespace, names.iter());
    }

    /// Those that there are no objects of are left out: nobody takes their reports where nobody holds the Lease.
    pub(super) fn mark_for_report<'a>(
        &mut self,
        namespace: &Namespace,
        names: impl Iterator<Item = &'a Arc<str>>,
    ) {
        let Some(held) = self.namespaces.get(namespace) else { return };
        let names = names.filter(|name| held.objects.contains_key(*name));
        let keys = names.map(|name| ObjectKey { namespace: namespace.clone(), name: name.clone() });
        self.reports.extend(keys);
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        if self.notices.len() >= NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    pub(super) fn notice_problems(&mut self, facts: &PodFacts, problems: &[ValueError]) {
        if problems.is_empty() {
            return;
        }
        // All of them: of a pod that they keep out of every service, nobody else tells.
        let message = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; and ");
        self.notice_of_pod(facts, NoticeReason::AnnotationInvalid, message);
    }

    pub(super) fn notice_of_pod(&mut self, facts: &PodFacts, reason: NoticeReason, message: String) {
        let object = ObjectKey { namespace: facts.namespace.clone(), name: facts.name.clone() };
        let about = About::Pod { object, uid: (*facts.uid.text()).into() };
        self.notice(Notice { about, reason, message });
    }

    /// How many members a report on this object looks at.
    fn members_of(&self, key: &ObjectKey) -> usize {
        let object = self.namespaces.get(&key.namespace).and_then(|names| names.objects.get(&key.name));
        let registration = object.and_then(|object| object.registration.as_ref().ok());
        let one = registration.is_some_and(|one| matches!(one.target, Target::Pod { .. }));
        let entry = registration.and_then(|registration| self.services.get(&registration.key));
        entry.map_or(0, |entry| if one { 1 } else { entry.members.len() })
    }

    fn report(&self, key: &ObjectKey) -> Option<Report> {
        let object = self.namespaces.get(&key.namespace)?.objects.get(&key.name)?;
        let outcome = self.outcome(key, object);
        let serving = outcome.instances.iter().filter(|instance| instance.state == State::Serving).count();
        Some(Report {
            object: key.clone(),
            uid: object.uid.clone(),
            generation: object.generation,
            findings: self.findings(key, object, &outcome, serving),
            serving: serving.try_into().unwrap_or(u32::MAX),
            total: outcome.instances.len().try_into().unwrap_or(u32::MAX),
            truncated: outcome.instances.len() > REPORTED_MAX,
            instances: outcome.instances.into_iter().take(REPORTED_MAX).collect(),
            told: object.told,
        })
    }

    fn outcome(&self, key: &ObjectKey, object: &Object) -> Outcome<'_> {
        let mut outcome = Outcome::default();
        let Ok(registration) = &object.registration else { return outcome };
        let Some(entry) = self.services.get(&registration.key) else { return outcome };
        let id = RegistrationId::Object(key.name.clone());
        if !object.managed && entry.registrations.is_surplus(&id, registration) {
            outcome.surplus = true;
            return outcome;
        }
        let own = |member: &Member| match (&registration.target, object.managed) {
            (Target::Selector(_), true) => Some(member.registers_itself()),
            _ => None,
        };
        let (mut ids, mut read) = (HashSet::new(), HashSet::new());
        // One of a pod looks at that alone: there may be as many as pods.
        let alone = match &registration.target {
            Target::Pod { uid, .. } => Some(entry.members.entry(&OwnerId::Pod(uid.clone()))),
            _ => None,
        };
        let all = alone.is_none().then(|| entry.members.iter()).into_iter().flatten();
        for (owner, member) in alone.flatten().into_iter().chain(all) {
            let reached = match own(member) {
                Some(true) => Some(Reached::Itself),
                Some(false) => None,
                None => self.reach(registration, owner),
            };
            match (reached, owner) {
                (None, _) => continue,
                (Some(Reached::Refused(why)), OwnerId::Address(address)) => {
                    outcome.refused.insert(*address, why);
                }
                (Some(_), _) => {
                    outcome.reached += 1;
                    let standings = member.standings.iter();
                    let of_app = object.app.as_ref().and_then(|app| app.word.attributes.ports.first());
                    let meant = standings.filter(|standing| {
                        let of_version = own(member).is_none()
                            || standing.profile.version == registration.attributes.version;
                        of_version && of_app.is_none_or(|port| port.port == standing.profile.port)
                    });
                    ids.extend(meant.map(|standing| standing.id(owner)));
                }
            }
            // Most members share theirs.
            if !read.insert(Arc::as_ptr(&member.findings).cast::<Decided>()) {
                continue;
            }
            let told = member.findings.iter().filter(|finding| is_told(finding, &key.name));
            for finding in told {
                match finding {
                    Decided::PortConflict { .. } => outcome.conflicts.insert(finding),
                    Decided::LeftOut { .. } | Decided::VisibilityNarrowed { .. } => {
                        outcome.left_out.insert(finding)
                    }
                };
            }
        }
        let published = self.published.get(&registration.key);
        let instances = published.into_iter().flat_map(|service| service.instances.iter());
        outcome.instances = instances.filter(|instance| ids.contains(&instance.id)).cloned().collect();
        outcome
    }

    fn findings(
        &self,
        key: &ObjectKey,
        object: &Object,
        outcome: &Outcome<'_>,
        serving: usize,
    ) -> Vec<Finding> {
        let registration = match &object.registration {
            Ok(registration) if outcome.surplus => return refused(surplus(registration)),
            Ok(registration) => registration,
            Err(errors) => return refused(errors.to_string()),
        };
        let accepted = self.accepted(key, registration, outcome);
        let resolved = self.resolved(registration, outcome);
        let ready = match (serving, outcome.instances.len()) {
            (1.., _) => (Ready::Serving, String::new()),
            (0, 0) => (Ready::NoInstances, String::new()),
            (0, _) => (Ready::NoneServing, reasons(&outcome.instances)),
        };
        vec![
            Finding { reason: ConditionReason::Accepted(accepted.0), message: accepted.1 },
            Finding { reason: ConditionReason::Resolved(resolved.0), message: resolved.1 },
            Finding { reason: ConditionReason::Ready(ready.0), message: ready.1 },
        ]
    }

    fn accepted(
        &self,
        key: &ObjectKey,
        registration: &Registration,
        outcome: &Outcome<'_>,
    ) -> (Accepted, String) {
        if let Some(message) = first_of(&outcome.conflicts) {
            return (Accepted::PortConflict, message);
        }
        let entry = self.services.get(&registration.key);
        let said = entry.into_iter().flat_map(|entry| &entry.said);
        let narrowed = said.filter(|finding| is_told(finding, &key.name)).map(ToString::to_string).next();
        match narrowed {
            Some(message) => (Accepted::VisibilityNarrowed, message),
            None => (Accepted::Accepted, first_of(&outcome.left_out).unwrap_or_default()),
        }
    }

    fn resolved(&self, registration: &Registration, outcome: &Outcome<'_>) -> (Resolved, String) {
        let namespace = &registration.key.namespace;
        if !outcome.refused.is_empty() {
            let named = outcome.refused.iter().take(NAMED_MAX);
            let mut message = String::new();
            for (address, why) in named {
                let _ = write!(message, "`{address}` is {why}; ");
            }
            if outcome.refused.len() > NAMED_MAX {
                let _ = write!(message, "and {} more; ", outcome.refused.len() - NAMED_MAX);
            }
            message.push_str("register pods by a selector, or have the controller allow the range");
            return (Resolved::AddressRefused, message);
        }
        match &registration.target {
            Target::Selector(_) if outcome.reached == 0 => {
                (Resolved::NoMatch, "no pod of the namespace carries these labels".to_owned())
            }
            Target::Service(name) if !self.has_service(registration) => (
                Resolved::ServiceNotFound,
                format!(
                    "there is no Service `{name}` in {namespace}; create it, or correct target.service.name"
                ),
            ),
            Target::Pod { name, uid } if !self.pods.has(uid) => (
                Resolved::PodNotFound,
                format!("pod `{name}` of this uid is not in {namespace}; a successor of it has another uid"),
            ),
            _ => (Resolved::Resolved, String::new()),
        }
    }

    fn has_service(&self, registration: &Registration) -> bool {
        let Target::Service(name) = &registration.target else { return false };
        let names = self.namespaces.get(&registration.key.namespace);
        let service = names.and_then(|names| names.kube_services.get(&**name));
        service.is_some_and(|service| service.facts.is_some())
    }
}

/// What is said of one that has no part in anything.
fn refused(why: String) -> Vec<Finding> {
    vec![
        Finding { reason: ConditionReason::Accepted(Accepted::Invalid), message: why },
        Finding { reason: ConditionReason::Ready(Ready::NotAccepted), message: String::new() },
    ]
}

fn surplus(registration: &Registration) -> String {
    format!(
        "service: {COUNTING_MAX} older registrations of `{}` count, and no more do; remove some of them, or let one \
         selector mean what several do",
        registration.key
    )
}

/// The first of these in the order of their words, since a set has none, and how many more there are.
fn first_of(findings: &HashSet<&Decided>) -> Option<String> {
    let first = findings.iter().map(ToString::to_string).min()?;
    Some(match findings.len() - 1 {
        0 => first,
        others => format!("{first} (and {others} more)"),
    })
}

/// Whether it is this object that is told.
fn is_told(finding: &Decided, object: &str) -> bool {
    matches!(finding.loser(), Source::Object { name, .. } if **name == *object)
}

/// How many instances are in which reason: `2 ProbeRefused, 1 NotReady`.
fn reasons(instances: &[Arc<Instance>]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in instances {
        *counts.entry(instance.reason.as_str()).or_default() += 1;
    }
    let counts: Vec<_> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    counts.join(", ")
}
