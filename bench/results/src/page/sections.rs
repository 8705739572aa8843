//! What the page tells of each measurement: its tables and plots.

use crate::plot::Scale::{self, Linear, Logarithmic};

/// Holds what is told of a measurement.
pub(super) struct Section {
    /// As the measurement is called, its file of results, and the section in the page.
    pub(super) name: &'static str,
    pub(super) views: &'static [View],
    pub(super) plots: &'static [Plot],
}

/// Says what tables of a section look like.
pub(super) enum View {
    /// A row for each system.
    Systems {
        /// Only cases with this part; all where it is empty.
        needs: &'static str,
        /// Parts of the case that make a table of their own.
        apart: &'static [&'static str],
        /// A part of the case whose values stand beside each other.
        across: Option<&'static str>,
        /// Those that are shown, in this order, where they were measured.
        values: &'static [&'static str],
        /// Those of them that the floor is shown for as well.
        by_floor: &'static [&'static str],
        /// Those of which the longest counts, not the median alone.
        longest: &'static [&'static str],
        /// Others that were measured are shown as well.
        has_others: bool,
    },
    /// A row for each system: what there is without any, and what comes with each.
    Slopes { x: X, only: &'static [(&'static str, &'static str)], value: &'static str, of_each: &'static str },
}

/// Holds what a plot is of.
pub(super) struct Plot {
    /// The file's name, to which the class is added.
    pub(super) file: &'static str,
    pub(super) title: &'static str,
    /// Only cases that have these.
    pub(super) only: &'static [(&'static str, &'static str)],
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// The value over a part of the case.
    Lines { x: X, x_scale: Scale, value: &'static str, y_scale: Scale },
    /// The value for each system, in groups by a part of the case.
    Bars { value: &'static str, by: &'static str, scale: Scale },
    /// All delays: what share of them was as long as what, or longer.
    Delays,
}

/// Names parts of the case whose product is meant.
pub(super) type X = &'static [&'static str];

const LOOKUP: &[&str] = &[
    "a_second",
    "cpu_us",
    "p50_us",
    "p99_us",
    "p999_us",
    "late_p99_us",
    "warm_up_s",
    "lookups",
    "never_steady",
];
const LOADS: &[&str] = &["a_second", "cpu_us"];
/// What most lookups of this page are of: 1,000 services of 10 instances, a few of which are asked for most.
const USUAL: [(&str, &str); 3] = [("services", "1000"), ("instances", "10"), ("keys", "zipf")];

/// A table as most are.
const fn systems(apart: &'static [&'static str], values: &'static [&'static str]) -> View {
    View::Systems { needs: "", apart, across: None, values, by_floor: LOADS, longest: &[], has_others: false }
}

/// A table of all that was measured, these values first.
const fn all(apart: &'static [&'static str], values: &'static [&'static str]) -> View {
    View::Systems {
        needs: "",
        apart,
        across: None,
        values,
        by_floor: &["ready_s"],
        longest: &[],
        has_others: true,
    }
}

/// Of whatever there is.
pub(super) const ANY: View = all(&["event"], &[]);

const fn lines(x: X, x_scale: Scale, value: &'static str, y_scale: Scale) -> Kind {
    Kind::Lines { x, x_scale, value, y_scale }
}

