//! Who holds the Lease, by the names that replicas write into it.

use std::sync::Arc;

/// Between a replica's name and the ending that no other process has.
const SEPARATOR: char = '-';
/// Hexadecimal digits of that ending.
const ENDING: usize = 16;

/// Says whom the Lease was last seen to be held by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Holder {
    /// No call has said anything yet.
    #[default]
    NotSeen,
    /// It is free; or it cannot be read, and never was.
    NobodyKnown,
    /// The replica of this name, in whichever of its lives.
    Replica(Arc<str>),
}

/// What the process of this number writes, of the replica of this name.
pub(super) fn identity(replica: &str, number: u64) -> String {
    format!("{replica}{SEPARATOR}{number:0ENDING$x}")
}

// === impl Holder ===

impl Holder {
    pub(super) fn of(identity: &str) -> Self {
        let is_ending =
            |text: &&str| text.len() == ENDING && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let cut = identity.rsplit_once(SEPARATOR).filter(|(_, ending)| is_ending(ending));
        // Somebody else's identity is all name.
        Self::Replica(cut.map_or(identity, |(replica, _)| replica).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_known_in_each_of_its_lives() {
        for number in [0, 1, u64::MAX] {
            for name in ["rollcall-controller-5d8f7c9b6-x2x4z", "r", "a-0123456789abcdef"] {
                assert_eq!(Holder::of(&identity(name, number)), Holder::Replica(name.into()));
            }
        }
        for other in ["somebody", "a-b", "pod-0123", "pod-0123456789abcdefg", "pod_0123456789abcdef"] {
            assert_eq!(Holder::of(other), Holder::Replica(other.into()));
        }
    }
}
