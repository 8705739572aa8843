//! How far each kind of Kubernetes' objects was read.

use std::collections::BTreeMap;

use rollcall_catalogue::changes::Position;

use crate::index::Kind;

/// Holds up to which revision everything of each kind was applied. A kind whose revisions are no numbers is left out: nobody
/// could compare them.
#[derive(Debug, Default)]
pub(super) struct Progress {
    revisions: BTreeMap<Kind, u64>,
    turned: bool,
}

/// The number of a resource version; none where it is none.
pub(crate) fn revision(version: &str) -> Option<u64> {
    version.parse().ok()
}

// === impl Progress ===

impl Progress {
    /// A list is what there is, whatever was read before: an API server that was restored goes back.
    pub(super) fn listed(&mut self, kind: Kind, revision: Option<u64>) {
        let before = match revision {
            Some(revision) => self.revisions.insert(kind, revision),
            None => self.revisions.remove(&kind),
        };
        self.turned |= before != revision;
    }

    /// Everything up to this revision was told. Before its kind was listed that says nothing of what is there.
    pub(super) fn advanced(&mut self, kind: Kind, revision: u64) {
        if let Some(held) = self.revisions.get_mut(&kind).filter(|held| **held < revision) {
            *held = revision;
            self.turned = true;
        }
    }

    /// The place to which this has come, where it is another than at the last call.
    pub(super) fn take(&mut self) -> Option<Position> {
        if !std::mem::take(&mut self.turned) {
            return None;
        }
        let mut position = Position::default();
        self.revisions.iter().for_each(|(kind, revision)| position.saw(kind.as_str(), *revision));
        Some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(kinds: &[(&str, u64)]) -> Position {
        let mut position = Position::default();
        kinds.iter().for_each(|(kind, revision)| position.saw(kind, *revision));
        position
    }

    #[test]
    fn a_place_follows_lists_and_events_and_goes_back_with_a_list_alone() {
        let mut progress = Progress::default();
        assert_eq!(progress.take(), None);
        progress.advanced(Kind::Pod, 7);
        assert_eq!(progress.take(), None, "nothing was listed");
        progress.listed(Kind::Pod, Some(10));
        progress.listed(Kind::Node, None);
        assert_eq!(progress.take(), Some(position(&[("Pod", 10)])));
        progress.advanced(Kind::Pod, 12);
        progress.advanced(Kind::Pod, 11);
        progress.advanced(Kind::Node, 12);
        assert_eq!(progress.take(), Some(position(&[("Pod", 12)])));
        assert_eq!(progress.take(), None);
        progress.listed(Kind::Pod, Some(3));
        assert_eq!(progress.take(), Some(position(&[("Pod", 3)])));
        progress.listed(Kind::Pod, None);
        assert_eq!(progress.take(), Some(Position::default()));
    }

    #[test]
    fn what_is_no_number_is_no_revision() {
        assert_eq!(["12", "", "a7", "-1", "1.2"].map(revision), [Some(12), None, None, None, None]);
    }
}
