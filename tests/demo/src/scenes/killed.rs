//! An app is killed while its container lives on: who notices, and when.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    Line, Stage,
    load::Load,
    lookup::Lookup,
    names,
    report::Report,
    shop,
    sight::{Gone, in_words, median, sights},
    stage::{Pod, SHOP},
    stream::Stream,
    wait,
};

/// What is promised of lookups.
const OUT_WITHIN_MS: u64 = 1_000;
/// Who is gone has to stay so for as long.
const STAYS_GONE: Duration = Duration::from_secs(1);
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// Says how Kubernetes asks an app, and for how long it is waited for what Kubernetes makes of its death.
struct Case {
    service: &'static str,
    asked: &'static str,
    times: usize,
    watched: Duration,
}

const CASES: [Case; 3] = [
    Case { service: "payments", asked: "no readinessProbe", times: 3, watched: Duration::from_secs(6) },
    Case {
        service: "orders",
        asked: "readinessProbe each second",
        times: 3,
        watched: Duration::from_secs(25),
    },
    Case {
        service: "catalogue",
        asked: "readinessProbe as by default (10 s)",
        times: 1,
        watched: Duration::from_secs(60),
    },
];

/// Holds when each who could notice has noticed.
struct Killed {
    lookups: Gone,
    rollcall_dns: Gone,
    slice: Gone,
    cluster_dns: Gone,
    by_pick: Requests,
    by_service: Requests,
}

/// Holds what became of the requests after the kill.
struct Requests {
    load: Load,
    /// From the kill to the last that failed; none failed: none.
    last_failed_after_ms: Option<u64>,
}

/// Holds the loops that watch one service.
struct Watch {
    lookups: Stream,
    rollcall_dns: Stream,
    slice: Stream,
    cluster_dns: Stream,
    by_pick: Stream,
    by_service: Stream,
}

