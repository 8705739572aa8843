//! The tags of an instance.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Holds tags, each once and in their order. They are made once, then only read, and mostly few: a set that can grow takes
/// several times their memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags(Box<[Box<str>]>);

// === impl Tags ===

impl Tags {
    pub fn contains(&self, tag: &str) -> bool {
        self.0.binary_search_by(|held| (**held).cmp(tag)).is_ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<Box<str>>> FromIterator<T> for Tags {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let distinct: BTreeSet<Box<str>> = all.into_iter().map(Into::into).collect();
        Self(distinct.into_iter().collect())
    }
}

impl<T: Into<Box<str>>, const N: usize> From<[T; N]> for Tags {
    fn from(all: [T; N]) -> Self {
        all.into_iter().collect()
    }
}

impl Serialize for Tags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Box<str>>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_has_what_a_set_has(all in proptest::collection::vec("[a-d]{0,2}", 0..8)) {
            let model: BTreeSet<_> = all.iter().cloned().collect();
            let tags: Tags = all.into_iter().collect();
            prop_assert_eq!(tags.iter().collect::<Vec<_>>(), model.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!((tags.len(), tags.is_empty()), (model.len(), model.is_empty()));
            for tag in ["", "a", "bb", "dd", "e"] {
                prop_assert_eq!(tags.contains(tag), model.contains(tag));
            }
            let written = serde_json::to_string(&tags).unwrap();
            prop_assert_eq!(&written, &serde_json::to_string(&model).unwrap());
            prop_assert_eq!(serde_json::from_str::<Tags>(&written).unwrap(), tags);
        }
    }
}
