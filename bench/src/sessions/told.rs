//! What the crowd was told, and when.

use std::{collections::HashMap, time::Duration};

use rollcall_results::Record;

use crate::report::Delays;

/// Holds the deliveries of the measured changes.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Changes of the service that all hold, by the moment of each.
    of_all: HashMap<u64, Change>,
    /// Those of the others, of which nobody says how many hold them.
    of_others: HashMap<u64, Change>,
    delays_us: Vec<u32>,
    bytes: u64,
    up_bytes: u64,
    ideal_bytes: u64,
}

/// Holds what never came: changes that somebody was not told of, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) changes: usize,
    pub(crate) deliveries: usize,
}

/// Holds to how many a change was told, how long it took until the last of them was, and how long its instance is as JSON.
#[derive(Clone, Copy, Debug)]
struct Change {
    told: usize,
    last_ns: u64,
    ideal_bytes: u64,
}

// === impl Told ===

impl Told {
    /// One of the crowd has applied this change, in nanoseconds since 1970. How long its instance is as JSON is asked for once:
    /// a crowd that has the processors of what it measures says so for all of them.
    pub(super) fn one(
        &mut self,
        made_ns: u64,
        now_ns: u64,
        is_of_all: bool,
        ideal_bytes: impl FnOnce() -> usize,
    ) {
        let delay_ns = now_ns.saturating_sub(made_ns);
        let changes = if is_of_all { &mut self.of_all } else { &mut self.of_others };
        let unheard = || Change { told: 0, last_ns: 0, ideal_bytes: ideal_bytes() as u64 };
        let one = changes.entry(made_ns).or_insert_with(unheard);
        one.told += 1;
        one.last_ns = one.last_ns.max(delay_ns);
        self.delays_us.push(u32::try_from(delay_ns / 1_000).unwrap_or(u32::MAX));
        self.ideal_bytes += one.ideal_bytes;
    }

    pub(super) fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(super) fn went(&mut self, bytes: usize) {
        self.up_bytes += bytes as u64;
    }

    /// Tells a record of all deliveries, where so many changes were made of the service that this many hold; and says what
    /// never came. Where a change is missing nobody can say how long it took until all were told: no value says so.
    pub(crate) fn tell(&self, made: usize, holders: usize, record: &mut Record) -> anyhow::Result<Missing> {
        self.each()?.tell(record);
        let missing = self.missing(made, holders);
        let mut more = vec![
            ("missing", missing.deliveries as f64),
            ("deliveries", self.delays_us.len() as f64),
            ("bytes", self.bytes as f64),
            ("up_bytes", self.up_bytes as f64),
        ];
        let (all, others) = (last(&self.of_all)?, last(&self.of_others)?);
        if missing.changes == 0 && all.len() > 0 {
            more.push(("all_told_p50_us", all.at(0.5).as_micros() as f64));
            more.push(("all_told_p99_us", all.at(0.99).as_micros() as f64));
        }
        if others.len() > 0 {
            more.push(("others_told_p50_us", others.at(0.5).as_micros() as f64));
            more.push(("others_told_p99_us", others.at(0.99).as_micros() as f64));
        }
        record.values.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Ok(missing)
    }

    /// What is missing of so many changes, each to so many.
    fn missing(&self, made: usize, holders: usize) -> Missing {
        let whole = self.of_all.values().filter(|change| change.told >= holders).count();
        let deliveries = (made * holders).saturating_sub(self.of_all());
        Missing { changes: made.saturating_sub(whole), deliveries }
    }

    /// The time of each single delivery.
    fn each(&self) -> anyhow::Result<Delays> {
        delays(self.delays_us.iter().map(|delay_us| Duration::from_micros((*delay_us).into())))
    }

    /// What came, by what the changed instances alone would have been; none where nothing did, and of no use where others have
    /// changed that do not say when.
    pub(crate) fn bytes_by_ideal(&self) -> Option<f64> {
        (self.ideal_bytes > 0).then(|| self.bytes as f64 / self.ideal_bytes as f64)
    }

    /// Deliveries of changes of the service that all hold.
    pub(crate) fn of_all(&self) -> usize {
        self.of_all.values().map(|change| change.told).sum()
    }

    /// To the sessions.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From them.
    pub(crate) fn up_bytes(&self) -> u64 {
        self.up_bytes
    }
}

/// Of each change, the time until the last was told.
fn last(changes: &HashMap<u64, Change>) -> anyhow::Result<Delays> {
    delays(changes.values().map(|change| Duration::from_nanos(change.last_ns)))
}

fn delays(all: impl Iterator<Item = Duration>) -> anyhow::Result<Delays> {
    let mut delays = Delays::new()?;
    all.for_each(|delay| delays.push(delay));
    Ok(delays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_results::{Class, Configuration};

    const MS: u64 = 1_000_000;

    /// Changes of the service that all hold, each told to so many after so long, and one of another that takes longer.
    fn told(changes: &[(usize, u64)]) -> Told {
        let mut told = Told::default();
        for (made_ns, (holders, delay_ms)) in (1..).zip(changes) {
            for _ in 0..*holders {
                told.one(made_ns, made_ns + delay_ms * MS, true, || 100);
            }
        }
        told.one(99, 99 + 900 * MS, false, || 100);
        told
    }

    fn record() -> Record {
        Record::new("x", Class::C, Configuration::Default, 1)
    }

    #[test]
    fn changes_of_what_all_hold_are_apart_from_the_others() {
        let mut record = record();
        let missing = told(&[(2, 5), (2, 7)]).tell(2, 2, &mut record).expect("told");
        assert_eq!(missing, Missing { changes: 0, deliveries: 0 });
        let near = |name: &str, ms: f64| (record.values[name] / 1e3 - ms).abs() < ms / 50.0;
        assert!(near("all_told_p99_us", 7.0) && near("others_told_p99_us", 900.0), "{record:?}");
    }

    #[test]
    fn a_change_that_one_was_not_told_of_leaves_no_time_until_all_were() {
        // One that one of two was told of, and one that nobody was.
        for (changes, expected) in [
            (&[(2, 5), (1, 7)][..], Missing { changes: 1, deliveries: 1 }),
            (&[(2, 5)], Missing { changes: 1, deliveries: 2 }),
            (&[], Missing { changes: 2, deliveries: 4 }),
        ] {
            let mut record = record();
            let missing = told(changes).tell(2, 2, &mut record).expect("told");
            assert_eq!(missing, expected);
            assert!(!record.values.contains_key("all_told_p99_us"), "{record:?}");
            assert_eq!(record.values["missing"], expected.deliveries as f64);
        }
    }
}
