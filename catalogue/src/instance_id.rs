//! What names an instance within its service: a text for whoever reads it, and no memory of its own where a pod owns it.

use std::{cmp::Ordering, fmt, net::IpAddr, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use crate::{
    pod_uid::{PodUid, Uid},
    registration::port_number,
    uuid::{Uuid, Written},
};

/// Holds what names an instance within its service: its owner and its primary port, written `owner-port`. It stays for
/// as long as the owner lives, whatever else changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceId(Held);

/// One id is always held in the same form, so that equal ones are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Held {
    /// As nearly all are.
    Pod { uid: Uuid, port: u16 },
    /// Of an address, or of a pod whose uid is none of the usual ones. Without a port it is a text that does not end in one;
    /// no controller writes that.
    Other { owner: Arc<str>, port: Option<u16> },
}

// === impl InstanceId ===

impl InstanceId {
    pub fn of_pod(uid: &PodUid, port: u16) -> Self {
        Self(match &uid.0 {
            Uid::Uuid(uid) => Held::Pod { uid: *uid, port },
            Uid::Text(uid) => Held::Other { owner: uid.clone(), port: Some(port) },
        })
    }

    pub fn of_address(address: IpAddr, port: u16) -> Self {
        Self(Held::Other { owner: address.to_string().into(), port: Some(port) })
    }

    /// The length of the text that it holds; none where it holds none.
    pub fn text_bytes(&self) -> Option<usize> {
        match &self.0 {
            Held::Pod { .. } => None,
            Held::Other { owner, .. } => Some(owner.len()),
        }
    }

    /// Whose instance it is: a pod's uid, or an address.
    pub(crate) fn owner(&self) -> Written<'_> {
        match &self.0 {
            Held::Pod { uid, .. } => Written::Made(uid.text()),
            Held::Other { owner, .. } => Written::Text(owner),
        }
    }

    pub(crate) fn port(&self) -> Option<u16> {
        match self.0 {
            Held::Pod { port, .. } => Some(port),
            Held::Other { port, .. } => port,
        }
    }
}

impl Ord for InstanceId {
    /// As texts have it, however they are held.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            // The digits of a byte follow each other as the bytes do.
            (Held::Pod { uid, port }, Held::Pod { uid: other, port: other_port }) => {
                (uid, port).cmp(&(other, other_port))
            }
            _ => self.owner().cmp(&other.owner()).then_with(|| self.port().cmp(&other.port())),
        }
    }
}

impl PartialOrd for InstanceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for InstanceId {
    fn from(id: &str) -> Self {
        let parts = id.rsplit_once('-').and_then(|(owner, port)| Some((owner, port_number(port)?)));
        Self(match parts {
            Some((owner, port)) => match Uuid::parse(owner) {
                Some(uid) => Held::Pod { uid, port },
                None => Held::Other { owner: owner.into(), port: Some(port) },
            },
            None => Held::Other { owner: id.into(), port: None },
        })
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.owner())?;
        self.port().map_or(Ok(()), |port| write!(f, "-{port}"))
    }
}

impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstanceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = InstanceId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id of an instance")
            }

            fn visit_str<E: Error>(self, id: &str) -> Result<InstanceId, E> {
                Ok(id.into())
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use proptest::prelude::*;

    use super::*;
    use crate::testing::any_uid;

    const UID: &str = "3df353ed-cb5c-4e6b-abc3-5f89a1f38c99";

    /// An owner of any kind; and a port, or what is none.
    fn any_text() -> impl Strategy<Value = String> {
        let port = prop_oneof![3 => "-[1-9][0-9]{0,3}", 1 => "-0?[0-9]{0,6}", 1 => ""];
        (any_uid(), port).prop_map(|(owner, port)| owner + &port)
    }

    /// How a text is taken apart, without regard to how an id holds it.
    fn parts(text: &str) -> (&str, Option<u16>) {
        let parts = text.rsplit_once('-').and_then(|(owner, port)| Some((owner, Some(port_number(port)?))));
        parts.unwrap_or((text, None))
    }

    #[test]
    fn an_id_of_a_pod_holds_no_text() {
        let id = InstanceId::of_pod(&UID.into(), 8080);
        assert_eq!(id.to_string(), format!("{UID}-8080"));
        assert_eq!(id, format!("{UID}-8080").as_str().into());
        assert_eq!(id.text_bytes(), None);
        assert!(size_of::<InstanceId>() <= 24, "no more than a text and a port would take");
        // Pods that the kubelet makes by itself have other uids; no UUID is written in capitals by Kubernetes.
        for uid in ["0c7a2f3ae1b2d9f8a1b2c3d4e5f60718", "3DF353ED-CB5C-4E6B-ABC3-5F89A1F38C99", "u1"] {
            let id = InstanceId::of_pod(&uid.into(), 80);
            assert_eq!(id.to_string(), format!("{uid}-80"));
            assert_eq!(id.text_bytes(), Some(uid.len()));
        }
        assert_eq!(InstanceId::from(UID).to_string(), UID, "its last part is no port");
    }

    /// Two of them, which often have something in common.
    fn any_texts() -> impl Strategy<Value = [String; 2]> {
        (any_text(), any_text(), any::<prop::sample::Index>(), "[0-9a-f-]", 0..3).prop_map(
            |(one, other, at, digit, like)| {
                let other = match like {
                    0 => other,
                    // The same owner, where both have one.
                    1 => {
                        parts(&one).0.to_owned()
                            + other.rsplit_once('-').map_or("", |(owner, _)| &other[owner.len()..])
                    }
                    _ => {
                        let mut digits: Vec<_> = one.chars().map(String::from).collect();
                        if !digits.is_empty() {
                            let at = at.index(digits.len());
                            digits[at] = digit;
                        }
                        digits.concat()
                    }
                };
                [one, other]
            },
        )
    }

    fn hash(value: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    proptest! {
        #[test]
        fn an_id_is_its_text_in_all_respects(texts in any_texts()) {
            let ids = texts.each_ref().map(|text| InstanceId::from(text.as_str()));
            for (id, text) in ids.iter().zip(&texts) {
                prop_assert_eq!(&id.to_string(), text);
                let json = serde_json::to_string(id).unwrap();
                prop_assert_eq!(&json, &serde_json::to_string(text).unwrap());
                prop_assert_eq!(&serde_json::from_str::<InstanceId>(&json).unwrap(), id);
                if let (owner, Some(port)) = parts(text) {
                    let made = InstanceId::of_pod(&owner.into(), port);
                    prop_assert_eq!((&made, hash(&made)), (id, hash(id)));
                }
            }
            prop_assert_eq!(ids[0].cmp(&ids[1]), parts(&texts[0]).cmp(&parts(&texts[1])));
            prop_assert_eq!(ids[0] == ids[1], texts[0] == texts[1]);
        }
    }
}
