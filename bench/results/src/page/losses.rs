//! Where somebody of the same class and case is better than we are, and why that is so.

use std::{cmp::Ordering, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::words::{self, Better, better, is_ours};
use crate::{
    number::times,
    record::{Class, Value},
    series::Series,
    spread::Spread,
};

/// Holds why we lose, as somebody wrote it: of one measurement and system of ours, and of all that it does not leave open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    pub bench: String,
    /// Ours.
    pub system: String,
    /// What cases must have; other parts of theirs may be anything.
    #[serde(default)]
    pub case: BTreeMap<String, Value>,
    /// Of this value alone.
    #[serde(default)]
    pub value: Option<String>,
    /// Against this system alone.
    #[serde(default)]
    pub against: Option<String>,
    /// A sentence.
    pub why: String,
}

/// Holds one value of one case in which another system is better than ours, in three quarters of the rounds or more.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Loss<'a> {
    pub(super) bench: &'a str,
    pub(super) case: &'a BTreeMap<String, Value>,
    pub(super) value: &'a str,
    pub(super) ours: &'a Series<'a>,
    pub(super) theirs: &'a Series<'a>,
    /// Ours by theirs.
    pub(super) ratio: f64,
}

/// From a failure until nobody is told of the instance any longer.
pub(super) const OUT: &str = "out_ms";

/// Says how one of ours compares with another, in three quarters of the rounds or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Better,
    Worse,
    /// Neither, in so many of them.
    Alike,
}

/// All losses in these values: one where several are better, to the one of them who is so by most.
pub(super) fn losses<'a>(bench: &'a str, all: &'a [Series<'a>], values: &[&'a str]) -> Vec<Loss<'a>> {
    let mut found = Vec::new();
    for ours in all.iter().filter(|one| is_compared(one) && is_ours(one.system)) {
        let others: Vec<_> = all.iter().filter(|other| is_beside(other, ours)).collect();
        for value in values {
            let lost = others.iter().filter_map(|theirs| Some((*theirs, lost(ours, theirs, value)?)));
            let by_most = lost.max_by(|(_, one), (_, other)| match better(value, ours.case) {
                Some(Better::More) => other.total_cmp(one),
                _ => one.total_cmp(other),
            });
            found.extend(by_most.map(|(theirs, ratio)| Loss {
                bench,
                case: ours.case,
                value,
                ours,
                theirs,
                ratio,
            }));
        }
    }
    found
}

/// Whether anybody else was measured in the same case and class as we were.
pub(super) fn are_compared(all: &[Series<'_>]) -> bool {
    let mut ours = all.iter().filter(|one| is_compared(one) && is_ours(one.system));
    ours.any(|ours| all.iter().any(|other| is_beside(other, ours)))
}

/// Whether this is somebody else, in the same case and class.
fn is_beside(other: &Series<'_>, ours: &Series<'_>) -> bool {
    is_compared(other) && !is_ours(other.system) && other.class == ours.class && other.case == ours.case
}

pub(super) fn is_compared(one: &Series<'_>) -> bool {
    one.class != Class::Floor
}

/// How ours compares with theirs; none where it cannot be told.
pub(super) fn verdict(ours: &Series<'_>, theirs: &Series<'_>, value: &str) -> Option<Verdict> {
    better(value, ours.case)?;
    if never_out(ours, theirs, value).is_none() {
        ours.spread(value).and(theirs.spread(value))?;
    }
    let verdict = match (lost(ours, theirs, value), lost(theirs, ours, value)) {
        (Some(_), _) => Verdict::Worse,
        (None, Some(_)) => Verdict::Better,
        (None, None) => Verdict::Alike,
    };
    Some(verdict)
}

/// Of all others of the same class and case, in whatever configuration, the one that is best in this value.
pub(super) fn best<'a>(ours: &Series<'a>, all: &'a [Series<'a>], value: &str) -> Option<&'a Series<'a>> {
    let better = better(value, ours.case)?;
    let others = all.iter().filter(|other| is_beside(other, ours));
    let medians = others.filter_map(|one| Some((one, one.spread(value)?.median)));
    let never = |one: &Series<'_>| if value == OUT { one.never_out() } else { 0 };
    let best = medians.min_by(|(one, median), (other, of_other)| {
        never(one).cmp(&never(other)).then(match better {
            Better::Less => median.total_cmp(of_other),
            Better::More => of_other.total_cmp(median),
        })
    });
    best.map(|(one, _)| one)
}

