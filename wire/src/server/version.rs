//! Which version of the protocol a session speaks: the lower minor of both ends.

use std::fmt;

/// The minor versions of this build begin with 0 and end here; the major one is 1.
const NEWEST: u16 = 2;

/// Holds what both ends speak. An end that speaks less is told nothing that it cannot know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    minor: u16,
}

// === impl Version ===

impl Version {
    /// What a peer that speaks this and this build have in common; none where that is nothing.
    pub(super) fn common(theirs: &str) -> Option<Self> {
        let (major, minor) = theirs.split_once('.').unwrap_or((theirs, ""));
        // Whatever else comes after the major version, the oldest minor is part of it.
        let minor = minor.parse().unwrap_or(0);
        (major == "1").then_some(Self { minor: NEWEST.min(minor) })
    }

    /// Frames and fields for clients that know of several replicas: `replicas`, `position`, `changed`, `dial`, and `token` from them.
    pub(super) fn knows_replicas(self) -> bool {
        self.minor >= 1
    }

    /// Frames and fields about the installation itself: `way` and `controller`, and `usage` from clients.
    pub(super) fn knows_the_installation(self) -> bool {
        self.minor >= 2
    }
}

impl Default for Version {
    /// What every client of this major version speaks.
    fn default() -> Self {
        Self { minor: 0 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "1.{}", self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROTOCOL;

    #[test]
    fn both_speak_the_lower_minor() {
        let table = [
            (PROTOCOL, Some(PROTOCOL)),
            ("1.0", Some("1.0")),
            ("1.1", Some("1.1")),
            ("1.2", Some("1.2")),
            ("1.3", Some("1.2")),
            ("1.40000", Some("1.2")),
            ("1.400000000000000000000", Some("1.0")),
            ("1", Some("1.0")),
            ("1.", Some("1.0")),
            ("1.x", Some("1.0")),
            ("2.0", None),
            ("10.1", None),
            ("0.1", None),
            ("", None),
            (".1", None),
        ];
        for (theirs, common) in table {
            let agreed = Version::common(theirs).map(|version| version.to_string());
            assert_eq!(agreed.as_deref(), common, "{theirs}");
        }
    }
}
