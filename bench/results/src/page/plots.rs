//! A section's plots: one for each class, with the floor in each.

use std::collections::BTreeMap;

use super::{
    lines::{is_of, named, x_of},
    sections::{Kind, Plot, X},
    words,
};
use crate::{
    plot::{Bar, Bars, Curve, Lines, Scale},
    record::Class,
    series::Series,
};

/// Holds a plot as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// `lookup-cpu-b.svg`.
    pub file: String,
    pub title: String,
    pub svg: String,
}

/// Classes, and how they are called behind a file's name and a title.
const CLASSES: [(Class, &str, &str); 3] = [
    (Class::A, "a", "class A, in the process that asks"),
    (Class::B, "b", "class B, on the same machine"),
    (Class::C, "c", "class C, a server elsewhere"),
];
/// Below the share of 1 in so many, delays are those of a few requests.
const RAREST: f64 = 10_000.0;

/// The plot for each class of which something but the floor was measured.
pub(super) fn drawn<'a>(plot: &Plot, all: &'a [Series<'a>]) -> Vec<Drawn> {
    let wanted = || all.iter().filter(|one| is_of(one, plot.only));
    let of_class = |(class, letter, told): &(Class, &str, &str)| {
        if !wanted().any(|one| one.class == *class) {
            return None;
        }
        let members: Vec<_> = wanted().filter(|one| [*class, Class::Floor].contains(&one.class)).collect();
        let title = format!("{} ({told})", plot.title);
        let svg = svg(&plot.kind, &title, &members)?;
        Some(Drawn { file: format!("{}-{letter}.svg", plot.file), title, svg })
    };
    CLASSES.iter().filter_map(of_class).collect()
}

fn svg<'a>(kind: &Kind, title: &str, members: &[&'a Series<'a>]) -> Option<String> {
    match kind {
        Kind::Lines { x, x_scale, value, y_scale } => {
            let curves = curves(members, x, value);
            let x = (words::spaced(&x.join(" × ")), *x_scale);
            Lines { title: title.to_owned(), x, y: (words::title(value), *y_scale), curves }.svg()
        }
        Kind::Bars { value, by, scale } => {
            let groups = groups(members, value, by);
            Bars { title: title.to_owned(), unit: words::title(value), scale: *scale, groups }.svg()
        }
        Kind::Delays => Lines {
            title: title.to_owned(),
            x: ("one answer in so many takes longer".to_owned(), Scale::Logarithmic),
            y: ("µs".to_owned(), Scale::Logarithmic),
            curves: members.iter().filter_map(|one| delays(one, members)).collect(),
        }
        .svg(),
    }
}

/// A curve for each system and configuration, and for each case but for what is on the axis.
fn curves<'a>(members: &[&'a Series<'a>], x: X, value: &str) -> Vec<Curve> {
    let mut curves: BTreeMap<_, (String, Vec<(f64, f64)>)> = BTreeMap::new();
    for one in members {
        let (Some(at), Some(spread)) = (x_of(one.case, x), one.spread(value)) else { continue };
        let rest = rest(one, members, x);
        let name = if rest.is_empty() { named(one) } else { format!("{}, {rest}", named(one)) };
        let key = (one.class, one.system, one.configuration, rest);
        curves.entry(key).or_insert_with(|| (name, Vec::new())).1.push((at, spread.median));
    }
    let curves = curves.into_values().map(|(name, mut points)| {
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        Curve { name, points }
    });
    curves.collect()
}

