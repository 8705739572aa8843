//! The authorities of an installation at one moment: who signs, and who is believed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{pair::Authority, terms::Terms};

/// Holds the authority that signs, or is about to, and the one before it while that is still believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) current: Arc<Authority>,
    pub(super) outgoing: Option<Outgoing>,
}

/// Holds an authority on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) authority: Arc<Authority>,
    /// Until then it signs, and from then on its successor. Whole seconds, as they are written.
    pub(super) signs_until: SystemTime,
}

// === impl State ===

impl State {
    pub(super) fn steady(current: Arc<Authority>) -> Self {
        Self { current, outgoing: None }
    }

    /// Who signs now.
    pub(super) fn signer(&self, now: SystemTime) -> &Arc<Authority> {
        match &self.outgoing {
            Some(outgoing) if now < outgoing.signs_until => &outgoing.authority,
            _ => &self.current,
        }
    }

    /// The certificates of all who are to be believed.
    pub(super) fn bundle(&self) -> String {
        let outgoing = self.outgoing.iter().map(|outgoing| &outgoing.authority);
        [&self.current].into_iter().chain(outgoing).map(|one| one.certificate_pem.as_str()).collect()
    }

    /// The same with a successor of whoever signs now, who signs after this time, and not before it is good.
    pub(super) fn announcing(&self, new: Arc<Authority>, now: SystemTime, after: Duration) -> Self {
        let authority = self.signer(now).clone();
        if authority == new {
            return Self::steady(new);
        }
        let signs_until = whole_seconds((now + after).max(new.begins));
        Self { current: new, outgoing: Some(Outgoing { authority, signs_until }) }
    }

    /// How long a successor is announced: the overlap, or half of the time that whoever signs has left. API servers do not
    /// believe an authority that has ended.
    pub(super) fn run_up(&self, now: SystemTime, terms: Terms) -> Duration {
        let left = self.signer(now).left(now);
        if left > terms.overlap { terms.overlap } else { (left / 2).max(terms.hand_over()) }
    }

    pub(super) fn is_of(&self, authority: &Authority) -> bool {
        *self.current == *authority
    }

    /// The one on its way out is this one.
    pub(super) fn lets_go_of(&self, authority: &Authority) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| *outgoing.authority == *authority)
    }
}

// === impl Outgoing ===

impl Outgoing {
    /// From then on it signs nowhere, whatever the clocks say by which its successor's turn came: before, nobody may drop it
    /// for yet another one. A successor that ends soon has half of its time for that.
    pub(super) fn settled(&self, successor: &Authority, terms: Terms) -> SystemTime {
        self.signs_until + terms.hand_over().min(successor.left(self.signs_until) / 2)
    }
}

/// The start of the second in which this moment is.
pub(super) fn whole_seconds(moment: SystemTime) -> SystemTime {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}
