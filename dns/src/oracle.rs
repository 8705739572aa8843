//! Whatever is asked of whatever service: what another implementation reads from the reply is what the service's
//! instances are.

use std::{collections::BTreeSet, net::IpAddr};

use hickory_proto::rr::RData;
use proptest::prelude::*;
use rollcall_catalogue::{Instance, Query as Lookup, Service, State, VersionFilter};

use crate::{
    Answer, Carrier, Choice, Kind, Meaning, Records,
    host::HostLabel,
    testing::{any_service, cases, key, packet, parsed, query, texts, with_edns},
};

/// Holds what is asked for, in all ways in which that can be said.
#[derive(Debug, Clone)]
struct Asked {
    version: Option<&'static str>,
    port: Option<&'static str>,
    with_namespace: bool,
    /// Which letters of the name are upper case.
    upper: u64,
    kind: Kind,
    edns: Option<u16>,
    carrier: Carrier,
}

fn any_asked() -> impl Strategy<Value = Asked> {
    let versions = prop::sample::select(vec![None, Some("1.0.0"), Some("1.1.0-rc.1"), Some("7.0.0")]);
    let ports = prop::sample::select(vec![None, None, Some("http"), Some("admin"), Some("dns")]);
    let kinds = vec![Kind::A, Kind::AAAA, Kind::SRV, Kind::SRV, Kind::ANY, Kind::SOA, Kind(16)];
    let carriers = vec![Carrier::Udp, Carrier::Udp, Carrier::Tcp];
    let edns = prop_oneof![Just(None), any::<u16>().prop_map(Some), (400u16..1_300).prop_map(Some)];
    let how = (any::<bool>(), any::<u64>(), edns);
    (versions, ports, prop::sample::select(kinds), prop::sample::select(carriers), how).prop_map(
        |(version, port, kind, carrier, (with_namespace, upper, edns))| Asked {
            version,
            port,
            with_namespace,
            upper,
            kind,
            edns,
            carrier,
        },
    )
}

// === impl Asked ===

impl Asked {
    fn name(&self) -> String {
        let port = self.port.map(|port| format!("_{port}._{}.", if port == "dns" { "udp" } else { "tcp" }));
        let version = self.version.map(|version| format!("{}.", version.replace('.', "-")));
        let namespace = if self.with_namespace { ".shop" } else { "" };
        let name =
            format!("{}{}orders{namespace}.rollcall", port.unwrap_or_default(), version.unwrap_or_default());
        let upper = |(place, letter): (usize, char)| match self.upper >> (place % 64) & 1 {
            0 => letter,
            _ => letter.to_ascii_uppercase(),
        };
        name.chars().enumerate().map(upper).collect()
    }

    fn packet(&self) -> Vec<u8> {
        let packet = packet(&self.name(), self.kind);
        match self.edns {
            Some(bytes) => with_edns(packet, bytes),
            None => packet,
        }
    }

    fn looked_up<'a>(&self, service: &'a Service) -> Vec<(&'a Instance, u16)> {
        let lookup = Lookup {
            version: self.version.map(|version| VersionFilter::Exact(version.parse().unwrap())),
            port: self.port.map(Into::into),
            ..Lookup::default()
        };
        lookup.select(service).into_iter().map(|one| (&**one.instance, one.port)).collect()
    }

    /// Every record that there is to answer with, without its weight.
    fn answers(&self, service: &Service) -> BTreeSet<String> {
        let name = self.name();
        let all = self.looked_up(service);
        let addresses = || {
            let picked = |(instance, _): &&(&Instance, u16)| instance.profile.weight > 0;
            let any_is = all.iter().any(|one| picked(&one));
            let named = all.iter().filter(move |one| self.port.is_none() && (picked(one) || !any_is));
            named.flat_map(|(instance, _)| instance.addresses.iter())
        };
        let address = |address: IpAddr| address_record(&name, address);
        match self.kind {
            Kind::A => addresses().filter(IpAddr::is_ipv4).map(address).collect(),
            Kind::AAAA => addresses().filter(IpAddr::is_ipv6).map(address).collect(),
            Kind::SRV => {
                let target =
                    |(instance, port): &(&Instance, u16)| format!("{port} {}", target(instance.address()));
                all.iter().map(target).collect()
            }
            Kind::ANY => [format!("{name}. 1 IN HINFO RFC8482 ")].into(),
            _ => BTreeSet::new(),
        }
    }
}

