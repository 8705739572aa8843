//! The goals themselves, as data: a line each.

use super::{
    Goal,
    Sources::{self, All, First},
    figure::{
        Bound::{self, AtLeast, AtMost},
        Figure::{self, ByFloor, ByOurs, Growth, Median, Slope, Worst},
        Only,
        Part::{Controller, Sidecar},
    },
};

const MS_OF_US: f64 = 1e-3;
const S_OF_MS: f64 = 1e-3;

const CLOSED: Only = &[("load", "closed"), ("services", "1000"), ("instances", "10")];
const DNS_A: Only = &[("kind", "A"), ("load", "closed")];
const DNS_SRV: Only = &[("kind", "SRV"), ("load", "closed")];
const HOLDS_NOTHING: Only = &[("event", "idle"), ("services", "0")];
const HOLDS_ALL: Only = &[("event", "idle"), ("services", "1000"), ("lookups_each", "1")];
const HOLDS_ALL_AND_ANSWERS: Only = &[("event", "idle"), ("services", "1000"), ("lookups_each", "2")];
const ONE_AND_NOTHING_ELSE: Only = &[("changes_a_second", "0"), ("watchers", "1")];
const TOLD_100: Only = &[("event", "told"), ("sessions", "100")];
const TOLD_2_000: Only = &[("event", "told"), ("sessions", "2000")];
const FULL: Only = &[("instances", "20000"), ("sessions", "2000")];
const OVERLOAD: Only = &[("event", "overload")];
const START_FULL: Only = &[("event", "start"), ("instances", "20000")];

