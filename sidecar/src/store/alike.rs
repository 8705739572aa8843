//! Instances of one service are mostly alike: what is the same of them is held once.

use std::sync::Arc;

use rollcall_catalogue::{Instance, Service};

/// Makes what is equal the same, among these instances that have just been read, and with what is held of their service.
/// Beside the instances themselves, half of what they take is what they say of ports, tags and metadata.
pub(crate) fn share(instances: &mut [Arc<Instance>], held: Option<&Service>) {
    let mut like = held.and_then(|held| held.instances.get(0)).cloned();
    for instance in instances {
        let before = held.and_then(|held| held.instance(&instance.id));
        // Nobody else has it yet, so that it can still be changed.
        if let Some(read) = Arc::get_mut(instance) {
            before.into_iter().chain(like.as_ref()).for_each(|other| take_over(read, other));
        }
        like = Some(instance.clone());
    }
}

fn take_over(read: &mut Instance, other: &Instance) {
    if read.profile == other.profile {
        read.profile = other.profile.clone();
    }
    for (text, other) in
        [(&mut read.zone, &other.zone), (&mut read.node, &other.node), (&mut read.pod, &other.pod)]
    {
        if text == other {
            text.clone_from(other);
        }
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
        let mut read = fresh();
        share(&mut read, None);
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
        share(&mut next, Some(&held));
        assert!(Arc::ptr_eq(&next[0].profile, &read[2].profile), "as it was before");
        assert_eq!(next, [instance(3, "search"), instance(4, "payments")]);
    }
}
