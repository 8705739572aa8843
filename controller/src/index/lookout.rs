//! Pods that asked for a sidecar and have none: how many there are, and that a person hears of each.

use std::{collections::BTreeSet, fmt};

use rollcall_catalogue::{Namespace, PodFacts, PodUid, liveness::Phase};
use rollcall_injection::{Exemption, Namespaces, Wish};

use crate::index::{
    About, Index, InjectionFacts, Notice, NoticeReason, ObjectKey, namespace::NamespaceEntry,
};

/// What a pod is told that could have a sidecar.
const MISSED: &str = "no sidecar: it was made while the webhook did not answer, or before its namespace asked for sidecars; \
                      delete it, so that it is made anew";

/// Holds what is kept of a pod besides its facts; of most there is nothing, and it is not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Aside {
    /// Of one that has a sidecar, it does not matter.
    injection: InjectionFacts,
    /// It started without what it requires, as its init container said.
    pub(super) gave_up: bool,
}

/// Says why a pod that asked for a sidecar has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It can have none.
    Exempt(Exemption),
    /// Nobody gave it one.
    Missed,
}

/// Names a pod that asked for a sidecar and has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lacking {
    pub(crate) pod: ObjectKey,
    pub(crate) missing: Missing,
}

/// Counts the pods that asked for a sidecar and have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WithoutSidecar {
    pub(crate) exempt: usize,
    pub(crate) missed: usize,
}

/// Holds who is looked out for, and what is seen.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// None where nobody is given a sidecar.
    expected: Option<Expected>,
    counts: WithoutSidecar,
    /// Those of them that nobody heard of yet.
    untold: BTreeSet<PodUid>,
}

/// Says whose pods get a sidecar if they ask for one.
#[derive(Debug)]
struct Expected {
    namespaces: Namespaces,
    own: Namespace,
}

// === impl Aside ===

impl Aside {
    pub(super) fn new(facts: &PodFacts, injection: InjectionFacts, gave_up: bool) -> Self {
        let injection = if facts.has_sidecar { InjectionFacts::default() } else { injection };
        Self { injection, gave_up }
    }
}

// === impl Missing ===

impl Missing {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Exempt(_) => "exempt",
            Self::Missed => "missed",
        }
    }
}

impl fmt::Display for Missing {
    /// A sentence for people, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exempt(exemption) => exemption.fmt(f),
            Self::Missed => f.write_str(MISSED),
        }
    }
}

// === impl Lookout ===

impl Lookout {
    /// What is missing in this pod, in a namespace whose label asks or does not.
    fn missing(&self, facts: &PodFacts, injection: InjectionFacts, namespace_asks: bool) -> Option<Missing> {
        let asks = match injection.wish {
            Wish::Asked => true,
            Wish::Declined => false,
            Wish::None => namespace_asks,
        };
        let ends = facts.life.deleting || matches!(facts.life.phase, Phase::Succeeded | Phase::Failed);
        if facts.has_sidecar || !asks || ends {
            return None;
        }
        self.expected.as_ref().filter(|expected| expected.admits(&facts.namespace))?;
        Some(injection.exemption.map_or(Missing::Missed, Missing::Exempt))
    }

    /// What is missing in a pod has changed.
    fn turns(&mut self, uid: &PodUid, before: Option<Missing>, after: Option<Missing>) {
        if let Some(before) = before {
            let count = self.counts.of(before);
            *count = count.saturating_sub(1);
        }
        if let Some(after) = after {
            *self.counts.of(after) += 1;
        }
        match (before, after) {
            (None, Some(_)) => drop(self.untold.insert(uid.clone())),
            (Some(_), None) => drop(self.untold.remove(uid)),
            _ => {}
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.counts == WithoutSidecar::default() && self.untold.is_empty()
    }
}

impl Expected {
    fn admits(&self, namespace: &Namespace) -> bool {
        *namespace != self.own && self.namespaces.admits(namespace.as_str())
    }
}

impl WithoutSidecar {
    fn of(&mut self, missing: Missing) -> &mut usize {
        match missing {
            Missing::Exempt(_) => &mut self.exempt,
            Missing::Missed => &mut self.missed,
        }
    }
}

// === impl Index ===

impl Index {
    /// The same index, in which pods that ask for a sidecar are to have one: those of these namespaces, and not of our own.
    #[must_use]
    pub fn expecting_sidecars(mut self, namespaces: Namespaces, own: Namespace) -> Self {
        self.lookout.expected = Some(Expected { namespaces, own });
        self
    }