/// Our ratio to theirs where that is the worse one, and not by chance alone: in all but the best quarter of the rounds.
fn lost(ours: &Series<'_>, theirs: &Series<'_>, value: &str) -> Option<f64> {
    let better = better(value, ours.case)?;
    match never_out(ours, theirs, value) {
        Some(Ordering::Greater) => return Some(f64::INFINITY),
        Some(_) => return None,
        None => {}
    }
    let ratio = ours.ratio(theirs, value).or_else(|| {
        // Of rounds that are not the same, all that can be compared is what they came to.
        Spread::of([ours.spread(value)?.median / theirs.spread(value)?.median])
    });
    let Some(ratio) = ratio else {
        // To nothing there is no ratio, and still it is less than something.
        let (ours, theirs) = (ours.spread(value)?.median, theirs.spread(value)?.median);
        return (better == Better::Less && ours > 0.0 && theirs == 0.0).then_some(f64::INFINITY);
    };
    let is_lost = match better {
        Better::More => ratio.high < 1.0,
        Better::Less => ratio.low > 1.0,
    };
    is_lost.then_some(ratio.median)
}

/// Whether ours was never out more often than theirs, or less often, which no figure of the other rounds makes good. None where
/// it is the same, and of other values.
fn never_out(ours: &Series<'_>, theirs: &Series<'_>, value: &str) -> Option<Ordering> {
    let ordering = ours.never_out().cmp(&theirs.never_out());
    Some(ordering).filter(|ordering| value == OUT && ordering.is_ne())
}

