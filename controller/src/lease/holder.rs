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
    /// Nobody will be known soon: it cannot be read or written, and nobody was seen to hold it.
    NobodyKnown,
    /// The replica of this name, in whichever of its lives.
    Replica(Arc<str>),
    /// The same, of one that has not renewed it for longer than one that is well ever does.
    Silent(Arc<str>),
}

/// What the process of this number writes, of the replica of this name.
pub(super) fn identity(replica: &str, number: u64) -> String {
    format!("{replica}{SEPARATOR}{number:0ENDING$x}")
}

// === impl Holder ===

impl Holder {
    /// Its name, where somebody is known.
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Replica(name) | Self::Silent(name) => Some(name),
            Self::NotSeen | Self::NobodyKnown => None,
        }
    }

    pub(super) fn of(identity: &str, is_silent: bool) -> Self {
        let is_ending =
            |text: &&str| text.len() == ENDING && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let cut = identity.rsplit_once(SEPARATOR).filter(|(_, ending)| is_ending(ending));
        // Somebody else's identity is all name.
        let name = cut.map_or(identity, |(replica, _)| replica).into();
        if is_silent { Self::Silent(name) } else { Self::Replica(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_known_in_each_of_its_lives() {
        for number in [0, 1, u64::MAX] {
            for name in ["rollcall-controller-5d8f7c9b6-x2x4z", "r", "a-0123456789abcdef"] {
                assert_eq!(Holder::of(&identity(name, number), false), Holder::Replica(name.into()));
            }
        }
        for other in ["somebody", "a-b", "pod-0123", "pod-0123456789abcdefg", "pod_0123456789abcdef"] {
            assert_eq!(Holder::of(other, false), Holder::Replica(other.into()));
        }
    }
}