fn target(address: IpAddr) -> String {
    let label = HostLabel::of(address);
    format!("{}.orders.shop.rollcall", str::from_utf8(label.bytes()).unwrap())
}

fn address_record(name: &str, address: IpAddr) -> String {
    let kind = if address.is_ipv4() { "A" } else { "AAAA" };
    format!("{name}. 1 IN {kind} {address}")
}

/// All addresses of who is at this one.
fn addresses_of(service: &Service, target: &str) -> BTreeSet<String> {
    let may_be_called = [State::Serving, State::Suspect];
    let instances = service.instances.iter().filter(|instance| may_be_called.contains(&instance.state));
    let instances = instances.filter(|instance| self::target(instance.address()) == target);
    let addresses = instances.flat_map(|instance| instance.addresses.iter());
    addresses.map(|address| address_record(target, address)).collect()
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn what_is_read_is_what_there_is(service in any_service(), asked in any_asked(), turns in 0u64..4) {
        let packet = asked.packet();
        let query = query(&packet);
        let Meaning::Service { name, choice } = query.meaning() else { panic!("{:?}", query.meaning()) };
        prop_assert_eq!(name, if asked.with_namespace { "orders.shop" } else { "orders" });
        let all = Records::of(&key("orders.shop"), &service, turns << 32);
        let records = if choice == Choice::default() { all } else { all.chosen(&service, choice, turns << 32) };
        let room = query.room(asked.carrier);
        let mut out = Vec::new();
        query.answer(&Answer::Records(&records), asked.carrier, true, &mut out);
        prop_assert!(out.len() <= room);
        prop_assert_eq!(&out[12..query.question().len()], &packet[12..query.question().len()]);

        let reply = parsed(&out);
        let all = asked.answers(&service);
        let read: Vec<_> = reply.answers.iter().map(|record| match &record.data {
            RData::SRV(srv) => format!("{} {}", srv.port, srv.target.to_string().trim_end_matches('.')),
            _ => record.to_string(),
        }).collect();
        let distinct: BTreeSet<_> = read.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), read.len(), "each once: {:?}", read);
        prop_assert!(distinct.is_subset(&all), "{:?} of {:?}", distinct, all);
        prop_assert_eq!(reply.metadata.truncation, distinct.len() < all.len());
        prop_assert!(!read.is_empty() || all.is_empty());
        if reply.metadata.truncation {
            // The longest record that one of these instances has takes 80 bytes.
            prop_assert!(out.len() + 80 > room, "{} of {room}", out.len());
        }
        prop_assert_eq!(reply.authorities.len(), usize::from(read.is_empty()));
        prop_assert_eq!(reply.edns.is_some(), asked.edns.is_some());

        let targets: BTreeSet<_> = reply.answers.iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv.target.to_string().trim_end_matches('.').to_owned()),
            _ => None,
        }).collect();
        let told: BTreeSet<_> = reply.additionals.iter().map(|one| one.name.to_string()).collect();
        let expected = told.iter().flat_map(|name| addresses_of(&service, name.trim_end_matches('.')));
        let additionals = texts(&reply.additionals);
        let additional: BTreeSet<_> = additionals.iter().cloned().collect();
        prop_assert_eq!(additional.len(), additionals.len(), "each once: {:?}", additionals);
        prop_assert!(told.iter().all(|name| targets.contains(name.trim_end_matches('.'))));
        if !reply.metadata.truncation && asked.carrier == Carrier::Tcp {
            prop_assert_eq!(told.len(), targets.len());
        }
        let expected: BTreeSet<_> = expected.collect();
        prop_assert_eq!(additional, expected);
    }
}
