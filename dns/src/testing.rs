//! Builders for the tests: packets as stock resolvers send them, and services of a few instances.

use std::{net::IpAddr, sync::Arc};

use hickory_proto::{
    op::Message,
    rr::Record,
    serialize::binary::{BinDecodable, BinDecoder},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};
use rollcall_catalogue::{
    Addresses, ContentHash, Instance, Policy, Port, Profile, Reason, Service, ServiceKey, State, Transport,
    changes::Head,
};

use crate::{Answer, Carrier, Choice, Kind, Query, Read, Records, read};

/// What another implementation makes of a message, which must be nothing but that message.
pub(crate) fn parsed(bytes: &[u8]) -> Message {
    let mut decoder = BinDecoder::new(bytes);
    let message =
        Message::read(&mut decoder).unwrap_or_else(|error| panic!("{error}: {}", bytes.escape_ascii()));
    assert!(decoder.is_empty(), "bytes behind the message: {}", bytes.escape_ascii());
    message
}

/// The records as text, such as `orders.rollcall. 1 IN A 10.1.0.0`.
pub(crate) fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(Record::to_string).collect()
}

/// A query of one question, recursion desired, without EDNS.
pub(crate) fn packet(name: &str, kind: Kind) -> Vec<u8> {
    let mut packet = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len().try_into().unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&kind.0.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet
}

/// The same, from who takes so many bytes.
pub(crate) fn with_edns(mut packet: Vec<u8>, bytes: u16) -> Vec<u8> {
    packet[11] += 1;
    packet.extend_from_slice(&[0, 0, 41]);
    packet.extend_from_slice(&bytes.to_be_bytes());
    packet.extend_from_slice(&[0; 6]);
    packet
}

pub(crate) fn query(packet: &[u8]) -> Query<'_> {
    match read(packet) {
        Read::Query(query) => query,
        other => panic!("{other:?}"),
    }
}

/// The reply over this carrier.
pub(crate) fn reply(packet: &[u8], answer: Answer<'_>, carrier: Carrier) -> Vec<u8> {
    let mut out = b"what was there before".to_vec();
    query(packet).answer(&answer, carrier, true, &mut out);
    out
}

pub(crate) fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// One that serves, at these addresses and these ports, the first of which is the primary one.
pub(crate) fn instance(addresses: &[&str], ports: &[(&str, u16)]) -> Instance {
    let addresses: Vec<_> = addresses.iter().map(|text| address(text)).collect();
    let addresses = Addresses::new(&addresses).unwrap();
    let profile = Profile {
        port: ports[0].1,
        ports: ports.iter().map(|(name, port)| Port::tcp(Some(name), *port)).collect(),
        version: None,
        weight: 100,
        tags: Default::default(),
        metadata: Default::default(),
    };
    Instance {
        id: format!("{}-{}", addresses.primary(), profile.port).as_str().into(),
        addresses,
        zone: None,
        node: None,
        pod: None,
        profile: profile.into(),
        state: State::Serving,
        reason: Reason::Ready,
        revision: 0,
    }
}

pub(crate) fn service(instances: impl IntoIterator<Item = Instance>) -> Service {
    let head = Head { revision: 1, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    Service::of(head, instances.into_iter().map(Arc::new).collect())
}

/// So many instances, each with an address of its own and the port `http`.
pub(crate) fn many(count: u16) -> Service {
    service((0..count).map(|number| {
        let [high, low] = number.to_be_bytes();
        instance(&[&format!("10.1.{high}.{low}")], &[("http", 8080)])
    }))
}

/// The records of `orders.shop`, whose turn is the first one's.
pub(crate) fn records(service: &Service, choice: Choice<'_>) -> Records {
    let all = Records::of(&key("orders.shop"), service, 0);
    if choice == Choice::default() { all } else { all.chosen(service, choice, 0) }
}

/// A service of instances that share addresses, ports, versions and states with each other.
pub(crate) fn any_service() -> impl Strategy<Value = Service> {
    let states = [State::Starting, State::Suspect, State::Failing, State::Draining];
    let states = prop_oneof![4 => Just(State::Serving), 1 => select(states.to_vec())];
    let ports = [("http", 80, Transport::Tcp), ("admin", 81, Transport::Tcp), ("dns", 53, Transport::Udp)];
    let ports = subsequence(ports.to_vec(), 1..=3).prop_flat_map(|ports| (0..ports.len(), Just(ports)));
    let versions = select(vec!["none", "1.0.0", "1.1.0", "1.1.0-rc.1"]);
    let addresses = vec((any::<bool>(), 0u8..12), 1..4);
    let one = (addresses, ports, versions, states, select(vec![0u16, 7, 100]));
    vec(one, 0..40).prop_map(|all| {
        service((0..).zip(all).map(|(number, (addresses, (primary, ports), version, state, weight))| {
            let addresses: Vec<_> = addresses
                .into_iter()
                .map(|(is_v4, last)| match is_v4 {
                    true => IpAddr::from([10, 0, 0, last]),
                    false => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last.into()]),
                })
                .collect();
            let port = |(name, port, transport)| Port { transport, ..Port::tcp(Some(name), port) };
            let profile = Profile {
                port: ports[primary].1,
                ports: ports.into_iter().map(port).collect(),
                version: version.parse().ok(),
                weight,
                tags: Default::default(),
                metadata: Default::default(),
            };
            Instance {
                id: format!("pod{number}-{}", profile.port).as_str().into(),
                addresses: Addresses::new(&addresses).unwrap(),
                profile: profile.into(),
                state,
                ..instance(&["10.0.0.1"], &[("http", 80)])
            }
        }))
    })
}

/// A property of so many cases; more, or fewer, where PROPTEST_CASES asks for more, or fewer, than the usual 256.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = u64::from(usual) * u64::from(asked.cases) / 256;
    ProptestConfig { cases: u32::try_from(cases.max(1)).unwrap_or(u32::MAX), ..asked }
}
