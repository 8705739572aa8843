//! A node is cut off: packets vanish, and nobody is told.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};

use super::killed::in_slice;
use crate::{
    Stage,
    lookup::Lookup,
    report::Report,
    shop,
    sight::{Gone, sights},
    stage::{Pod, SHOP, SYSTEM},
    stream::Stream,
    wait,
};

/// Before the silence of its sidecars counts, a controller on the node must be given up that may have heard them.
const OUT_WITHIN_MS: u64 = 10_000;
const OUT_WITH_A_CONTROLLER_WITHIN_MS: u64 = 20_000;
/// Kubernetes gives a node up after 40 s where nobody has told it otherwise.
const WATCHED: Duration = Duration::from_secs(70);
const BACK_WITHIN: Duration = Duration::from_secs(120);
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// Holds a pod on the node, and who watches it.
struct Lost {
    pod: Pod,
    lookups: Stream,
    slice: Stream,
}

pub(super) fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    let Some(hardware) = stage.hardware().filter(|hardware| hardware.nodes() > 1) else {
        report.say("Skipped: only nodes of the kit's own clusters, of two at least, can be cut off from here: `cargo xtask demo --only node`.");
        return Ok(());
    };
    let pods = stage.pods(SHOP, "demo")?;
    let controllers: BTreeSet<_> = stage
        .pods(SYSTEM, "app.kubernetes.io/component=controller")?
        .into_iter()
        .map(|pod| pod.node)
        .collect();
    let node = node_to_cut(&pods, &controllers).context("each node has a storefront on it, or nothing")?;
    let front = shop::storefront(stage)?;
    let mut lost = Vec::new();
    for pod in pods.into_iter().filter(|pod| pod.node == node) {
        let url = shop::lookup(&pod.service);
        let lookups = Stream::turns(stage, &front, &format!("echo $(wget -qO- {url} 2>&1); sleep 0.05"))?;
        let slice = shop::endpoint_slices(stage, &pod.service)?;
        let is_there = |line: &str| Lookup::read(line).is_some_and(|lookup| lookup.has(&pod.address));
        lookups.says("the pod", is_there)?;
        slice.says("the pod", |line| in_slice(line, &pod.address) == Some(true))?;
        lost.push(Lost { pod, lookups, slice });
    }
    let with = controllers.contains(&node);
    let limit_ms = if with { OUT_WITH_A_CONTROLLER_WITHIN_MS } else { OUT_WITHIN_MS };
    report.say(&format!(
        "{node} has {} pods of the shop{}. storefront, on another node, looks each of them up each 50 ms; EndpointSlices by a watch.",
        lost.len(),
        if with { ", and a controller" } else { "" }
    ));
    report.command(&format!("cargo xtask cluster cut {node}"));
    let cut_ms = stage.now_ms();
    hardware.cut(&node)?;
    report.say("Kubernetes gives a node up after some 40 s, unless it was told another time.");
    let watched = watch(stage, &lost, cut_ms);
    let why = why(stage, &front, &lost, limit_ms, cut_ms);
    report.command(&format!("cargo xtask cluster heal {node}"));
    let ended_ms = stage.now_ms();
    let healed = hardware.heal(&node);
    let mut rows = vec![["", "lookups", "EndpointSlice"].map(str::to_owned).to_vec()];
    let mut late = Vec::new();
    for lost in lost {
        let (pod, [lookups, slice]) = lost.end(cut_ms, ended_ms);
        if !lookups.is_within(limit_ms) {
            late.push(format!("{pod}: {}", lookups.text()));
        }
        rows.push(vec![pod, lookups.text(), slice.text()]);
    }
    report.table(&rows);
    for line in &why {
        report.say(line);
    }
    report.verdict(
        &format!(
            "pods of a node that is cut off{} are out of lookups within {} s",
            if with { " with a controller on it" } else { "" },
            limit_ms / 1_000
        ),
        (!late.is_empty()).then(|| late.join("; ")),
    );
    watched?;
    healed?;
    wait::until("all pods are ready again", BACK_WITHIN, || {
        Ok(stage.pods(SHOP, "demo")?.iter().all(|pod| pod.is_ready))
    })?;
    shop::whole(stage)?;
    let back = crate::sight::in_words(stage.now_ms().saturating_sub(ended_ms));
    report.say(&format!("Connected again: all pods are ready and in lookups after {back}."));
    Ok(())
}

