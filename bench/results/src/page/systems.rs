//! A section's tables with a row for each system.

use std::{
    collections::{BTreeMap, BTreeSet},
    ptr,
};

use super::{
    losses::{Loss, OUT},
    words,
};
use crate::{
    number::{number, times},
    record::{Class, Configuration, Value},
    series::{NEVER, Series},
    table::{Align, Table},
};

/// Says what these tables look like.
pub(super) struct Systems<'a> {
    pub(super) apart: &'a [&'a str],
    pub(super) across: Option<&'a str>,
    pub(super) by_floor: &'a [&'a str],
    pub(super) longest: &'a [&'a str],
    /// All that are shown, in this order.
    pub(super) values: Vec<&'a str>,
    pub(super) losses: &'a [Loss<'a>],
}

/// What is behind.
pub(super) const BEHIND: &str = " ▼";
/// Of its own processor, the load takes more only where it can do no more.
const LOAD_BUSY_PERCENT: f64 = 90.0;
/// What the marks of such rows mean.
pub(super) const LIMITED: &str = "≥, ≤: the load's own processor was busy for 90 % of the time or more, so that it was the load that could do no more. The system answers at least so many a second, and takes at most so long. A ratio to the floor in brackets is one of two such rates, and says nothing but that both are as fast as the load. Processor time is not concerned.";

/// Parts of a case as they are shown, which sort as their values do.
type Parts<'a> = Vec<Option<&'a Value>>;
/// Tells a row from others.
type Row<'a> = (Parts<'a>, Class, &'a str, Configuration);

// === impl Systems ===

impl<'a> Systems<'a> {
    /// All tables, each below what its cases have in common.
    pub(super) fn markdown(&self, all: &[&'a Series<'a>]) -> String {
        let mut tables: BTreeMap<Parts<'a>, Vec<&'a Series<'a>>> = BTreeMap::new();
        for one in all {
            let parts = self.apart.iter().map(|name| one.case.get(*name)).collect();
            tables.entry(parts).or_default().push(one);
        }
        tables.into_values().map(|members| self.table(&members)).collect()
    }

    fn table(&self, members: &[&'a Series<'a>]) -> String {
        let (common, differing) = self.parts(members);
        let mut rows: BTreeMap<Row<'a>, BTreeMap<Option<&Value>, &'a Series<'a>>> = BTreeMap::new();
        for one in members {
            let parts = differing.iter().map(|name| one.case.get(*name)).collect();
            let row = (parts, one.class, one.system, one.configuration);
            rows.entry(row).or_default().insert(self.across.and_then(|across| one.case.get(across)), one);
        }
        let beside: BTreeSet<_> = rows.values().flat_map(|row| row.keys().copied()).collect();
        let columns = self.columns(members, &beside);
        let mut table = Table::default();
        for name in &differing {
            table = table.with_column(&words::spaced(name), Align::Words);
        }
        for name in ["class", "system", "configuration"] {
            table = table.with_column(name, Align::Words);
        }
        for (which, value, by_floor) in &columns {
            let title =
                if *by_floor { format!("{} / floor's", words::title(value)) } else { words::title(value) };
            let title = which.map_or(title.clone(), |which| format!("{}: {title}", words::word(which)));
            table = table.with_column(&title, Align::Numbers);
        }
        for ((parts, class, system, configuration), of) in rows {
            let mut cells: Vec<_> =
                parts.into_iter().map(|part| part.map(words::word).unwrap_or_default()).collect();
            cells.extend(
                [words::class(class), system, words::configuration(configuration)].map(str::to_owned),
            );
            cells.extend(columns.iter().map(|(which, value, by_floor)| match of.get(which) {
                None => String::new(),
                Some(one) if *by_floor => by_its_floor(one, members, value),
                Some(one) => self.cell(one, value),
            }));
            table.push(cells);
        }
        let common = if common.is_empty() { String::new() } else { format!("**{common}**\n\n") };
        format!("\n{common}{}", table.markdown())
    }

