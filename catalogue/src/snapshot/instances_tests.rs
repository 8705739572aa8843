use std::{collections::BTreeMap, slice::from_ref};

use proptest::prelude::*;

use super::*;
use crate::testing;

/// One of some thousand ids, at one of as many places that have nothing to do with it.
fn instance(number: u16, place: u16) -> Arc<Instance> {
    let address = std::net::IpAddr::from([10, 0, (place >> 8) as u8, place as u8]);
    let id = format!("{number:05}");
    Arc::new(Instance { id: id.as_str().into(), addresses: address.into(), ..testing::instance(1) })
}

fn list(numbers: impl IntoIterator<Item = u16>) -> Instances {
    numbers.into_iter().map(|number| instance(number, number)).collect()
}

/// How many chunks of the one list are not those of the other.
fn copied(before: &Chunks, after: &Chunks) -> usize {
    let held = |chunk: &&Chunk| before.0.iter().any(|old| Arc::ptr_eq(old, chunk));
    after.0.iter().filter(|chunk| !held(chunk)).count()
}

/// In both orders, with no chunk that is empty, too large, or that would fit into its neighbour.
fn check(list: &Instances) {
    for (chunks, order) in [(&list.by_order, Instance::order as Order), (&list.by_id, order_of_ids as Order)]
    {
        let all: Vec<_> = chunks.0.iter().flat_map(|chunk| chunk.iter()).collect();
        assert!(all.is_sorted_by(|a, b| order(a, b).is_lt()));
        assert_eq!(all.len(), list.len());
        let sizes: Vec<_> = chunks.0.iter().map(|chunk| chunk.len()).collect();
        assert!(sizes.iter().all(|size| (1..=2 * CHUNK).contains(size)), "{sizes:?}");
        assert!(sizes.windows(2).all(|pair| pair[0] + pair[1] > CHUNK), "{sizes:?}");
    }
    assert_eq!(list.standing, Standing::of(list.iter().map(AsRef::as_ref)));
}

#[test]
fn a_change_copies_the_chunk_that_it_hits_and_no_other() {
    let before = list(0..5_000);
    check(&before);
    let held = before.find(&"02500".into()).unwrap().clone();
    let different = Arc::new(Instance { node: None, ..Instance::clone(&held) });
    let after = before.edited(from_ref(&held), from_ref(&different));
    assert_eq!((copied(&before.by_order, &after.by_order), copied(&before.by_id, &after.by_id)), (1, 1));
    assert!(Arc::ptr_eq(after.find(&"02500".into()).unwrap(), &different));
    let without = before.edited(&[held], &[]);
    assert_eq!((copied(&before.by_order, &without.by_order), without.len()), (1, 4_999));
    assert!(without.find(&"02500".into()).is_none() && before.find(&"02500".into()).is_some());
    assert_eq!(copied(&before.by_order, &before.edited(&[], &[]).by_order), 0);
}

#[test]
fn a_list_that_shrinks_has_fewer_chunks() {
    let mut shrinking = list(0..5_000);
    for number in (0..5_000).rev().filter(|number| number % 100 != 0) {
        let one = shrinking.find(&format!("{number:05}").as_str().into()).unwrap().clone();
        shrinking = shrinking.edited(&[one], &[]);
    }
    check(&shrinking);
    let chunks = shrinking.by_order.0.len();
    assert!(shrinking.len() == 50 && chunks <= 2 * 50 / CHUNK + 1, "{chunks} chunks");
}

#[test]
fn places_are_those_of_the_order() {
    let all = list(0..500);
    for (place, instance) in all.iter().enumerate() {
        assert!(Arc::ptr_eq(all.get(place).unwrap(), instance));
    }
    assert!(all.get(500).is_none() && list([]).get(0).is_none());
    assert!(list([]).is_empty() && !all.is_empty());
}

proptest! {
    #![proptest_config(testing::cases(64))]

    /// Whatever is taken out and put in, in small steps or large ones.
    #[test]
    fn a_list_is_a_map_in_two_orders(
        steps in proptest::collection::vec(
            (proptest::collection::vec((0u16..600, 0u16..600), 0..300), proptest::collection::vec(0u16..600, 0..300)), 1..8),
    ) {
        let mut model: BTreeMap<String, Arc<Instance>> = BTreeMap::new();
        let mut list = Instances::default();
        for (puts, takes) in steps {
            let puts: BTreeMap<_, _> = puts.into_iter().map(|(n, place)| (format!("{n:05}"), instance(n, place))).collect();
            let mut gone: BTreeMap<_, _> = takes.into_iter().map(|n| format!("{n:05}")).filter_map(|id| Some((id.clone(), model.remove(&id)?))).collect();
            for (id, put) in &puts {
                gone.extend(model.insert(id.clone(), put.clone()).map(|before| (id.clone(), before)));
            }
            list = list.edited(&gone.into_values().collect::<Vec<_>>(), &puts.into_values().collect::<Vec<_>>());
            check(&list);
            let mut expected: Vec<_> = model.values().cloned().collect();
            expected.sort_by(|a, b| a.order(b));
            prop_assert_eq!(list.iter().cloned().collect::<Vec<_>>(), expected);
            for number in 0..600 {
                let id = format!("{number:05}");
                prop_assert_eq!(list.find(&id.as_str().into()), model.get(&id));
            }
            // However it came about, it is equal to one that was made at once.
            prop_assert_eq!(&list, &model.values().cloned().collect::<Instances>());
        }
    }
}
