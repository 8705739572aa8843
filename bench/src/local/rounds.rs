//! Servers are measured in turn, round by round, so that a machine that changes its pace changes it for all of them.

use std::time::Duration;

use super::outcome::Outcome;

/// Holds what one load on one server came to.
pub(crate) struct Measured {
    pub(crate) a_second: f64,
    /// What the server computed for each answer.
    pub(crate) cpu_us: f64,
    /// The share of its processor that the server took.
    pub(crate) busy: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Holds what the same load on the same server came to, round by round.
#[derive(Default)]
pub(crate) struct Rounds(Vec<Measured>);

// === impl Measured ===

impl Measured {
    /// Of a load for which the server computed so long.
    pub(crate) fn of(outcome: &Outcome, cpu: Duration) -> Self {
        Self {
            a_second: outcome.a_second(),
            cpu_us: cpu.as_secs_f64() * 1e6 / outcome.answers as f64,
            busy: cpu.as_secs_f64() / outcome.took.as_secs_f64(),
            p50_us: outcome.delay_us(0.5),
            p99_us: outcome.delay_us(0.99),
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

    /// The median of each round's ratio to another server's.
    pub(crate) fn ratio(&self, to: &Self, value: fn(&Measured) -> f64) -> f64 {
        median(self.0.iter().zip(&to.0).map(|(one, other)| value(one) / value(other)).collect())
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
