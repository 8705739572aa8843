//! The goals themselves.

use super::{
    Goal,
    figure::{
        Bound::{AtLeast, AtMost},
        Figure::{ByFloor, ByOurs, Growth, Median, Slope, Worst},
        Only,
        Part::{Controller, Sidecar},
    },
};

const CLOSED: Only = &[("load", "closed"), ("services", "1000"), ("instances", "10")];
const IDLE: Only = &[("changes_a_second", "0")];
const A: Only = &[("kind", "A"), ("load", "closed")];
const SRV: Only = &[("kind", "SRV"), ("load", "closed")];

/// In the order of the table.
pub(super) static GOALS: [Goal; 26] = [
    Goal {
        what: "lookups a second, by a bare HTTP server's",
        bound: AtLeast(0.9),
        unit: "×",
        part: Sidecar,
        from: &[("lookup", ByFloor { value: "a_second", only: CLOSED })],
    },
    Goal {
        what: "processor time of a lookup, by a bare HTTP server's",
        bound: AtMost(1.15),
        unit: "×",
        part: Sidecar,
        from: &[("lookup", ByFloor { value: "cpu_us", only: CLOSED })],
    },
    Goal {
        what: "processor time of a lookup: a Consul agent's, from its cache, by ours",
        bound: AtLeast(12.0),
        unit: "×",
        part: Sidecar,
        from: &[("lookup", ByOurs { theirs: "consul agent ?cached", value: "cpu_us", only: CLOSED })],
    },
    Goal {
        what: "the same of Eureka",
        bound: AtLeast(8.0),
        unit: "×",
        part: Sidecar,
        from: &[("lookup", ByOurs { theirs: "eureka", value: "cpu_us", only: CLOSED })],
    },
    Goal {
        what: "the same of etcd",
        bound: AtLeast(4.0),
        unit: "×",
        part: Sidecar,
        from: &[("lookup", ByOurs { theirs: "etcd", value: "cpu_us", only: CLOSED })],
    },
    Goal {
        what: "processor time of an answer of DNS, A: CoreDNS' by ours",
        bound: AtLeast(4.0),
        unit: "×",
        part: Sidecar,
        from: &[("dns", ByOurs { theirs: "coredns", value: "cpu_us", only: A })],
    },
    Goal {
        what: "the same, SRV",
        bound: AtLeast(4.0),
        unit: "×",
        part: Sidecar,
        from: &[("dns", ByOurs { theirs: "coredns", value: "cpu_us", only: SRV })],
    },
    Goal {
        what: "the sidecar's memory, holding nothing",
        bound: AtMost(8.0),
        unit: " MiB",
        part: Sidecar,
        from: &[(
            "start",
            Median { value: "rss_mib", only: &[("event", "idle"), ("services", "0")], by: 1.0 },
        )],
    },
    Goal {
        what: "the same, holding 1,000 services of 10 instances",
        bound: AtMost(16.0),
        unit: " MiB",
        part: Sidecar,
        from: &[(
            "start",
            Median { value: "rss_mib", only: &[("event", "idle"), ("services", "1000")], by: 1.0 },
        )],
    },
    Goal {
        what: "the sidecar's processor time, idle",
        bound: AtMost(1.0),
        unit: " millicores",
        part: Sidecar,
        from: &[("start", Median { value: "cpu_millicores", only: &[("event", "idle")], by: 1.0 })],
    },
    Goal {
        what: "the sidecar's image",
        bound: AtMost(12.0),
        unit: " MiB",
        part: Sidecar,
        from: &[("start", Median { value: "image_mib", only: &[], by: 1.0 })],
    },
    Goal {
        what: "one change, nothing else to do, until the last watcher knows of it: p50",
        bound: AtMost(2.0),
        unit: " ms",
        part: Sidecar,
        from: &[("propagation", Median { value: "last_p50_us", only: IDLE, by: 1e-3 })],
    },
    Goal {
        what: "the same: p99",
        bound: AtMost(10.0),
        unit: " ms",
        part: Sidecar,
        from: &[("propagation", Median { value: "last_p99_us", only: IDLE, by: 1e-3 })],
    },
    Goal {
        what: "20 changes a second, until the last of 100 sidecars knows: p99",
        bound: AtMost(50.0),
        unit: " ms",
        part: Controller,
        from: &[
            (
                "scale",
                Median {
                    value: "all_told_p99_us",
                    only: &[("event", "told"), ("sessions", "100")],
                    by: 1e-3,
                },
            ),
            ("sessions", Median { value: "all_told_p99_us", only: &[("sessions", "100")], by: 1e-3 }),
        ],
    },
    Goal {
        what: "the same of 2,000 sidecars",
        bound: AtMost(250.0),
        unit: " ms",
        part: Controller,
        from: &[
            (
                "scale",
                Median {
                    value: "all_told_p99_us",
                    only: &[("event", "told"), ("sessions", "2000")],
                    by: 1e-3,
                },
            ),
            ("sessions", Median { value: "all_told_p99_us", only: &[("sessions", "2000")], by: 1e-3 }),
        ],
    },
    Goal {
        what: "the controller's memory for each instance",
        bound: AtMost(1.0),
        unit: " KiB",
        part: Controller,
        from: &[("scale", Slope { x: "instances", value: "anonymous_mib", only: &[("event", "settled")] })],
    },
    Goal {
        what: "the same for each idle session",
        bound: AtMost(64.0),
        unit: " KiB",
        part: Controller,
        from: &[
            ("scale", Median { value: "kib_a_session", only: &[("event", "opened")], by: 1.0 }),
            ("sessions", Median { value: "kib_a_session", only: &[], by: 1.0 }),
        ],
    },
    Goal {
        what: "the controller's memory with 20,000 instances and 2,000 sessions",
        bound: AtMost(192.0),
        unit: " MiB",
        part: Controller,
        from: &[
            (
                "scale",
                Median { value: "rss_mib", only: &[("instances", "20000"), ("sessions", "2000")], by: 1.0 },
            ),
            (
                "sessions",
                Median { value: "rss_mib", only: &[("instances", "20000"), ("sessions", "2000")], by: 1.0 },
            ),
        ],
    },
    Goal {
        what: "processor time of a change with most instances, by that with fewest (1,000 to 20,000)",
        bound: AtMost(1.25),
        unit: "×",
        part: Controller,
        from: &[(
            "scale",
            Growth { x: "instances", value: "cpu_us_per_change", only: &[("event", "changes")] },
        )],
    },
    Goal {
        what: "a crashed app is out of lookups after, at most",
        bound: AtMost(250.0),
        unit: " ms",
        part: Sidecar,
        from: &[("failure", Worst { value: "out_ms", only: &[("event", "kill")], by: 1.0 })],
    },
    Goal {
        what: "a hung app with an HTTP probe",
        bound: AtMost(4.0),
        unit: " s",
        part: Sidecar,
        from: &[("failure", Worst { value: "out_ms", only: &[("event", "hung")], by: 1e-3 })],
    },
    Goal {
        what: "a deleted pod, after its deletionTimestamp",
        bound: AtMost(250.0),
        unit: " ms",
        part: Sidecar,
        from: &[("failure", Worst { value: "out_ms", only: &[("event", "deleted")], by: 1.0 })],
    },
    Goal {
        what: "a pod on a node that is cut off",
        bound: AtMost(10.0),
        unit: " s",
        part: Sidecar,
        from: &[("failure", Worst { value: "out_ms", only: &[("event", "cut")], by: 1e-3 })],
    },
    Goal {
        what: "false evictions under twice the work that there is processor time for, with one packet in a hundred lost",
        bound: AtMost(0.0),
        unit: "",
        part: Sidecar,
        from: &[
            ("overload", Worst { value: "false_evictions", only: &[("event", "overload")], by: 1.0 }),
            ("failure", Worst { value: "false_evictions", only: &[("event", "overload")], by: 1.0 }),
        ],
    },
    Goal {
        what: "from the sidecar's start to its first answer, from the disk",
        bound: AtMost(100.0),
        unit: " ms",
        part: Sidecar,
        from: &[("start", Median { value: "p50_us", only: &[("event", "start")], by: 1e-3 })],
    },
    Goal {
        what: "from the controller's start until its lists are done, by the bare lists, 20,000 instances",
        bound: AtMost(1.5),
        unit: "×",
        part: Controller,
        from: &[
            ("scale", ByFloor { value: "ready_s", only: &[("event", "start"), ("instances", "20000")] }),
            ("lists", ByFloor { value: "ready_s", only: &[("event", "start"), ("instances", "20000")] }),
        ],
    },
];