/// What of a case is not on the axis, and not the same for all, in words.
fn rest(one: &Series<'_>, members: &[&Series<'_>], but: &[&str]) -> String {
    let differs = |name: &str| members.iter().any(|other| other.case.get(name) != one.case.get(name));
    let rest = one.case.iter().filter(|(name, _)| !but.contains(&name.as_str()) && differs(name));
    words::case(&rest.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Which bars stand below each value of a part of the case; each system has its colour in all of them.
fn groups(members: &[&Series<'_>], value: &str, by: &str) -> Vec<(String, Vec<Bar>)> {
    let mut names: Vec<_> = members.iter().map(|one| named(one)).collect();
    names.sort();
    names.dedup();
    let mut groups: BTreeMap<_, Vec<Bar>> = BTreeMap::new();
    for one in members {
        let Some(spread) = one.spread(value) else { continue };
        let rest = rest(one, members, &[by]);
        let name = if rest.is_empty() { named(one) } else { format!("{}, {rest}", named(one)) };
        let kind = names.iter().position(|name| *name == named(one)).unwrap_or_default();
        groups.entry(one.case.get(by)).or_default().push(Bar { name, value: spread.median, kind });
    }
    groups.into_iter().map(|(of, bars)| (of.map(words::word).unwrap_or_default(), bars)).collect()
}

/// How rare delays are that are longer than each.
fn delays(one: &Series<'_>, members: &[&Series<'_>]) -> Option<Curve> {
    let delays = one.delays_us();
    let all: u64 = delays.iter().map(|(_, times)| times).sum();
    let mut longer = all;
    let mut points = Vec::new();
    for (delay, times) in delays {
        // As many in as many as are this long or longer: the first point is one in one.
        let one_in = all as f64 / longer as f64;
        if one_in <= RAREST {
            points.push((one_in, delay as f64));
        }
        longer = longer.saturating_sub(times);
    }
    let rest = rest(one, members, &[]);
    let name = if rest.is_empty() { named(one) } else { format!("{}, {rest}", named(one)) };
    (!points.is_empty()).then_some(Curve { name, points })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Configuration, Record},
        series::series,
    };

    const PLOT: Plot = Plot {
        file: "x",
        title: "X",
        only: &[("load", "closed"), ("services", "1000")],
        kind: Kind::Lines {
            x: &["connections"],
            x_scale: Scale::Logarithmic,
            value: "cpu_us",
            y_scale: Scale::Linear,
        },
    };

    fn record(system: &str, class: Class, connections: u32, services: u32) -> Record {
        Record::new(system, class, Configuration::Default, 1)
            .with_case("connections", connections)
            .with_case("services", services)
            .with_case("load", "closed")
            .with_value("cpu_us", 1.0)
    }

    #[test]
    fn each_class_has_a_plot_of_its_own_with_the_floor() {
        let records = [
            record("bare", Class::Floor, 1, 1_000),
            record("sidecar", Class::B, 16, 1_000),
            record("sidecar", Class::B, 1, 1_000),
            record("server", Class::C, 1, 1_000),
            record("elsewhere", Class::A, 1, 100),
        ];
        let all = series(&records);
        let drawn = drawn(&PLOT, &all);
        assert_eq!(drawn.iter().map(|one| one.file.as_str()).collect::<Vec<_>>(), ["x-b.svg", "x-c.svg"]);
        for (one, has, has_not) in [(&drawn[0], "B: sidecar", "server"), (&drawn[1], "C: server", "sidecar")]
        {
            assert!(one.svg.contains("floor: bare") && one.svg.contains(has) && !one.svg.contains(has_not));
        }
        // The case tells nothing that all have, and the points stand in the order of the axis.
        assert!(!drawn[0].svg.contains("1,000"), "{}", drawn[0].svg);
        let wanted: Vec<_> = all.iter().filter(|one| is_of(one, PLOT.only)).collect();
        let of_sidecar =
            curves(&wanted, &["connections"], "cpu_us").into_iter().find(|curve| curve.name == "B: sidecar");
        assert_eq!(of_sidecar.map(|curve| curve.points), Some(vec![(1.0, 1.0), (16.0, 1.0)]));
    }

    #[test]
    fn the_floor_alone_makes_no_plot() {
        let records = [record("bare", Class::Floor, 1, 1_000)];
        assert_eq!(drawn(&PLOT, &series(&records)), []);
    }

    #[test]
    fn delays_are_told_by_how_rare_longer_ones_are() {
        let mut one = record("sidecar", Class::B, 1, 1_000);
        one.delays_us = vec![(10, 90), (20, 9), (1_000, 1)];
        let records = [one];
        let all = series(&records);
        let curve = delays(&all[0], &[]).expect("delays");
        assert_eq!(curve.points, [(1.0, 10.0), (10.0, 20.0), (100.0, 1_000.0)]);
    }
}
