//! Colours, for eyes alone: never in a pipe, and not for whoever wants none (`NO_COLOR`).

use std::{env, io::IsTerminal};

/// Says what a piece of text is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Doubtful,
    Bad,
    Quiet,
}

/// Holds whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    colours: bool,
}

// === impl Paint ===

impl Paint {
    /// As it is right for standard output.
    pub(crate) fn of_stdout() -> Self {
        let says = |name: &str| env::var_os(name).unwrap_or_default();
        let wanted = says("NO_COLOR").is_empty() && says("TERM") != "dumb";
        Self { colours: wanted && std::io::stdout().is_terminal() }
    }

    #[cfg(test)]
    pub(crate) fn new(colours: bool) -> Self {
        Self { colours }
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
}
