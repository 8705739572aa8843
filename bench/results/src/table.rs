//! Tables of Markdown.

/// Holds a table: columns of words stand to the left, those of numbers to the right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    head: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// Says to which side a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Words,
    Numbers,
}

// === impl Table ===

impl Table {
    #[must_use]
    pub fn with_column(mut self, name: &str, align: Align) -> Self {
        self.head.push((name.to_owned(), align));
        self
    }

    #[must_use]
    pub fn with_columns<'a>(self, columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        columns.into_iter().fold(self, |table, (name, align)| table.with_column(name, align))
    }

    /// Cells that are missing are empty, and what is more than there are columns is left out.
    pub fn push(&mut self, mut cells: Vec<String>) {
        cells.resize(self.head.len(), String::new());
        self.rows.push(cells);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn markdown(&self) -> String {
        let names: Vec<_> = self.head.iter().map(|(name, _)| name.clone()).collect();
        let lines = self.head.iter().map(|(_, align)| match align {
            Align::Words => "---|",
            Align::Numbers => "--:|",
        });
        let rows = self.rows.iter().map(|cells| row(cells));
        format!("{}|{}\n{}", row(&names), lines.collect::<String>(), rows.collect::<String>())
    }
}

/// A stroke in a cell would begin another one, and a new line another row.
fn row(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', r"\|").replace('\n', " ")).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_as_markdown() {
        let mut table =
            Table::default().with_column("system", Align::Words).with_column("a|b", Align::Numbers);
        assert!(table.is_empty());
        table.push(vec!["one\ntwo".to_owned(), "1".to_owned(), "too many".to_owned()]);
        table.push(vec!["three".to_owned()]);
        assert_eq!(table.markdown(), "| system | a\\|b |\n|---|--:|\n| one two | 1 |\n| three |  |\n");
    }
}