    /// The pods that asked for a sidecar and have none.
    pub(crate) fn without_sidecar(&self) -> WithoutSidecar {
        self.lookout.counts
    }

    /// The first so many of them, by namespace and name, of one namespace or of all; and how many there are.
    pub(crate) fn lacking(&self, namespace: Option<&Namespace>, max: usize) -> (Vec<Lacking>, usize) {
        // To look costs a look at all pods.
        if self.lookout.counts == WithoutSidecar::default() {
            return (Vec::new(), 0);
        }
        let wanted = self.namespaces.iter().filter(|(name, _)| namespace.is_none_or(|only| only == *name));
        let all = wanted.flat_map(|(_, names)| names.pods.iter().map(|uid| (uid, names.injects())));
        let mut lacking: Vec<_> = all
            .filter_map(|(uid, asks)| {
                let facts = self.pod(uid)?;
                Some((facts, self.lookout.missing(facts, self.aside(uid).injection, asks)?))
            })
            .collect();
        lacking.sort_unstable_by_key(|(facts, _)| (&facts.namespace, &facts.name));
        let first = lacking.iter().take(max).map(|(facts, missing)| {
            let pod = ObjectKey { namespace: facts.namespace.clone(), name: facts.name.clone() };
            Lacking { pod, missing: *missing }
        });
        (first.collect(), lacking.len())
    }

    /// What is kept of this pod besides its facts.
    pub(super) fn aside(&self, uid: &PodUid) -> Aside {
        self.asides.get(uid).copied().unwrap_or_default()
    }

    pub(super) fn set_aside(&mut self, uid: &PodUid, aside: Aside) {
        match aside == Aside::default() {
            true => self.asides.remove(uid),
            false => self.asides.insert(uid.clone(), aside),
        };
    }

    /// What is missing in this pod.
    pub(super) fn missing(&self, uid: &PodUid) -> Option<Missing> {
        let facts = self.pod(uid)?;
        let namespace = self.namespaces.get(&facts.namespace);
        self.lookout.missing(facts, self.aside(uid).injection, namespace.is_some_and(NamespaceEntry::injects))
    }

    /// The pod is no longer as it was when this was missing in it.
    pub(super) fn look_out_for(&mut self, uid: &PodUid, before: Option<Missing>) {
        let after = self.missing(uid);
        self.lookout.turns(uid, before, after);
    }

    /// The label of a namespace has changed, which is of all its pods.
    pub(super) fn look_out_in(&mut self, name: &Namespace, asked: bool) {
        let Some(names) = self.namespaces.get(name).filter(|names| names.injects() != asked) else { return };
        for uid in names.pods.iter() {
            let Some(entry) = self.pods.get(uid) else { continue };
            let injection = self.aside(uid).injection;
            let [before, after] =
                [asked, !asked].map(|asks| self.lookout.missing(&entry.facts, injection, asks));
            self.lookout.turns(uid, before, after);
        }
    }

    /// Nobody who was told before counts: that was somebody else's to write, or is long ago.
    pub(crate) fn tell_skipped_anew(&mut self) {
        // To look costs a look at all pods.
        if self.lookout.counts != WithoutSidecar::default() {
            self.lookout.untold =
                self.pods.uids().filter(|uid| self.missing(uid).is_some()).cloned().collect();
        }
    }

    /// One of those that nobody heard of yet, for who may tell of it: until then it waits here. Only one each time that somebody asks, twice a second: fewer than the Events
    /// that are written, so that what is said of others never waits behind a namespace whose thousands of pods are older than
    /// its label.
    pub(crate) fn take_skipped(&mut self) -> Option<Notice> {
        while let Some(uid) = self.lookout.untold.pop_first() {
            let (Some(missing), Some(facts)) = (self.missing(&uid), self.pod(&uid)) else { continue };
            let object = ObjectKey { namespace: facts.namespace.clone(), name: facts.name.clone() };
            let about = About::Pod { object, uid: (*uid.text()).into() };
            let message = missing.to_string();
            return Some(Notice { about, reason: NoticeReason::InjectionSkipped, message });
        }
        None
    }
}