    /// What all cases have in common, in words, and the names of what they differ in.
    fn parts(&self, members: &[&'a Series<'a>]) -> (String, Vec<&'a str>) {
        let names: BTreeSet<&str> =
            members.iter().flat_map(|one| one.case.keys().map(String::as_str)).collect();
        let (mut common, mut differing) = (BTreeMap::new(), Vec::new());
        for name in names.into_iter().filter(|name| Some(*name) != self.across) {
            let values: BTreeSet<_> = members.iter().map(|one| one.case.get(name)).collect();
            match (values.len(), values.first()) {
                (1, Some(Some(value))) => drop(common.insert(name.to_owned(), (*value).clone())),
                _ => differing.push(name),
            }
        }
        (words::case(&common), differing)
    }

    /// What of `across`, which value, and whether it is the ratio to the floor; those alone that somebody has.
    fn columns(
        &self,
        members: &[&Series<'_>],
        beside: &BTreeSet<Option<&'a Value>>,
    ) -> Vec<(Option<&'a Value>, &'a str, bool)> {
        let mut columns = Vec::new();
        for which in beside {
            for value in &self.values {
                let of = |one: &&&Series<'_>| self.across.and_then(|across| one.case.get(across)) == *which;
                let has_it = |one: &&Series<'_>| one.spread(value).is_some();
                if !members.iter().filter(of).any(has_it) {
                    continue;
                }
                columns.push((*which, *value, false));
                let has_floor =
                    members.iter().any(|one| one.class == Class::Floor && one.spread(value).is_some());
                if has_floor && self.by_floor.contains(value) {
                    columns.push((*which, *value, true));
                }
            }
        }
        columns
    }

    fn cell(&self, one: &Series<'_>, value: &str) -> String {
        let never = if value == OUT { one.never_out() } else { 0 };
        let within = one.spread(NEVER).map(|within| format!("never within {} s", number(within.high)));
        let within = within.filter(|_| never > 0).unwrap_or_default();
        let is_behind = self.losses.iter().any(|loss| ptr::eq(loss.ours, one) && loss.value == value);
        let behind = if is_behind { BEHIND } else { "" };
        let Some(spread) = one.spread(value) else {
            return if never > 0 { format!("{within}{behind}") } else { String::new() };
        };
        let never = match never {
            0 => String::new(),
            never => format!(", {within} in {never} of {}", one.records().len()),
        };
        let limit = if is_limited_by_load(one) { limit(value) } else { "" };
        let share_us = one.share_us(value);
        let around = spread.around().filter(|_| share_us.is_none());
        let around = around.map(|around| format!(" ±{:.0}%", around * 100.0)).unwrap_or_default();
        let most =
            one.records().iter().filter_map(|record| record.values.get(value)).copied().reduce(f64::max);
        let longest = match most {
            Some(most) if spread.measured > 1 && self.longest.contains(&value) => {
                format!(", at most {}", number(most))
            }
            _ => String::new(),
        };
        let told = number(share_us.unwrap_or(spread.median));
        format!("{limit}{told}{around}{longest}{never}{behind}")
    }
}

/// Whether it was the load that could do no more.
pub(super) fn is_limited_by_load(one: &Series<'_>) -> bool {
    one.spread("load_busy_percent").is_some_and(|busy| busy.median >= LOAD_BUSY_PERCENT)
}

/// On which side of it the truth is, where the load could do no more.
pub(super) fn limit(value: &str) -> &'static str {
    match value {
        "a_second" => "≥ ",
        "p50_us" | "p99_us" | "p999_us" | "last_p50_us" | "last_p99_us" => "≤ ",
        _ => "",
    }
}

/// The ratio to the floor of the same case.
fn by_its_floor(one: &Series<'_>, members: &[&Series<'_>], value: &str) -> String {
    let floors =
        members.iter().copied().filter(|floor| floor.class == Class::Floor && floor.case == one.case);
    let Some(floor) = one.nearest(floors).filter(|_| one.class != Class::Floor) else { return String::new() };
    let Some(ratio) = one.ratio(floor, value) else { return String::new() };
    let ratio = times(ratio.median);
    match (is_limited_by_load(one), is_limited_by_load(floor)) {
        _ if limit(value).is_empty() => ratio,
        (false, false) => ratio,
        (true, false) => format!("≥ {ratio}"),
        (false, true) => format!("≤ {ratio}"),
        (true, true) => format!("({ratio})"),
    }
}
