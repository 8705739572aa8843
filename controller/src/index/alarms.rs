//! Which verdicts the sessions brought about: those that were false alarms, and those that `observe` only counts.

use std::collections::BTreeMap;

use rollcall_catalogue::{
    Instance, PodUid, Reason, ServiceKey, State,
    liveness::{Assessment, FreezeCause, SessionWitness, Verdict, Witnesses, verdict},
};

use crate::index::{About, Index, Notice, NoticeReason, ObjectKey, join::Joined};

/// Why an instance was doubted for its session alone, the lesser doubt first; the words of docs/liveness.md.
pub(crate) const FALSE_ALARMS: [&str; 3] = ["SessionQuiet", "SidecarLost", "SessionSilent"];

/// Why an instance would be out of the lookups by what its sidecar tells or does not tell.
pub(crate) const OBSERVED: [&str; 6] = [
    "ProbeRefused",
    "ProbeFailed",
    "ListensOnLoopbackOnly",
    "HeartbeatMissed",
    "AppSaysFailing",
    "SessionSilent",
];

/// Holds what the session of a pod has cost it in one service.
#[derive(Debug)]
pub(super) struct Doubt {
    service: ServiceKey,
    /// The worst that it was doubted for since it was last heard: a place in [`FALSE_ALARMS`].
    alarm: Option<usize>,
    /// It would be out, and is counted.
    observed: bool,
}

/// Counts what came of the sessions' evidence, by reason.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Alarms {
    /// Instances that were doubted, and came back by their session.
    pub(crate) false_alarms: BTreeMap<&'static str, u64>,
    /// Instances that would have been taken out, were they not only observed.
    pub(crate) observed: BTreeMap<&'static str, u64>,
}

// === impl Doubt ===

impl Doubt {
    /// Takes note of what the instance has come to. Says whether it is lost, and was not before.
    fn hears(&mut self, instance: &Instance, witnesses: &Witnesses, alarms: &mut Alarms) -> bool {
        let is_served = instance.state == State::Serving;
        let is_named = |word: &&str| *word == instance.reason.as_str();
        let alarm = FALSE_ALARMS.iter().position(|word| !is_served && is_named(word));
        let lost = alarm > self.alarm && instance.reason == Reason::SessionSilent;
        let heard = matches!(witnesses.session, SessionWitness::Live | SessionWitness::HeardByPeer);
        if heard && let Some(word) = self.alarm.take().and_then(|held| FALSE_ALARMS.get(held)) {
            *alarms.false_alarms.entry(word).or_default() += 1;
        }
        self.alarm = self.alarm.max(alarm);
        lost
    }

    /// Takes note of what the instance would have come to.
    fn observes(&mut self, unobserved: Option<&Verdict>, alarms: &mut Alarms) {
        let word = match unobserved {
            Some(Verdict::Listed(State::Failing, reason)) => {
                OBSERVED.into_iter().find(|word| *word == reason.as_str())
            }
            _ => None,
        };
        if let Some(word) = word.filter(|_| !self.observed) {
            *alarms.observed.entry(word).or_default() += 1;
        }
        self.observed = word.is_some();
    }
}

// === impl Index ===

impl Index {
    /// What was counted since the last call.
    pub(crate) fn take_alarms(&mut self) -> Alarms {
        std::mem::take(&mut self.alarms)
    }

    /// Compares what a pod has come to in a service with what it had come to before.
    pub(super) fn note_doubts(&mut self, key: &ServiceKey, uid: &PodUid, joined: Option<&Joined>) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let Some(session) = &mut entry.session else { return };
        let place = session.doubts.iter().position(|doubt| doubt.service == *key);
        let held = place.map(|place| session.doubts.swap_remove(place));
        let instance = joined.and_then(|joined| Some((joined, &joined.consolidated.first()?.instance)));
        // Who is leaving is not coming back.
        let Some((joined, instance)) = instance.filter(|(_, instance)| instance.state != State::Draining)
        else {
            return;
        };
        let mut doubt = held.unwrap_or_else(|| Doubt { service: key.clone(), alarm: None, observed: false });
        let lost = doubt.hears(instance, &joined.witnesses, &mut self.alarms);
        // What it would come to, where it is only observed.
        let registry = self.clock.unobserved(entry.facts.node.as_deref(), &session.facts);
        let unobserved = registry.map(|registry| verdict(&Witnesses { registry, ..joined.witnesses }));
        doubt.observes(unobserved.as_ref(), &mut self.alarms);
        if doubt.alarm.is_some() || doubt.observed {
            session.doubts.push(doubt);
        }
        if lost {
            let object =
                ObjectKey { namespace: entry.facts.namespace.clone(), name: entry.facts.name.clone() };
            let about = About::Pod { object, uid: (*uid.text()).into() };
            let message = format!(
                "its sidecar was not heard for 9 s: it is out of the lookups of `{key}`, unless nobody else is left \
                 there, until it is heard again"
            );
            self.notice(Notice { about, reason: NoticeReason::InstanceLost, message });
        }
    }

    /// A person should know when the sessions begin to be distrusted.
    pub(super) fn notice_freeze(&mut self, before: &Assessment) {
        let Some(lease) = self.lease.clone() else { return };
        let new: Vec<_> = self.freezes().filter(|cause| before.causes().all(|held| held != *cause)).collect();
        for cause in new {
            let message = format!(
                "{}: nobody is taken out of the lookups for a lost session meanwhile; Kubernetes' facts, what apps \
                 say, and drains still count",
                because(cause)
            );
            let about = About::Lease { object: lease.clone() };
            self.notice(Notice { about, reason: NoticeReason::MassLossGuard, message });
        }
    }
}

/// What a freeze is for, in words for people.
pub(crate) fn because(cause: FreezeCause) -> &'static str {
    match cause {
        FreezeCause::Paused => "the controller was paused or starved",
        FreezeCause::StaleWatches => "Kubernetes was not heard for 2 minutes",
        FreezeCause::PeersUnheard => {
            "another replica lives and is not heard: who is missing here may be in session there"
        }
        FreezeCause::NodesUnknown => "Kubernetes lost sight of half of the nodes or more at once",
        FreezeCause::Nodes => "the sidecars of half of the nodes or more fell silent at once",
        FreezeCause::Sessions => "too many sidecars fell silent at once on nodes that still speak",
    }
}
