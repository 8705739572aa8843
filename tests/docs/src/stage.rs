//! Where a block is run, and the rows that say so.

use crate::{Block, Page};

/// Where new rows are written.
const PLACE: &str = "tests/docs/src/table.rs";

/// Says where a block is run, and with what around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// In a copy of the checkout; it needs programs and nothing else.
    Here,
    /// On this machine, beside `rollcall dev`: one that the page itself starts, or else one of the tests with some services.
    Dev,
    /// By a person, on a cluster where `examples/shop.yaml` runs.
    Cluster,
    /// By an app: in a pod of `examples/shop.yaml` on a cluster of the kit, and beside `rollcall dev` on any machine.
    App,
    /// By nobody here, and why not.
    Elsewhere(&'static str),
}

/// Holds what is said of the blocks of a page that begin so; of several rows the one with the longest beginning counts.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub page: &'static str,
    /// What the first line of the block begins with.
    pub begins: &'static str,
    pub stage: Stage,
    /// Words that stand for something of the reader's, and what of ours; shell variables of the stage are known in it.
    pub words: &'static [(&'static str, &'static str)],
    /// Beginnings of commands that go on until somebody stops them: they must have printed something, and still run.
    pub going_on: &'static [&'static str],
    /// What a reader has, or has waited for, before the block; and what must hold after it.
    pub before: &'static str,
    pub after: &'static str,
}

/// A block of this page that begins so is run there.
pub(crate) const fn row(page: &'static str, begins: &'static str, stage: Stage) -> Row {
    Row { page, begins, stage, words: &[], going_on: &[], before: "", after: "" }
}

// === impl Row ===

impl Row {
    pub(crate) const fn words(mut self, words: &'static [(&'static str, &'static str)]) -> Self {
        self.words = words;
        self
    }

    pub(crate) const fn going_on(mut self, commands: &'static [&'static str]) -> Self {
        self.going_on = commands;
        self
    }

    pub(crate) const fn before(mut self, script: &'static str) -> Self {
        self.before = script;
        self
    }

    pub(crate) const fn after(mut self, script: &'static str) -> Self {
        self.after = script;
        self
    }

    fn means(&self, page: &Page, block: &Block) -> bool {
        self.page == page.path && block.first_line().starts_with(self.begins)
    }
}

/// The row that says where this block is run.
pub fn row_of<'a>(table: &'a [Row], page: &Page, block: &Block) -> Option<&'a Row> {
    table.iter().filter(|row| row.means(page, block)).max_by_key(|row| row.begins.len())
}

/// What is wrong between pages and table: blocks that no row knows, and rows that mean no block.
pub fn assigned(table: &[Row], pages: &[Page]) -> Vec<String> {
    let blocks: Vec<_> =
        pages.iter().flat_map(|page| page.shell_blocks().map(move |block| (page, block))).collect();
    let unknown = blocks.iter().filter(|(page, block)| row_of(table, page, block).is_none());
    let unknown = unknown.map(|(page, block)| {
        let (path, line, first) = (&page.path, block.line, block.first_line());
        format!(
            "{path}:{line} (under \"{}\"): nobody runs this block. Say in {PLACE} where it is run, by a row such as\n    \
             row({path:?}, {first:?}, Here),\nHere: it needs nothing; Dev: beside `rollcall dev`; App: an app asks so in its \
             pod; Cluster: a person does so on a cluster; Elsewhere: why it is not run",
            block.heading
        )
    });
    let counts = |row: &Row| {
        blocks
            .iter()
            .any(|(page, block)| row_of(table, page, block).is_some_and(|found| std::ptr::eq(found, row)))
    };
    let idle = table.iter().filter(|row| !counts(row)).map(|row| {
        format!(
            "{PLACE}: no block of {} is run by the row `{}`: take the row away, or let it begin as the block does",
            row.page, row.begins
        )
    });
    unknown.chain(idle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(blocks: &[&str]) -> Page {
        let fenced: Vec<_> = blocks.iter().map(|block| format!("# H\n```sh\n{block}\n```\n")).collect();
        Page::new("docs/x.md".to_owned(), fenced.concat())
    }

    #[test]
    fn the_longest_beginning_counts() {
        const TABLE: &[Row] = &[
            row("docs/x.md", "curl", Stage::App),
            row("docs/x.md", "curl -N", Stage::Dev),
            row("docs/y.md", "curl -N 1", Stage::Here),
        ];
        let page = page(&["curl a", "# comment\ncurl -N 127", "\n  curl -N 1"]);
        let stages: Vec<_> =
            page.shell_blocks().map(|block| row_of(TABLE, &page, block).map(|row| row.stage)).collect();
        assert_eq!(stages, [Some(Stage::App), None, Some(Stage::Dev)]);
    }

    #[test]
    fn a_block_without_a_row_is_told_with_the_row_to_add() {
        let told = assigned(&[], &[page(&["rollcall \"check\""])]);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("docs/x.md:2 (under \"H\"): nobody runs this block."), "{told:?}");
        assert!(told[0].contains(r#"row("docs/x.md", "rollcall \"check\"", Here),"#), "{told:?}");
    }

    #[test]
    fn a_row_without_a_block_is_told() {
        const TABLE: &[Row] = &[
            row("docs/x.md", "curl a", Stage::App),
            // Hidden by the one above: nothing begins so and not with more.
            row("docs/x.md", "curl", Stage::App),
        ];
        let told = assigned(TABLE, &[page(&["curl a", "curl a b"])]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("the row `curl`"), "{told:?}");
        assert!(assigned(&TABLE[..1], &[page(&["curl a"])]).is_empty());
    }
}
