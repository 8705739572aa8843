//! Who may see a service.

use std::{collections::BTreeSet, fmt};

use crate::names::Namespace;

/// Says which namespaces may see a service. Its own always may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Every namespace of the cluster.
    #[default]
    Cluster,
    /// Its own namespace and these; none of them is its own alone.
    Namespaces(BTreeSet<Namespace>),
}

// === impl Visibility ===

impl Visibility {
    /// Its own namespace alone.
    pub fn own() -> Self {
        Self::Namespaces(BTreeSet::new())
    }

    /// Whether a caller in `caller` may see a service of `home`.
    pub fn includes(&self, home: &Namespace, caller: &Namespace) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(named) => caller == home || named.contains(caller),
        }
    }

    /// What both allow. A service is as hidden as its most careful registration wants it: showing too much cannot
    /// be taken back.
    #[must_use]
    pub fn narrowed(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Cluster, other) => other.clone(),
            (this, Self::Cluster) => this,
            (Self::Namespaces(these), Self::Namespaces(those)) => {
                Self::Namespaces(these.into_iter().filter(|namespace| those.contains(namespace)).collect())
            }
        }
    }

    /// Whether this shows a service of `home` to someone to whom the other does not.
    pub fn is_wider_than(&self, other: &Self, home: &Namespace) -> bool {
        match (self, other) {
            (_, Self::Cluster) => false,
            (Self::Cluster, Self::Namespaces(_)) => true,
            (Self::Namespaces(these), Self::Namespaces(_)) => {
                these.iter().any(|namespace| !other.includes(home, namespace))
            }
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Namespaces(named) if named.is_empty() => f.write_str("namespace"),
            Self::Namespaces(named) => {
                let names: Vec<_> = named.iter().map(Namespace::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_visibility() -> impl Strategy<Value = Visibility> {
        let named = proptest::collection::btree_set(
            proptest::sample::select(vec!["shop", "a", "b", "c"]).prop_map(|name| name.parse().unwrap()),
            0..4,
        );
        prop_oneof![Just(Visibility::Cluster), named.prop_map(Visibility::Namespaces)]
    }

    #[test]
    fn it_is_written_as_its_annotation() {
        let two = Visibility::Namespaces(["b", "a"].map(|name| name.parse().unwrap()).into());
        assert_eq!(
            [Visibility::Cluster, Visibility::own(), two].map(|v| v.to_string()),
            ["cluster", "namespace", "a,b"]
        );
    }

    proptest! {
        #[test]
        fn narrowing_is_what_all_allow(all in proptest::collection::vec(any_visibility(), 1..5), caller in "shop|a|b|c|d") {
            let home: Namespace = "shop".parse().unwrap();
            let caller: Namespace = caller.parse().unwrap();
            let narrowed = all.iter().fold(Visibility::Cluster, Visibility::narrowed);
            let allowed = all.iter().all(|one| one.includes(&home, &caller));
            prop_assert_eq!(narrowed.includes(&home, &caller), allowed);
            prop_assert!(narrowed.includes(&home, &home), "its own namespace always sees a service");
            for one in &all {
                prop_assert!(!narrowed.is_wider_than(one, &home));
                let loses = one.includes(&home, &caller) && !narrowed.includes(&home, &caller);
                prop_assert!(!loses || one.is_wider_than(&narrowed, &home));
            }
        }
    }
}
