//! What the page tells of each measurement: its tables and plots.

use crate::plot::Scale;

/// Holds what is told of a measurement.
pub(super) struct Section {
    /// As the file of results and the measurement are called, and the section in the page.
    pub(super) name: &'static str,
    /// What is said after `cargo xtask bench` to have it measured.
    pub(super) measured_by: &'static str,
    pub(super) views: &'static [View],
    pub(super) plots: &'static [Plot],
}

/// Says what tables of a section look like.
pub(super) enum View {
    /// A row for each system.
    Systems {
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
    /// A row for each value: whether it stays as it is.
    Steady { x: X },
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
    /// All delays: what share of them was longer than what.
    Delays,
}

/// Names parts of the case whose product is meant.
pub(super) type X = &'static [&'static str];

const LOOKUP: &[&str] = &["a_second", "cpu_us", "p50_us", "p99_us", "p999_us"];
const SERVICES: (&str, &str) = ("services", "1000");
const INSTANCES: (&str, &str) = ("instances", "10");

/// A table as most are.
const fn systems(apart: &'static [&'static str], values: &'static [&'static str]) -> View {
    View::Systems { apart, across: None, values, by_floor: &[], longest: &[], has_others: false }
}

/// In the order of the page.
pub(super) static SECTIONS: [Section; 9] = [
    Section {
        name: "lookup",
        measured_by: "lookup",
        views: &[View::Systems {
            apart: &["load", "services", "instances"],
            across: None,
            values: LOOKUP,
            by_floor: &["a_second", "cpu_us"],
            longest: &[],
            has_others: false,
        }],
        plots: &[
            Plot {
                file: "lookup-cpu",
                title: "Lookups: processor time of each answer, 1,000 services of 10 instances",
                only: &[("load", "closed"), SERVICES, INSTANCES],
                kind: Kind::Lines {
                    x: &["connections"],
                    x_scale: Scale::Logarithmic,
                    value: "cpu_us",
                    y_scale: Scale::Logarithmic,
                },
            },
            Plot {
                file: "lookup-rate",
                title: "Lookups: answers a second, 1,000 services of 10 instances",
                only: &[("load", "closed"), SERVICES, INSTANCES],
                kind: Kind::Lines {
                    x: &["connections"],
                    x_scale: Scale::Logarithmic,
                    value: "a_second",
                    y_scale: Scale::Logarithmic,
                },
            },
            Plot {
                file: "lookup-delays",
                title: "Lookups at a steady pace: how long answers take, 1,000 services of 10 instances",
                only: &[("load", "open"), SERVICES, INSTANCES],
                kind: Kind::Delays,
            },
        ],
    },
    Section {
        name: "dns",
        measured_by: "dns",
        views: &[View::Systems {
            apart: &["load", "kind"],
            across: None,
            values: LOOKUP,
            by_floor: &["a_second", "cpu_us"],
            longest: &[],
            has_others: false,
        }],
        plots: &[Plot {
            file: "dns-cpu",
            title: "DNS: processor time of each answer",
            only: &[("load", "closed")],
            kind: Kind::Bars { value: "cpu_us", by: "kind", scale: Scale::Linear },
        }],
    },
    Section {
        name: "registration",
        measured_by: "registration",
        views: &[View::Systems {
            apart: &[],
            across: None,
            values: &["a_second", "cpu_us", "p50_us", "p99_us"],
            by_floor: &[],
            longest: &[],
            has_others: true,
        }],
        plots: &[],
    },
    Section {
        name: "propagation",
        measured_by: "propagation",
        views: &[systems(
            &["event", "changes_a_second"],
            &["last_p50_us", "last_p99_us", "p50_us", "p99_us", "cpu_us"],
        )],
        plots: &[
            Plot {
                file: "propagation-add",
                title: "One addition: until the last watcher knows of it (p99), nothing else changes",
                only: &[("event", "add"), ("changes_a_second", "0")],
                kind: Kind::Lines {
                    x: &["watchers"],
                    x_scale: Scale::Logarithmic,
                    value: "last_p99_us",
                    y_scale: Scale::Logarithmic,
                },
            },
            Plot {
                file: "propagation-remove",
                title: "One removal: until the last watcher knows of it (p99), nothing else changes",
                only: &[("event", "remove"), ("changes_a_second", "0")],
                kind: Kind::Lines {
                    x: &["watchers"],
                    x_scale: Scale::Logarithmic,
                    value: "last_p99_us",
                    y_scale: Scale::Logarithmic,
                },
            },
        ],
    },
    Section {
        name: "failure",
        measured_by: "failure",
        views: &[View::Systems {
            apart: &[],
            across: Some("event"),
            values: &["out_ms", "false_evictions", "hours"],
            by_floor: &[],
            longest: &["out_ms"],
            has_others: true,
        }],
        plots: &[Plot {
            file: "failure-out",
            title: "From the failure until no watcher is told of the instance (median)",
            only: &[],
            kind: Kind::Bars { value: "out_ms", by: "event", scale: Scale::Logarithmic },
        }],
    },
    Section {
        name: "memory",
        measured_by: "memory",
        views: &[
            View::Systems {
                apart: &[],
                across: None,
                values: &["rss_mib", "anonymous_mib", "peak_mib"],
                by_floor: &[],
                longest: &[],
                has_others: true,
            },
            View::Slopes {
                x: &["services", "instances"],
                only: &[("watchers", "0")],
                value: "anonymous_mib",
                of_each: "instance",
            },
            View::Slopes { x: &["watchers"], only: &[], value: "anonymous_mib", of_each: "watcher" },
        ],
        plots: &[Plot {
            file: "memory-instances",
            title: "Memory that is a process's own, by instances in all",
            only: &[("watchers", "0")],
            kind: Kind::Lines {
                x: &["services", "instances"],
                x_scale: Scale::Logarithmic,
                value: "anonymous_mib",
                y_scale: Scale::Logarithmic,
            },
        }],
    },
    Section {
        name: "start",
        measured_by: "memory",
        views: &[View::Systems {
            apart: &["event"],
            across: None,
            values: &["ms"],
            by_floor: &[],
            longest: &["ms"],
            has_others: true,
        }],
        plots: &[Plot {
            file: "start",
            title: "From the start to the first good answer, and from a controller's death until all are current",
            only: &[],
            kind: Kind::Bars { value: "ms", by: "event", scale: Scale::Logarithmic },
        }],
    },
    Section {
        name: "scale",
        measured_by: "scale",
        views: &[View::Systems {
            apart: &[],
            across: None,
            values: &["cpu_us_per_change", "rss_mib", "all_told_p50_ms", "all_told_p99_ms", "lists_s"],
            by_floor: &[],
            longest: &[],
            has_others: true,
        }],
        plots: &[
            Plot {
                file: "scale-cpu",
                title: "The controller's processor time for each change, by instances",
                only: &[],
                kind: Kind::Lines {
                    x: &["instances"],
                    x_scale: Scale::Linear,
                    value: "cpu_us_per_change",
                    y_scale: Scale::Linear,
                },
            },
            Plot {
                file: "scale-memory",
                title: "The controller's memory, by instances",
                only: &[],
                kind: Kind::Lines {
                    x: &["instances"],
                    x_scale: Scale::Linear,
                    value: "rss_mib",
                    y_scale: Scale::Linear,
                },
            },
        ],
    },
    Section {
        name: "soak",
        measured_by: "scale",
        views: &[View::Steady { x: &["minute"] }],
        plots: &[
            Plot {
                file: "soak-cpu",
                title: "Soak: the controller's processor time for each change",
                only: &[],
                kind: Kind::Lines {
                    x: &["minute"],
                    x_scale: Scale::Linear,
                    value: "cpu_us_per_change",
                    y_scale: Scale::Linear,
                },
            },
            Plot {
                file: "soak-memory",
                title: "Soak: the controller's memory",
                only: &[],
                kind: Kind::Lines {
                    x: &["minute"],
                    x_scale: Scale::Linear,
                    value: "rss_mib",
                    y_scale: Scale::Linear,
                },
            },
        ],
    },
];
