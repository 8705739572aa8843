//! The fingerprint of a service's content.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    balance::Policy,
    instance::Instance,
    instance_json::{InstanceWriter, write_text},
    names::ServiceKey,
};

/// An instance's JSON is mostly shorter: what it is written to need not grow.
const JSON_BYTES: usize = 1_024;

/// Holds the fingerprint of a service's content, the same on every replica that holds the same, whatever the order
/// of events was: revisions and times are left out, and it is a sum over the instances, so that a change costs what
/// changed. The name of the service is in every part of it: what moves from one service to another does not go unseen
/// in the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(pub u64);

// === impl ContentHash ===

impl ContentHash {
    /// Of a service without instances; never 0, which stands for nothing.
    pub(crate) fn of_head(key: &ServiceKey, policy: Policy, truncated: bool) -> Self {
        Self::of(&(key, policy, truncated))
    }

    /// The same of a service whose head was that, and is this. Most changes are of instances alone, and have nothing of it to hash.
    pub(crate) fn with_head(self, key: &ServiceKey, from: (Policy, bool), to: (Policy, bool)) -> Self {
        if from == to {
            return self;
        }
        let head = |(policy, truncated)| Self::of_head(key, policy, truncated);
        self.minus(head(from)).plus(head(to))
    }

    pub(crate) fn of_instance(key: &ServiceKey, instance: &Instance) -> Self {
        Self::of_instances(key, [instance])
    }

    /// The sum over these.
    pub(crate) fn of_instances<'a>(
        key: &ServiceKey,
        instances: impl IntoIterator<Item = &'a Instance>,
    ) -> Self {
        let (mut writer, mut bytes) = (InstanceWriter::default(), Vec::with_capacity(JSON_BYTES));
        // The JSON of a pair: the key, and the instance without its time.
        bytes.push(b'[');
        write_text(&mut bytes, &key.to_string());
        bytes.push(b',');
        let begin = bytes.len();
        instances.into_iter().fold(Self(0), |sum, instance| {
            bytes.truncate(begin);
            writer.write(&mut bytes, instance, instance.profile.port, 0);
            bytes.push(b']');
            sum.plus(Self::of_bytes(&bytes))
        })
    }

    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    #[must_use]
    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }

    /// The JSON form is hashed, which no build or platform writes differently. 64 bits are plenty: the fingerprint
    /// tells changes of one service apart, it defends nothing.
    pub(crate) fn of(content: &impl Serialize) -> Self {
        // Text, numbers and maps with text keys, which serde_json cannot fail to write.
        Self::of_bytes(&serde_json::to_vec(content).unwrap_or_default())
    }

    fn of_bytes(json: &[u8]) -> Self {
        let digest = Sha256::digest(json);
        Self(digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ContentHash {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl TryFrom<String> for ContentHash {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, ParseIntError> {
        text.parse()
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}
