//! One watcher: a range, and the stream of all that changes in it from then on. What it knows it keeps itself, as etcd's clients
//! do.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use anyhow::ensure;
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};

use super::{
    addresses,
    api::{RANGE, Read, WATCH, range, ranged, watch, watched},
    grpc::{Grpc, Stream},
};
use crate::peers::Watcher;

/// Holds the keys as they are known.
pub(super) struct Keys {
    known: BTreeMap<Bytes, Bytes>,
    is_told: bool,
    stream: Stream,
    /// The connection that the stream is on.
    _grpc: Grpc,
}

// === impl Keys ===

impl Keys {
    pub(super) async fn connect(at: SocketAddr, prefix: &str) -> anyhow::Result<Self> {
        let mut grpc = Grpc::connect(at).await?;
        let first = ranged(grpc.call(RANGE, &range(prefix, Read::Linearizable)).await?)?;
        let mut stream = grpc.stream(WATCH, &watch(prefix, first.revision + 1)).await?;
        let begun = watched(stream.hear().await?)?;
        ensure!(begun.is_created, "changes before the watch");
        Ok(Self { known: first.values, is_told: false, stream, _grpc: grpc })
    }

    async fn newer(&mut self) -> anyhow::Result<(Instant, Vec<String>)> {
        // The first is the range.
        while self.is_told {
            let changes = watched(self.stream.hear().await?)?.changes;
            if !changes.is_empty() {
                apply(&mut self.known, changes);
                break;
            }
        }
        self.is_told = true;
        let all = addresses(self.known.values().map(AsRef::as_ref))?;
        Ok((Instant::now(), all))
    }
}

impl Watcher for Keys {
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>> {
        self.newer().boxed()
    }
}

fn apply(known: &mut BTreeMap<Bytes, Bytes>, changes: Vec<(Bytes, Option<Bytes>)>) {
    for (key, value) in changes {
        match value {
            Some(value) => known.insert(key, value),
            None => known.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_applied_in_their_order() {
        let mut known = BTreeMap::from([("a".into(), "1".into()), ("b".into(), "1".into())]);
        let changes = vec![
            ("a".into(), None),
            ("b".into(), Some("2".into())),
            ("c".into(), Some("1".into())),
            ("c".into(), None),
            ("d".into(), None),
            ("d".into(), Some("1".into())),
        ];
        apply(&mut known, changes);
        assert_eq!(known, BTreeMap::from([("b".into(), "2".into()), ("d".into(), "1".into())]));
    }
}
