//! How far each kind of Kubernetes' objects was read.

use std::collections::BTreeMap;

use rollcall_catalogue::changes::{Position, Reading};

use crate::index::Kind;

/// Holds up to which revision everything of each kind was applied, and the newest change of it that is known. A kind whose
/// revisions are no numbers is left out: nobody could compare them.
#[derive(Debug, Default)]
pub struct Progress {
    reach: BTreeMap<Kind, u64>,
    happened: BTreeMap<Kind, u64>,
    /// Versions of lists that took something away, which may have happened long before.
    taken: BTreeMap<Kind, u64>,
    turned: bool,
}

/// Holds how far all kinds were read at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    pub reading: Reading,
    /// The newest change that was seen to happen: whoever lacks it for long does not read on. What a list took away is
    /// counted in the reading alone, under a version that nobody needs to have seen.
    pub happened: Position,
}

/// The number of a resource version; none where it is none.
pub(crate) fn revision(version: &str) -> Option<u64> {
    version.parse().ok()
}

// === impl Progress ===

impl Progress {
    /// A list is what there is, whatever was read before: an API server that was restored goes back. When that was which
    /// it took away from what was known, nobody says: by its version at the latest.
    pub fn listed(&mut self, kind: Kind, revision: Option<u64>, took_away: bool) {
        let Some(revision) = revision else {
            for revisions in [&mut self.reach, &mut self.happened, &mut self.taken] {
                self.turned |= revisions.remove(&kind).is_some();
            }
            return;
        };
        self.turned |= self.reach.insert(kind, revision) != Some(revision);
        for revisions in [&mut self.happened, &mut self.taken] {
            if let Some(held) = revisions.get_mut(&kind).filter(|held| **held > revision) {
                *held = revision;
                self.turned = true;
            }
        }
        if took_away {
            self.turned |= raise(self.taken.entry(kind).or_default(), revision);
        }
    }

    /// A list that is read shows objects up to this revision; what is between them is not known before its end.
    pub fn found(&mut self, kind: Kind, revision: u64) {
        self.turned |= raise(self.happened.entry(kind).or_default(), revision);
    }

    /// An event of this revision was told, and all before it.
    pub fn happened(&mut self, kind: Kind, revision: u64) {
        self.found(kind, revision);
        self.advanced(kind, revision);
    }

    /// Everything up to this revision was told. Before its kind was listed that says nothing of what is there.
    pub fn advanced(&mut self, kind: Kind, revision: u64) {
        self.turned |= self.reach.get_mut(&kind).is_some_and(|held| raise(held, revision));
    }

    /// How far this has come, where it is another than at the last call.
    pub fn take(&mut self) -> Option<Read> {
        if !std::mem::take(&mut self.turned) {
            return None;
        }
        let happened = position(&self.happened);
        let changed = position(&self.taken).joined(&happened);
        Some(Read { reading: Reading { reach: position(&self.reach), changed }, happened })
    }
}

/// Kubernetes' own order may give an older one after a newer. Whether it is a newer one.
fn raise(held: &mut u64, revision: u64) -> bool {
    let is_newer = *held < revision;
    *held = revision.max(*held);
    is_newer
}

fn position(revisions: &BTreeMap<Kind, u64>) -> Position {
    let mut position = Position::default();
    revisions.iter().for_each(|(kind, revision)| position.saw(kind.as_str(), *revision));
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kinds: &[(Kind, u64)]) -> Position {
        position(&kinds.iter().copied().collect())
    }

    fn reading(reach: &[(Kind, u64)], changed: &[(Kind, u64)]) -> Option<Read> {
        let reading = Reading { reach: all(reach), changed: all(changed) };
        Some(Read { happened: reading.changed.clone(), reading })
    }

    #[test]
    fn a_place_follows_lists_and_events_and_goes_back_with_a_list_alone() {
        let mut progress = Progress::default();
        assert_eq!(progress.take(), None);
        progress.advanced(Kind::Pod, 7);
        assert_eq!(progress.take(), None, "nothing was listed");
        progress.listed(Kind::Pod, Some(10), false);
        progress.listed(Kind::Node, None, true);
        assert_eq!(progress.take(), reading(&[(Kind::Pod, 10)], &[]));
        progress.happened(Kind::Pod, 12);
        progress.happened(Kind::Pod, 11);
        progress.advanced(Kind::Node, 12);
        assert_eq!(progress.take(), reading(&[(Kind::Pod, 12)], &[(Kind::Pod, 12)]));
        assert_eq!(progress.take(), None);
        progress.listed(Kind::Pod, Some(3), false);
        assert_eq!(progress.take(), reading(&[(Kind::Pod, 3)], &[(Kind::Pod, 3)]));
        progress.listed(Kind::Pod, None, true);
        assert_eq!(progress.take(), reading(&[], &[]));
    }

    /// A list's version is the cluster's, an event's is its object's, and a bookmark says that nothing has happened.
    #[test]
    fn only_what_has_changed_is_a_change() {
        let mut progress = Progress::default();
        progress.found(Kind::Node, 30);
        progress.found(Kind::Node, 20);
        assert_eq!(progress.take(), reading(&[], &[(Kind::Node, 30)]), "while it is read");
        progress.listed(Kind::Node, Some(5_000), false);
        assert_eq!(progress.take(), reading(&[(Kind::Node, 5_000)], &[(Kind::Node, 30)]));
        progress.advanced(Kind::Node, 6_000);
        assert_eq!(progress.take(), reading(&[(Kind::Node, 6_000)], &[(Kind::Node, 30)]));
        progress.happened(Kind::Node, 6_100);
        assert_eq!(progress.take(), reading(&[(Kind::Node, 6_100)], &[(Kind::Node, 6_100)]));
        progress.found(Kind::Node, 6_100);
        progress.listed(Kind::Node, Some(7_000), false);
        assert_eq!(progress.take(), reading(&[(Kind::Node, 7_000)], &[(Kind::Node, 6_100)]));
        progress.listed(Kind::Node, Some(8_000), true);
        let took_away = Read {
            happened: all(&[(Kind::Node, 6_100)]),
            ..reading(&[(Kind::Node, 8_000)], &[(Kind::Node, 8_000)]).unwrap()
        };
        assert_eq!(progress.take(), Some(took_away));
    }

    #[test]
    fn what_is_no_number_is_no_revision() {
        assert_eq!(["12", "", "a7", "-1", "1.2"].map(revision), [Some(12), None, None, None, None]);
    }
}
