//! Colours and lines, for eyes alone: neither in a pipe, and no colours for whoever wants none (`NO_COLOR`).

use std::{
    env,
    io::{IsTerminal, stdout},
};

/// Says what a piece of text is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Doubtful,
    Bad,
    Quiet,
}

/// Holds what the place is like where it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    colours: bool,
    /// Of the terminal; none where there is none, and lines are as long as they are.
    columns: Option<usize>,
}

/// Words in fewer columns are a stripe that nobody reads.
const COLUMNS_MIN: usize = 20;

/// How wide the terminal is that standard output is; none where it is none.
pub(crate) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

// === impl Paint ===

impl Paint {
    /// As it is right for standard output.
    pub(crate) fn of_stdout() -> Self {
        let says = |name: &str| env::var_os(name).unwrap_or_default();
        let wanted = says("NO_COLOR").is_empty() && says("TERM") != "dumb";
        Self { colours: wanted && stdout().is_terminal(), columns: columns() }
    }

    #[cfg(test)]
    pub(crate) fn new(colours: bool) -> Self {
        Self { colours, columns: None }
    }

    #[cfg(test)]
    pub(crate) fn of_width(columns: usize) -> Self {
        Self { colours: false, columns: Some(columns) }
    }

    pub(crate) fn on(self, tone: Tone, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Quiet => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A text that begins in this column, in lines that end with the terminal, each below the first.
    pub(crate) fn within(self, indent: usize, text: &str) -> String {
        let Some(width) = self.columns.and_then(|columns| columns.checked_sub(indent)) else {
            return text.to_owned();
        };
        if width < COLUMNS_MIN {
            return text.to_owned();
        }
        let mut told = String::new();
        let mut used = 0;
        for word in text.split(' ') {
            let letters = word.chars().count();
            match used {
                0 => {}
                _ if used + 1 + letters > width => {
                    told.push('\n');
                    told.push_str(&" ".repeat(indent));
                    used = 0;
                }
                _ => {
                    told.push(' ');
                    used += 1;
                }
            }
            told.push_str(word);
            used += letters;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_with_the_terminal_and_goes_on_below() {
        let text = "the controllers are scaled to 0, nobody hears";
        let told = Paint::of_width(30).within(4, text);
        assert_eq!(told, "the controllers are scaled\n    to 0, nobody hears");
        assert!(told.lines().all(|line| line.chars().count() <= 30));
        for same in [Paint::new(false), Paint::of_width(23), Paint::of_width(3), Paint::of_width(80)] {
            assert_eq!(same.within(4, text), text);
        }
        let long = "x".repeat(40);
        assert_eq!(Paint::of_width(24).within(4, &long), long, "a word is never cut: people copy it");
    }
}
