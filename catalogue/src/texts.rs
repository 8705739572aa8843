//! Texts by their names, as labels and metadata are.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// Holds texts by their names, in the names' order. They are made once, then only read, and mostly few: a map that can
/// grow takes several times their memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Texts(Box<[(Box<str>, Box<str>)]>);

// === impl Texts ===

impl Texts {
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|(held, _)| (**held).cmp(name)).ok()?;
        self.0.get(place).map(|(_, text)| &**text)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (&**name, &**text))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of several of one name, the last counts.
impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Texts {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(all: I) -> Self {
        let distinct: BTreeMap<_, _> =
            all.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
        Self(distinct.into_iter().collect())
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>, const N: usize> From<[(K, V); N]> for Texts {
    fn from(all: [(K, V); N]) -> Self {
        all.into_iter().collect()
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_has_what_a_map_has(all in proptest::collection::vec(("[a-d]{0,2}", "[x-z]?"), 0..8)) {
            let model: BTreeMap<_, _> = all.iter().cloned().collect();
            let texts: Texts = all.into_iter().collect();
            let plain: Vec<_> = model.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            prop_assert_eq!(texts.iter().collect::<Vec<_>>(), plain);
            prop_assert_eq!((texts.len(), texts.is_empty()), (model.len(), model.is_empty()));
            for name in ["", "a", "bb", "dd", "e"] {
                prop_assert_eq!(texts.get(name), model.get(name).map(String::as_str));
            }
            prop_assert_eq!(serde_json::to_string(&texts).unwrap(), serde_json::to_string(&model).unwrap());
        }
    }
}
