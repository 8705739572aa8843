//! How a figure comes from results.

use std::collections::BTreeMap;

use self::{
    Bound::{AtLeast, AtMost},
    Figure::{ByFloor, ByOurs, Growth, Median, Slope, Worst},
    Part::{Controller, Sidecar},
};
use crate::{
    file::Results,
    fit::Line,
    page::{
        lines::{has_all, is_of, x_of},
        words::{is_ours, plain},
    },
    record::{Class, Configuration, Record},
    series::{NEVER, Series},
};

/// Says what a figure may be.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Says which part of ours is meant: its name is in that of the system.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Sidecar,
    Controller,
}

/// Says how a goal's figure comes from results. Where several cases have it, the worst counts.
pub(super) enum Figure {
    /// Our value by the floor's, of each round.
    ByFloor {
        value: &'static str,
        only: Only,
    },
    /// The value of those whose names begin so, by ours, of each round; all as they are by default. Here alone classes are not
    /// kept apart: the goal is what a lookup costs, wherever it is answered.
    ByOurs {
        theirs: &'static str,
        value: &'static str,
        only: Only,
    },
    Median {
        value: &'static str,
        only: Only,
        by: f64,
    },
    /// Of all rounds the worst one; one in which it never came to that is worse than all others.
    Worst {
        value: &'static str,
        only: Only,
        by: f64,
    },
    /// What comes with each more of this, in KiB, of a value in MiB.
    Slope {
        x: &'static str,
        value: &'static str,
        only: Only,
    },
    /// The value where there are so many of this, by that where there are so few. Both must have been measured: what grows by
    /// little on a part of the way says nothing of the rest.
    Growth {
        x: &'static str,
        few: f64,
        many: f64,
        value: &'static str,
        only: Only,
    },
}

/// Points in the order of their x.
type Points = Vec<(f64, f64)>;

/// What cases must have.
pub(super) type Only = &'static [(&'static str, &'static str)];

/// What a record says of those who were never told, beside the delays of those who were.
const NEVER_TOLD: [&str; 2] = ["missing", "never_seen"];
/// Steps that come first, and those that are not even begun where they fail.
const FIRST: [(&str, &[&str]); 3] =
    [("start", &["settled", "changes", "opened", "told"]), ("settled", &["changes"]), ("opened", &["told"])];

// === impl Bound ===

impl Bound {
    pub(super) fn holds(self, figure: f64) -> bool {
        match self {
            AtLeast(least) => figure >= least,
            AtMost(most) => figure <= most,
        }
    }

    pub(super) fn worst(self, figures: impl Iterator<Item = f64>) -> Option<f64> {
        figures.reduce(match self {
            AtLeast(_) => f64::min,
            AtMost(_) => f64::max,
        })
    }
}

// === impl Part ===

impl Part {
    fn is(self, system: &str) -> bool {
        is_ours(system)
            && system.contains(match self {
                Sidecar => "sidecar",
                Controller => "controller",
            })
    }
}

// === impl Figure ===

