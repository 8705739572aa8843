//! Parts of written pages that are generated, between two lines that say so.

use anyhow::{Context, Result};

/// The page with another content of its section.
pub fn replaced(page: &str, section: &str, content: &str) -> Result<String> {
    let begin = format!("<!-- {section}: written by `cargo xtask generate` -->\n");
    let end = format!("<!-- end of {section} -->\n");
    let place = || format!("the page has no section `{section}`: put these two lines into it\n{begin}{end}");
    let (head, rest) = page.split_once(&begin).with_context(place)?;
    let (_, tail) = rest.split_once(&end).with_context(place)?;
    Ok(format!("{head}{begin}{content}{end}{tail}"))
}

/// A table's row.
pub fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', r"\|").replace('\n', " ")).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_lines_is_replaced() {
        let page = "a\n<!-- x: written by `cargo xtask generate` -->\nold\n<!-- end of x -->\nb\n";
        let fresh = replaced(page, "x", "new\n").unwrap();
        assert_eq!(fresh, page.replace("old", "new"));
        assert!(replaced(page, "y", "").is_err());
    }
}
