//! An axis: where a value is on it, and which values are written beside it.

/// Says how values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From nothing on.
    Linear,
    /// The same distance for each factor; what is not above nothing has no place on it.
    Logarithmic,
}

/// Holds an axis from one value to another, over so much of the picture.
pub(super) struct Axis {
    scale: Scale,
    least: f64,
    most: f64,
}

/// About as many values are written.
const TICKS: f64 = 6.0;
/// More decades than this are told without the values between them.
const DECADES_WITH_MORE: f64 = 2.5;

// === impl Axis ===

impl Axis {
    /// For all these values; none where there is nothing that has a place.
    pub(super) fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<_> = values.filter(|value| scale.takes(*value)).collect();
        let (least, most) =
            (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        Some(match scale {
            Scale::Linear => {
                let (least, most) = (least.min(0.0), if most > 0.0 { most } else { 1.0 });
                let step = step(most - least);
                Self { scale, least: (least / step).floor() * step, most: (most / step).ceil() * step }
            }
            Scale::Logarithmic if most / least < 1.5 => Self { scale, least: least / 2.0, most: most * 2.0 },
            Scale::Logarithmic => Self { scale, least, most },
        })
    }

    /// With some room on both sides, so that nothing stands on the frame.
    pub(super) fn with_room(self) -> Self {
        match self.scale {
            Scale::Linear => self,
            Scale::Logarithmic => {
                let room = (self.most / self.least).powf(0.05);
                Self { least: self.least / room, most: self.most * room, ..self }
            }
        }
    }

    /// From 0 to 1; none for what has no place.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        if !self.scale.takes(value) {
            return None;
        }
        Some(match self.scale {
            Scale::Linear => (value - self.least) / (self.most - self.least),
            Scale::Logarithmic => (value / self.least).ln() / (self.most / self.least).ln(),
        })
    }

    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.most - self.least);
                let many = ((self.most - self.least) / step).round() as u32;
                (0..=many).map(|number| self.least + f64::from(number) * step).collect()
            }
            Scale::Logarithmic => {
                let factors: &[f64] = if (self.most / self.least).log10() > DECADES_WITH_MORE {
                    &[1.0]
                } else {
                    &[1.0, 2.0, 5.0]
                };
                let decades = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
                let all =
                    decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
                all.filter(|tick| (self.least * 0.999..=self.most * 1.001).contains(tick)).collect()
            }
        }
    }
}

// === impl Scale ===

impl Scale {
    fn takes(self, value: f64) -> bool {
        value.is_finite() && (self == Self::Linear || value > 0.0)
    }
}

/// 1, 2 or 5 of some power of ten, as many of which make this.
fn step(length: f64) -> f64 {
    let rough = length / TICKS;
    let power = 10_f64.powi(rough.log10().floor() as i32);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, values: &[f64]) -> Option<Axis> {
        Axis::of(scale, values.iter().copied())
    }

    #[test]
    fn a_linear_axis_begins_at_nothing_and_ends_at_a_round_value() {
        let axis = axis(Scale::Linear, &[3.0, 97.0]).expect("values");
        assert_eq!(axis.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!((axis.at(0.0), axis.at(50.0), axis.at(100.0)), (Some(0.0), Some(0.5), Some(1.0)));
    }

    #[test]
    fn a_linear_axis_takes_what_is_less_than_nothing() {
        let axis = axis(Scale::Linear, &[-5.0, 25.0]).expect("values");
        assert_eq!(axis.ticks(), [-5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0]);
    }

    #[test]
    fn a_logarithmic_axis_has_the_same_distance_for_each_factor() {
        let few = axis(Scale::Logarithmic, &[1.0, 100.0]).expect("values");
        assert_eq!(few.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert!((few.at(10.0).expect("a place") - 0.5).abs() < 1e-9);
        assert_eq!((few.at(0.0), few.at(-1.0), few.at(f64::NAN)), (None, None, None));
        let many = axis(Scale::Logarithmic, &[1.0, 20_000.0]).expect("values");
        assert_eq!(many.ticks(), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
    }

    #[test]
    fn one_value_has_an_axis_and_none_has_none() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let one = axis(scale, &[7.0]).expect("a value");
            let place = one.at(7.0).expect("a place");
            assert!((0.0..=1.0).contains(&place) && !one.ticks().is_empty(), "{scale:?} {place}");
            assert!(axis(scale, &[]).is_none() && axis(scale, &[f64::NAN]).is_none());
        }
        let nothing = axis(Scale::Linear, &[0.0]).expect("a value");
        assert_eq!(nothing.at(0.0), Some(0.0));
        assert!(axis(Scale::Logarithmic, &[0.0]).is_none());
    }
}