impl Figure {
    pub(super) fn of(&self, all: &[Series<'_>], part: Part, bound: Bound) -> Option<f64> {
        let ours = |only: Only| all.iter().filter(move |one| part.is(one.system) && is_of(one, only));
        match self {
            ByFloor { value, only } => {
                let ratios = ours(only).flat_map(|one| {
                    let floors =
                        all.iter().filter(|floor| floor.class == Class::Floor && floor.case == one.case);
                    one.nearest(floors).and_then(|floor| Some(one.ratio(floor, value)?.median))
                });
                bound.worst(ratios)
            }
            ByOurs { theirs, value, only } => {
                let is_default = |one: &&Series<'_>| one.configuration == Configuration::Default;
                let others = || all.iter().filter(is_default).filter(|other| begins(other.system, theirs));
                let ratios = ours(only).filter(is_default).flat_map(|one| {
                    let others = others().filter(|other| other.case == one.case);
                    others.filter_map(|other| Some(other.ratio(one, value)?.median)).collect::<Vec<_>>()
                });
                bound.worst(ratios)
            }
            Median { value, only, by } => {
                bound.worst(ours(only).filter_map(|one| Some(one.spread(value)?.median * by)))
            }
            Worst { value, only, by } => {
                let records = ours(only).flat_map(|one| one.records().iter());
                bound.worst(records.filter_map(|record| {
                    let never = record.values.get(NEVER).is_some_and(|within_s| *within_s > 0.0);
                    if never { Some(f64::INFINITY) } else { Some(record.values.get(*value)? * by) }
                }))
            }
            Slope { x, value, only } => {
                let lines =
                    along(ours(only), x, value).into_iter().filter_map(|points| Line::through(&points));
                bound.worst(lines.map(|line| line.slope * 1_024.0))
            }
            Growth { x, few, many, value, only } => {
                let growths = along(ours(only), x, value).into_iter().filter_map(|points| {
                    let at = |wanted: f64| points.iter().find(|(x, _)| *x == wanted).map(|(_, value)| *value);
                    Some(at(*many)? / at(*few)?)
                });
                bound.worst(growths.filter(|growth| growth.is_finite()))
            }
        }
    }

    /// Why the figure is not that of all cases, or of all who were to be told: it may then be no better than it is, and is not
    /// taken for a good one. None where nothing is missing.
    pub(super) fn lacks(&self, results: &Results, part: Part) -> Option<String> {
        let missed = results.missed.iter().find(|record| self.may_be_of(record, part));
        let missed = missed.and_then(|record| record.not_measured.clone());
        missed.or_else(|| {
            let (value, only) = self.value();
            let ours = |record: &&Record| part.is(&record.system) && has_all(&record.case, only);
            let mut never_told = results.records.iter().filter(ours).flat_map(|record| {
                NEVER_TOLD.iter().filter_map(|name| record.values.get(*name).filter(|many| **many > 0.0))
            });
            // What is no delay is right whoever was told.
            never_told.next().filter(|_| value.ends_with("_us")).map(|many| format!("{many} were never told"))
        })
    }

    /// Whether the figure would have been of this as well, as far as it says what it is.
    fn may_be_of(&self, missed: &Record, part: Part) -> bool {
        let takes_part = match self {
            ByFloor { .. } => missed.class == Class::Floor,
            ByOurs { theirs, .. } => {
                missed.configuration == Configuration::Default && begins(&missed.system, theirs)
            }
            Median { .. } | Worst { .. } | Slope { .. } | Growth { .. } => false,
        };
        let (_, only) = self.value();
        let may_be = |(name, wanted): &(&str, &str)| {
            let Some(is) = missed.case.get(*name).map(plain) else { return true };
            is == *wanted || FIRST.iter().any(|(first, rest)| is == *first && rest.contains(wanted))
        };
        // Where all of ours failed, no part of it is named.
        let is_all =
            is_ours(&missed.system) && ![Sidecar, Controller].iter().any(|part| part.is(&missed.system));
        (takes_part || is_all || part.is(&missed.system)) && only.iter().all(may_be)
    }

    fn value(&self) -> (&'static str, Only) {
        match self {
            ByFloor { value, only }
            | ByOurs { value, only, .. }
            | Median { value, only, .. }
            | Worst { value, only, .. }
            | Slope { value, only, .. }
            | Growth { value, only, .. } => (value, only),
        }
    }
}

fn begins(system: &str, name: &str) -> bool {
    system.to_lowercase().starts_with(&name.to_lowercase())
}

/// The points of each system over one part of its case, where the rest of it is the same.
fn along<'a>(all: impl Iterator<Item = &'a Series<'a>>, x: &'static str, value: &str) -> Vec<Points> {
    let mut found: BTreeMap<_, Points> = BTreeMap::new();
    for one in all {
        let mut rest = one.case.clone();
        let of = rest.remove(x).and_then(|_| x_of(one.case, &[x]));
        if let (Some(x), Some(spread)) = (of, one.spread(value)) {
            found.entry((one.system, one.configuration, rest)).or_default().push((x, spread.median));
        }
    }
    found.values_mut().for_each(|points| points.sort_by(|one, other| one.0.total_cmp(&other.0)));
    found.into_values().collect()
}
