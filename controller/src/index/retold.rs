//! What an app said, as one replica tells it to another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rollcall_catalogue::{Namespace, PodUid, ServiceKey, ServiceName, liveness::ProbeWitness};
use rollcall_wire::{
    HealthOf, SelfRegistration,
    limits::{HEALTH_WORDS_MAX, REGISTRATIONS_MAX},
    peer::{self, HealthWord, SaidRegistration},
};

use crate::index::said::{Registered, Said};

/// Says in which services of a pod another word of its app changes something.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// In these its registrations do, whether the pod is known to be of them or not.
    pub(super) services: BTreeSet<ServiceKey>,
    /// In these its health does.
    health: BTreeSet<ServiceName>,
    /// In all that it is.
    all: bool,
}

// === impl Changed ===

impl Changed {
    pub(super) fn concerns(&self, key: &ServiceKey) -> bool {
        self.all || self.health.contains(&key.service)
    }
}

// === impl Said ===

impl Said {
    /// The same for another replica.
    pub(super) fn told(&self) -> peer::Said {
        let registrations = self.registrations.iter().map(|(key, held)| SaidRegistration {
            registration: SelfRegistration::of(&held.word),
            named: self.named.contains(key),
        });
        let of_all = self.health_of_all.map(|probe| HealthWord { of: None, probe });
        let of_parts =
            self.health.iter().map(|(of, probe)| HealthWord { of: Some(of.clone()), probe: *probe });
        peer::Said {
            registrations: registrations.collect(),
            health: of_all.into_iter().chain(of_parts).collect(),
            drains: self.drains,
        }
    }

    /// What another replica tells takes the place of what was held.
    pub(super) fn becomes(
        &mut self,
        namespace: &Namespace,
        uid: &PodUid,
        told: &peer::Said,
        now_ms: u64,
    ) -> Changed {
        let mut changed = Changed::default();
        let mut before = std::mem::take(&mut self.registrations);
        self.named.clear();
        for SaidRegistration { registration, named } in told.registrations.iter().take(REGISTRATIONS_MAX) {
            // One that judges otherwise is of another build, and keeps that to itself.
            let Ok(word) = registration.judge(namespace) else { continue };
            let key = registration.key();
            let same = before.remove(&key).and_then(|held| match *held.word == word {
                true => Some(held),
                false => {
                    changed.services.insert(held.word.key.clone());
                    None
                }
            });
            let held = same.unwrap_or_else(|| {
                changed.services.insert(word.key.clone());
                Registered::new(uid, Arc::new(word), registration.json_bytes())
            });
            if *named {
                self.named.insert(key.clone());
            }
            self.registrations.insert(key, held);
        }
        for gone in before.into_values() {
            changed.services.insert(gone.word.key.clone());
            self.leaves(gone.word.key.clone(), now_ms);
        }
        let of_all = told.health.iter().find(|word| word.of.is_none()).map(|word| word.probe);
        let of_parts = told.health.iter().filter_map(|word| Some((word.of.clone()?, word.probe)));
        let health: BTreeMap<HealthOf, ProbeWitness> = of_parts.take(HEALTH_WORDS_MAX).collect();
        for (one, other) in [(&self.health, &health), (&health, &self.health)] {
            let differing = one.iter().filter(|(of, probe)| other.get(of) != Some(probe));
            changed.health.extend(differing.map(|(of, _)| of.service.clone()));
        }
        changed.all = self.drains != told.drains || self.health_of_all != of_all;
        (self.health, self.health_of_all, self.drains) = (health, of_all, told.drains);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "u1";

    fn registration(service: &str, port: u16, named: bool) -> SaidRegistration {
        let said = serde_json::json!({"service": service, "ports": [{"port": port}], "beside": port > 100});
        SaidRegistration { registration: serde_json::from_value(said).unwrap(), named }
    }

    fn health(service: &str, probe: ProbeWitness) -> HealthWord {
        let of = Some(HealthOf { service: service.parse().unwrap(), port: None });
        HealthWord { of: of.filter(|_| !service.eq("all")), probe }
    }

    fn told(
        registrations: &[(&str, u16, bool)],
        healths: &[(&str, ProbeWitness)],
        drains: bool,
    ) -> peer::Said {
        peer::Said {
            registrations: registrations
                .iter()
                .map(|(name, port, named)| registration(name, *port, *named))
                .collect(),
            health: healths.iter().map(|(name, probe)| health(name, *probe)).collect(),
            drains,
        }
    }

    #[test]
    fn what_is_told_is_what_is_held_and_only_differences_are_changes() {
        use ProbeWitness::{Dead, Passing, Unwell};
        let (namespace, uid) = ("shop".parse().unwrap(), UID.into());
        let mut said = Said::default();
        let first = told(&[("a", 1, true), ("b", 101, false)], &[("all", Passing), ("a", Dead)], false);
        // What follows, which services register otherwise, of which the health is another, and whether all are.
        let table: [(peer::Said, &[&str], &[&str], bool); 7] = [
            (first.clone(), &["a", "b"], &["a"], true),
            (first.clone(), &[], &[], false),
            (
                told(&[("a", 1, false), ("b", 101, false)], &[("all", Passing), ("a", Dead)], false),
                &[],
                &[],
                false,
            ),
            (
                told(&[("a", 2, true), ("b", 101, true)], &[("all", Passing), ("a", Dead)], false),
                &["a"],
                &[],
                false,
            ),
            (
                told(&[("b", 101, true)], &[("all", Passing), ("a", Unwell), ("b", Dead)], false),
                &["a"],
                &["a", "b"],
                false,
            ),
            (told(&[("b", 101, true)], &[("all", Dead), ("a", Unwell)], false), &[], &["b"], true),
            (told(&[], &[], true), &["b"], &["a"], true),
        ];
        for (number, (next, services, parts, all)) in table.into_iter().enumerate() {
            let changed = said.becomes(&namespace, &uid, &next, 1);
            let names: Vec<_> = changed.services.iter().map(|key| key.service.as_str()).collect();
            assert_eq!(names, services, "{number}");
            assert_eq!(changed.health.iter().map(ServiceName::as_str).collect::<Vec<_>>(), parts, "{number}");
            assert_eq!(changed.all, all, "{number}");
            assert_eq!(said.told(), next, "{number}: as it was told, to whom it is told next");
        }
    }
}
