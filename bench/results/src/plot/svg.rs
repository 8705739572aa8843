//! A picture: what is drawn, as text.

use super::TEXT;

/// Holds a picture that is being drawn.
pub(super) struct Svg {
    width: f64,
    title: String,
    body: String,
}

/// Says on which side of its place a text stands.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Paper, and not only a little darker than that: it is read on dark pages too.
const PAPER: &str = "#fcfcfa";
const INK: &str = "#333333";
const GRID: &str = "#dddddd";

// === impl Svg ===

impl Svg {
    pub(super) fn new(width: f64, title: &str) -> Self {
        Self { width, title: escaped(title), body: String::new() }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.shape(&format!(
            "<text x=\"{}\" y=\"{}\"{}>{}</text>",
            at(x),
            at(y),
            anchor.attribute(),
            escaped(text)
        ));
    }

    /// In bold.
    pub(super) fn heading(&mut self, x: f64, y: f64, text: &str) {
        self.shape(&format!(
            "<text x=\"{}\" y=\"{}\" font-weight=\"bold\">{}</text>",
            at(x),
            at(y),
            escaped(text)
        ));
    }

    /// A line that helps to read off values.
    pub(super) fn grid(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.shape(&format!("<path d=\"M{} {}L{} {}\" stroke=\"{GRID}\"/>", at(x1), at(y1), at(x2), at(y2)));
    }

    pub(super) fn frame(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.shape(&format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{INK}\"/>",
            at(x),
            at(y),
            at(width),
            at(height)
        ));
    }

    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.shape(&format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{colour}\"/>",
            at(x),
            at(y),
            at(width),
            at(height)
        ));
    }

    pub(super) fn curve(&mut self, points: &[(f64, f64)], colour: &str, dash: &str) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{},{}", at(*x), at(*y))).collect();
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        self.shape(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            points.join(" ")
        ));
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, colour: &str) {
        self.shape(&format!("<circle cx=\"{}\" cy=\"{}\" r=\"3\" fill=\"{colour}\"/>", at(x), at(y)));
    }

    /// The whole picture, of this height.
    pub(super) fn drawn(&self, height: f64) -> String {
        let (width, height, title) = (at(self.width), at(height), &self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\" aria-label=\"{title}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"{TEXT}\" fill=\"{INK}\">\n\
             <title>{title}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"{PAPER}\" rx=\"4\"/>\n{}</svg>\n",
            self.body
        )
    }

    fn shape(&mut self, shape: &str) {
        self.body += shape;
        self.body.push('\n');
    }
}

/// A place, to a tenth of what a screen shows: what differs by less from machine to machine is not seen, nor written.
fn at(place: f64) -> String {
    let written = format!("{place:.1}");
    let short = written.strip_suffix(".0").unwrap_or(&written);
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

// === impl Anchor ===

impl Anchor {
    fn attribute(self) -> &'static str {
        match self {
            Self::Start => "",
            Self::Middle => " text-anchor=\"middle\"",
            Self::End => " text-anchor=\"end\"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_end_what_it_stands_in() {
        let mut svg = Svg::new(10.0, "a \"b\" <c> & d");
        svg.text(1.0, 2.0, Anchor::End, "</text><script>");
        let drawn = svg.drawn(5.0);
        assert!(drawn.contains("aria-label=\"a &quot;b&quot; &lt;c&gt; &amp; d\""), "{drawn}");
        assert!(drawn.contains("text-anchor=\"end\">&lt;/text&gt;&lt;script&gt;</text>"), "{drawn}");
    }

    #[test]
    fn places_are_written_to_a_tenth() {
        for (place, expected) in [(1.0, "1"), (1.26, "1.3"), (-0.01, "0"), (-2.55, "-2.5"), (100.0, "100")] {
            assert_eq!(at(place), expected);
        }
    }
}
