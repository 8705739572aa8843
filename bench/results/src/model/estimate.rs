//! What is expected where nobody has measured: a value, and how far it may be off by what was measured.

use std::ops::{Add, Mul};

use crate::fit::Line;

/// Holds what is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    /// How far it may be off on either side, by the scatter of what was measured alone. Infinite: too little was measured to
    /// say so.
    pub(super) off: f64,
}

// === impl Estimate ===

impl Estimate {
    /// What a line says of a place on it or beyond its end.
    pub(super) fn on(line: Line, x: f64) -> Self {
        Self { value: line.at(x), off: line.slope_bound * x }
    }

    /// What comes with each one of what a line is over.
    pub(super) fn of_each(line: Line) -> Self {
        Self { value: line.slope, off: line.slope_bound }
    }

    pub(super) fn exactly(value: f64) -> Self {
        Self { value, off: 0.0 }
    }
}

/// Nothing says that one is too high where the other is too low: what they may be off by adds up.
impl Add for Estimate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, off: self.off + other.off }
    }
}

impl Mul<f64> for Estimate {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        // Nothing of what is not known is nothing.
        let off = if times == 0.0 { 0.0 } else { self.off * times.abs() };
        Self { value: self.value * times, off }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_off_grows_with_the_distance_and_adds_up() {
        let line = Line { intercept: 10.0, slope: 2.0, slope_bound: 0.5, explained: 1.0 };
        assert_eq!(Estimate::on(line, 100.0), Estimate { value: 210.0, off: 50.0 });
        let sum = Estimate::of_each(line) * 10.0 + Estimate::exactly(5.0);
        assert_eq!(sum, Estimate { value: 25.0, off: 5.0 });
        let unknown = Estimate { value: 3.0, off: f64::INFINITY };
        assert_eq!(unknown * 0.0, Estimate { value: 0.0, off: 0.0 });
        assert!((unknown * 2.0 + sum).off.is_infinite());
    }
}
