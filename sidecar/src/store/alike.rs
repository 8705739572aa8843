//! Instances are mostly alike: what is the same of them is held once.

use std::{collections::HashSet, sync::Arc};

use rollcall_catalogue::{Instance, Service};

/// Names that are held before those are looked for that nobody has any more: a few racks' worth.
const PLACES_MIN: usize = 64;

/// Holds the names of zones and nodes that instances were read with, each once: they are few, and every instance has two. It
/// grows with what is held, and to no more than twice of that.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    places: HashSet<Arc<str>>,
    /// Those that somebody had when it was last looked.
    had: usize,
}

// === impl Alike ===

impl Alike {
    /// Makes what is equal the same, among these instances that have just been read, and with what is held of their service.
    /// Beside the instances themselves, half of what they take is what they say of ports, tags and metadata.
    pub(crate) fn share(&mut self, instances: &mut [Arc<Instance>], held: Option<&Service>) {
        let mut like = held.and_then(|held| held.instances.get(0)).cloned();
        for instance in instances {
            let before = held.and_then(|held| held.instance(&instance.id));
            // Nobody else has it yet, so that it can still be changed.
            if let Some(read) = Arc::get_mut(instance) {
                before.into_iter().chain(like.as_ref()).for_each(|other| take_over(read, other));
                for place in [&mut read.zone, &mut read.node].into_iter().flatten() {
                    *place = self.place(place);
                }
            }
            like = Some(instance.clone());
        }
    }

    fn place(&mut self, name: &Arc<str>) -> Arc<str> {
        if let Some(held) = self.places.get(name) {
            return held.clone();
        }
        if self.places.len() >= PLACES_MIN.max(2 * self.had) {
            self.places.retain(|name| Arc::strong_count(name) > 1);
            self.had = self.places.len();
        }
        self.places.insert(name.clone());
        name.clone()
    }
}

fn take_over(read: &mut Instance, other: &Instance) {
    if read.profile == other.profile {
        read.profile = other.profile.clone();
    }
    if read.pod == other.pod {
        read.pod.clone_from(&other.pod);
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::{ContentHash, Policy, changes::Head};

    use super::*;

    fn instance(number: u8, team: &str) -> Arc<Instance> {
        let json = serde_json::json!({
            "id": format!("u{number}-8080"), "address": format!("10.0.0.{number}"), "port": 8080,
            "ports": {"http": 8080}, "zone": "a", "node": "n1", "weight": 100, "tags": ["blue"],
            "metadata": {"team": team}, "state": "Serving", "reason": "Ready", "revision": 1,
        });
        Arc::new(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn what_is_equal_is_the_same_and_nothing_else_changes() {
        let fresh = || vec![instance(1, "payments"), instance(2, "payments"), instance(3, "search")];
        let (mut alike, mut read) = (Alike::default(), fresh());
        alike.share(&mut read, None);
        assert_eq!(read, fresh());
        assert!(
            Arc::ptr_eq(&read[0].profile, &read[1].profile)
                && !Arc::ptr_eq(&read[1].profile, &read[2].profile)
        );
        let node = |one: &Instance| one.node.clone().unwrap();
        assert!(Arc::ptr_eq(&node(&read[0]), &node(&read[2])));

        let head = Head { revision: 1, hash: ContentHash(1), policy: Policy::default(), truncated: false };
        let held = Service::of(head, read.clone());
        // One that has changed in something else, and one that is new.
        let mut next = vec![instance(3, "search"), instance(4, "payments")];
        alike.share(&mut next, Some(&held));
        assert!(Arc::ptr_eq(&next[0].profile, &read[2].profile), "as it was before");
        assert_eq!(next, [instance(3, "search"), instance(4, "payments")]);
        assert!(Arc::ptr_eq(&node(&read[0]), &node(&next[1])), "in another frame too");
    }

    #[test]
    fn names_that_nobody_has_any_more_are_forgotten() {
        let mut alike = Alike::default();
        let kept: Vec<_> = (0..10).map(|number| alike.place(&format!("kept-{number}").into())).collect();
        for number in 0..10_000 {
            alike.place(&format!("gone-{number}").into());
            assert!(alike.places.len() <= PLACES_MIN, "{}", alike.places.len());
        }
        for (number, name) in kept.iter().enumerate() {
            assert!(Arc::ptr_eq(name, &alike.place(&format!("kept-{number}").into())), "{name}");
        }
    }
}
