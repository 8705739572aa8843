//! Plots as SVG, written by hand so that the same results make the same bytes.

mod axis;
mod bars;
mod lines;
mod svg;

pub use self::{
    axis::Scale,
    bars::{Bar, Bars},
    lines::{Curve, Lines},
};

/// As wide as a page of text.
const WIDTH: f64 = 760.0;
/// Between the edges and what is drawn.
const MARGIN: f64 = 16.0;
const TEXT: f64 = 12.0;
/// One line of text below another.
const LINE: f64 = 18.0;
/// What a letter of this size takes at most, more or less: where text ends is known to nobody but who shows it.
const LETTER: f64 = 6.6;

/// Told apart by people who see no red or green too (Okabe and Ito's), without their yellow, which white swallows.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444"];
/// What colours repeat as.
const DASHES: [&str; 3] = ["", "6 3", "2 3"];

/// Of the curve or bar of this number.
fn colour(number: usize) -> &'static str {
    COLOURS.get(number % COLOURS.len()).copied().unwrap_or("#444444")
}

fn dash(number: usize) -> &'static str {
    DASHES.get(number / COLOURS.len() % DASHES.len()).copied().unwrap_or_default()
}

/// About how wide a text is.
fn width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}
