//! The same load on the same system, round by round.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    delays::delay_us,
    record::{Class, Configuration, Record, Value},
    spread::Spread,
};

/// Holds all records of one case of one system in one configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<'a> {
    pub case: &'a BTreeMap<String, Value>,
    pub class: Class,
    pub system: &'a str,
    pub configuration: Configuration,
    records: Vec<&'a Record>,
}

/// Groups records: in the order of their cases, then classes, then names, default before tuned.
pub fn series<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<Series<'a>> {
    let mut groups: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
    for record in records {
        let key = (&record.case, record.class, record.system.as_str(), record.configuration);
        groups.entry(key).or_default().push(record);
    }
    let of = |((case, class, system, configuration), records)| Series {
        case,
        class,
        system,
        configuration,
        records,
    };
    groups.into_iter().map(of).collect()
}

/// What a record says whose instance was never out, in the place of when it was.
pub(crate) const NEVER: &str = "never_within_s";
/// Values that are a share of a record's delays, and which.
const SHARES: [(&str, f64); 4] = [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p999_us", 0.999)];

// === impl Series ===

impl<'a> Series<'a> {
    pub fn records(&self) -> &[&'a Record] {
        &self.records
    }

    /// Of this value over all rounds.
    pub fn spread(&self, value: &str) -> Option<Spread> {
        Spread::of(self.records.iter().filter_map(|record| record.values.get(value).copied()))
    }

    /// Of the ratios of each round's value to the other one's in the same round: a machine that changes its pace changes it for
    /// both. Rounds in which only one of them was measured are left out.
    pub fn ratio(&self, to: &Self, value: &str) -> Option<Spread> {
        let (ours, theirs) = (self.by_round(value), to.by_round(value));
        Spread::of(ours.iter().filter_map(|(round, value)| Some(value / theirs.get(round)?)))
    }

    /// Of several floors the one whose answers have as many `bytes`, or nearly so; where nobody says, any.
    pub fn nearest<'b>(&self, floors: impl Iterator<Item = &'b Series<'b>>) -> Option<&'b Series<'b>> {
        let bytes = |one: &Series<'_>| one.spread("bytes").map(|spread| spread.median);
        let off = |floor: &Series<'_>| match (bytes(self), bytes(floor)) {
            (Some(ours), Some(floor)) => (ours - floor).abs(),
            _ => f64::INFINITY,
        };
        floors.min_by(|one, other| off(one).total_cmp(&off(other)))
    }

    /// All delays of all rounds, in the order of the delays.
    pub fn delays_us(&self) -> Vec<(u64, u64)> {
        let mut all: BTreeMap<u64, u64> = BTreeMap::new();
        for (delay, times) in self.records.iter().flat_map(|record| &record.delays_us) {
            *all.entry(*delay).or_default() += times;
        }
        all.into_iter().collect()
    }

    /// This share of all delays of all rounds together, as `p99_us` says it: the median of the rounds' own would be that of a
    /// few answers. None where it is no share, or where a round kept no delays.
    pub fn share_us(&self, value: &str) -> Option<f64> {
        let (_, share) = SHARES.iter().find(|(name, _)| *name == value)?;
        let mut with_it = self.records.iter().filter(|record| record.values.contains_key(value)).peekable();
        let all_kept = with_it.peek().is_some() && with_it.all(|record| !record.delays_us.is_empty());
        delay_us(&self.delays_us(), *share).filter(|_| all_kept).map(|us| us as f64)
    }

    /// In how many rounds the instance was never out, as long as somebody looked.
    pub fn never_out(&self) -> usize {
        let is_never = |record: &&&Record| record.values.get(NEVER).is_some_and(|within_s| *within_s > 0.0);
        self.records.iter().filter(is_never).count()
    }

    /// The names of all that was measured.
    pub fn values(&self) -> BTreeSet<&'a str> {
        self.records.iter().flat_map(|record| record.values.keys().map(String::as_str)).collect()
    }

    fn by_round(&self, value: &str) -> BTreeMap<u32, f64> {
        let mut rounds: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for record in &self.records {
            rounds.entry(record.round).or_default().extend(record.values.get(value));
        }
        let medians = rounds.into_iter().map(|(round, values)| Some((round, Spread::of(values)?.median)));
        medians.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(system: &str, class: Class, connections: u32, round: u32, a_second: f64) -> Record {
        Record::new(system, class, Configuration::Default, round)
            .with_case("connections", connections)
            .with_value("a_second", a_second)
    }

    fn all() -> Vec<Record> {
        vec![
            record("sidecar", Class::B, 16, 1, 90.0),
            record("bare", Class::Floor, 16, 1, 100.0),
            record("sidecar", Class::B, 16, 2, 40.0),
            record("bare", Class::Floor, 16, 2, 50.0),
            record("sidecar", Class::B, 16, 3, 35.0),
            record("bare", Class::Floor, 16, 4, 1.0),
            record("bare", Class::Floor, 1, 1, 10.0),
        ]
    }

    #[test]
    fn records_are_grouped_by_what_was_measured_of_whom() {
        let records = all();
        let groups = series(&records);
        let told: Vec<_> = groups.iter().map(|one| (one.system, one.records().len())).collect();
        assert_eq!(told, [("bare", 1), ("bare", 3), ("sidecar", 3)]);
        let spread = groups[2].spread("a_second").expect("measured");
        assert_eq!((spread.median, spread.measured), (40.0, 3));
        assert_eq!(groups[2].spread("cpu_us"), None);
        assert_eq!(groups[2].values(), BTreeSet::from(["a_second"]));
    }

    #[test]
    fn a_ratio_is_of_the_same_rounds() {
        let records = all();
        let groups = series(&records);
        let ratio = groups[2].ratio(&groups[1], "a_second").expect("two rounds");
        // 0.9 and 0.8; the medians' own ratio would be another one.
        assert_eq!(ratio.measured, 2);
        assert!((ratio.median - 0.85).abs() < 1e-9, "{ratio:?}");
        assert_eq!(groups[2].ratio(&groups[1], "cpu_us"), None);
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        let records = [record("a", Class::B, 1, 1, 5.0), record("b", Class::B, 1, 1, 0.0)];
        let groups = series(&records);
        assert_eq!(groups[0].ratio(&groups[1], "a_second"), None);
    }

    #[test]
    fn delays_of_all_rounds_are_joined() {
        let mut records = [record("a", Class::B, 1, 1, 1.0), record("a", Class::B, 1, 2, 1.0)];
        records[0].delays_us = vec![(10, 1), (30, 2)];
        records[1].delays_us = vec![(10, 4), (20, 8)];
        assert_eq!(series(&records)[0].delays_us(), [(10, 5), (20, 8), (30, 2)]);
    }

    #[test]
    fn a_share_of_delays_is_that_of_all_rounds_together() {
        let round = |round, delays_us| {
            let mut record = record("a", Class::B, 1, round, 1.0).with_value("p99_us", 7.0);
            record = record.with_value("last_p99_us", 7.0).with_value("p50_us", 7.0);
            record.delays_us = delays_us;
            record
        };
        // One answer in 200 was slow: of the rounds' own p99s, the median is 1,000.
        let rounds = [
            round(1, vec![(10, 500)]),
            round(2, vec![(10, 49), (1_000, 1)]),
            round(3, vec![(10, 48), (1_000, 2)]),
        ];
        let groups = series(&rounds);
        for (value, expected) in
            [("p50_us", Some(10.0)), ("p99_us", Some(10.0)), ("last_p99_us", None), ("a_second", None)]
        {
            assert_eq!(groups[0].share_us(value), expected, "{value}");
        }
        let one_kept_none = [round(1, vec![(10, 1)]), round(2, Vec::new())];
        assert_eq!(series(&one_kept_none)[0].share_us("p50_us"), None);
        let others_kept_none = [round(1, vec![(10, 1)]), record("a", Class::B, 1, 2, 1.0)];
        assert_eq!(series(&others_kept_none)[0].share_us("p50_us"), Some(10.0));
    }
}
