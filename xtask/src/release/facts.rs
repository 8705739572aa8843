//! What a release is of, and for whom: all that its files are told beside the sources.

use super::changelog::Section;
use super::commit::Commit;
use crate::image::PREFIX;
use anyhow::{Result, bail};
use rollcall_cluster::image::architecture;

/// Holds it; whoever has one knows that the version is the same everywhere.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) architecture: String,
    pub(crate) commit: Commit,
    /// Where people find the sources and the releases: an https address without a slash at its end.
    pub(crate) repository: Option<String>,
    /// What the images' names begin with.
    pub(crate) registry: String,
    pub(crate) section: Section,
}

impl Facts {
    /// Holds the sources' words against each other, and against what was asked for.
    pub(crate) fn new(
        commit: Commit,
        changelog: &str,
        tag: Option<&str>,
        repository: Option<&str>,
        registry: Option<&str>,
    ) -> Result<Self> {
        let version = env!("CARGO_PKG_VERSION");
        if let Some(tag) = tag
            && tag.strip_prefix('v') != Some(version)
        {
            bail!(
                "the tag {tag} is not of this version: tag the commit v{version}, or set `version` in the workspace's \
                 Cargo.toml and in charts/rollcall/Chart.yaml"
            );
        }
        Ok(Self {
            version: version.to_owned(),
            architecture: architecture().to_owned(),
            commit,
            repository: repository.map(address).transpose()?,
            registry: registry.map_or_else(|| Ok(PREFIX.to_owned()), place)?,
            section: Section::of(changelog, version)?,
        })
    }

    /// What is unpacked is in one folder.
    pub(crate) fn folder_in_archive(&self) -> String {
        format!("rollcall-{}-linux-{}", self.version, self.architecture)
    }

    /// What `rollcall --version` says.
    pub(crate) fn version_and_commit(&self) -> String {
        format!("{} ({})", self.version, self.commit.short())
    }
}

/// The address of a repository, as a person or a CI names it.
fn address(text: &str) -> Result<String> {
    let address = text.trim_end_matches('/');
    let plain =
        address.chars().all(|character| character.is_ascii_alphanumeric() || "-._~/:".contains(character));
    match address.strip_prefix("https://") {
        Some(rest) if !rest.is_empty() && plain => Ok(address.to_owned()),
        _ => bail!("--repository: `{text}` is no https address; name it as https://HOST/OWNER/NAME"),
    }
}

/// The first part of images' names; registries want it in small letters.
fn place(text: &str) -> Result<String> {
    let place = text.trim_end_matches('/').to_lowercase();
    let plain =
        place.chars().all(|character| character.is_ascii_alphanumeric() || "-._/:".contains(character));
    if place.is_empty() || !plain || place.contains("//") {
        bail!("--registry: `{text}` is no beginning of an image's name; name it as HOST/OWNER");
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = env!("CARGO_PKG_VERSION");

    fn with(tag: Option<&str>, repository: Option<&str>, registry: Option<&str>) -> Result<Facts> {
        let commit = Commit { id: "0123456789abcdef".into(), time_s: 1_700_000_000, differs: Vec::new() };
        let changelog = format!("## {VERSION}\n\n### Added\n\n- All: \"and\" more\n");
        Facts::new(commit, &changelog, tag, repository, registry)
    }

    impl Facts {
        pub(crate) fn sample() -> Self {
            with(None, None, None).unwrap()
        }
    }

    #[test]
    fn a_tag_of_another_version_is_refused() {
        with(Some(&format!("v{VERSION}")), None, None).unwrap();
        for tag in [VERSION, "v9.9.9", &format!("v{VERSION}-rc.1"), ""] {
            let said = with(Some(tag), None, None).unwrap_err().to_string();
            assert!(said.contains(&format!("tag the commit v{VERSION}")), "{said}");
        }
    }

    #[test]
    fn addresses_are_taken_as_people_write_them_and_refused_where_they_are_none() {
        let facts = with(None, Some("https://example.org/a/b/"), Some("Registry.example.org/Some/")).unwrap();
        assert_eq!(facts.repository.as_deref(), Some("https://example.org/a/b"));
        assert_eq!(facts.registry, "registry.example.org/some");
        assert_eq!(with(None, None, None).unwrap().registry, "rollcall.dev");
        for bad in ["http://example.org", "https://", "example.org", "https://a b", "https://a\nb: c"] {
            assert!(with(None, Some(bad), None).unwrap_err().to_string().contains("--repository"), "{bad}");
        }
        for bad in ["", "/", "a b", "a//b", "a\nb"] {
            assert!(with(None, None, Some(bad)).unwrap_err().to_string().contains("--registry"), "{bad}");
        }
    }

    #[test]
    fn people_are_told_the_version_and_the_commit() {
        assert_eq!(Facts::sample().version_and_commit(), format!("{VERSION} (0123456789ab)"));
    }
}
