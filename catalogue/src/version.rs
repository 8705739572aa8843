//! Semantic versions: of instances, and what callers ask for.

use std::{fmt, str::FromStr};

use semver::VersionReq;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    limits::{REQUIREMENT_BYTES_MAX, VERSION_BYTES_MAX},
    names::shortened,
};

/// Holds an instance's version: three numbers, optionally a pre-release and build metadata, no leading `v`. The
/// order is semver's own, with the build metadata last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

/// Says which versions a caller takes. Three parts are that version and no other; all else is a requirement, in
/// which a number that stands alone means its own line: `1.4` is `~1.4`, `1` is `~1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VersionFilter {
    Exact(Version),
    Requirement(VersionReq),
}

/// Says why a text is no version, or no requirement, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VersionError {
    #[error(
        "version: `{value}` is no semantic version ({problem}); use three numbers as in 1.4.2, without a leading v"
    )]
    NoVersion { value: String, problem: String },
    #[error("version: `{value}…` is too long; use at most {VERSION_BYTES_MAX} bytes")]
    TooLong { value: String },
    #[error(
        "version: `{value}` is no requirement ({problem}); use 1.4.2 for one version, or ^1.4, ~1.4, >=1, <2"
    )]
    NoRequirement { value: String, problem: String },
}

// === impl Version ===

impl Version {
    /// The version as a label of a DNS name, `1-4-2`; none where it has build metadata, or where it is longer than
    /// a label may be.
    pub fn dns_label(&self) -> Option<String> {
        let label = self.to_string().replace('.', "-").to_ascii_lowercase();
        (self.0.build.is_empty() && crate::names::is_label(&label)).then_some(label)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.len() > VERSION_BYTES_MAX {
            return Err(VersionError::TooLong { value: shortened(text) });
        }
        semver::Version::parse(text)
            .map(Self)
            .map_err(|error| VersionError::NoVersion { value: shortened(text), problem: error.to_string() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

// === impl VersionFilter ===

impl VersionFilter {
    /// Whether an instance of this version is meant; one without a version never is.
    pub fn takes(&self, version: Option<&Version>) -> bool {
        match (self, version) {
            (_, None) => false,
            (Self::Exact(wanted), Some(version)) => wanted == version,
            (Self::Requirement(wanted), Some(version)) => wanted.matches(&version.0),
        }
    }
}

impl FromStr for VersionFilter {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refused = |problem: String| VersionError::NoRequirement { value: shortened(text), problem };
        if text.len() > REQUIREMENT_BYTES_MAX {
            return Err(refused(format!("it is longer than {REQUIREMENT_BYTES_MAX} bytes")));
        }
        // Spaces around it are nobody's intention, and must not make a requirement of a version.
        if let Ok(version) = text.trim().parse() {
            return Ok(Self::Exact(version));
        }
        let parts = text.split(',').map(|part| {
            let part = part.trim();
            // The library reads a number alone as `^`, Cargo's habit; here it is a line of versions.
            let alone = part.starts_with(|first: char| first.is_ascii_digit()) && !part.contains('*');
            let whole = semver::Version::parse(part).is_ok();
            match (alone, whole) {
                (true, true) => format!("={part}"),
                (true, false) => format!("~{part}"),
                (false, _) => part.to_owned(),
            }
        });
        let requirement = VersionReq::parse(&parts.collect::<Vec<_>>().join(","))
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self::Requirement(requirement))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_semantic_and_bounded() {
        for good in ["1.4.2", "0.0.0", "1.4.2-rc.1", "1.4.2+build.7", "1.4.2-a-b.0x+001"] {
            assert_eq!(version(good).to_string(), good);
        }
        let long = format!("1.4.2-{}", "a".repeat(VERSION_BYTES_MAX));
        for bad in
            ["", "v1.4.2", "1.4", "1", "01.4.2", "1.4.2-", "1.4.2-01", "1.4.2 ", "１.4.2", "1.4.2\n", &long]
        {
            let error = bad.parse::<Version>().unwrap_err().to_string();
            assert!(error.starts_with("version: ") && error.len() < 300, "{error}");
        }
    }

    #[test]
    fn what_a_caller_asks_for() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("1.4.2", &["1.4.2"], &["1.4.3", "1.4.2-rc.1", "1.4.2+b"]),
            ("1.4.2-rc.1", &["1.4.2-rc.1"], &["1.4.2"]),
            (" 1.4.2", &["1.4.2"], &["1.4.3", "1.4.2+b"]),
            ("1.4.2 ", &["1.4.2"], &["1.4.2+b"]),
            ("^1.4", &["1.4.0", "1.9.0"], &["1.3.9", "2.0.0", "1.5.0-rc.1"]),
            (">=1, <2", &["1.0.0", "1.9.9"], &["0.9.0", "2.0.0"]),
            ("1.4", &["1.4.0", "1.4.9"], &["1.5.0", "1.3.0"]),
            ("1", &["1.0.0", "1.9.0"], &["2.0.0"]),
            ("~1.4.2", &["1.4.2", "1.4.9"], &["1.5.0", "1.4.1"]),
            ("1.4.2, <2", &["1.4.2"], &["1.4.3"]),
            ("*", &["0.0.1", "9.9.9"], &[]),
            ("1.*", &["1.0.0", "1.9.0"], &["2.0.0"]),
        ];
        for (text, taken, refused) in table {
            let filter: VersionFilter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            taken.iter().for_each(|v| assert!(filter.takes(Some(&version(v))), "{text} takes {v}"));
            refused.iter().for_each(|v| assert!(!filter.takes(Some(&version(v))), "{text} refuses {v}"));
            assert!(!filter.takes(None), "an instance without a version");
        }
        let long = vec![">=1"; 100].join(",");
        for bad in ["", "v1", "latest", "1.4.2.3", "^", ">=1 <2", "^1.4,", "1.2.*.4", &long] {
            let error = bad.parse::<VersionFilter>().expect_err(bad).to_string();
            assert!(error.starts_with("version: ") && error.len() < 300, "{error}");
        }
    }

    #[test]
    fn a_version_as_a_dns_label() {
        let table = [
            ("1.4.2", Some("1-4-2")),
            ("1.4.2-rc.1", Some("1-4-2-rc-1")),
            ("1.4.2-RC1", Some("1-4-2-rc1")),
            ("1.4.2+b", None),
            ("1.4.2--", None),
        ];
        for (text, label) in table {
            assert_eq!(version(text).dns_label().as_deref(), label, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_read_as_something_it_is_not(text in "\\PC{0,40}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.to_string(), text.clone());
                let filter: VersionFilter = text.parse().unwrap();
                prop_assert!(matches!(&filter, VersionFilter::Exact(_)) && filter.takes(Some(&version)));
            }
            let _ = text.parse::<VersionFilter>();
        }

        /// The order of a list of versions: numbers before text, a pre-release before its release.
        #[test]
        fn versions_sort_as_numbers(a in 0u64..20, b in 0u64..20) {
            let (left, right) = (version(&format!("1.{a}.0")), version(&format!("1.{b}.0")));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            let candidate = version(&format!("1.{a}.0-rc.1"));
            prop_assert!(candidate < left);
        }
    }
}
