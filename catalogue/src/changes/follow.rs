//! What a holder makes of what it is told, and whether that is what was meant.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use thiserror::Error;

use crate::{
    changes::delta::Head,
    instance::Instance,
    instance_id::InstanceId,
    names::ServiceKey,
    snapshot::{ContentHash, Service},
};

/// Says that what was told does not come to the content that it names: it was garbled, or stands on other content than
/// the holder's. All of the service must be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("content of hash {made} was told as {told}; ask for the whole service")]
pub struct Mismatch {
    pub told: ContentHash,
    pub made: ContentHash,
}

/// The service of this head and these instances; of several with one id, the last counts. Not to be verified is what
/// somebody told whose instances may have more fields than ours: its hash counts them, ours cannot.
pub fn whole(
    key: &ServiceKey,
    head: Head,
    instances: Vec<Arc<Instance>>,
    verify: bool,
) -> Result<Service, Mismatch> {
    let service = Service::of(head, instances);
    if verify {
        compare(head.hash, service.content_hash(key))?;
    }
    Ok(service)
}

/// The service of this head that differs from `held` by these instances, at the cost of what differs: of the rest, the
/// hash of `held` speaks.
pub fn follow(
    key: &ServiceKey,
    held: &Service,
    head: Head,
    upserts: &[Arc<Instance>],
    removed: &[InstanceId],
    verify: bool,
) -> Result<Service, Mismatch> {
    let new: BTreeMap<&InstanceId, &Arc<Instance>> = upserts.iter().map(|one| (&one.id, one)).collect();
    let named: BTreeSet<&InstanceId> = removed.iter().chain(new.keys().copied()).collect();
    let gone: Vec<_> = named.into_iter().filter_map(|id| held.instance(id)).cloned().collect();
    let new: Vec<_> = new.into_values().cloned().collect();
    if verify {
        let sum = |all: &[Arc<Instance>]| ContentHash::of_instances(key, all.iter().map(AsRef::as_ref));
        let of = (held.policy, held.truncated);
        let headed = held.hash.with_head(key, of, (head.policy, head.truncated));
        compare(head.hash, headed.minus(sum(&gone)).plus(sum(&new)))?;
    }
    Ok(Service::with(head, held.instances.edited(&gone, &new)))
}

fn compare(told: ContentHash, made: ContentHash) -> Result<(), Mismatch> {
    if made == told { Ok(()) } else { Err(Mismatch { told, made }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        changes::tests::service_of,
        testing::{any_history, instance, key, play},
    };

    #[test]
    fn what_does_not_come_to_its_hash_is_refused_where_it_can_be_known() {
        let orders = key("orders");
        let (held, next) = (service_of(&[1, 2], 5), service_of(&[2, 3], 9));
        let made = |number| Arc::new(instance(number));
        let all = |service: &Service| service.instances.iter().cloned().collect::<Vec<_>>();
        let gone = [instance(1).id];
        assert_eq!(whole(&orders, next.head(), all(&next), true).unwrap(), next);
        assert_eq!(follow(&orders, &held, next.head(), &[made(3)], &gone, true).unwrap().hash, next.hash);
        let twice = [made(4), Arc::new(Instance { id: instance(3).id, ..instance(9) }), made(3)];
        let removed = [gone[0].clone(), instance(3).id, instance(7).id];
        let table = [
            ("one is missing", whole(&orders, next.head(), vec![made(2)], true)),
            ("another service's", whole(&key("billing"), next.head(), all(&next), true)),
            ("the removal is lost", follow(&orders, &held, next.head(), &[made(3)], &[], true)),
            ("one too many", follow(&orders, &held, next.head(), &twice, &removed, true)),
            ("another base", follow(&orders, &service_of(&[1], 5), next.head(), &[made(3)], &gone, true)),
        ];
        for (what, result) in table {
            assert_eq!(result.unwrap_err().told, next.hash, "{what}");
        }
        let unread = follow(&orders, &held, next.head(), &twice[1..], &removed, false).unwrap();
        assert_eq!(
            unread.content_hash(&orders),
            next.hash,
            "the last of one id counts, over its removal too"
        );
        assert!(whole(&orders, next.head(), vec![], false).is_ok(), "its teller knows more than we do");
    }

    proptest! {
        #![proptest_config(crate::testing::cases(256))]

        /// Every delta of a history, told without the states around it, leads through the same states.
        #[test]
        fn following_each_delta_ends_where_the_snapshot_does(history in any_history(16)) {
            let mut held: BTreeMap<ServiceKey, Service> = BTreeMap::new();
            for (_, snapshot, step) in play(history, |said| said) {
                for delta in step.iter().flat_map(|step| &step.deltas) {
                    let Some(head) = delta.to else {
                        held.remove(&delta.key);
                        continue;
                    };
                    let upserts: Vec<_> = delta.upserts().cloned().collect();
                    let next = match held.get(&delta.key) {
                        None => whole(&delta.key, head, upserts, true),
                        Some(held) => follow(&delta.key, held, head, &upserts, &delta.removes, true),
                    };
                    held.insert(delta.key.clone(), next.unwrap());
                }
                prop_assert_eq!(held.len(), snapshot.len());
                for (key, service) in snapshot.iter() {
                    prop_assert_eq!(&held[key], &**service);
                }
            }
        }
    }
}
