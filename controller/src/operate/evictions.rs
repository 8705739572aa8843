//! Who left the lookups with a step of the catalogue, and why.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use rollcall_catalogue::{Instance, Reason, Service, Snapshot, State, changes::Delta};

/// It is not even listed any more: deleted, ended, or nothing registers it.
const REMOVED: &str = "Removed";
/// A reason that this table does not know.
const OTHER: &str = "Other";

/// Why an instance is out of the lookups, in the words of the metric: every reason of docs/liveness.md that takes one
/// out, and two more.
pub const EVICTIONS: [&str; 13] = [
    "Terminating",
    "DrainRequested",
    "NotReady",
    "EndpointNotReady",
    "NodeLost",
    "ProbeRefused",
    "ProbeFailed",
    "ListensOnLoopbackOnly",
    "HeartbeatMissed",
    "AppSaysFailing",
    "SessionSilent",
    REMOVED,
    OTHER,
];

/// How many instances of `before` these deltas take out of the lookups, by why.
pub(super) fn evictions(before: &Snapshot, deltas: &[Arc<Delta>]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    let mut count = |word: &'static str, more: usize| *counts.entry(word).or_insert(0) += more as u64;
    for delta in deltas {
        let Some(service) = before.get(&delta.key) else { continue };
        if delta.to.is_none() {
            count(REMOVED, served(service).count());
            continue;
        }
        let mut left = delta.upserts().filter(|instance| !is_served(instance)).peekable();
        if left.peek().is_none() && delta.removes.is_empty() {
            continue;
        }
        let served: HashSet<_> = served(service).map(|instance| &instance.id).collect();
        for instance in left.filter(|instance| served.contains(&instance.id)) {
            count(word(&instance.reason), 1);
        }
        count(REMOVED, delta.removes.iter().filter(|id| served.contains(id)).count());
    }
    counts.retain(|_, count| *count > 0);
    counts
}

fn served(service: &Service) -> impl Iterator<Item = &Arc<Instance>> {
    service.instances.iter().filter(|instance| is_served(instance))
}

/// A Suspect one is in the lookups where nothing better is left, so it has not left them yet.
fn is_served(instance: &Instance) -> bool {
    matches!(instance.state, State::Serving | State::Suspect)
}

fn word(reason: &Reason) -> &'static str {
    EVICTIONS.into_iter().find(|word| *word == reason.as_str()).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rollcall_catalogue::Update;

    use super::*;
    use crate::operate::api::fixtures::{instance, key, whole};

    #[test]
    fn the_words_are_those_of_the_liveness_table() {
        let rows = include_str!("../../../docs/liveness.md").lines().filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, _, _, _, _, _, _, state, reason, _] = cells.as_slice() else { return None };
            matches!(*state, "Starting" | "Failing" | "Draining").then_some(*reason)
        });
        let words: BTreeSet<_> =
            EVICTIONS.into_iter().filter(|word| ![REMOVED, OTHER].contains(word)).collect();
        assert_eq!(words, rows.collect());
    }

    #[test]
    fn who_leaves_the_lookups_is_counted_once() {
        let with = |number, state, reason| Instance { state, reason, ..instance(number) };
        let serving = |number| with(number, State::Serving, Reason::Ready);
        let failing = |number| with(number, State::Failing, Reason::ProbeRefused);
        let draining = |number| with(number, State::Draining, Reason::Terminating);
        let suspect = |number| with(number, State::Suspect, Reason::SessionQuiet);
        type Row = (Vec<Instance>, Option<Vec<Instance>>, Vec<(&'static str, u64)>);
        let table: [Row; 9] = [
            (vec![serving(1), serving(2)], Some(vec![serving(1), failing(2)]), vec![("ProbeRefused", 1)]),
            (vec![suspect(1), serving(2)], Some(vec![failing(1), failing(2)]), vec![("ProbeRefused", 2)]),
            (vec![serving(1)], Some(vec![suspect(1)]), vec![]),
            (vec![failing(1)], Some(vec![draining(1)]), vec![]),
            (vec![failing(1)], Some(vec![]), vec![]),
            (vec![failing(1)], Some(vec![serving(1)]), vec![]),
            (vec![serving(1), draining(2)], Some(vec![]), vec![("Removed", 1)]),
            (vec![serving(1), serving(2), draining(3)], None, vec![("Removed", 2)]),
            (
                vec![serving(1)],
                Some(vec![with(1, State::Failing, Reason::from("Hibernating".to_owned()))]),
                vec![("Other", 1)],
            ),
        ];
        for (before, after, expected) in table {
            let held = Snapshot::default().next([whole("orders", before.clone())], 1).unwrap().snapshot;
            let update = match after.clone() {
                Some(instances) => whole("orders", instances),
                None => (key("orders"), Update::Gone),
            };
            let step = held.next([update], 2).unwrap();
            let counted: Vec<_> = evictions(&held, &step.deltas).into_iter().collect();
            assert_eq!(counted, expected, "{before:?} {after:?}");
        }
        let first = Snapshot::default().next([whole("orders", vec![failing(1)])], 1).unwrap();
        assert_eq!(evictions(&Snapshot::default(), &first.deltas), BTreeMap::new(), "it was never there");
    }
}
