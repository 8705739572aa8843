//! Lines through measured points: how much more of one thing comes with each of another.

/// Holds the line that lies nearest to points, by the squares of their distances above and below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// What there is where there is none of the other: the fixed part.
    pub intercept: f64,
    /// What comes with each of the other.
    pub slope: f64,
    /// How far the slope may be off on either side, with 95 % confidence. Points that follow each other in time say less than
    /// this supposes, since each is like the one before.
    pub slope_bound: f64,
    /// The share of the differences that the line explains: 1 where all points lie on it.
    pub explained: f64,
}

/// By how many standard errors a slope may be off on either side (Student's t, two-sided 95 %), for as many points as stand
/// beside the two that make a line, from one on.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// What it comes to for many.
const T_OF_MANY: f64 = 1.960;

// === impl Line ===

impl Line {
    /// Through these points; none where all stand above each other, or there are fewer than two. Two points make a line of which
    /// nobody knows how far it is off.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let (mean_x, mean_y) = mean(points)?;
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|(x, y)| of(x - mean_x, y - mean_y)).sum()
        };
        let (spread_x, spread_y) = (sum(&|x, _| x * x), sum(&|_, y| y * y));
        if spread_x <= 0.0 {
            return None;
        }
        let slope = sum(&|x, y| x * y) / spread_x;
        let unexplained = sum(&|x, y| (y - slope * x).powi(2));
        let slope_bound = match points.len().checked_sub(2) {
            None | Some(0) => f64::INFINITY,
            Some(free) => t(free) * (unexplained / (count - 2.0) / spread_x).sqrt(),
        };
        // Where nothing differs there is nothing to explain.
        let explained = if spread_y > 0.0 { 1.0 - unexplained / spread_y } else { 1.0 };
        Some(Self { intercept: mean_y - slope * mean_x, slope, slope_bound, explained })
    }

    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

fn mean(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    (points.len() >= 2).then_some((sum.0 / count, sum.1 / count))
}

fn t(free: usize) -> f64 {
    T.get(free - 1).copied().unwrap_or(T_OF_MANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-3
    }

    #[test]
    fn points_on_a_line_make_that_line() {
        let line = Line::through(&[(0.0, 5.0), (1.0, 7.0), (10.0, 25.0), (100.0, 205.0)]).expect("a line");
        assert!(near(line.intercept, 5.0) && near(line.slope, 2.0), "{line:?}");
        assert!(near(line.slope_bound, 0.0) && near(line.explained, 1.0), "{line:?}");
        assert!(near(line.at(1_000.0), 2_005.0));
    }

    /// By another program's linear regression of the same five points.
    #[test]
    fn scattered_points_say_how_far_the_slope_may_be_off() {
        let points = [(1.0, 2.1), (2.0, 3.9), (3.0, 6.2), (4.0, 7.8), (5.0, 10.1)];
        let line = Line::through(&points).expect("a line");
        assert!(near(line.slope, 1.99) && near(line.intercept, 0.05), "{line:?}");
        // Its standard error is 0.0597; three are free.
        assert!((line.slope_bound - 3.182 * 0.059_7).abs() < 1e-3, "{line:?}");
        assert!(near(line.explained, 0.997_3), "{line:?}");
    }

    #[test]
    fn what_does_not_differ_is_flat_for_sure() {
        let line = Line::through(&[(1.0, 40.0), (2.0, 40.0), (3.0, 40.0)]).expect("a line");
        assert_eq!((line.slope, line.slope_bound, line.explained), (0.0, 0.0, 1.0));
    }

    #[test]
    fn two_points_make_a_line_that_may_be_off_by_anything() {
        let line = Line::through(&[(0.0, 1.0), (1.0, 2.0)]).expect("a line");
        assert!(near(line.slope, 1.0) && line.slope_bound.is_infinite(), "{line:?}");
    }

    #[test]
    fn too_few_points_make_none() {
        for points in [&[][..], &[(1.0, 1.0)], &[(3.0, 1.0), (3.0, 2.0), (3.0, 9.0)]] {
            assert_eq!(Line::through(points), None, "{points:?}");
        }
    }

    #[test]
    fn many_points_need_no_table() {
        assert_eq!((t(1), t(30), t(31), t(10_000)), (12.706, 2.042, 1.960, 1.960));
    }
}
