//! The registrations of one service, and which of them count.

use std::{collections::BTreeMap, sync::Arc};

use rollcall_catalogue::{Registration, Source};

use crate::index::services::RegistrationId;

/// Registrations of one service that count; the newer ones are told. Each instance is what all that reach it say of
/// it, so that one tenant's objects would cost objects times pods. One for each version, port and team is well below.
pub(super) const COUNTING_MAX: usize = 64;

/// Holds the registrations of one service by age. Which of them count follows from which there are, and from nothing
/// else.
#[derive(Debug, Default)]
pub(super) struct Registrations(BTreeMap<Rank, Arc<Registration>>);

/// Holds a registration's place: the older first, and by their names those of one age.
type Rank = (i64, RegistrationId);

// === impl Registrations ===

impl Registrations {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, whether they count or not.
    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.0.values()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &RegistrationId> {
        self.0.keys().map(|(_, id)| id)
    }

    pub(super) fn counting(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.0.values().take(COUNTING_MAX)
    }

    pub(super) fn counting_ids(&self) -> impl Iterator<Item = &RegistrationId> {
        self.ids().take(COUNTING_MAX)
    }

    /// It is here, and too many are older.
    pub(super) fn is_surplus(&self, id: &RegistrationId, registration: &Registration) -> bool {
        let rank = rank(id, registration);
        self.0.contains_key(&rank) && self.0.keys().nth(COUNTING_MAX - 1).is_some_and(|last| rank > *last)
    }

    /// Gives the one that counts no more for it.
    pub(super) fn insert(
        &mut self,
        id: &RegistrationId,
        registration: &Arc<Registration>,
    ) -> Option<RegistrationId> {
        let rank = rank(id, registration);
        self.0.insert(rank.clone(), registration.clone());
        let first_surplus = self.0.keys().nth(COUNTING_MAX)?;
        (rank < *first_surplus).then(|| first_surplus.1.clone())
    }

    /// Gives the one that counts in its place.
    pub(super) fn remove(
        &mut self,
        id: &RegistrationId,
        registration: &Registration,
    ) -> Option<Arc<Registration>> {
        let rank = rank(id, registration);
        self.0.remove(&rank)?;
        let (last, entered) = self.0.iter().nth(COUNTING_MAX - 1)?;
        (rank < *last).then(|| entered.clone())
    }
}

fn rank(id: &RegistrationId, registration: &Registration) -> Rank {
    let created_ms = match &registration.source {
        Source::Object { created_ms, .. } => *created_ms,
        // An instance's own word is no object, and not held here.
        Source::Runtime { .. } | Source::Annotation => 0,
    };
    (created_ms, id.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rollcall_catalogue::{Attributes, Target};

    use super::*;

    fn registration(created_ms: i64, name: &str) -> (RegistrationId, Arc<Registration>) {
        let registration = Registration {
            key: "orders.shop".parse().unwrap(),
            source: Source::Object { created_ms, name: name.into() },
            target: Target::Selector([("app", name)].into()),
            attributes: Attributes::default(),
            policy: None,
            visibility: None,
        };
        (RegistrationId::Object(name.into()), Arc::new(registration))
    }

    proptest! {
        #[test]
        fn who_counts_follows_from_who_is_there_and_each_move_is_told(
            steps in proptest::collection::vec((0i64..4, 0u8..100, any::<bool>()), 0..100),
        ) {
            let (mut held, mut world) = (Registrations::default(), BTreeMap::new());
            let counting = |held: &Registrations| held.counting_ids().cloned().collect::<Vec<_>>();
            // Full from the beginning, so that the edge is crossed.
            let first = (0..70).map(|name| (2, name, true));
            for (created_ms, name, comes) in first.chain(steps) {
                let (id, one) = registration(created_ms, &format!("r{name:02}"));
                let rank = (created_ms, id.clone());
                let before = counting(&held);
                match comes {
                    true => {
                        let left = held.insert(&id, &one);
                        world.insert(rank, one.clone());
                        let after = counting(&held);
                        let gone: Vec<_> = before.iter().filter(|id| !after.contains(id)).collect();
                        // One of the same name and another age may be here too.
                        prop_assert!(gone.iter().all(|id| left.as_ref() == Some(id)), "{left:?} {gone:?}");
                    }
                    false => {
                        let entered = held.remove(&id, &one);
                        world.remove(&rank);
                        let after = counting(&held);
                        let come: Vec<_> = after.iter().filter(|id| !before.contains(id)).collect();
                        let entered = entered.map(|one| registration_id(&one));
                        prop_assert!(come.iter().all(|id| entered.as_ref() == Some(id)), "{entered:?} {come:?}");
                    }
                }
                let expected: Vec<_> = world.keys().take(COUNTING_MAX).map(|(_, id)| id.clone()).collect();
                prop_assert_eq!(counting(&held), expected);
            }
            for (nth, ((_, id), one)) in world.iter().enumerate() {
                prop_assert_eq!(held.is_surplus(id, one), nth >= COUNTING_MAX);
            }
        }
    }

    fn registration_id(registration: &Registration) -> RegistrationId {
        let Source::Object { name, .. } = &registration.source else { panic!() };
        RegistrationId::Object((&**name).into())
    }
}
