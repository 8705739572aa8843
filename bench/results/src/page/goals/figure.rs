//! How a figure comes from results.

use std::collections::BTreeMap;

use self::{
    Bound::{AtLeast, AtMost},
    Figure::{ByFloor, ByOurs, Growth, Median, Slope, Worst},
    Part::{Controller, Sidecar},
};
use crate::{
    fit::Line,
    page::{
        lines::{is_of, x_of},
        words::is_ours,
    },
    record::{Class, Configuration},
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
    /// The value where there are most of this, by that where there are fewest.
    Growth {
        x: &'static str,
        value: &'static str,
        only: Only,
    },
}

/// Points in the order of their x.
type Points = Vec<(f64, f64)>;

/// What cases must have.
pub(super) type Only = &'static [(&'static str, &'static str)];

// === impl Bound ===

impl Bound {
    pub(super) fn holds(self, figure: f64) -> bool {
        match self {
            AtLeast(least) => figure >= least,
            AtMost(most) => figure <= most,
        }
    }

    fn worst(self, figures: impl Iterator<Item = f64>) -> Option<f64> {
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
            Growth { x, value, only } => {
                let growths = along(ours(only), x, value).into_iter().filter_map(|points| {
                    let (least, most) = (points.first()?, points.last()?);
                    (most.0 > least.0).then_some(most.1 / least.1)
                });
                bound.worst(growths.filter(|growth| growth.is_finite()))
            }
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
