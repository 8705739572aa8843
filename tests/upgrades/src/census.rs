//! Who is there, by the word of the API server: a function of what a watch of pods says.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_faults::{Absence, Pod, Truth};
use rollcall_slice::{Pod as Object, text};
use serde::Deserialize;
use serde_json::Value;

/// A sidecar may hear what happens to a pod before the watch here does, which goes through a process and a pipe.
pub(crate) const SLACK_MS: u64 = 1_000;
/// A pod that is ready is in all answers then at the latest; the promise of a second is judged elsewhere, on a machine that
/// does nothing else.
const COMES_WITHIN_MS: u64 = 5_000;
/// And one that is deleted is in none.
const GOES_WITHIN_MS: u64 = 5_000;
/// Nothing is said of a time before.
const NEVER_MS: u64 = u64::MAX / 4;
/// The label by which a pod says of which service it is.
const SERVICE: &str = "app";
/// And of which one besides, that its app registers at run time.
pub(crate) const BESIDES: &str = "besides";

/// Holds the pods that a watch has told of.
#[derive(Debug, Default)]
pub struct Census {
    people: BTreeMap<String, Person>,
}

/// Holds what is known of one pod.
#[derive(Debug)]
struct Person {
    uid: String,
    address: String,
    node: String,
    services: Vec<String>,
    /// It was ready when it was first seen: it was there before.
    was_there: bool,
    ready_ms: Option<u64>,
    ends_ms: Option<u64>,
}

/// Says that somebody has come who can be asked now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comer {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: String,
}

/// Holds a line of a watch.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

// === impl Census ===

impl Census {
    /// Hears an event that came at this time. Gives whom it shows to be ready for the first time.
    pub(crate) fn hear(&mut self, event: Event, now_ms: u64) -> Option<Comer> {
        let is_gone = event.kind == "DELETED";
        let object = Object(event.object);
        let (metadata, spec) = (&object.0["metadata"], &object.0["spec"]);
        if object.0["kind"] != "Pod" {
            return None;
        }
        let ready = object.is_ready() && !object.ip().is_empty();
        let is_first = !self.people.contains_key(object.name());
        let person = self.people.entry(object.name().to_owned()).or_insert_with(|| Person {
            uid: text(metadata, "uid").to_owned(),
            address: String::new(),
            node: String::new(),
            services: [SERVICE, BESIDES]
                .map(|label| text(&metadata["labels"], label).to_owned())
                .into_iter()
                .filter(|service| !service.is_empty())
                .collect(),
            was_there: false,
            ready_ms: None,
            ends_ms: None,
        });
        if is_gone || !metadata["deletionTimestamp"].is_null() {
            person.ends_ms.get_or_insert(now_ms);
            return None;
        }
        object.ip().clone_into(&mut person.address);
        text(spec, "nodeName").clone_into(&mut person.node);
        if !ready || person.ready_ms.is_some() {
            return None;
        }
        person.was_there = is_first;
        person.ready_ms = Some(now_ms);
        Some(Comer { name: object.name().to_owned(), uid: person.uid.clone(), node: person.node.clone() })
    }

    /// When this pod was seen to end, less the time in which others may have known it already.
    pub(crate) fn ends_ms(&self, pod: &str) -> Option<u64> {
        Some(self.people.get(pod)?.ends_ms?.saturating_sub(SLACK_MS))
    }

    /// What answers are held against, for clients of these names.
    pub fn truth(&self, clients: &BTreeSet<String>) -> Truth {
        let pods = self.people.iter().flat_map(|(name, person)| {
            person.services.iter().map(|service| Pod {
                name: name.clone(),
                service: service.clone(),
                address: person.address.clone(),
                node: person.node.clone(),
            })
        });
        let absences = self.people.iter().flat_map(|(name, person)| person.absences(name, clients));
        Truth { pods: pods.collect(), absences: absences.collect(), ..Truth::default() }
    }
}

// === impl Person ===

