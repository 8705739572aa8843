//! Whether something that was measured again and again stays as it is.

use crate::fit::Line;

/// Says what a series does, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// It changes by less than what is allowed: both ends of the slope's interval say so.
    Flat,
    /// It grows by more than what is allowed: both ends of the interval say so.
    Grows,
    /// It falls by more than that.
    Falls,
    /// The interval is too wide to say which: measure for longer, or on a quieter machine.
    Unclear,
}

/// Holds how a series went, as shares of its mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steadiness {
    pub trend: Trend,
    pub mean: f64,
    /// What it grew by from the first point to the last, by the line through all of them.
    pub growth: f64,
    /// How far that may be off on either side, with 95 % confidence.
    pub growth_bound: f64,
}

// === impl Trend ===

impl Trend {
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Grows => "grows",
            Self::Falls => "falls",
            Self::Unclear => "unclear",
        }
    }
}

// === impl Steadiness ===

impl Steadiness {
    /// Of points in the order of their times, which may change by this share of their mean from the first to the last. None
    /// where they make no line.
    pub fn of(points: &[(f64, f64)], allowed: f64) -> Option<Self> {
        let line = Line::through(points)?;
        let lasted = points.last()?.0 - points.first()?.0;
        let mean = points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
        if mean <= 0.0 {
            return None;
        }
        let (growth, growth_bound) = (line.slope * lasted / mean, line.slope_bound * lasted / mean);
        let (least, most) = (growth - growth_bound, growth + growth_bound);
        let trend = if least > allowed {
            Trend::Grows
        } else if most < -allowed {
            Trend::Falls
        } else if least >= -allowed && most <= allowed {
            Trend::Flat
        } else {
            Trend::Unclear
        };
        Some(Self { trend, mean, growth, growth_bound })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half an hour of minutes that begin with 100, change by so much from the first to the last, and jump up and down by so much.
    fn minutes(change: f64, jumps: f64) -> Vec<(f64, f64)> {
        let jump = |minute: u32| if minute.is_multiple_of(2) { jumps } else { -jumps };
        (0..30)
            .map(|minute| (f64::from(minute), 100.0 + change * f64::from(minute) / 29.0 + jump(minute)))
            .collect()
    }

    #[test]
    fn a_series_is_judged_by_both_ends_of_what_its_slope_may_be() {
        for (change, jumps, expected) in [
            (0.0, 0.0, Trend::Flat),
            (2.0, 1.0, Trend::Flat),
            (-2.0, 1.0, Trend::Flat),
            (20.0, 1.0, Trend::Grows),
            (-20.0, 1.0, Trend::Falls),
            // It may have grown by more than 5 %, or not at all.
            (4.0, 10.0, Trend::Unclear),
            (5.0, 2.0, Trend::Unclear),
        ] {
            let judged = Steadiness::of(&minutes(change, jumps), 0.05).expect("a line");
            assert_eq!(judged.trend, expected, "{change} {jumps}: {judged:?}");
        }
    }

    #[test]
    fn growth_is_told_as_a_share_of_the_mean() {
        let judged = Steadiness::of(&[(0.0, 90.0), (30.0, 100.0), (60.0, 110.0)], 0.05).expect("a line");
        assert_eq!((judged.mean, judged.trend), (100.0, Trend::Grows));
        assert!((judged.growth - 0.2).abs() < 1e-9 && judged.growth_bound < 1e-6, "{judged:?}");
    }

    #[test]
    fn nothing_is_said_of_too_little() {
        for points in [&[][..], &[(0.0, 5.0)], &[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]] {
            assert_eq!(Steadiness::of(points, 0.05), None, "{points:?}");
        }
        let two = Steadiness::of(&[(0.0, 5.0), (1.0, 5.0)], 0.05).expect("a line");
        assert_eq!(two.trend, Trend::Unclear);
    }
}