/// In the order of the table.
#[rustfmt::skip]
pub(super) static GOALS: [Goal; 28] = [
    ours("lookups a second, by a bare HTTP server's", AtLeast(0.9), "×",
        First(&[("lookup", by_floor("a_second", CLOSED))])),
    ours("processor time of a lookup, by a bare HTTP server's", AtMost(1.15), "×",
        First(&[("lookup", by_floor("cpu_us", CLOSED))])),
    ours("processor time of a lookup: a Consul agent's, from its cache, by ours", AtLeast(12.0), "×",
        First(&[("lookup", cpu_by_ours("consul agent ?cached", CLOSED))])),
    ours("the same of Eureka", AtLeast(8.0), "×",
        First(&[("lookup", cpu_by_ours("eureka", CLOSED))])),
    ours("the same of etcd", AtLeast(4.0), "×",
        First(&[("lookup", cpu_by_ours("etcd", CLOSED))])),
    ours("processor time of an answer of DNS, A: CoreDNS' by ours", AtLeast(4.0), "×",
        First(&[("dns", cpu_by_ours("coredns", DNS_A))])),
    ours("the same, SRV", AtLeast(4.0), "×",
        First(&[("dns", cpu_by_ours("coredns", DNS_SRV))])),
    ours("the sidecar's memory, holding nothing", AtMost(8.0), " MiB",
        First(&[("start", median("rss_mib", HOLDS_NOTHING))])),
    ours("the same, holding 1,000 services of 10 instances", AtMost(16.0), " MiB",
        First(&[("start", median("rss_mib", HOLDS_ALL))])),
    ours("the same, with the answer of each kept for who asks again", AtMost(16.0), " MiB",
        First(&[("start", median("rss_mib", HOLDS_ALL_AND_ANSWERS))])),
    ours("the sidecar's processor time, idle", AtMost(1.0), " millicores",
        First(&[("start", median("cpu_millicores", &[("event", "idle")]))])),
    ours("the sidecar's image", AtMost(12.0), " MiB",
        First(&[("start", median("image_mib", &[("event", "image")]))])),
    ours("one change, nothing else to do, until the one who watches knows of it: p50", AtMost(2.0), " ms",
        First(&[("propagation", median_by("last_p50_us", ONE_AND_NOTHING_ELSE, MS_OF_US))])),
    ours("the same: p99", AtMost(10.0), " ms",
        First(&[("propagation", median_by("last_p99_us", ONE_AND_NOTHING_ELSE, MS_OF_US))])),
    the_controllers("20 changes a second, until the last of 100 sidecars knows: p99", AtMost(50.0), " ms",
        First(&[("scale", median_by("all_told_p99_us", TOLD_100, MS_OF_US)),
          ("sessions", median_by("all_told_p99_us", &[("sessions", "100")], MS_OF_US))])),
    the_controllers("the same of 2,000 sidecars", AtMost(250.0), " ms",
        First(&[("scale", median_by("all_told_p99_us", TOLD_2_000, MS_OF_US)),
          ("sessions", median_by("all_told_p99_us", &[("sessions", "2000")], MS_OF_US))])),
    the_controllers("the same, without an API server that shares the processors: from when the controller hears of a change",
        AtMost(250.0), " ms",
        First(&[("sessions", median_by("all_told_p99_us", &[("sessions", "2000")], MS_OF_US))])),
    the_controllers("the controller's memory for each instance", AtMost(1.0), " KiB",
        First(&[("scale", slope("anonymous_mib", &[("event", "settled")]))])),
    the_controllers("the same for each idle session", AtMost(64.0), " KiB",
        First(&[("scale", median("kib_a_session", &[("event", "opened")])),
          ("sessions", median("kib_a_session", &[]))])),
    the_controllers("the controller's memory with 20,000 instances and 2,000 sessions", AtMost(192.0), " MiB",
        First(&[("scale", median("rss_mib", FULL)), ("sessions", median("rss_mib", FULL))])),
    the_controllers("processor time of a change, by that of the clients who make and watch it: with most instances, by the same with fewest (1,000 to 20,000)",
        AtMost(1.25), "×",
        First(&[("scale", growth("cpu_by_clients", 1_000.0, 20_000.0, &[("event", "changes")]))])),
    ours("a crashed app is out of lookups after, at most", AtMost(250.0), " ms",
        First(&[("failure", worst("out_ms", &[("event", "kill")]))])),
    ours("a hung app with an HTTP probe", AtMost(4.0), " s",
        First(&[("failure", worst_by("out_ms", &[("event", "hung")], S_OF_MS))])),
    ours("a deleted pod, after its deletionTimestamp", AtMost(250.0), " ms",
        First(&[("failure", worst("out_ms", &[("event", "deleted")]))])),
    ours("a pod on a node that is cut off", AtMost(10.0), " s",
        First(&[("failure", worst_by("out_ms", &[("event", "cut")], S_OF_MS))])),
    ours("false evictions, or answers that were wrong or without one that was well, under twice the work that there is processor time for, with one packet in a hundred lost",
        AtMost(0.0), "",
        All(&[("overload", worst("false_evictions", OVERLOAD)),
          ("overload", worst("lookups_without_one", OVERLOAD)),
          ("overload", worst("lookups_wrong", OVERLOAD)),
          ("failure", worst("false_evictions", OVERLOAD))])),
    ours("from the sidecar's start to its first answer, from the disk", AtMost(100.0), " ms",
        First(&[("start", median_by("p50_us", &[("event", "start")], MS_OF_US))])),
    the_controllers("from the controller's start until its lists are done, by the bare lists, 20,000 instances",
        AtMost(1.5), "×",
        First(&[("scale", by_floor("ready_s", START_FULL)), ("lists", by_floor("ready_s", START_FULL))])),
];

/// Of the sidecar.
const fn ours(what: &'static str, bound: Bound, unit: &'static str, from: Sources) -> Goal {
    Goal { what, bound, unit, part: Sidecar, from }
}

const fn the_controllers(what: &'static str, bound: Bound, unit: &'static str, from: Sources) -> Goal {
    Goal { what, bound, unit, part: Controller, from }
}

const fn by_floor(value: &'static str, only: Only) -> Figure {
    ByFloor { value, only }
}

const fn cpu_by_ours(theirs: &'static str, only: Only) -> Figure {
    ByOurs { theirs, value: "cpu_us", only }
}

const fn median(value: &'static str, only: Only) -> Figure {
    median_by(value, only, 1.0)
}

const fn median_by(value: &'static str, only: Only, by: f64) -> Figure {
    Median { value, only, by }
}

const fn worst(value: &'static str, only: Only) -> Figure {
    worst_by(value, only, 1.0)
}

const fn worst_by(value: &'static str, only: Only, by: f64) -> Figure {
    Worst { value, only, by }
}

const fn slope(value: &'static str, only: Only) -> Figure {
    Slope { x: "instances", value, only }
}

const fn growth(value: &'static str, few: f64, many: f64, only: Only) -> Figure {
    Growth { x: "instances", few, many, value, only }
}
