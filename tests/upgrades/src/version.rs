//! A version of the product: a chart, and the images that it is installed with.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

/// Names the folder of the older version's chart.
const OLD_CHART: &str = "ROLLCALL_OLD_CHART";
/// And the tag of its images.
const OLD_TAG: &str = "ROLLCALL_OLD_TAG";

/// Holds an older version, as it is installed.
#[derive(Debug, Clone)]
pub struct Version {
    pub chart: PathBuf,
    pub tag: String,
}

// === impl Version ===

impl Version {
    /// The one that the environment names.
    pub fn old() -> Result<Self> {
        let read = |name: &str| {
            env::var(name).with_context(|| format!("{name} is not set; `cargo xtask bench upgrades` does"))
        };
        Ok(Self { chart: read(OLD_CHART)?.into(), tag: read(OLD_TAG)? })
    }

    /// The values by which its chart takes its images.
    pub fn values(&self) -> [String; 2] {
        ["image", "sidecar.image"].map(|image| format!("{image}.tag={}", self.tag))
    }

    /// Whether an image is of this version.
    pub fn made(&self, image: &str) -> bool {
        image.rsplit_once(':').is_some_and(|(_, tag)| tag == self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_the_tag_of_its_images() {
        let version = Version { chart: "chart".into(), tag: "1a735b1".into() };
        assert_eq!(version.values(), ["image.tag=1a735b1", "sidecar.image.tag=1a735b1"]);
        assert!(version.made("rollcall.dev/sidecar:1a735b1"));
        for other in ["rollcall.dev/sidecar:0.1.0", "rollcall.dev/sidecar", "1a735b1"] {
            assert!(!version.made(other), "{other}");
        }
    }
}
