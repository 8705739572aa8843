//! What Spring Cloud's clients say of an instance beside its address.

use serde_json::{Map, Value};

use super::{METADATA, TAG, VERSION};

/// All in one: neither ZooKeeper nor Eureka has tags or versions of its own.
pub(super) fn metadata() -> Map<String, Value> {
    let all = METADATA.into_iter().chain([("version", VERSION), ("tags", TAG)]);
    all.map(|(name, value)| (name.to_owned(), value.into())).collect()
}
