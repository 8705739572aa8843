//! What is decided for a service as a whole.

use crate::{
    balance::Policy,
    consolidate::finding::Finding,
    registration::{Registration, Visibility},
};

/// Holds what all instances of a service have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// How callers spread their requests, where they do not say so themselves.
    pub policy: Policy,
    pub visibility: Visibility,
}

/// The settings that follow from all registrations of a service, in any order, and what there is to say to those
/// that wanted others.
pub fn settings<'a>(registrations: impl IntoIterator<Item = &'a Registration>) -> (Settings, Vec<Finding>) {
    let mut closest: Option<(&Registration, Policy)> = None;
    let mut visibility = Visibility::Cluster;
    let mut seen = Vec::new();
    for registration in registrations {
        if let Some(policy) = registration.policy
            // Two words of two pods are equally close, and stand in no order.
            && closest
                .is_none_or(|(held, other)| registration.precedence(held).then(policy.cmp(&other)).is_lt())
        {
            closest = Some((registration, policy));
        }
        // Who says nothing wants nothing, and is narrowed without a word.
        if let Some(wanted) = &registration.visibility {
            visibility = visibility.narrowed(wanted);
            seen.push((registration, wanted));
        }
    }
    let wider = seen
        .into_iter()
        .filter(|(registration, wanted)| wanted.is_wider_than(&visibility, &registration.key.namespace));
    let findings = wider
        .map(|(registration, _)| Finding::VisibilityNarrowed {
            loser: registration.source.clone(),
            to: visibility.clone(),
        })
        .collect();
    (Settings { policy: closest.map(|(_, policy)| policy).unwrap_or_default(), visibility }, findings)
}
