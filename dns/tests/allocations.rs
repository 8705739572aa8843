//! A query of a known name is answered without asking for memory: only its caller's buffer grows, once. Alone in its
//! process, since the allocations of all threads are counted.

use std::sync::Arc;

use rollcall_catalogue::{
    ContentHash, Instance, InstanceId, Policy, Port, Profile, Reason, Service, ServiceKey, State,
    changes::Head,
};
use rollcall_dns::{Answer, Carrier, Kind, Meaning, Read, Records, read};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn service() -> Service {
    let profile = Arc::new(Profile {
        port: 8080,
        ports: [Port::tcp(Some("http"), 8080)].into(),
        version: "1.4.2".parse().ok(),
        weight: 100,
        tags: Default::default(),
        metadata: Default::default(),
    });
    let instance = |last: u8| {
        let address = [10, 1, 2, last].into();
        Arc::new(Instance {
            id: InstanceId::of_address(address, 8080),
            addresses: address.into(),
            zone: None,
            node: None,
            pod: None,
            profile: profile.clone(),
            state: State::Serving,
            reason: Reason::Ready,
            revision: 1,
        })
    };
    let head = Head { revision: 1, hash: ContentHash(1), policy: Policy::default(), truncated: false };
    Service::of(head, (0..10).map(instance).collect())
}

#[test]
fn a_query_of_a_known_name_asks_for_no_memory() {
    let key: ServiceKey = "orders.shop".parse().unwrap();
    let service = service();
    let records = Records::of(&key, &service, 1);
    let host = records.host([10, 1, 2, 3].into()).unwrap();
    let mut out = Vec::with_capacity(2_048);
    let name = b"\x05_http\x04_tcp\x051-4-2\x06orders\x04shop\x08rollcall\0";
    let header = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01";
    let edns = b"\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";

    let _profiler = dhat::Profiler::builder().testing().build();
    for kind in [Kind::A, Kind::AAAA, Kind::SRV, Kind::ANY] {
        let packet = [&header[..], name, &kind.0.to_be_bytes(), edns].concat();
        for answer in [Answer::Records(&records), Answer::Host(host), Answer::NoSuchName, Answer::NotKnown] {
            let before = dhat::HeapStats::get().total_blocks;
            let Read::Query(query) = read(&packet) else { panic!("no query") };
            assert!(matches!(query.meaning(), Meaning::Service { name: "orders.shop", .. }));
            query.answer(&answer, Carrier::Udp, true, &mut out);
            let after = dhat::HeapStats::get().total_blocks;
            assert_eq!(after - before, 0, "{kind:?}: {answer:?}");
        }
    }
}
