//! The members of one service.

use crate::index::{endpoints::OwnerId, services::Member};

/// Holds the members of a service by their owners, in the owners' order. A list has one place for each, where a hash map
/// is up to half empty; that the later ones move where one comes or goes costs less than to join it.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<(OwnerId, Member)>);

// === impl Members ===

impl Members {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&OwnerId, &Member)> {
        self.0.iter().map(|(owner, member)| (owner, member))
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = &OwnerId> {
        self.iter().map(|(owner, _)| owner)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, owner: &OwnerId) -> Option<&Member> {
        self.entry(owner).map(|(_, member)| member)
    }

    pub(super) fn entry(&self, owner: &OwnerId) -> Option<(&OwnerId, &Member)> {
        self.0.get(self.place(owner).ok()?).map(|(owner, member)| (owner, member))
    }

    /// Gives what the owner had before.
    pub(super) fn insert(&mut self, owner: &OwnerId, member: Member) -> Option<Member> {
        match self.place(owner) {
            Ok(place) => self.0.get_mut(place).map(|(_, held)| std::mem::replace(held, member)),
            Err(place) => {
                if self.0.len() == self.0.capacity() {
                    // An eighth, where a list doubles on its own.
                    self.0.reserve_exact(self.0.len() / 8 + 1);
                }
                self.0.insert(place, (owner.clone(), member));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, owner: &OwnerId) -> Option<Member> {
        let (_, member) = self.0.remove(self.place(owner).ok()?);
        if self.0.capacity() > 2 * self.0.len() {
            self.0.shrink_to_fit();
        }
        Some(member)
    }

    /// Where it is, or where it belongs.
    fn place(&self, owner: &OwnerId) -> Result<usize, usize> {
        self.0.binary_search_by(|(held, _)| held.cmp(owner))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_those_of_a_map(steps in proptest::collection::vec((0u8..40, any::<bool>()), 0..200)) {
            let (mut members, mut model) = (Members::default(), BTreeMap::new());
            for (number, comes) in steps {
                let owner = OwnerId::Pod(format!("u{number}").as_str().into());
                let held = match comes {
                    true => members.insert(&owner, Member::default()),
                    false => members.remove(&owner),
                };
                let known = match comes {
                    true => model.insert(owner.clone(), ()),
                    false => model.remove(&owner),
                };
                prop_assert_eq!(held.is_some(), known.is_some());
                prop_assert_eq!(members.owners().collect::<Vec<_>>(), model.keys().collect::<Vec<_>>());
                prop_assert_eq!((members.len(), members.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(members.get(&owner).is_some(), comes);
                prop_assert!(members.0.capacity() <= 2 * members.len());
            }
        }
    }
}
