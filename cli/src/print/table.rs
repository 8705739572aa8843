//! A table as kubectl prints one: columns as wide as what is in them, three spaces between.

use super::{Paint, Tone, plain};

const GAP: usize = 3;

/// Holds one field of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Option<Tone>,
}

/// Holds a table with its heads.
#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

// === impl Cell ===

impl Cell {
    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: field(&text.into()), tone: Some(tone) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: field(&text.into()), tone: None }
    }
}

// === impl Table ===

impl Table {
    pub(crate) fn new(heads: impl IntoIterator<Item = &'static str>) -> Self {
        Self { heads: heads.into_iter().collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn text(&self, paint: Paint) -> String {
        let heads: Vec<Cell> = self.heads.iter().map(|head| Cell::from(*head)).collect();
        let lines = || std::iter::once(&heads).chain(&self.rows);
        let width = |column: usize| {
            let of = |row: &Vec<Cell>| row.get(column).map_or(0, |cell| cell.text.chars().count());
            lines().map(of).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.heads.len()).map(width).collect();
        let mut text = String::new();
        for row in lines() {
            let mut line = String::new();
            // What follows the last field of a line is not seen, and hurts who copies it.
            let mut owed = 0;
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&" ".repeat(owed));
                line.push_str(
                    &cell.tone.map_or_else(|| cell.text.clone(), |tone| paint.on(tone, &cell.text)),
                );
                owed = width.saturating_sub(cell.text.chars().count()) + GAP;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// An empty field is seen.
fn field(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { plain(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["SERVICE", "STATE", "WHY"]);
        table.row(["orders".into(), Cell::toned(Tone::Good, "Serving"), "".into()]);
        table.row(["größe\u{1b}[2J".into(), Cell::toned(Tone::Bad, "Failing"), "ProbeRefused".into()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let expected = "\
SERVICE     STATE     WHY
orders      Serving   -
größe\u{fffd}[2J   Failing   ProbeRefused
";
        assert_eq!(table().text(Paint::new(false)), expected);
    }

    #[test]
    fn colours_change_no_width() {
        let (plain, coloured) = (table().text(Paint::new(false)), table().text(Paint::new(true)));
        assert!(coloured.contains("\u{1b}[32mServing\u{1b}[0m   -"), "{coloured:?}");
        let bare = coloured.replace("\u{1b}[32m", "").replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
        assert_eq!(bare, plain);
    }
}
