//! Whom to dial next, and when: decided from what was told of replicas and what became of the last attempts, without a
//! clock.
//!
//! ```text
//!  session lost ─ pause ─► another replica ─► … ─► the lost one ─► the controller's own address ─┐
//!                             ┌─────────────────── pause ◄──────────────────────────────────────┘
//!                             └─► the controller's own address ─► each replica ─► its other addresses ─► … ─ pause ─►
//!  a hint (`goaway`, 503): that address at once, a few times between two pauses
//! ```

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use rollcall_net::{Backoff, Jitter};
use rollcall_wire::limits::REPLICAS_MAX;

/// Replicas that are dialled at once one after the other, each named by the one before: from one that has no place, or is
/// about to end, to another one, and once more where that has just changed. Two that name each other are left to the
/// back-off.
const HOPS_MAX: u32 = 2;
/// Who is told when to come back comes within so much more: others were told the same.
const RETURN_SPREAD: Duration = Duration::from_secs(1);

/// Holds which addresses are still to be dialled, and how long the loss has lasted.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The controller's own address, behind which any replica may answer.
    configured: SocketAddr,
    /// Where it may be as well: as the pod was given it, before something else was told; and as DNS says.
    given: SocketAddr,
    found: Vec<SocketAddr>,
    /// Where sessions are served, as was told last.
    replicas: Vec<SocketAddr>,
    /// What is left of this round.
    round: VecDeque<SocketAddr>,
    /// A pause comes before the next address.
    pause_due: bool,
    backoff: Backoff,
    /// The next address, where somebody has named it; and how many were, since the last pause.
    named: Option<SocketAddr>,
    hops: u32,
    /// How long somebody asked us to stay away, since the last pause.
    asked: Option<Duration>,
    /// A session that was sent away before it was good counted as good, and none was since.
    forgiven: bool,
}

/// Says what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dial {
    pub(crate) address: SocketAddr,
    /// Before it is dialled.
    pub(crate) pause: Duration,
}

/// Says why there is no session at an address.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Failure {
    /// Who was asked names another one.
    pub(crate) named: Option<SocketAddr>,
    pub(crate) retry_after: Option<Duration>,
    /// It is for our own sake, as without a token: no replica would be another matter.
    pub(crate) is_ours: bool,
}

/// Says what the session was like that is over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loss {
    /// It was in step, or lived for long.
    pub(crate) was_good: bool,
    /// It lived for long.
    pub(crate) was_long: bool,
    /// The controller said goodbye.
    pub(crate) dismissed: bool,
    /// And named another one.
    pub(crate) named: Option<SocketAddr>,
    /// Another process speaks for this pod. Two with one pod's token would send each other away for ever.
    pub(crate) superseded: bool,
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(configured: SocketAddr) -> Self {
        Self {
            configured,
            given: configured,
            found: Vec::new(),
            replicas: Vec::new(),
            round: [configured].into(),
            pause_due: false,
            backoff: Backoff::default(),
            named: None,
            hops: 0,
            asked: None,
            forgiven: false,
        }
    }

    /// A controller says where it is: that is dialled in the place of what it said before.
    pub(crate) fn configure(&mut self, configured: SocketAddr) {
        let before = std::mem::replace(&mut self.configured, configured);
        for address in &mut self.round {
            if *address == before {
                *address = configured;
            }
        }
    }

    /// DNS says where the controller is: these are dialled next, and in each round from now on.
    pub(crate) fn find(&mut self, found: Vec<SocketAddr>) {
        let is_new = |one: &&SocketAddr| !self.is_door(**one);
        let new: Vec<_> = found.iter().filter(is_new).copied().collect();
        if !found.is_empty() {
            self.found = found;
        }
        for address in new.into_iter().rev() {
            self.round.push_front(address);
        }
    }

    /// Whether any replica may answer there, as far as we know.
    pub(crate) fn is_door(&self, address: SocketAddr) -> bool {
        address == self.configured || address == self.given || self.found.contains(&address)
    }

    /// Whom to dial now.
    pub(crate) fn next(&mut self, jitter: &mut Jitter) -> Dial {
        if let Some(address) = self.named.take() {
            self.round.retain(|other| *other != address);
            return Dial { address, pause: Duration::ZERO };
        }
        if self.round.is_empty() {
            // The replicas that were known may all be others by now, which the controller's own address leads to.
            let others = self.others(None, jitter);
            self.round = [self.configured].into_iter().chain(others).collect();
            for door in self.found.iter().chain([&self.given]) {
                if !self.round.contains(door) {
                    self.round.push_back(*door);
                }
            }
            self.pause_due = true;
        }
        let pause = if std::mem::take(&mut self.pause_due) { self.pause(jitter) } else { Duration::ZERO };
        Dial { address: self.round.pop_front().unwrap_or(self.configured), pause }
    }

    /// There is no session at the address that was dialled last.
    pub(crate) fn failed(&mut self, failure: Failure) {
        self.asked = self.asked.max(failure.retry_after);
        if failure.is_ours {
            self.round.clear();
        } else {
            self.hop(failure.named);
        }
    }

    /// The session is over that was opened at this address; these serve, as it told last, itself first.
    pub(crate) fn lost(&mut self, at: SocketAddr, loss: Loss, replicas: &[SocketAddr], jitter: &mut Jitter) {
        self.replicas.clear();
        for replica in replicas {
            if self.replicas.len() < REPLICAS_MAX && !self.replicas.contains(replica) {
                self.replicas.push(*replica);
            }
        }
        let forgiven = loss.dismissed && !self.forgiven;
        if (loss.was_good || forgiven) && !loss.superseded {
            self.backoff.reset();
        }
        self.forgiven = !loss.was_good && (self.forgiven || loss.dismissed);
        if loss.was_long {
            self.hops = 0;
        }
        // Behind the controller's own address, it was the one that has named itself first.
        let is_behind_it = at == self.configured || (self.is_door(at) && !replicas.contains(&at));
        let lost = if is_behind_it { replicas.first().copied() } else { Some(at) };
        let others = self.others(lost, jitter);
        self.round = others.into_iter().chain(lost.filter(|lost| *lost != self.configured)).collect();
        self.round.push_back(self.configured);
        (self.pause_due, self.named) = (true, None);
        if !loss.superseded {
            self.hop(loss.named);
        }
    }

    fn hop(&mut self, named: Option<SocketAddr>) {
        if named.is_some() && self.hops < HOPS_MAX {
            self.hops += 1;
            self.named = named;
        }
    }

    fn pause(&mut self, jitter: &mut Jitter) -> Duration {
        self.hops = 0;
        let pause = self.backoff.next(jitter);
        let asked = self.asked.take().map(|asked| asked + jitter.up_to(RETURN_SPREAD));
        asked.map_or(pause, |asked| asked.max(pause))
    }

    /// The replicas but for this one, in any order: all sidecars of a lost replica must not come to the same one.
    fn others(&self, but: Option<SocketAddr>, jitter: &mut Jitter) -> Vec<SocketAddr> {
        let is_other = |one: &SocketAddr| *one != self.configured && Some(*one) != but;
        let mut others: Vec<_> = self.replicas.iter().copied().filter(is_other).collect();
        for left in (1..others.len()).rev() {
            let draw = usize::try_from(jitter.next_u64() >> 32).unwrap_or_default();
            others.swap(left, draw.checked_rem(left + 1).unwrap_or_default());
        }
        others
    }
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