/// A node with pods of the shop that is not storefront's; best one without a controller, which is the harder to lose.
fn node_to_cut(pods: &[Pod], controllers: &BTreeSet<String>) -> Option<String> {
    let front: BTreeSet<_> =
        pods.iter().filter(|pod| pod.service == "storefront").map(|pod| pod.node.as_str()).collect();
    let others: BTreeSet<_> =
        pods.iter().map(|pod| pod.node.as_str()).filter(|node| !front.contains(node)).collect();
    others.into_iter().min_by_key(|node| controllers.contains(*node)).map(str::to_owned)
}

/// Waits until all are gone from both, or for as long as is watched.
fn watch(stage: &Stage, lost: &[Lost], cut_ms: u64) -> Result<()> {
    loop {
        let now_ms = stage.now_ms();
        let all = lost.iter().all(|lost| {
            let [lookups, slice] = lost.gone(cut_ms, now_ms);
            matches!((lookups, slice), (Gone::AfterMs(_), Gone::AfterMs(_)))
        });
        if all || Duration::from_millis(now_ms.saturating_sub(cut_ms)) > WATCHED {
            return Ok(());
        }
        wait::pause(WATCH_EVERY)?;
    }
}

/// What the registry itself says of those that are late; it is asked while they still are.
fn why(stage: &Stage, front: &str, lost: &[Lost], limit_ms: u64, cut_ms: u64) -> Vec<String> {
    let now_ms = stage.now_ms();
    let late = lost.iter().find(|lost| {
        let [lookups, _] = lost.gone(cut_ms, now_ms);
        !lookups.is_within(limit_ms)
    });
    let Some(late) = late else { return Vec::new() };
    let service = &late.pod.service;
    let explain = format!("wget -qO- http://127.0.0.1:7300/v1/explain/{service}");
    let guard = [
        "get",
        "events",
        "--field-selector",
        "reason=MassLossGuard",
        "-o",
        r#"jsonpath={range .items[*]}{.lastTimestamp}{.eventTime} {.message}{"\n"}{end}"#,
    ];
    let said = [("explain", stage.run(front, &explain)), ("MassLossGuard", stage.system(&guard))];
    let line = |(what, said): (&str, Result<String>)| {
        format!("{what}: {}", said.unwrap_or_else(|error| format!("{error:#}")))
    };
    said.into_iter().map(line).collect()
}

// === impl Lost ===

impl Lost {
    fn gone(&self, cut_ms: u64, now_ms: u64) -> [Gone; 2] {
        let address = &self.pod.address;
        let lookups = sights(&self.lookups.lines(), |line| Some(Lookup::read(line)?.has(address)));
        let slice = sights(&self.slice.lines(), |line| in_slice(line, address));
        [Gone::of_loop(&lookups, cut_ms, now_ms), Gone::of(&slice, cut_ms, now_ms)]
    }

    fn end(self, cut_ms: u64, ended_ms: u64) -> (String, [Gone; 2]) {
        let gone = self.gone(cut_ms, ended_ms);
        (self.pod.name, gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(service: &str, node: &str) -> Pod {
        Pod {
            name: service.to_owned(),
            address: String::new(),
            node: node.to_owned(),
            service: service.to_owned(),
            is_ready: true,
            ends: false,
            has_sidecar: true,
        }
    }

    #[test]
    fn a_node_is_cut_that_has_pods_and_neither_storefront_nor_where_possible_a_controller() {
        let pods = [
            pod("storefront", "node1"),
            pod("orders", "node1"),
            pod("orders", "node2"),
            pod("payments", "node3"),
        ];
        for (controllers, expected) in [
            (&["node1", "node2"][..], Some("node3")),
            (&["node2", "node3"], Some("node2")),
            (&["node1", "node3"], Some("node2")),
        ] {
            let controllers = controllers.iter().map(|&node| node.to_owned()).collect();
            assert_eq!(node_to_cut(&pods, &controllers).as_deref(), expected);
        }
        assert_eq!(node_to_cut(&pods[..2], &BTreeSet::new()), None);
    }
}
