//! Servers are measured in turn, round by round, so that a machine that changes its pace changes it for all of them.

use std::time::Duration;

use rollcall_results::Record;

use super::outcome::Outcome;

/// Holds what one load on one server came to.
pub(crate) struct Measured {
    pub(crate) outcome: Outcome,
    /// What the server computed for each answer.
    pub(crate) cpu_us: f64,
    /// The share of its processor that the server took.
    pub(crate) busy: f64,
    /// The share of the machine's processors that its host took meanwhile.
    pub(crate) stolen_percent: f64,
}

/// Holds what the same load on the same server came to, round by round.
#[derive(Default)]
pub(crate) struct Rounds(Vec<Measured>);

/// Holds the middle of some values, and between which two the middle half of them is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

// === impl Measured ===

impl Measured {
    /// Of a load for which the server computed so long.
    pub(crate) fn of(outcome: Outcome, cpu: Duration, stolen_percent: f64) -> Self {
        // What was never asked for has a delay and cost nothing.
        let answers = outcome.answers.max(1) as f64;
        Self {
            cpu_us: cpu.as_secs_f64() * 1e6 / answers,
            busy: cpu.as_secs_f64() / outcome.took.as_secs_f64(),
            stolen_percent,
            outcome,
        }
    }

    pub(crate) fn a_second(&self) -> f64 {
        self.outcome.a_second()
    }

    pub(crate) fn p50_us(&self) -> f64 {
        self.outcome.delay_us(0.5)
    }

    pub(crate) fn p99_us(&self) -> f64 {
        self.outcome.delay_us(0.99)
    }

    /// Tells a record all of it.
    pub(crate) fn tell(&self, record: &mut Record) {
        self.outcome.tell(record);
        for (name, value) in [
            ("cpu_us", self.cpu_us),
            ("busy_percent", self.busy * 100.0),
            ("stolen_percent", self.stolen_percent),
        ] {
            record.values.insert(name.to_owned(), value);
        }
    }
}

// === impl Rounds ===

impl Rounds {
    pub(crate) fn push(&mut self, one: Measured) {
        self.0.push(one);
    }

    pub(crate) fn median(&self, value: fn(&Measured) -> f64) -> f64 {
        median(self.0.iter().map(value).collect())
    }

    pub(crate) fn spread(&self, value: fn(&Measured) -> f64) -> Spread {
        Spread::of(self.0.iter().map(value).collect())
    }

    /// The median of each round's ratio to another server's.
    pub(crate) fn ratio(&self, to: &Self, value: fn(&Measured) -> f64) -> f64 {
        median(self.0.iter().zip(&to.0).map(|(one, other)| value(one) / value(other)).collect())
    }
}

// === impl Spread ===

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarters: usize| values.get(values.len() * quarters / 4).copied().unwrap_or_default();
        // The quartiles are as far from the ends as each other.
        let high = values.len().checked_sub(values.len() / 4 + 1).and_then(|place| values.get(place));
        Self { median: at(2), low: at(1), high: high.copied().unwrap_or_default() }
    }

    /// With so many digits behind the point: `105 (98–121)`.
    pub(crate) fn told(self, digits: usize) -> String {
        let Self { median, low, high } = self;
        format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
    }
}

pub(crate) fn median(values: Vec<f64>) -> f64 {
    Spread::of(values).median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_is_as_far_from_both_ends() {
        let spread = |values: &[f64]| {
            let Spread { median, low, high } = Spread::of(values.to_vec());
            [low, median, high]
        };
        assert_eq!(spread(&[]), [0.0; 3]);
        assert_eq!(spread(&[3.0]), [3.0; 3]);
        assert_eq!(spread(&[5.0, 1.0, 3.0, 2.0, 4.0]), [2.0, 3.0, 4.0]);
        assert_eq!(spread(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]), [3.0, 5.0, 7.0]);
        assert_eq!(Spread::of(vec![5.0, 1.0, 3.25]).told(1), "3.2 (1.0–5.0)");
    }
}