/// The section's list of losses, each with its reason.
pub(super) fn told(losses: &[Loss<'_>], reasons: &[Reason]) -> String {
    let mut by_reason: BTreeMap<Option<usize>, Vec<&Loss<'_>>> = BTreeMap::new();
    for loss in losses {
        by_reason.entry(reasons.iter().position(|reason| reason.is_of(loss))).or_default().push(loss);
    }
    let mut told = String::new();
    for (which, losses) in by_reason {
        let why = which
            .and_then(|which| reasons.get(which))
            .map_or("no reason was found yet", |reason| &reason.why);
        told += &format!("- {}\n", why.replace('\n', " "));
        told += &losses.iter().map(|loss| format!("  - {}\n", loss.told())).collect::<String>();
    }
    told
}

/// What keeps the page from being whole: losses without a reason, reasons without a loss.
pub(super) fn wrong(losses: &[Loss<'_>], reasons: &[Reason]) -> Vec<String> {
    let unexplained = losses.iter().filter(|loss| !reasons.iter().any(|reason| reason.is_of(loss)));
    let unexplained = unexplained.map(|loss| {
        format!("a loss without a reason: {}: {}; its key is {}", loss.bench, loss.told(), loss.key())
    });
    let unneeded = reasons.iter().filter(|reason| !losses.iter().any(|loss| reason.is_of(loss)));
    unexplained
        .chain(unneeded.map(|reason| format!("a reason without its loss: {}", reason.told())))
        .collect()
}

// === impl Loss ===

impl Loss<'_> {
    fn told(&self) -> String {
        let case =
            if self.case.is_empty() { String::new() } else { format!(" ({})", words::case(self.case)) };
        let ratio = if self.ratio.is_finite() {
            format!("{} of ", times(self.ratio))
        } else {
            "more than ".to_owned()
        };
        let [ours, theirs] = [self.ours, self.theirs].map(words::who);
        format!("{ours}{case}: {} {ratio}that of {theirs}", words::title(self.value))
    }

    /// What a reason must have to be of this one and of no other, as it stands in the file of reasons.
    fn key(&self) -> String {
        let reason = Reason {
            bench: self.bench.to_owned(),
            system: self.ours.system.to_owned(),
            case: self.case.clone(),
            value: Some(self.value.to_owned()),
            against: Some(self.theirs.system.to_owned()),
            why: String::new(),
        };
        serde_json::to_string(&reason).unwrap_or_default()
    }
}

// === impl Reason ===

impl Reason {
    fn is_of(&self, loss: &Loss<'_>) -> bool {
        self.bench == loss.bench
            && self.system == loss.ours.system
            && self.case.iter().all(|(name, value)| loss.case.get(name) == Some(value))
            && self.value.as_deref().is_none_or(|value| value == loss.value)
            && self.against.as_deref().is_none_or(|against| against == loss.theirs.system)
    }

    fn told(&self) -> String {
        let parts = [Some(self.bench.clone()), Some(self.system.clone()), Some(words::case(&self.case))];
        let rest = [self.value.clone(), self.against.clone()];
        let parts = parts.into_iter().chain(rest).flatten().filter(|part| !part.is_empty());
        format!("{}: {}", parts.collect::<Vec<_>>().join(", "), self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Configuration, Record},
        series::{NEVER, series},
    };

    const KEY: &str = r#"{"bench":"lookup","system":"sidecar","case":{"connections":16},"value":"p99_us","against":"agent","why":""}"#;

    fn record(system: &str, class: Class, round: u32, p99_us: f64, a_second: f64) -> Record {
        Record::new(system, class, Configuration::Default, round)
            .with_case("connections", 16_u32)
            .with_value("p99_us", p99_us)
            .with_value("a_second", a_second)
    }

    fn reason(system: &str, value: Option<&str>) -> Reason {
        Reason {
            bench: "lookup".to_owned(),
            system: system.to_owned(),
            case: BTreeMap::from([("connections".to_owned(), Value::from(16_u32))]),
            value: value.map(str::to_owned),
            against: None,
            why: "It does more.".to_owned(),
        }
    }

    fn told_of(records: &[Record], reasons: &[Reason]) -> (String, Vec<String>) {
        let all = series(records);
        let losses = losses("lookup", &all, &["p99_us", "a_second", "unknown"]);
        (told(&losses, reasons), wrong(&losses, reasons))
    }

    #[test]
    fn losses_are_told_with_their_reasons_and_each_needs_the_other() {
        let records = [
            record("sidecar", Class::B, 1, 20.0, 50.0),
            record("agent", Class::B, 1, 10.0, 40.0),
            // Neither of another class, nor the floor, is compared.
            record("server", Class::C, 1, 1.0, 900.0),
            record("bare", Class::Floor, 1, 1.0, 900.0),
        ];
        let loss = "sidecar (connections 16): p99 µs 2× of that of agent";
        assert_eq!(
            told_of(&records, &[]),
            (
                format!("- no reason was found yet\n  - {loss}\n"),
                vec![format!("a loss without a reason: lookup: {loss}; its key is {KEY}")]
            )
        );
        let by_key: Reason = serde_json::from_str(KEY).expect("a key is a reason");
        assert_eq!(told_of(&records, &[by_key]).1, Vec::<String>::new());
        assert_eq!(
            told_of(&records, &[reason("sidecar", None)]),
            (format!("- It does more.\n  - {loss}\n"), Vec::new())
        );
        for unneeded in [reason("controller", None), reason("sidecar", Some("a_second"))] {
            let (_, wrong) = told_of(&records, &[reason("sidecar", Some("p99_us")), unneeded.clone()]);
            assert_eq!(wrong, [format!("a reason without its loss: {}", unneeded.told())]);
        }
    }

    #[test]
    fn a_loss_is_explained_by_a_reason_that_leaves_open_what_it_may() {
        let records = [record("sidecar", Class::B, 1, 20.0, 50.0), record("agent", Class::B, 1, 10.0, 40.0)];
        let other = |system: &str| Some(system.to_owned());
        let of = |connections: u32| BTreeMap::from([("connections".to_owned(), Value::from(connections))]);
        for (bench, case, value, against, is_explained) in [
            ("lookup", BTreeMap::new(), None, None, true),
            ("lookup", of(16), Some("p99_us"), other("agent"), true),
            ("dns", BTreeMap::new(), None, None, false),
            ("lookup", of(1), None, None, false),
            ("lookup", BTreeMap::new(), Some("p50_us"), None, false),
            ("lookup", BTreeMap::new(), None, other("server"), false),
        ] {
            let mut reason = reason("sidecar", value);
            (reason.bench, reason.case, reason.against) = (bench.to_owned(), case, against);
            let (_, wrong) = told_of(&records, std::slice::from_ref(&reason));
            // Else the loss has no reason, and the reason no loss.
            assert_eq!(wrong.len(), if is_explained { 0 } else { 2 }, "{reason:?}: {wrong:?}");
        }
    }

    #[test]
    fn ours_is_compared_with_the_best_of_its_class_and_case() {
        let records = [
            record("sidecar", Class::B, 1, 20.0, 50.0),
            record("agent", Class::B, 1, 30.0, 90.0),
            record("other agent", Class::B, 1, 10.0, 40.0),
            record("server", Class::C, 1, 1.0, 900.0),
            record("bare", Class::Floor, 1, 1.0, 900.0),
        ];
        let all = series(&records);
        let ours = all.iter().find(|one| one.system == "sidecar").expect("ours");
        for (value, expected, than) in
            [("p99_us", "other agent", Verdict::Worse), ("a_second", "agent", Verdict::Worse)]
        {
            let best = best(ours, &all, value).expect("others");
            assert_eq!((best.system, verdict(ours, best, value)), (expected, Some(than)), "{value}");
        }
        let agent = all.iter().find(|one| one.system == "agent").expect("an agent");
        assert_eq!(verdict(ours, agent, "p99_us"), Some(Verdict::Better));
        assert_eq!(verdict(ours, ours, "p99_us"), Some(Verdict::Alike));
        assert_eq!(best(ours, &all, "p999_us"), None);
    }

    #[test]
    fn what_differs_from_round_to_round_is_no_loss() {
        let rounds = |ours: [f64; 4]| {
            let of = |(round, us): (u32, f64)| {
                [record("sidecar", Class::B, round, us, 1.0), record("agent", Class::B, round, 10.0, 1.0)]
            };
            (1..).zip(ours).flat_map(of).collect::<Vec<_>>()
        };
        assert_eq!(told_of(&rounds([9.0, 9.0, 30.0, 30.0]), &[]).1.len(), 0);
        assert_eq!(told_of(&rounds([9.0, 30.0, 30.0, 30.0]), &[]).1.len(), 1);
    }

    #[test]
    fn of_several_who_are_better_the_one_who_is_so_by_most_is_told() {
        let records = [
            record("sidecar", Class::B, 1, 20.0, 50.0),
            record("agent", Class::B, 1, 10.0, 60.0),
            record("other agent", Class::B, 1, 5.0, 55.0),
        ];
        let all = series(&records);
        let told: Vec<_> = losses("lookup", &all, &["p99_us", "a_second"])
            .iter()
            .map(|loss| (loss.value, loss.theirs.system, loss.ratio))
            .collect();
        assert_eq!(told, [("p99_us", "other agent", 4.0), ("a_second", "agent", 50.0 / 60.0)]);
    }

    #[test]
    fn more_than_nothing_is_a_loss_without_a_ratio() {
        let records = [record("sidecar", Class::B, 1, 5.0, 1.0), record("agent", Class::B, 1, 0.0, 1.0)];
        assert_eq!(
            told_of(&records, &[]).0,
            "- no reason was found yet\n  - sidecar (connections 16): p99 µs more than that of agent\n"
        );
    }

    #[test]
    fn who_is_never_out_loses_whatever_the_other_rounds_came_to() {
        let of = |system: &str, round, out_ms: Option<f64>| {
            let record = Record::new(system, Class::C, Configuration::Default, round);
            match out_ms {
                Some(out_ms) => record.with_value(NEVER, 0.0).with_value(OUT, out_ms),
                None => record.with_value(NEVER, 30.0),
            }
        };
        for (ours, theirs, expected) in [
            ([Some(1.0), None], [Some(9.0), Some(9.0)], Some(Verdict::Worse)),
            ([None, None], [Some(9.0), None], Some(Verdict::Worse)),
            ([Some(9.0), Some(9.0)], [Some(1.0), None], Some(Verdict::Better)),
            ([Some(9.0), None], [Some(1.0), None], Some(Verdict::Worse)),
            ([None, None], [None, None], None),
        ] {
            let round = |(round, out_ms): (u32, [Option<f64>; 2])| {
                [of("sidecar", round, out_ms[0]), of("etcd", round, out_ms[1])]
            };
            let rounds = (1..).zip(ours.into_iter().zip(theirs).map(|(ours, theirs)| [ours, theirs]));
            let records: Vec<_> = rounds.flat_map(round).collect();
            let all = series(&records);
            let [theirs_of, ours_of] = [&all[0], &all[1]];
            assert_eq!(verdict(ours_of, theirs_of, OUT), expected, "{ours:?} {theirs:?}");
            let lost = losses("failure", &all, &[OUT]).len();
            assert_eq!(lost, usize::from(expected == Some(Verdict::Worse)), "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn rounds_that_are_not_the_same_are_compared_by_their_medians() {
        let records = [record("sidecar", Class::B, 1, 20.0, 1.0), record("agent", Class::B, 2, 10.0, 1.0)];
        let all = series(&records);
        let found = losses("lookup", &all, &["p99_us"]);
        assert_eq!(found.iter().map(|loss| loss.ratio).collect::<Vec<_>>(), [2.0]);
        assert!(are_compared(&all) && !are_compared(&all[..1]));
    }
}
