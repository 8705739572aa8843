//! What names a pod: a text for whoever reads it, and no memory of its own where it is a UUID.

use std::{cmp::Ordering, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::uuid::{Uuid, Written};

/// Holds a pod's UID: the one name that Kubernetes never gives twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodUid(pub(crate) Uid);

/// One uid is always held in the same form, so that equal ones are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Uid {
    /// As nearly all are. What is known of a pod and of its instances is found by it in several maps, each of which has one.
    Uuid(Uuid),
    /// Pods that the kubelet makes by itself have others.
    Text(Arc<str>),
}

// === impl PodUid ===

impl PodUid {
    pub fn text(&self) -> impl Deref<Target = str> {
        self.written()
    }

    fn written(&self) -> Written<'_> {
        match &self.0 {
            Uid::Uuid(uuid) => Written::Made(uuid.text()),
            Uid::Text(text) => Written::Text(text),
        }
    }
}

impl Ord for PodUid {
    /// As texts have it, however they are held.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Uid::Uuid(uuid), Uid::Uuid(other)) => uuid.cmp(other),
            _ => self.written().cmp(&other.written()),
        }
    }
}

impl PartialOrd for PodUid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for PodUid {
    fn from(uid: &str) -> Self {
        Self(Uuid::parse(uid).map_or_else(|| Uid::Text(uid.into()), Uid::Uuid))
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written())
    }
}

impl Serialize for PodUid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written())
    }
}

impl<'de> Deserialize<'de> for PodUid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;
    use crate::testing::any_uid;

    #[test]
    fn a_uid_that_is_a_uuid_holds_no_text() {
        let uid = PodUid::from("3df353ed-cb5c-4e6b-abc3-5f89a1f38c99");
        assert!(matches!(uid.0, Uid::Uuid(_)));
        assert!(size_of::<PodUid>() <= 24, "a word more than a text would take in its place");
        for other in ["0c7a2f3ae1b2d9f8a1b2c3d4e5f60718", "3DF353ED-CB5C-4E6B-ABC3-5F89A1F38C99", "u1", ""] {
            let uid = PodUid::from(other);
            assert!(matches!(&uid.0, Uid::Text(text) if **text == *other));
        }
    }

    proptest! {
        #[test]
        fn a_uid_is_its_text_in_all_respects(texts in [any_uid(), any_uid()], is_same in any::<bool>()) {
            let [one, other] = texts;
            let texts = [one.clone(), if is_same { one } else { other }];
            let uids = texts.each_ref().map(|text| PodUid::from(text.as_str()));
            for (uid, text) in uids.iter().zip(&texts) {
                prop_assert_eq!((&*uid.text(), &uid.to_string()), (text.as_str(), text));
                let json = serde_json::to_string(uid).unwrap();
                prop_assert_eq!(&json, &serde_json::to_string(text).unwrap());
                prop_assert_eq!(&serde_json::from_str::<PodUid>(&json).unwrap(), uid);
            }
            prop_assert_eq!(uids[0].cmp(&uids[1]), texts[0].cmp(&texts[1]));
            prop_assert_eq!(uids[0] == uids[1], texts[0] == texts[1]);
            let state = RandomState::new();
            prop_assert!(uids[0] != uids[1] || state.hash_one(&uids[0]) == state.hash_one(&uids[1]));
        }
    }
}
