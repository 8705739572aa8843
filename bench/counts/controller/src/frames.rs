//! Frames of a session, as a controller writes them.

use std::hint::black_box;

use rollcall_counts::{Path, shop};
use rollcall_wire::{encode, upserts};

/// Services of a first state.
const SERVICES: usize = 20;

pub(crate) fn paths() -> Vec<Path> {
    let one = |changed: usize| {
        Path::new(format!("encode/delta/{changed}"), 256, move |_| {
            let frame = shop::failed(changed)?;
            Ok(Box::new(move |_| encode(black_box(&frame)).is_ok_and(|bytes| !black_box(bytes).is_empty())))
        })
    };
    let first = Path::new("encode/first state/20x10", 16, |_| {
        let services = shop::services(SERVICES)?;
        Ok(Box::new(move |_| {
            let mut all = services.iter().map(|(key, service)| upserts(black_box(key), service));
            all.all(|frames| frames.is_ok_and(|frames| !black_box(frames).is_empty()))
        }))
    });
    vec![one(1), one(20), first]
}
