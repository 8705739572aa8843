//! What is in a static program beside its crates: the libraries of the machine that links it.

use anyhow::{Context, Result};
use rollcall_cluster::output_of;
use std::process::Command;

/// Holds what is said of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) licence: &'static str,
}

/// Those of this machine.
pub(crate) fn of_this_machine() -> Result<Vec<Library>> {
    let said = |program: &str, argument: &str| {
        output_of("asking for a version", Command::new(program).arg(argument))
            .with_context(|| format!("{program} is part of what release builds need (Rust, gcc and glibc)"))
    };
    of(&said("rustc", "--version")?, &said("getconf", "GNU_LIBC_VERSION")?, &said("cc", "-dumpfullversion")?)
}

/// Reads what rustc, getconf and cc print of their versions.
fn of(rustc: &str, getconf: &str, cc: &str) -> Result<Vec<Library>> {
    let second = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    Ok(vec![
        Library {
            name: "rust-std",
            version: second(rustc).context("rustc names no version")?,
            licence: "MIT OR Apache-2.0",
        },
        Library {
            name: "glibc",
            version: second(getconf).context("getconf names no version of glibc")?,
            licence: "LGPL-2.1-or-later",
        },
        Library {
            name: "libgcc",
            version: cc.trim().to_owned(),
            licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_tools_print() {
        let read = of("rustc 1.95.0 (59807616e 2026-04-14)\n", "glibc 2.36\n", "12.2.0\n").unwrap();
        let versions: Vec<_> = read.iter().map(|library| (library.name, library.version.as_str())).collect();
        assert_eq!(versions, [("rust-std", "1.95.0"), ("glibc", "2.36"), ("libgcc", "12.2.0")]);
        assert!(of("", "glibc 2.36", "12.2.0").is_err());
        assert_eq!(of_this_machine().unwrap().len(), 3);
    }
}
