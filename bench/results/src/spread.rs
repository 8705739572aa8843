//! What several measurements of one thing come to.

/// Holds the median of some measurements, and between what the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    /// A quarter of them is less.
    pub low: f64,
    /// A quarter of them is more.
    pub high: f64,
    pub measured: usize,
}

// === impl Spread ===

impl Spread {
    /// Between two measurements a quantile lies in proportion. None where nothing was measured; what is no number is left out.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<_> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share| quantile(&sorted, share);
        Some(Self { median: at(0.5)?, low: at(0.25)?, high: at(0.75)?, measured: sorted.len() })
    }

    /// Half of the distance between the quartiles, as a share of the median; none where one measurement is all there is.
    pub fn around(&self) -> Option<f64> {
        let around = (self.high - self.low) / 2.0 / self.median.abs();
        (self.measured > 1 && around.is_finite()).then_some(around)
    }
}

fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = sorted.len().checked_sub(1)? as f64 * share;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_of_measurements_is_told() {
        let cases = [
            (&[4.0][..], (4.0, 4.0, 4.0)),
            (&[3.0, 1.0], (2.0, 1.5, 2.5)),
            (&[5.0, 1.0, 3.0], (3.0, 2.0, 4.0)),
            (&[1.0, 2.0, 3.0, 4.0], (2.5, 1.75, 3.25)),
            (&[10.0, 20.0, 30.0, 40.0, 1_000.0], (30.0, 20.0, 40.0)),
            (&[f64::NAN, 7.0, f64::INFINITY], (7.0, 7.0, 7.0)),
        ];
        for (values, (median, low, high)) in cases {
            let spread = Spread::of(values.iter().copied()).expect("measured");
            assert_eq!((spread.median, spread.low, spread.high), (median, low, high), "{values:?}");
        }
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    /// Whatever their order, and whatever they are multiplied by.
    #[test]
    fn a_spread_does_not_depend_on_the_order_or_the_unit() {
        // A walk through all residues that looks like no order at all.
        for count in 1_u32..40 {
            let values: Vec<_> = (0..count).map(|number| f64::from(number * 7_919 % 1_009) + 1.0).collect();
            let spread = Spread::of(values.iter().copied()).expect("measured");
            assert_eq!(Spread::of(values.iter().rev().copied()), Some(spread));
            let twice = Spread::of(values.iter().map(|value| value * 2.0)).expect("measured");
            assert_eq!(
                (twice.median, twice.low, twice.high),
                (spread.median * 2.0, spread.low * 2.0, spread.high * 2.0)
            );
            assert!(spread.low <= spread.median && spread.median <= spread.high);
            let less = values.iter().filter(|value| **value < spread.median).count();
            assert!(less <= values.len() / 2, "{values:?}");
        }
    }

    #[test]
    fn how_far_rounds_lie_apart_is_a_share_of_their_median() {
        let around = |values: &[f64]| Spread::of(values.iter().copied()).and_then(|spread| spread.around());
        assert_eq!(around(&[1.0, 2.0, 3.0]), Some(0.25));
        assert_eq!(around(&[2.0]), None);
        assert_eq!(around(&[0.0, 0.0]), None);
    }
}