/// In the order of the page.
pub(super) static SECTIONS: [Section; 11] = [
    Section {
        name: "lookup",
        views: &[systems(
            &["load", "services", "instances", "keys", "asked_a_second", "share_percent", "while"],
            LOOKUP,
        )],
        plots: &[
            Plot {
                file: "lookup-cpu",
                title: "Lookups: processor time of each answer",
                only: &[("load", "closed"), USUAL[0], USUAL[1], USUAL[2]],
                kind: lines(&["connections"], Logarithmic, "cpu_us", Logarithmic),
            },
            Plot {
                file: "lookup-rate",
                title: "Lookups: answers a second",
                only: &[("load", "closed"), USUAL[0], USUAL[1], USUAL[2]],
                kind: lines(&["connections"], Logarithmic, "a_second", Logarithmic),
            },
            Plot {
                file: "lookup-delays",
                title: "Lookups, 1,000 a second: how long answers take",
                only: &[("load", "open"), ("asked_a_second", "1000"), USUAL[0], USUAL[1], USUAL[2]],
                kind: Kind::Delays,
            },
        ],
    },
    Section {
        name: "dns",
        views: &[systems(&["load", "kind", "keys", "asked_a_second", "share_percent"], LOOKUP)],
        plots: &[Plot {
            file: "dns-cpu",
            title: "DNS: processor time of each answer",
            only: &[("load", "closed"), ("keys", "zipf")],
            kind: Kind::Bars { value: "cpu_us", by: "kind", scale: Linear },
        }],
    },
    Section {
        name: "registration",
        views: &[all(&[], &["a_second", "cpu_us", "p50_us", "p99_us"])],
        plots: &[],
    },
    Section {
        name: "propagation",
        views: &[systems(
            &["event", "changes_a_second"],
            &[
                "p50_us",
                "p99_us",
                "last_p50_us",
                "last_p99_us",
                "never_seen",
                "cpu_us_per_change",
                "arrived_a_second",
            ],
        )],
        plots: &[
            Plot {
                file: "propagation-add",
                title: "One addition, nothing else to do: until the last watcher knows (median)",
                only: &[("event", "add"), ("changes_a_second", "0")],
                kind: lines(&["watchers"], Logarithmic, "last_p50_us", Logarithmic),
            },
            Plot {
                file: "propagation-remove",
                title: "One removal, nothing else to do: until the last watcher knows (median)",
                only: &[("event", "remove"), ("changes_a_second", "0")],
                kind: lines(&["watchers"], Logarithmic, "last_p50_us", Logarithmic),
            },
        ],
    },
    Section {
        name: "failure",
        views: &[View::Systems {
            needs: "",
            apart: &[],
            across: Some("event"),
            values: &["ttl_ms", "beat_ms", "out_ms", "false_evictions", "hours"],
            by_floor: &[],
            longest: &["out_ms"],
            has_others: true,
        }],
        plots: &[Plot {
            file: "failure-out",
            title: "From the failure until no watcher is told of the instance (median)",
            only: &[],
            kind: Kind::Bars { value: "out_ms", by: "event", scale: Logarithmic },
        }],
    },
    Section {
        name: "overload",
        views: &[all(
            &[],
            &["false_evictions", "lookups_without_one", "lookups_wrong", "hours", "ttl_ms", "beat_ms"],
        )],
        plots: &[],
    },
    Section {
        name: "memory",
        views: &[
            all(&["asked"], &["rss_mib", "anonymous_mib", "peak_mib"]),
            View::Slopes { x: ALL_OF_THEM, only: UNASKED, value: "anonymous_mib", of_each: "instance" },
            View::Slopes {
                x: ALL_OF_THEM,
                only: ASKED,
                value: "anonymous_mib",
                of_each: "instance, all asked for",
            },
            View::Slopes {
                x: &["watchers"],
                only: &[USUAL[0], USUAL[1], ("asked", "nothing")],
                value: "anonymous_mib",
                of_each: "watcher",
            },
        ],
        plots: &[
            Plot {
                file: "memory-instances",
                title: "Memory that is a process's own, all asked for, by instances",
                only: ASKED,
                kind: lines(ALL_OF_THEM, Logarithmic, "anonymous_mib", Logarithmic),
            },
            Plot {
                file: "memory-unasked",
                title: "Memory that is a process's own, nothing asked for, by instances",
                only: UNASKED,
                kind: lines(ALL_OF_THEM, Logarithmic, "anonymous_mib", Logarithmic),
            },
        ],
    },
    Section {
        name: "start",
        views: &[systems(
            &["event"],
            &[
                "p50_us",
                "p99_us",
                "max_us",
                "rss_mib",
                "anonymous_mib",
                "cpu_millicores",
                "cpu_ms",
                "image_mib",
            ],
        )],
        plots: &[],
    },
    Section { name: "recovery", views: &[all(&["event"], &["recovered_s"])], plots: &[] },
    Section {
        name: "scale",
        views: &[all(
            &["event"],
            &[
                "cpu_us_per_change",
                "cpu_by_clients",
                "all_told_p50_us",
                "all_told_p99_us",
                "others_told_p99_us",
                "missing",
                "ready_s",
                "rss_mib",
                "anonymous_mib",
                "kib_a_session",
            ],
        )],
        plots: &[
            Plot {
                file: "scale-cpu",
                title: "The controller's processor time for each change, by instances",
                only: &[("event", "changes")],
                kind: lines(&["instances"], Linear, "cpu_us_per_change", Linear),
            },
            Plot {
                file: "scale-memory",
                title: "The controller's own memory, by instances, no sessions",
                only: &[("event", "settled")],
                kind: lines(&["instances"], Linear, "anonymous_mib", Linear),
            },
            Plot {
                file: "scale-told",
                title: "A change of what all hold, until the last sidecar knows of it (p99), by instances",
                only: &[("event", "told")],
                kind: lines(&["instances"], Linear, "all_told_p99_us", Linear),
            },
        ],
    },
    Section {
        name: "soak",
        // A row for each minute would tell less than the plots do.
        views: &[View::Systems {
            needs: "judged",
            apart: &[],
            across: None,
            values: &["mean", "growth_percent", "growth_bound_percent", "late_minutes"],
            by_floor: &[],
            longest: &[],
            has_others: false,
        }],
        plots: &[
            Plot {
                file: "soak-cpu",
                title: "Soak: the controller's processor time for each change",
                only: &[],
                kind: lines(&["minute"], Linear, "cpu_us_per_change", Linear),
            },
            Plot {
                file: "soak-memory",
                title: "Soak: the controller's memory",
                only: &[],
                kind: lines(&["minute"], Linear, "rss_mib", Linear),
            },
        ],
    },
];

const UNASKED: &[(&str, &str)] = &[("watchers", "0"), ("asked", "nothing")];
const ASKED: &[(&str, &str)] = &[("watchers", "0"), ("asked", "all")];
/// Instances of each service are told; this is how many there are in all.
const ALL_OF_THEM: X = &["services", "instances"];
