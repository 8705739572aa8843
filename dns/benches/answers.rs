//! What a query costs from its bytes to the bytes of its answer, beside another implementation that parses the same
//! query and writes the same records; and what it costs to write the records of a new content.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that measures nothing must not go on")]

use std::{hint::black_box, net::IpAddr, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hickory_proto::{
    op::{Edns, Message, emit_message_parts},
    serialize::binary::BinEncoder,
};
use rollcall_catalogue::{
    ContentHash, Instance, InstanceId, Policy, Port, Profile, Reason, Service, ServiceKey, State,
    changes::Head,
};
use rollcall_dns::{Answer, Carrier, Choice, Kind, Meaning, Read, Records, read};

fn service(count: u16) -> Service {
    let profile = Arc::new(Profile {
        port: 8080,
        ports: [Port::tcp(Some("http"), 8080)].into(),
        version: "1.4.2".parse().ok(),
        weight: 100,
        tags: Default::default(),
        metadata: Default::default(),
    });
    let instance = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let address = IpAddr::from([10, 1, high, low]);
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
    Service::of(head, (0..count).map(instance).collect())
}

fn key() -> ServiceKey {
    "orders.shop".parse().expect("a name")
}

/// A query as dig sends it, but for its cookie: with EDNS.
fn packet(name: &[u8], kind: Kind) -> Vec<u8> {
    let kind = kind.0.to_be_bytes();
    [b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01", name, &kind, b"\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0"].concat()
}

fn answered(packet: &[u8], records: &Records, out: &mut Vec<u8>) {
    let Read::Query(query) = read(packet) else { panic!("no query") };
    let Meaning::Service { name, .. } = query.meaning() else { panic!("no service") };
    black_box(name);
    query.answer(&Answer::Records(records), Carrier::Udp, true, out);
}

/// The same by the other implementation, which has these records already, as a server would have them.
fn answered_by_another(packet: &[u8], records: &Message, out: &mut Vec<u8>) {
    let query = Message::from_vec(packet).expect("a query");
    let mut metadata = Message::response(query.metadata.id, query.metadata.op_code).metadata;
    metadata.authoritative = true;
    metadata.recursion_desired = query.metadata.recursion_desired;
    metadata.recursion_available = true;
    let mut edns = Edns::new();
    edns.set_max_payload(1_232);
    out.clear();
    let mut encoder = BinEncoder::new(out);
    emit_message_parts(
        &metadata,
        &mut query.queries.iter(),
        &mut records.answers.iter(),
        &mut records.authorities.iter(),
        &mut records.additionals.iter(),
        Some(&edns),
        None,
        &mut encoder,
    )
    .expect("a reply");
}

fn queries(criterion: &mut Criterion) {
    let service = service(10);
    let mut group = criterion.benchmark_group("query");
    for (what, name, kind) in [
        ("A", &b"\x06orders\x08rollcall\0"[..], Kind::A),
        ("SRV", b"\x05_http\x04_tcp\x06orders\x04shop\x08rollcall\0", Kind::SRV),
    ] {
        let packet = packet(name, kind);
        let records = Records::of(&key(), &service, 1);
        let mut out = Vec::new();
        answered(&packet, &records, &mut out);
        let same = Message::from_vec(&out).expect("our own reply");
        assert_eq!(same.answers.len(), 10, "of all instances");
        group.bench_function(BenchmarkId::new("ours", what), |bencher| {
            bencher.iter(|| answered(black_box(&packet), &records, &mut out));
        });
        group.bench_function(BenchmarkId::new("hickory", what), |bencher| {
            bencher.iter(|| answered_by_another(black_box(&packet), &same, &mut out));
        });
    }
    group.finish();
}

fn contents(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("records");
    for count in [10, 5_000] {
        let (key, service) = (key(), service(count));
        let version = Choice { version: Some("1-4-2"), port: None };
        let all = Records::of(&key, &service, 1);
        group.bench_function(BenchmarkId::new("all", count), |bencher| {
            bencher.iter(|| Records::of(&key, black_box(&service), 1));
        });
        group.bench_function(BenchmarkId::new("of a version", count), |bencher| {
            bencher.iter(|| all.chosen(black_box(&service), version, 1));
        });
        let chosen = all.chosen(&service, version, 1);
        println!(
            "{count} instances: {} bytes, and {} of a version",
            all.bytes() + all.shared_bytes(),
            chosen.bytes()
        );
    }
    group.finish();
}

criterion_group! {
    name = answers;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = queries, contents
}
criterion_main!(answers);
