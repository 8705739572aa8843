//! Images that a cluster pulls itself, as the chart is told of them.

use std::str::FromStr;

use thiserror::Error;

/// Holds where an image is, as `registry/path:tag` or `registry/path@sha256:…` say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    repository: String,
    which: Which,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Tag(String),
    Digest(String),
}

/// Says what is wrong with the name of an image.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the image `{0}` has no tag and no digest: say it as registry/path:tag or registry/path@sha256:…")]
pub struct ImageNameError(String);

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        let (repository, which) = match text.split_once('@') {
            Some((repository, digest)) => (repository, Which::Digest(digest.to_owned())),
            None => {
                // A colon before the last slash is a port's.
                let (repository, tag) = text.rsplit_once(':').unwrap_or_default();
                (repository, Which::Tag(if tag.contains('/') { String::new() } else { tag.to_owned() }))
            }
        };
        let (Which::Tag(value) | Which::Digest(value)) = &which;
        if repository.is_empty() || value.is_empty() {
            return Err(ImageNameError(text.to_owned()));
        }
        Ok(Self { repository: repository.to_owned(), which })
    }
}

impl ImageName {
    /// The chart's values for it, below this one (`image`, `sidecar.image`).
    pub fn values(&self, below: &str) -> Vec<String> {
        let which = match &self.which {
            Which::Tag(tag) => format!("{below}.tag={tag}"),
            Which::Digest(digest) => format!("{below}.digest={digest}"),
        };
        vec![format!("{below}.repository={}", self.repository), which]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_is_told_of_an_image_by_tag_or_digest() {
        for (text, expected) in [
            ("r.example:5000/a/b:1", ["image.repository=r.example:5000/a/b", "image.tag=1"]),
            ("a/b@sha256:00", ["image.repository=a/b", "image.digest=sha256:00"]),
        ] {
            assert_eq!(text.parse::<ImageName>().unwrap().values("image"), expected);
        }
        for bad in ["", "a/b", "r.example:5000/a", ":1", "a@"] {
            assert_eq!(bad.parse::<ImageName>(), Err(ImageNameError(bad.to_owned())));
        }
    }
}
