//! Where somebody of the same class and case is better than we are, and why that is so.

use std::collections::BTreeMap;

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

/// All losses in these values.
pub(super) fn losses<'a>(bench: &'a str, all: &'a [Series<'a>], values: &[&'a str]) -> Vec<Loss<'a>> {
    let mut found = Vec::new();
    for ours in all.iter().filter(|one| is_compared(one) && is_ours(one.system)) {
        for theirs in all.iter().filter(|one| is_compared(one) && !is_ours(one.system)) {
            if ours.class != theirs.class || ours.case != theirs.case {
                continue;
            }
            let lost = values.iter().filter_map(|value| Some((*value, lost(ours, theirs, value)?)));
            found.extend(lost.map(|(value, ratio)| Loss {
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
    let ours = || all.iter().filter(|one| is_compared(one) && is_ours(one.system));
    let is_beside =
        |other: &Series<'_>| ours().any(|ours| ours.class == other.class && ours.case == other.case);
    all.iter().any(|one| is_compared(one) && !is_ours(one.system) && is_beside(one))
}

fn is_compared(one: &Series<'_>) -> bool {
    one.class != Class::Floor
}

/// Our ratio to theirs where that is the worse one, and not by chance alone: in all but the best quarter of the rounds.
fn lost(ours: &Series<'_>, theirs: &Series<'_>, value: &str) -> Option<f64> {
    let better = better(value)?;
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
    let unexplained =
        unexplained.map(|loss| format!("a loss without a reason: {}: {}", loss.bench, loss.told()));
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
        series::series,
    };

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
        let loss = "sidecar (connections 16): p99 µs 2.00× of that of agent";
        assert_eq!(
            told_of(&records, &[]),
            (
                format!("- no reason was found yet\n  - {loss}\n"),
                vec![format!("a loss without a reason: lookup: {loss}")]
            )
        );
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
    fn more_than_nothing_is_a_loss_without_a_ratio() {
        let records = [record("sidecar", Class::B, 1, 5.0, 1.0), record("agent", Class::B, 1, 0.0, 1.0)];
        assert_eq!(
            told_of(&records, &[]).0,
            "- no reason was found yet\n  - sidecar (connections 16): p99 µs more than that of agent\n"
        );
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