pub(super) fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    report.say("kill -9 of the app's server in one pod; the container lives on, as under any supervisor. Six loops watch in storefront's pod at the same time: a lookup each 10 ms, Rollcall's DNS each 20 ms, the cluster's DNS (a headless Service) each 20 ms, requests to an instance that a pick gives and requests to the ClusterIP each 20 ms; and the EndpointSlice by a watch. To each of these the start of a program is added, some milliseconds. Times count from the moment before the kill.");
    let mut rows = vec![
        [
            "",
            "lookups",
            "Rollcall DNS",
            "EndpointSlice",
            "cluster DNS",
            "failed by pick",
            "failed by ClusterIP",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut late = Vec::new();
    for case in &CASES {
        let mut all = Vec::new();
        for _ in 0..case.times {
            let killed = kill(stage, case)?;
            // One after the other takes a while.
            report.say(&format!(
                "{}: out of lookups after {}, EndpointSlice {}, cluster DNS {}",
                case.service,
                killed.lookups.text(),
                killed.slice.text(),
                killed.cluster_dns.text()
            ));
            all.push(killed);
        }
        for killed in all.iter().filter(|killed| !killed.lookups.is_within(OUT_WITHIN_MS)) {
            late.push(format!("{}: {}", case.service, killed.lookups.text()));
        }
        rows.push(row(case, &all));
    }
    report.table(&rows);
    report.say("More than one kill: the median. The requests are those of all kills; in brackets when the last one failed, at the latest.");
    report.verdict(
        "a killed app is out of lookups in less than a second, whatever its probes",
        (!late.is_empty()).then(|| late.join("; ")),
    );
    Ok(())
}

fn row(case: &Case, all: &[Killed]) -> Vec<String> {
    let middle = |of: fn(&Killed) -> Gone| {
        let gone: Vec<_> = all.iter().map(of).collect();
        median(&gone).map_or_else(|| "-".to_owned(), Gone::text)
    };
    let failed = |of: fn(&Killed) -> &Requests| {
        let sum = |what: fn(&Load) -> usize| all.iter().map(|killed| what(&of(killed).load)).sum::<usize>();
        let last = all.iter().filter_map(|killed| of(killed).last_failed_after_ms).max();
        let last = last.map_or_else(String::new, |last| format!(" ({})", in_words(last)));
        format!("{} of {}{last}", sum(|load| load.failed), sum(|load| load.sent))
    };
    let times = if case.times > 1 { format!(", {} times", case.times) } else { String::new() };
    vec![
        format!("{}, {}{times}", case.service, case.asked),
        middle(|killed| killed.lookups),
        middle(|killed| killed.rollcall_dns),
        middle(|killed| killed.slice),
        middle(|killed| killed.cluster_dns),
        failed(|killed| &killed.by_pick),
        failed(|killed| &killed.by_service),
    ]
}

fn kill(stage: &Stage, case: &Case) -> Result<Killed> {
    let labels = format!("app.kubernetes.io/name={}", case.service);
    let pods = stage.pods(SHOP, &labels)?;
    let victim = pods.into_iter().find(|pod| pod.is_ready && !pod.ends).context("nobody to kill")?;
    let watch = Watch::begin(stage, case.service)?;
    watch.sees(&victim)?;
    let mut killer =
        Stream::exec(stage, &victim.name, "echo ready; read go; kill -9 $(cat /www/pid) && echo killed")?;
    killer.says("is ready to be killed", |line| line == "ready")?;
    let killed_ms = stage.now_ms();
    killer.tell("go\n")?;
    killer.says("is killed", |line| line == "killed")?;
    let waited = watch.all_gone(stage, &victim, killed_ms, case.watched);
    let ended_ms = stage.now_ms();
    let seen = watch.end(&victim, killed_ms, ended_ms);
    // Whichever way it went: the next one needs it.
    stage.run(&victim.name, "kill -USR2 1")?;
    waited?;
    let is_back = || Ok(stage.pods(SHOP, &labels)?.iter().all(|pod| pod.is_ready));
    wait::until("all are ready again", Duration::from_secs(60), is_back)?;
    shop::whole(stage)?;
    Ok(seen)
}

// === impl Watch ===

impl Watch {
    fn begin(stage: &Stage, service: &str) -> Result<Self> {
        let front = shop::storefront(stage)?;
        let url = shop::lookup(service);
        // The second nameserver is the cluster's own: the first is the sidecar.
        let cluster_dns = format!(
            "[ -n \"$name\" ] || {{ name={service}-pods.$(sed -n 's/^search \\([^ ]*\\).*/\\1/p' /etc/resolv.conf); \
             server=$(sed -n 's/^nameserver //p' /etc/resolv.conf | sed -n 2p); }}; \
             echo $(nslookup -type=a $name $server 2>&1); sleep 0.02"
        );
        let rollcall_dns = format!("echo $(nslookup -type=a {service}.rollcall 127.0.0.1 2>&1); sleep 0.02");
        Ok(Self {
            lookups: Stream::turns(stage, &front, &format!("echo $(wget -qO- {url} 2>&1); sleep 0.01"))?,
            rollcall_dns: Stream::turns(stage, &front, &rollcall_dns)?,
            cluster_dns: Stream::turns(stage, &front, &cluster_dns)?,
            slice: shop::endpoint_slices(stage, service)?,
            by_pick: shop::requests_by_pick(stage, service)?,
            by_service: shop::requests_by_cluster_ip(stage, service, "0.02")?,
        })
    }

    /// Waits until the victim is seen by all who can name it.
    fn sees(&self, victim: &Pod) -> Result<()> {
        wait::until("all watchers see the victim", Duration::from_secs(30), || {
            let there = self.named().iter().all(|(lines, reads)| {
                let last = sights(lines, |line| reads(line, &victim.address));
                last.last().is_some_and(|sight| sight.is_present)
            });
            Ok(there && [&self.by_pick, &self.by_service].iter().all(|stream| !stream.lines().is_empty()))
        })
    }

    /// Waits until it is gone everywhere, and stays so, or for as long as is watched.
    fn all_gone(&self, stage: &Stage, victim: &Pod, killed_ms: u64, watched: Duration) -> Result<()> {
        loop {
            let now_ms = stage.now_ms();
            let mut last_ms = 0;
            let all = self.named().iter().all(|(lines, reads)| {
                let gone = Gone::of(&sights(lines, |line| reads(line, &victim.address)), killed_ms, now_ms);
                if let Gone::AfterMs(after_ms) = gone {
                    last_ms = last_ms.max(after_ms);
                }
                matches!(gone, Gone::AfterMs(_))
            });
            let since = Duration::from_millis(now_ms.saturating_sub(killed_ms));
            if all && since > Duration::from_millis(last_ms) + STAYS_GONE || since > watched {
                return Ok(());
            }
            wait::pause(WATCH_EVERY)?;
        }
    }

    /// The lines of all who name instances, and how each of them is read.
    fn named(&self) -> [(Vec<Line>, Reads); 4] {
        [
            (self.lookups.lines(), in_lookup),
            (self.rollcall_dns.lines(), in_names),
            (self.slice.lines(), in_slice),
            (self.cluster_dns.lines(), in_names),
        ]
    }

    fn end(self, victim: &Pod, killed_ms: u64, ended_ms: u64) -> Killed {
        let sights_of =
            |stream: Stream, reads: Reads| sights(&stream.end(), |line| reads(line, &victim.address));
        let gone = |stream, reads| Gone::of_loop(&sights_of(stream, reads), killed_ms, ended_ms);
        let requests = |stream: Stream| {
            let load = Load::between(&stream.end(), killed_ms, ended_ms);
            let last_failed_after_ms = load.last_failed_ms.map(|at_ms| at_ms.saturating_sub(killed_ms));
            Requests { load, last_failed_after_ms }
        };
        Killed {
            lookups: gone(self.lookups, in_lookup),
            rollcall_dns: gone(self.rollcall_dns, in_names),
            slice: Gone::of(&sights_of(self.slice, in_slice), killed_ms, ended_ms),
            cluster_dns: gone(self.cluster_dns, in_names),
            by_pick: requests(self.by_pick),
            by_service: requests(self.by_service),
        }
    }
}

/// How a line says whether an address is there; none: it says nothing of it.
type Reads = fn(&str, &str) -> Option<bool>;

fn in_lookup(line: &str, address: &str) -> Option<bool> {
    Some(Lookup::read(line)?.has(address))
}

fn in_names(line: &str, address: &str) -> Option<bool> {
    let address = address.parse().ok()?;
    Some(names::read(line)?.contains(&address))
}

/// A slice of another family says nothing of the address; one that leaves the readiness out means that it is ready.
pub(super) fn in_slice(line: &str, address: &str) -> Option<bool> {
    let event: Value = serde_json::from_str(line).ok()?;
    let slice = &event["object"];
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    if slice["addressType"] != family {
        return None;
    }
    let is_it = |endpoint: &Value| {
        endpoint["addresses"].as_array().is_some_and(|all| all.iter().any(|one| one == address))
            && endpoint["conditions"]["ready"] != false
    };
    Some(event["type"] != "DELETED" && slice["endpoints"].as_array().is_some_and(|all| all.iter().any(is_it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_has_those_that_are_ready() {
        let event = |kind: &str, family: &str| {
            let endpoints = r#"[{"addresses":["10.1.2.3"],"conditions":{"ready":true}},
                {"addresses":["10.1.2.30"],"conditions":{"ready":false}},{"addresses":["10.1.2.4"],"conditions":{}}]"#;
            format!(r#"{{"type":"{kind}","object":{{"addressType":"{family}","endpoints":{endpoints}}}}}"#)
        };
        for (address, expected) in
            [("10.1.2.3", true), ("10.1.2.30", false), ("10.1.2.4", true), ("10.1.2.5", false)]
        {
            assert_eq!(in_slice(&event("MODIFIED", "IPv4"), address), Some(expected), "{address}");
            assert_eq!(in_slice(&event("DELETED", "IPv4"), address), Some(false), "{address}");
        }
        assert_eq!(in_slice(&event("ADDED", "IPv6"), "10.1.2.3"), None);
        let empty = r#"{"type":"MODIFIED","object":{"addressType":"IPv4","endpoints":null}}"#;
        assert_eq!(in_slice(empty, "10.1.2.3"), Some(false));
        assert_eq!(in_slice("Error from server", "10.1.2.3"), None);
    }

    #[test]
    fn an_answer_that_failed_is_not_one_without_it() {
        assert_eq!(in_lookup("wget: server returned error: HTTP/1.1 503", "10.1.2.3"), None);
        assert_eq!(in_lookup(r#"{"instances":[]}"#, "10.1.2.3"), Some(false));
        assert_eq!(in_names(";; connection timed out", "10.1.2.3"), None);
    }
}
