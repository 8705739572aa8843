//! The commit that a release is made from.

use anyhow::{Context, Result, bail};
use rollcall_cluster::output_of;
use std::path::Path;
use std::process::Command;

/// Holds what is said of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its hash, in full.
    pub(crate) id: String,
    /// When it was made, in seconds of Unix: the time of all that is packed.
    pub(crate) time_s: u64,
    /// What differs from it in the checkout, as `git status` says it.
    pub(crate) differs: Vec<String>,
}

impl Commit {
    /// The one that a folder is a checkout of.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let git = |arguments: &[&str]| {
            output_of("asking git", Command::new("git").current_dir(folder).args(arguments))
                .context("a release is made from a commit: run this in a clone of the repository")
        };
        let named = git(&["show", "--no-patch", "--format=%H %ct", "HEAD"])?;
        let differs = git(&["status", "--porcelain"])?.lines().map(str::to_owned).collect();
        let (id, time_s) = named.trim().split_once(' ').context("git names no commit")?;
        Ok(Self { id: id.to_owned(), time_s: time_s.parse()?, differs })
    }

    /// The first figures of its hash, as many as git shows people.
    pub(crate) fn short(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// What differs from it would be in the release, and nobody could make that again.
    pub(crate) fn must_be_clean(&self) -> Result<()> {
        /// Enough to see what it is about.
        const SHOWN: usize = 5;
        if self.differs.is_empty() {
            return Ok(());
        }
        let shown: Vec<&str> = self.differs.iter().take(SHOWN).map(|line| line.trim()).collect();
        bail!(
            "the checkout differs from its commit ({}{}): commit or stash that, or say --allow-dirty for a release that \
             nobody gets",
            shown.join(", "),
            if self.differs.len() > SHOWN { ", …" } else { "" }
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn git(folder: &Path, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.current_dir(folder).args(["-c", "user.name=x", "-c", "user.email=x@localhost"]).args(arguments);
        output_of("preparing", &mut git).unwrap();
    }

    #[test]
    fn a_commit_is_known_and_what_differs_from_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(format!("{:#}", Commit::of(folder).unwrap_err()).contains("in a clone"));
        git(folder, &["init", "--quiet"]);
        fs::write(folder.join("file"), "one").unwrap();
        git(folder, &["add", "file"]);
        git(folder, &["commit", "--quiet", "--message", "One", "--date", "@1700000000 +0000"]);
        let commit = Commit::of(folder).unwrap();
        assert_eq!((commit.id.len(), commit.short().len()), (40, 12));
        assert!(commit.time_s >= 1_700_000_000);
        commit.must_be_clean().unwrap();
        for file in 0..7 {
            fs::write(folder.join(format!("new{file}")), "two").unwrap();
        }
        let said = Commit::of(folder).unwrap().must_be_clean().unwrap_err().to_string();
        assert!(said.contains("?? new0") && said.contains(", …") && said.contains("--allow-dirty"), "{said}");
    }
}
