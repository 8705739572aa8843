//! A page: its fenced blocks, and where each of them stands.

use anyhow::{Context, Result};
use rollcall_cluster::static_build::workspace;
use std::fs;
use std::path::Path;

/// The languages of blocks that people paste into a shell.
const SHELLS: [&str; 4] = ["sh", "bash", "shell", "console"];
/// And of those that show what it prints then.
const OUTPUTS: [&str; 2] = ["text", "json"];
/// Folders that are nobody's pages: what is built, and what is of git.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];

/// Holds a page of the workspace.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its path in the workspace.
    pub path: String,
    pub text: String,
    /// In their order.
    pub blocks: Vec<Block>,
}

/// Holds a fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The first word behind the fence; empty where there is none.
    pub language: String,
    /// The line of its fence, counted from 1.
    pub line: usize,
    /// The heading that it stands under; empty above the first one.
    pub heading: String,
    /// What is between the fences.
    pub body: String,
}

/// Says of a line of a page what it is to whoever reads blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Between two fences, or one of them.
    Fenced,
    Prose,
}

/// All pages of the workspace, by their paths.
pub fn pages() -> Result<Vec<Page>> {
    let mut found = Vec::new();
    let workspace = workspace();
    walk(&workspace, &workspace, &mut found)?;
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn walk(workspace: &Path, folder: &Path, found: &mut Vec<Page>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) && !name.starts_with(".rollcall") {
            walk(workspace, &path, found)?;
        } else if kind.is_file() && name.ends_with(".md") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let path = path.strip_prefix(workspace)?.to_string_lossy().into_owned();
            found.push(Page::new(path, text));
        }
    }
    Ok(())
}

/// Each line of a text, counted from 1, and what it is.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = (usize, &str, Part)> {
    let mut open: Option<Fence> = None;
    text.lines().enumerate().map(move |(index, line)| {
        let part = match &open {
            Some(fence) => {
                if fence.is_closed_by(line) {
                    open = None;
                }
                Part::Fenced
            }
            None => {
                open = Fence::begun_by(line);
                if open.is_some() { Part::Fenced } else { Part::Prose }
            }
        };
        (index + 1, line, part)
    })
}

/// The words of a line that is a heading.
pub(crate) fn heading(line: &str) -> Option<&str> {
    let words = line.trim_start_matches('#');
    let depth = line.len() - words.len();
    ((1..=6).contains(&depth) && words.starts_with(' ')).then(|| words.trim())
}

/// Holds what a block began with, and so what ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fence {
    mark: char,
    length: usize,
    indent: usize,
    language: String,
}

// === impl Fence ===

impl Fence {
    fn begun_by(line: &str) -> Option<Self> {
        let fence = line.trim_start();
        let mark = fence.chars().next().filter(|first| matches!(first, '`' | '~'))?;
        let info = fence.trim_start_matches(mark);
        let length = fence.len() - info.len();
        // Three and more in a line of prose are code in it.
        (length >= 3 && !info.contains('`')).then(|| Self {
            mark,
            length,
            indent: line.len() - fence.len(),
            language: info.split_whitespace().next().unwrap_or_default().to_owned(),
        })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let line = line.trim();
        line.len() >= self.length && line.chars().all(|letter| letter == self.mark)
    }
}

// === impl Page ===

impl Page {
    pub fn new(path: String, text: String) -> Self {
        let blocks = blocks(&text);
        Self { path, text, blocks }
    }

    /// The blocks that people paste into a shell.
    pub fn shell_blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| block.is_shell())
    }

    /// What the page shows as the output of a block: texts and JSON behind it, under the same heading and up to its next command.
    pub fn outputs_of<'a>(&'a self, block: &'a Block) -> impl Iterator<Item = &'a Block> {
        let behind = self.blocks.iter().filter(|other| other.line > block.line);
        let until = behind.take_while(|other| !other.is_shell() && other.heading == block.heading);
        until.filter(|other| OUTPUTS.contains(&other.language.as_str()))
    }
}

// === impl Block ===

impl Block {
    fn is_shell(&self) -> bool {
        SHELLS.contains(&self.language.as_str())
    }

    /// The first line that says something.
    pub fn first_line(&self) -> &str {
        self.body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut under, mut open) = (String::new(), None::<(Fence, Block)>);
    for (line, words, part) in parts(text) {
        if part == Part::Prose {
            // A fence that nothing closes goes to the page's end, and no prose comes behind it.
            blocks.extend(open.take().map(|(_, block)| block));
            if let Some(heading) = heading(words) {
                heading.clone_into(&mut under);
            }
            continue;
        }
        if let Some((fence, mut block)) = open.take() {
            if fence.is_closed_by(words) {
                blocks.push(block);
                continue;
            }
            let indent = words.len() - words.trim_start().len();
            block.body += words.get(indent.min(fence.indent)..).unwrap_or_default();
            block.body.push('\n');
            open = Some((fence, block));
        } else if let Some(fence) = Fence::begun_by(words) {
            let language = fence.language.clone();
            open = Some((fence, Block { language, line, heading: under.clone(), body: String::new() }));
        }
    }
    blocks.extend(open.map(|(_, block)| block));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page::new("docs/x.md".to_owned(), text.to_owned())
    }

    #[test]
    fn blocks_are_found_with_their_lines_and_headings() {
        let page = page(
            "# One\n```sh\na\n\nb\n```\n## Two `x`\n- list\n  ```yaml\n  c: 1\n    d: 2\n  ```\n~~~~text x\n```\n~~~\n~~~~\n",
        );
        let found: Vec<_> = page
            .blocks
            .iter()
            .map(|block| (block.line, block.language.as_str(), block.heading.as_str(), block.body.as_str()))
            .collect();
        let expected = [
            (2, "sh", "One", "a\n\nb\n"),
            (9, "yaml", "Two `x`", "c: 1\n  d: 2\n"),
            (13, "text", "Two `x`", "```\n~~~\n"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_looks_like_a_fence_or_a_heading_is_none() {
        let page = page("a ```sh``` b\n```x``` y\n####### seven\n#none\n```sh\n# a comment\n```\n");
        let found: Vec<_> = page.blocks.iter().map(|block| (block.line, block.heading.as_str())).collect();
        assert_eq!(found, [(5, "")]);
    }

    #[test]
    fn a_block_without_an_end_is_one_all_the_same() {
        let page = page("```sh\na\n");
        assert_eq!(page.blocks.first().map(|block| block.body.as_str()), Some("a\n"));
    }

    #[test]
    fn the_outputs_of_a_block_stand_behind_it_under_its_heading() {
        let page = page(
            "# A\n```sh\na\n```\nprints\n```text\nb\n```\nand\n```yaml\nno\n```\n```json\nc\n```\n```sh\nd\n```\n# B\n```text\ne\n```\n",
        );
        let shown = |block| page.outputs_of(block).map(|output| output.body.as_str()).collect();
        let shown: Vec<Vec<_>> = page.shell_blocks().map(shown).collect();
        assert_eq!(shown, [vec!["b\n", "c\n"], vec![]]);
    }
}
