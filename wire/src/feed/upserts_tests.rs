use proptest::{
    prelude::*,
    sample::{Index, select},
};
use rollcall_catalogue::{
    Port, Profile, Service, Visibility,
    limits::{METADATA_JSON_BYTES_MAX, PORTS_MAX, TAG_CHARS_MAX, TAGS_MAX},
};

use super::*;
use crate::{
    codec::Line,
    testing::{Registry, cases, instance_with, key},
};

fn told(service: &Service, removed: Vec<InstanceId>) -> Vec<Bytes> {
    let instances = service.instances.iter().cloned().collect();
    let base = (!removed.is_empty()).then_some(ContentHash(1));
    Upserts { key: &key("orders.shop"), head: service.head(), base, instances, removed }.frames().unwrap()
}

#[test]
fn a_service_too_large_for_a_frame_goes_in_parts_of_one_revision() {
    let mut registry = Registry::new();
    let all = (0..10).map(|number| instance_with(number, 1, 100)).collect();
    registry.put("orders.shop", all, Visibility::Cluster);
    let service = registry.service("orders.shop");
    // As long as Kubernetes lets them be.
    let removed: Vec<InstanceId> = (0..4_000).map(|n| format!("{n:0>128}").as_str().into()).collect();
    for (gone, count) in [(&removed[..0], 5), (&removed[..], 7)] {
        let frames = told(service, gone.to_vec());
        assert_eq!(frames.len(), count, "two instances of 100 KiB fit into each, or 1,945 ids");
        let (mut joined, mut without) = (Vec::new(), Vec::new());
        for (number, bytes) in frames.iter().enumerate() {
            assert!(bytes.len() <= FRAME_BYTES_MAX + 1);
            let Down::Upsert(Upsert { revision, hash, base, instances, removed, more, .. }) =
                serde_json::from_slice(bytes).unwrap()
            else {
                panic!("no upsert");
            };
            assert_eq!(encode(&serde_json::from_slice::<Down>(bytes).unwrap()).unwrap(), *bytes);
            assert_eq!((revision, hash), (service.revision, service.hash));
            assert_eq!((more, base.is_some()), (number < count - 1, !gone.is_empty()));
            joined.extend(instances);
            without.extend(removed);
        }
        assert!(joined.iter().eq(service.instances.iter()));
        assert_eq!(without, gone);
    }
}

#[test]
fn a_service_without_instances_is_known_all_the_same() {
    let registry = Registry::of(&[("orders.shop", &[])]);
    assert_eq!(told(registry.service("orders.shop"), vec![]).len(), 1);
}

#[test]
fn a_frame_has_the_bytes_of_what_it_is_read_as() {
    let registry = Registry::of(&[("orders.shop", &[1, 2, 3]), ("mail.shop", &[])]);
    for (service, gone) in [("orders.shop", 0), ("orders.shop", 2), ("mail.shop", 1), ("mail.shop", 0)] {
        let removed = (0..gone).map(|n| format!("gone-{n}").as_str().into()).collect();
        for bytes in told(registry.service(service), removed) {
            let read = Down::read(str::from_utf8(&bytes).unwrap()).unwrap();
            assert_eq!(
                String::from_utf8(encode(&read).unwrap()).unwrap(),
                String::from_utf8(bytes.to_vec()).unwrap()
            );
        }
    }
}

proptest! {
    #![proptest_config(cases(512))]

    /// There is a shorter way to read what begins as we write it. It leads to the same, whatever the bytes are.
    #[test]
    fn a_frame_is_read_as_serde_has_it(
        gone in 0..3_usize, at in any::<Index>(), byte in prop_oneof![select(&b"\"\\,:[]{}0 "[..]), 0..128_u8], kind in 0..4,
    ) {
        let registry = Registry::of(&[("orders.shop", &[1, 2, 3])]);
        let removed = (0..gone).map(|n| format!("gone-{n}").as_str().into()).collect();
        let mut bytes = told(registry.service("orders.shop"), removed).concat();
        prop_assert!(bytes.starts_with(br#"{"type":"upsert","service":"#), "the shorter way is taken");
        let at = at.index(bytes.len());
        match kind {
            0 => {}
            1 => bytes[at] = byte,
            2 => bytes.insert(at, byte),
            _ => bytes.truncate(at),
        }
        let json = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(Down::read(&json).ok(), serde_json::from_str(&json).ok(), "{}", json);
    }
}

/// The domain bounds an instance; here is what the bound is for.
#[test]
fn the_largest_instance_fits_into_a_frame() {
    let mut instance = instance_with(1, 1, 0);
    let mut profile = Profile::clone(&instance.profile);
    profile.metadata = [("m", "v".repeat(METADATA_JSON_BYTES_MAX))].into();
    profile.tags = (0..TAGS_MAX).map(|n| format!("{n:\u{10348}>TAG_CHARS_MAX$}")).collect();
    profile.ports = (1..=PORTS_MAX as u16).map(|n| Port::tcp(Some(&format!("{n:p>63}")), n)).collect();
    instance.profile = profile.into();
    let mut registry = Registry::new();
    registry.put("orders.shop", vec![instance], Visibility::Cluster);
    assert_eq!(told(registry.service("orders.shop"), vec![]).len(), 1);
}
