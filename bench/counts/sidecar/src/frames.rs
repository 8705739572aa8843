//! Frames of a session, as a sidecar reads them and applies them.

use std::hint::black_box;

use rollcall_counts::{Path, Work, shop};
use rollcall_wire::{Decoder, Down, encode, upserts};

use crate::alone::Alone;

/// Services of a first state.
const SERVICES: usize = 20;

pub(crate) fn paths() -> Vec<Path> {
    let one = |changed: usize| {
        Path::new(format!("decode/delta/{changed}"), 256, move |_| {
            decode(encode(&shop::failed(changed)?)?, 1)
        })
    };
    vec![
        one(1),
        one(20),
        Path::new("decode/first state/20x10", 16, |_| {
            let mut bytes = Vec::new();
            for (key, service) in shop::services(SERVICES)? {
                bytes.extend(upserts(&key, &service)?.concat());
            }
            decode(bytes, SERVICES)
        }),
        // One instance turns; what there is beside it must cost little.
        Path::new("apply/delta/1 of 10", 512, |turns| apply(turns, 10)),
        Path::new("apply/delta/1 of 1000", 512, |turns| apply(turns, 1_000)),
    ]
}

/// Reads these bytes as so many frames, by one decoder for all turns as a session has it.
fn decode(bytes: Vec<u8>, frames: usize) -> anyhow::Result<Work> {
    let mut decoder = Decoder::<Down>::default();
    Ok(Box::new(move |_| {
        decoder.push(black_box(&bytes));
        let mut read = 0;
        while let Ok(Some(frame)) = decoder.next_frame() {
            read += usize::from(matches!(black_box(frame), Down::Upsert(_)));
        }
        read == frames
    }))
}

/// An instance fails, and is well again.
fn apply(turns: usize, instances: usize) -> anyhow::Result<Work> {
    let mut sidecar = Alone::new(1, instances)?;
    let key = shop::key(0)?;
    let frames = shop::flips(&key, &shop::service(&key, instances)?, turns);
    let mut frames: Vec<_> = frames.into_iter().map(Some).collect();
    Ok(Box::new(move |turn| {
        let frame = frames.get_mut(turn).and_then(Option::take);
        frame.is_some_and(|frame| sidecar.hear(frame).is_ok())
    }))
}
