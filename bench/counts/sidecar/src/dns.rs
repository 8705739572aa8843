//! A query by DNS, from its packet to the packet of the answer; and the records of a content, which are written once.

use std::hint::black_box;

use rollcall_counts::{Path, Work, shop};
use rollcall_dns::{Answer, Carrier, Kind, Meaning, Read, Records, read};

const INSTANCES: usize = 10;

pub(crate) fn paths() -> Vec<Path> {
    vec![
        Path::new("dns/A/10", 1_024, |_| query(b"\x0forder-service-0\x08rollcall\0", Kind::A)),
        Path::new("dns/SRV/10", 1_024, |_| {
            query(b"\x05_http\x04_tcp\x0forder-service-0\x04shop\x08rollcall\0", Kind::SRV)
        }),
        Path::new("dns/records/10", 64, |_| {
            let key = shop::key(0)?;
            let service = shop::service(&key, INSTANCES)?;
            Ok(Box::new(move |turn| {
                black_box(Records::of(&key, black_box(&service), turn as u64)).bytes() > 0
            }))
        }),
    ]
}

/// As dig sends it, but for its cookie: with EDNS.
fn query(name: &[u8], kind: Kind) -> anyhow::Result<Work> {
    let kind = kind.0.to_be_bytes();
    let head = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01";
    let packet = [&head[..], name, &kind, b"\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0"].concat();
    let key = shop::key(0)?;
    let records = Records::of(&key, &shop::service(&key, INSTANCES)?, 1);
    let mut out = Vec::new();
    Ok(Box::new(move |_| {
        let Read::Query(query) = read(black_box(&packet)) else { return false };
        let Meaning::Service { name, .. } = query.meaning() else { return false };
        black_box(name);
        query.answer(&Answer::Records(&records), Carrier::Udp, true, &mut out);
        black_box(&out).get(7) == Some(&10)
    }))
}
