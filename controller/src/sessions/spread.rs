//! How sessions are spread over the replicas: who sends how many away, and where to.
//!
//! What a replica knows of the others is a second old, and so is what they know of it. So each gives another one its share
//! of what that lacks and no more: together, all that give fill nobody above the mean, and who never goes above it never
//! sends anybody back.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// A replica has too many above this part of the mean, in percent, and so many more: below, moving them gains nothing that
/// anybody would notice.
const TOO_MANY_PERCENT: u64 = 110;
const TOO_MANY_MORE: u64 = 4;
/// So long the replicas must be the same: while some of them come and go, sessions go by themselves.
pub(crate) const STABLE_AFTER: Duration = Duration::from_secs(10);
/// In one second so many of all, in percent, and one at least: each costs a handshake, and half of a fleet that has to go
/// is gone within half a minute.
const PERCENT_A_SECOND: u64 = 2;
/// So long one who was sent away counts where he was sent to: until then, what that replica tells may be older.
pub(crate) const UNDER_WAY: Duration = Duration::from_secs(3);

/// Sessions that all go are sent away so far apart, within [`GONE_WITHIN`]: the others have their handshakes one after the
/// other, each of a few milliseconds.
const APART: Duration = Duration::from_millis(20);
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Holds one replica, as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Load {
    /// Its name, by which all put replicas in the same order.
    pub(crate) replica: Box<str>,
    pub(crate) sessions: u32,
}

/// Holds another replica that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) load: Load,
    pub(crate) address: SocketAddr,
    /// Those that we have sent there within [`UNDER_WAY`].
    pub(crate) sent: u32,
}

/// Where those are to go that are to go within this second, one entry each; none where everyone may stay.
pub(crate) fn moves(own: &Load, others: &[Target], stable_for: Duration) -> Vec<SocketAddr> {
    if others.is_empty() || stable_for < STABLE_AFTER {
        return Vec::new();
    }
    let count = |load: &Load| u64::from(load.sessions);
    let all = count(own) + others.iter().map(|other| count(&other.load)).sum::<u64>();
    let replicas = u64::try_from(others.len()).unwrap_or(u64::MAX).saturating_add(1);
    // Who is under way is nowhere, or counted twice: the one would have us send more, the other the others get more.
    let under_way = others.iter().map(|other| u64::from(other.sent)).sum::<u64>();
    let most = (all + under_way) * TOO_MANY_PERCENT / 100 / replicas + TOO_MANY_MORE;
    let Some(excess) = count(own).checked_sub(most).filter(|excess| *excess > 0) else { return Vec::new() };
    let at_once = (count(own) * PERCENT_A_SECOND / 100).max(1).min(excess);
    // All that have too many share what somebody lacks, in the order of their names.
    let givers = others.iter().map(|other| &other.load).filter(|load| count(load) > most);
    let rank = givers.clone().filter(|load| load.replica < own.replica).count();
    let (rank, givers) = (u64::try_from(rank).unwrap_or(u64::MAX), givers.count());
    let givers = u64::try_from(givers).unwrap_or(u64::MAX).saturating_add(1);
    let mean = all.div_ceil(replicas);
    let room = |target: &Target| {
        let lacks = mean.saturating_sub(count(&target.load));
        let share = lacks / givers + u64::from(rank < lacks % givers);
        share.saturating_sub(u64::from(target.sent))
    };
    let mut rooms: Vec<_> = others.iter().map(|target| (room(target), target.address)).collect();
    let mut goes = Vec::new();
    for _ in 0..at_once {
        let Some((room, address)) = rooms.iter_mut().max_by_key(|(room, _)| *room) else { break };
        if *room == 0 {
            break;
        }
        *room -= 1;
        goes.push(*address);
    }
    goes
}

/// How many places are missing here for our share of the sessions of the largest other replica, should that one be lost.
pub(crate) fn places_missing(own: usize, places: usize, others: &[u32]) -> usize {
    let largest =
        others.iter().copied().max().and_then(|most| usize::try_from(most).ok()).unwrap_or_default();
    // We are left, and all others but that one.
    let share = largest.div_ceil(others.len().max(1));
    share.saturating_sub(places.saturating_sub(own))
}

/// Within what time all of so many are sent away.
pub(crate) fn gone_within(sessions: usize) -> Duration {
    APART.saturating_mul(u32::try_from(sessions).unwrap_or(u32::MAX)).min(GONE_WITHIN)
}

/// How many of them are to be gone after this time, where they go evenly.
pub(crate) fn gone_by(sessions: usize, after: Duration) -> usize {
    let within = gone_within(sessions);
    if after >= within {
        return sessions;
    }
    let gone = after.as_micros() * u128::try_from(sessions).unwrap_or(u128::MAX) / within.as_micros().max(1);
    // The first goes at once.
    usize::try_from(gone).map_or(sessions, |gone| gone.saturating_add(1).min(sessions))
}

/// Holds where all go that are sent away: each to the one that has the fewest by then.
#[derive(Debug, Default)]
pub(crate) struct Hints(BTreeMap<SocketAddr, u32>);

// === impl Hints ===

impl Hints {
    pub(crate) fn of(targets: impl IntoIterator<Item = (SocketAddr, u32)>) -> Self {
        Self(targets.into_iter().collect())
    }

    /// Nobody is sent where nobody is served any more.
    pub(crate) fn retain(&mut self, serves: impl Fn(SocketAddr) -> bool) {
        self.0.retain(|address, _| serves(*address));
    }

    /// Where the next one goes; none where nobody is left.
    pub(crate) fn next(&mut self) -> Option<SocketAddr> {
        let (address, sessions) = self.0.iter_mut().min_by_key(|(_, sessions)| **sessions)?;
        *sessions = sessions.saturating_add(1);
        Some(*address)
    }
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