impl Person {
    fn absences(&self, name: &str, clients: &BTreeSet<String>) -> Vec<Absence> {
        let absence = |why: &str, from_ms, until_ms, out_within_ms, back_within_ms| Absence {
            pod: name.to_owned(),
            why: why.to_owned(),
            from_ms,
            until_ms,
            told: clients.clone(),
            out_within_ms,
            back_within_ms,
        };
        let mut absences = Vec::new();
        if !self.was_there {
            let comes = absence("it comes", 0, self.ready_ms, NEVER_MS, COMES_WITHIN_MS);
            // Of one that is gone again, the answers without it afterwards would count as those before it came.
            let told = if self.ends_ms.is_some() { BTreeSet::new() } else { comes.told.clone() };
            absences.push(Absence { told, ..comes });
        }
        if let Some(ends_ms) = self.ends_ms {
            // Nobody is told of this one: either answer is right, and nothing is measured by it.
            let slack =
                absence("it may be known already", ends_ms.saturating_sub(SLACK_MS), None, NEVER_MS, 0);
            absences.push(Absence { told: BTreeSet::new(), ..slack });
            absences.push(absence("it is deleted", ends_ms, None, GOES_WITHIN_MS, 0));
        }
        absences
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, name: &str, ready: bool, ends: bool) -> Event {
        let object = json!({
            "kind": "Pod",
            "metadata": {
                "name": name, "uid": format!("uid-{name}"), "labels": {"app": "orders", "besides": "cart"},
                "deletionTimestamp": if ends { json!("now") } else { Value::Null },
            },
            "spec": {"nodeName": "node1"},
            "status": {
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            },
        });
        Event { kind: kind.to_owned(), object }
    }

    fn clients() -> BTreeSet<String> {
        ["asks".to_owned()].into()
    }

    #[test]
    fn who_was_there_owes_nothing_and_is_watched() {
        let mut census = Census::default();
        let comer = census.hear(event("ADDED", "orders-1", true, false), 5).unwrap();
        assert_eq!((comer.name.as_str(), comer.uid.as_str()), ("orders-1", "uid-orders-1"));
        assert_eq!(census.hear(event("MODIFIED", "orders-1", true, false), 9), None, "once");
        let truth = census.truth(&clients());
        assert!(truth.absences.is_empty());
        let services: Vec<_> = truth.pods.iter().map(|pod| pod.service.as_str()).collect();
        assert_eq!(services, ["orders", "cart"]);
        assert_eq!(census.ends_ms("orders-1"), None);
    }

    #[test]
    fn who_comes_is_awaited_from_when_it_is_ready() {
        let mut census = Census::default();
        assert_eq!(census.hear(event("ADDED", "orders-2", false, false), 3_000), None);
        assert!(census.hear(event("MODIFIED", "orders-2", true, false), 7_000).is_some());
        let truth = census.truth(&clients());
        let [absence] = &truth.absences[..] else { panic!("{:?}", truth.absences) };
        assert_eq!((absence.from_ms, absence.until_ms), (0, Some(7_000)));
        assert!(absence.out_within_ms >= NEVER_MS, "early is not wrong");
    }

    #[test]
    fn who_ends_is_out_from_then_on_and_a_little_before_that_either_answer_is_right() {
        let mut census = Census::default();
        census.hear(event("ADDED", "orders-1", true, false), 5);
        census.hear(event("MODIFIED", "orders-1", true, true), 20_000);
        census.hear(event("DELETED", "orders-1", false, true), 21_000);
        assert_eq!(census.ends_ms("orders-1"), Some(19_000));
        let truth = census.truth(&clients());
        let from: Vec<_> =
            truth.absences.iter().map(|absence| (absence.from_ms, absence.told.len())).collect();
        assert_eq!(from, [(19_000, 0), (20_000, 1)]);
    }

    #[test]
    fn what_is_no_pod_is_passed_over() {
        let bookmark = Event { kind: "BOOKMARK".to_owned(), object: json!({"kind": "Table"}) };
        let mut census = Census::default();
        assert_eq!(census.hear(bookmark, 1), None);
        assert!(census.truth(&clients()).pods.is_empty());
    }
}
