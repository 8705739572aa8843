//! A lookup, from its name to the answer's head and bytes; what HTTP itself takes is not in it.

use std::hint::black_box;

use rollcall_counts::{Path, shop};

use crate::alone::{Alone, looked_up};

/// Instances of each service.
const INSTANCES: usize = 10;

pub(crate) fn paths() -> Vec<Path> {
    vec![
        // The answer to the first lookup of a name, which is written for that alone.
        Path::new("lookup/first/10", 64, |turns| {
            let sidecar = Alone::new(turns, INSTANCES)?;
            let names: Vec<_> = (0..turns).map(shop::name).collect();
            Ok(Box::new(move |turn| is_answered(&sidecar, names.get(turn))))
        }),
        Path::new("lookup/repeated/10", 1_024, |_| {
            let services = 32;
            let sidecar = Alone::new(services, INSTANCES)?;
            let names: Vec<_> = (0..services).map(shop::name).collect();
            // The first is not kept, and the second is.
            let written = (0..2).all(|_| names.iter().all(|name| is_answered(&sidecar, Some(name))));
            anyhow::ensure!(written, "an answer is not there that is to be repeated");
            Ok(Box::new(move |turn| is_answered(&sidecar, names.get(turn % services))))
        }),
    ]
}

fn is_answered(sidecar: &Alone, name: Option<&String>) -> bool {
    let answer = name.and_then(|name| looked_up(&sidecar.app, black_box(name)));
    black_box(answer).is_some_and(|answer| answer.status().is_success())
}
