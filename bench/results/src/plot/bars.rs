//! Bars below each other, each with its name and value.

use super::{
    LINE, MARGIN, WIDTH,
    axis::{Axis, Scale},
    colour,
    svg::{Anchor, Svg},
    width,
};
use crate::number::number;

/// Holds bars of one unit, in groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    pub title: String,
    /// What is told, with its unit.
    pub unit: String,
    pub scale: Scale,
    pub groups: Vec<(String, Vec<Bar>)>,
}

/// Holds one bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    pub name: String,
    pub value: f64,
    /// Bars of the same kind have the same colour.
    pub kind: usize,
}

/// What is left for the value behind the longest bar.
const VALUE: f64 = 70.0;
const THICK: f64 = 12.0;
/// A bar on a logarithmic axis begins below the least value, and so it is seen.
const LEAST: f64 = 0.03;

// === impl Bars ===

impl Bars {
    /// The same bytes for the same bars; none where there is nothing to draw.
    pub fn svg(&self) -> Option<String> {
        let all = || self.groups.iter().flat_map(|(_, bars)| bars);
        let axis = Axis::of(self.scale, all().map(|bar| bar.value))?;
        let mut svg = Svg::new(WIDTH, &self.title);
        svg.heading(MARGIN, MARGIN + LINE * 0.6, &self.title);
        let unit = match self.scale {
            Scale::Linear => self.unit.clone(),
            Scale::Logarithmic => format!("{}, logarithmic", self.unit),
        };
        svg.text(MARGIN, MARGIN + LINE * 1.6, Anchor::Start, &unit);
        let left = MARGIN + all().map(|bar| width(&bar.name)).fold(0.0, f64::max) + 8.0;
        let across = (WIDTH - MARGIN - VALUE - left).max(VALUE);
        let mut y = MARGIN + LINE * 2.0;
        for (name, bars) in &self.groups {
            if !name.is_empty() {
                y += LINE;
                svg.heading(MARGIN, y - 4.0, name);
            }
            for bar in bars {
                y += LINE;
                svg.text(left - 8.0, y - 4.0, Anchor::End, &bar.name);
                // Nothing has a value, and no place on a logarithmic axis.
                let long = axis.at(bar.value).map_or(0.0, |at| (LEAST + at * (1.0 - LEAST)) * across);
                let long = if bar.value == 0.0 { 0.0 } else { long };
                svg.bar(left, y - THICK - 1.0, long, THICK, colour(bar.kind));
                svg.text(left + long + 5.0, y - 4.0, Anchor::Start, &number(bar.value));
            }
        }
        Some(svg.drawn(y + MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_bars_are_longer_and_nothing_has_none() {
        let bar = |name: &str, value| Bar { name: name.to_owned(), value, kind: 0 };
        let group = vec![bar("a", 1.0), bar("b", 100.0), bar("c", 0.0)];
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let groups = vec![("kill".to_owned(), group.clone())];
            let svg = Bars { title: "Bars".to_owned(), unit: "ms".to_owned(), scale, groups }.svg();
            let svg = svg.expect("drawn");
            let long: Vec<f64> = svg
                .lines()
                .filter(|line| line.starts_with("<rect x=") && line.contains(COLOUR))
                .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
                .collect();
            assert_eq!(long.len(), 3, "{svg}");
            assert!(long[0] > 0.0 && long[1] > long[0] && long[2] == 0.0, "{long:?}");
        }
    }

    const COLOUR: &str = "#0072b2";

    #[test]
    fn nothing_makes_no_picture() {
        let bars =
            Bars { title: String::new(), unit: String::new(), scale: Scale::Linear, groups: Vec::new() };
        assert_eq!(bars.svg(), None);
    }
}
