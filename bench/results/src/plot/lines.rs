//! Curves over an axis, with their names beside them.

use super::{
    LINE, MARGIN, WIDTH,
    axis::{Axis, Scale},
    colour, dash,
    svg::{Anchor, Svg},
    width,
};
use crate::number::number;

/// Holds curves that share their axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    pub title: String,
    pub x: (String, Scale),
    pub y: (String, Scale),
    pub curves: Vec<Curve>,
}

/// Holds one curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    pub name: String,
    /// In the order of their x.
    pub points: Vec<(f64, f64)>,
}

const HEIGHT: f64 = 260.0;
/// More points than this are not told apart on a screen; every so many-th is drawn, and the last one.
const POINTS_MAX: usize = 300;
/// Curves of fewer points show each.
const DOTS_MAX: usize = 24;
/// The line that stands for a curve beside its name.
const SAMPLE: f64 = 22.0;

// === impl Lines ===

impl Lines {
    /// The same bytes for the same curves; none where there is nothing to draw.
    pub fn svg(&self) -> Option<String> {
        let all = || self.curves.iter().flat_map(|curve| &curve.points);
        let x = Axis::of(self.x.1, all().map(|point| point.0))?.with_room();
        let y = Axis::of(self.y.1, all().map(|point| point.1))?.with_room();
        let mut svg = Svg::new(WIDTH, &self.title);
        svg.heading(MARGIN, MARGIN + LINE * 0.6, &self.title);
        svg.text(MARGIN, MARGIN + LINE * 1.6, Anchor::Start, &self.y.0);
        let labels: Vec<_> = y.ticks().into_iter().map(|tick| (tick, number(tick))).collect();
        let widest = labels.iter().map(|(_, label)| width(label)).fold(0.0, f64::max);
        let (left, top) = (MARGIN + widest + 6.0, MARGIN + LINE * 2.1);
        let across = WIDTH - MARGIN - left;
        let place = |point: &(f64, f64)| {
            Some((left + x.at(point.0)? * across, top + HEIGHT - y.at(point.1)? * HEIGHT))
        };
        for (tick, label) in &labels {
            let Some(at) = y.at(*tick) else { continue };
            let at = top + HEIGHT - at * HEIGHT;
            svg.grid((left, at), (left + across, at));
            svg.text(left - 6.0, at + 4.0, Anchor::End, label);
        }
        for tick in x.ticks() {
            let Some(at) = x.at(tick) else { continue };
            let at = left + at * across;
            svg.grid((at, top), (at, top + HEIGHT));
            svg.text(at, top + HEIGHT + LINE * 0.9, Anchor::Middle, &number(tick));
        }
        svg.frame(left, top, across, HEIGHT);
        svg.text(left + across / 2.0, top + HEIGHT + LINE * 1.8, Anchor::Middle, &self.x.0);
        for (which, curve) in self.curves.iter().enumerate() {
            let points: Vec<_> = thinned(&curve.points).filter_map(place).collect();
            svg.curve(&points, colour(which), dash(which));
            if points.len() <= DOTS_MAX {
                points.iter().for_each(|(x, y)| svg.dot(*x, *y, colour(which)));
            }
        }
        let end = self.legend(&mut svg, top + HEIGHT + LINE * 3.0);
        Some(svg.drawn(end + MARGIN))
    }

    /// Names in lines, as many beside each other as there is room; where the last one stands.
    fn legend(&self, svg: &mut Svg, from: f64) -> f64 {
        let (mut x, mut y) = (MARGIN, from);
        for (which, curve) in self.curves.iter().enumerate() {
            let needs = SAMPLE + 6.0 + width(&curve.name) + 18.0;
            if x > MARGIN && x + needs > WIDTH {
                (x, y) = (MARGIN, y + LINE);
            }
            svg.curve(&[(x, y - 4.0), (x + SAMPLE, y - 4.0)], colour(which), dash(which));
            svg.text(x + SAMPLE + 6.0, y, Anchor::Start, &curve.name);
            x += needs;
        }
        y
    }
}

/// No more of them than a screen tells apart.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = &(f64, f64)> {
    let every = points.len().div_ceil(POINTS_MAX).max(1);
    let last = points.len().saturating_sub(1);
    points
        .iter()
        .enumerate()
        .filter(move |(place, _)| place % every == 0 || *place == last)
        .map(|(_, point)| point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(curves: Vec<Curve>) -> Lines {
        let (x, y) = (("connections".to_owned(), Scale::Logarithmic), ("us".to_owned(), Scale::Linear));
        Lines { title: "A <title>".to_owned(), x, y, curves }
    }

    #[test]
    fn many_points_of_many_curves_make_a_small_picture() {
        let points: Vec<_> = (1..5_000).map(|place| (f64::from(place), f64::from(place % 977))).collect();
        let curve = |number: usize| Curve { name: format!("curve {number}"), points: points.clone() };
        let svg = lines((0..16).map(curve).collect()).svg().expect("drawn");
        assert!(svg.len() < 100_000, "{}", svg.len());
        assert!(svg.contains("&lt;title&gt;") && svg.contains("stroke-dasharray"));
    }

    #[test]
    fn the_last_point_is_drawn_however_many_there_are() {
        for many in [0, 1, 2, 299, 300, 301, 1_000, 1_001] {
            let points: Vec<_> = (0..many).map(|place| (f64::from(place), 0.0)).collect();
            let kept: Vec<_> = thinned(&points).collect();
            assert!(kept.len() <= POINTS_MAX + 1, "{many}: {}", kept.len());
            assert_eq!(kept.last().copied(), points.last(), "{many}");
        }
    }

    #[test]
    fn nothing_makes_no_picture() {
        assert_eq!(lines(Vec::new()).svg(), None);
        let nowhere = Curve { name: "a".to_owned(), points: vec![(0.0, 1.0)] };
        assert_eq!(lines(vec![nowhere]).svg(), None);
    }
}
