//! Names that are asked for all the time, by a loop in the pod itself: kubectl alone takes longer than what is measured.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rollcall_cluster::companion::Companion;
use rollcall_slice::Cluster;

use super::{ASKER, HEADLESS};

/// The nameservers of other clusters keep answers for 30 s.
const GONE_MAX: Duration = Duration::from_secs(60);
/// Lines that nobody has looked at yet: minutes of them.
const LINES_MAX: usize = 20_000;
pub(crate) const OURS: &str = "orders.rollcall";

/// Holds the loop, which ends with it.
pub(crate) struct Watch {
    _kubectl: Companion,
    /// For each turn and name a line, and when it came: the name, and its addresses.
    lines: Receiver<(Instant, String)>,
}

// === impl Watch ===

impl Watch {
    /// Of our name and of Kubernetes' own for the same pods; returns once both have answers with this address.
    pub(crate) fn begin(cluster: &Cluster, address: &str) -> Result<Self> {
        let script = format!(
            r"b=/bin/busybox
            domain=$($b sed -n 's/^search \([^ ]*\).*/\1/p' /etc/resolv.conf)
            while :; do
                for name in {OURS} {HEADLESS}.$domain; do
                    echo $name $($b nslookup -type=a $name | $b sed -n 's/^Address: //p')
                done
                $b usleep 10000
            done"
        );
        let (kubectl, output) = cluster.shop.streaming(&[
            "exec",
            ASKER,
            "-c",
            "app",
            "--",
            "/bin/busybox",
            "sh",
            "-c",
            &script,
        ])?;
        let (tell, lines) = sync_channel(LINES_MAX);
        // Ends with kubectl, or when nobody listens.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        let watch = Self { _kubectl: kubectl, lines };
        watch.all(|addresses| addresses.contains(&address))?;
        Ok(watch)
    }

    /// How long after this moment each name was without this address, and stayed so.
    pub(crate) fn gone(&self, address: &str, since: Instant) -> Result<BTreeMap<String, Duration>> {
        let at = self.all(|addresses| !addresses.contains(&address))?;
        Ok(at.into_iter().map(|(name, at)| (name, at.saturating_duration_since(since))).collect())
    }

    /// When this came to hold for each name, once it holds for both.
    fn all(&self, holds: impl Fn(&[&str]) -> bool) -> Result<BTreeMap<String, Instant>> {
        let begin = Instant::now();
        let mut held = BTreeMap::new();
        while held.len() < 2 {
            let (at, line) = self.lines.recv_timeout(GONE_MAX).context("the loop says nothing")?;
            let words: Vec<_> = line.split_whitespace().collect();
            let (name, addresses) = words.split_first().context("an empty line")?;
            if holds(addresses) {
                held.entry((*name).to_owned()).or_insert(at);
            } else {
                held.remove(*name);
            }
            ensure!(begin.elapsed() < GONE_MAX, "the last line after {GONE_MAX:?}: {line}");
        }
        Ok(held)
    }
}
