//! Which of the other replicas' processes are heard, and which are lost: functions of what is known, without a clock and
//! without memory.
//!
//! A link that breaks proves little: a network may be cut in one place, and stand in another. So the others are asked
//! whether they hear who is missed, and so is the API server, where whoever misses somebody gives a sign of life. Only
//! whom nobody hears, and who gives no sign to an API server that answers, is lost; an API server that is away proves nothing.
//! Who is not lost, and yet tells nothing to us or to whom we hear, is *unheard*: what we know of his sessions is old, and what
//! becomes of ours there we are not told.

use std::{collections::BTreeMap, sync::Arc};

use super::behind::Words;
use crate::index::{PeerStanding, Replica};

/// From the end of a link until its process is lost, where nothing else is heard of it: whoever lives misses us within a
/// second of that (both ends hear a silence at most a beat apart), gives its sign, and gives it anew a second later.
pub(super) const LOST_AFTER_MS: u64 = 2_500;

/// A question to the API server that was asked so long before the judgement at most says that there is no sign: by then,
/// whoever lives had time to give one.
const ASKED_WITHIN_MS: u64 = 1_000;

/// Questions about a sign that were answered by nobody for longer than this: the API server was away, or we were cut from it.
pub(super) const AWAY_AFTER_MS: u64 = 5_000;

/// From the first answer after that until a sign is missed: whoever lives may have begun a round just before that nobody answers,
/// and begins the next one at most 4 s after it, the wait for the answer among them. Who had given us up gives no sign before
/// it has seen ours, which takes a second more, and we see it a second after it is given; the last second is for slow answers.
/// It is not enough for one whose next round is not answered either, and of whom no link is back by then: that makes another
/// 4 s, and it is found again as late.
pub(super) const BACK_FOR_MS: u64 = 7_000;

/// How often that is granted without a sign that moves: an API server that answers now and then, never twice within
/// [`AWAY_AFTER_MS`], has said often enough by then that there is none. Nobody who is dead stays unheard for ever.
pub(super) const BACKS_MAX: u8 = 3;

/// How long a sign counts that has moved: it moves each second, and may fail to a few times.
pub(super) const SIGN_COUNTS_FOR_MS: u64 = 5_000;

/// Who hears nobody for so long, and no API server either, is the one that is cut off. Longer than the others need to be
/// sure of it, so that sessions which are sent away go where they are awaited.
pub(super) const CUT_AFTER_MS: u64 = 5_000;

/// How long signs are given for, and asked of, a process that is lost, whatever Kubernetes says of its pod.
pub(super) const SOUGHT_FOR_MS: u64 = 60_000;

/// Holds what is known of one process of another replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// None where only others have named it.
    pub(super) replica: Option<Arc<str>>,
    pub(super) line: Line,
    /// When one that we hear said last that it hears this one.
    pub(super) named_ms: Option<u64>,
    pub(super) sign: Sign,
    /// Kubernetes had its pod.
    pub(super) has_pod: bool,
    /// What it has said to know of Kubernetes.
    pub(super) words: Words,
    /// It said that it ends.
    pub(super) leaves: bool,
    /// When we had the first link with it.
    pub(super) met_ms: Option<u64>,
    /// Another process was met under the name of its replica while this one was missed: it is over, for good.
    pub(super) is_over: bool,
    /// Since when it is unheard.
    pub(super) unheard_ms: Option<u64>,
    /// Since when it is lost.
    pub(super) lost_ms: Option<u64>,
}

/// Says how the link with a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// There was none.
    Never {
        since_ms: u64,
    },
    Up {
        since_ms: u64,
        /// It has told all that it knew.
        is_synced: bool,
        /// Whom it hears itself.
        hears: Vec<Arc<str>>,
    },
    Broken {
        since_ms: u64,
    },
}

/// Holds what the API server says of a process's sign of life, since there is no link with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sign {
    /// When it was seen to move.
    pub(super) moved_ms: Option<u64>,
    /// When the first question was asked that was answered.
    pub(super) first_asked_ms: Option<u64>,
    /// When the last question was asked that was answered, whatever the answer.
    pub(super) asked_ms: Option<u64>,
    /// When the first question was asked that was answered after the API server had not answered for long.
    pub(super) back_ms: Option<u64>,
    /// How often that was so since the sign last moved.
    pub(super) backs: u8,
    /// What was seen last; it moves when another one is.
    pub(super) version: Option<Arc<str>>,
}

/// Holds the others' processes by their epochs.
pub(super) type Processes = BTreeMap<Arc<str>, Process>;

/// Says whose signs are to be looked at, and whether we are to give our own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookout {
    pub gives: bool,
    pub reads: Vec<Missed>,
}

/// Holds one that is missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub replica: Arc<str>,
    pub epoch: Arc<str>,
}

/// How each of these processes stands. `replicas` is what Kubernetes has, where that is known. Before `judges_from_ms`
/// nobody is lost for his silence: we were not there to hear.
pub(super) fn standings(
    known: &Processes,
    replicas: Option<&[Replica]>,
    now_ms: u64,
    judges_from_ms: u64,
) -> BTreeMap<Arc<str>, PeerStanding> {
    let judged = known.iter().map(|(epoch, process)| {
        let standing = match lost(known, epoch, process, replicas, now_ms, judges_from_ms) {
            Some(at_ms) => PeerStanding::Lost { at_ms },
            None if is_told(known, epoch, process) => PeerStanding::Heard,
            None => PeerStanding::Unheard { since_ms: process.unheard_since_ms() },
        };
        (epoch.clone(), standing)
    });
    judged.collect()
}

/// Since when this process is lost; none while it is not.
fn lost(
    known: &Processes,
    epoch: &Arc<str>,
    process: &Process,
    replicas: Option<&[Replica]>,
    now_ms: u64,
    judges_from_ms: u64,
) -> Option<u64> {
    let moved_ms = process.sign.moved_ms;
    let gives_sign = moved_ms.is_some_and(|moved_ms| now_ms.saturating_sub(moved_ms) < SIGN_COUNTS_FOR_MS);
    if process.is_up() || is_heard_by_others(known, epoch) || gives_sign {
        return None;
    }
    if process.lost_ms.is_some() {
        return process.lost_ms;
    }
    if process.is_over || pod_is_gone(process, replicas) {
        return Some(now_ms);
    }
    let lost_from_ms = process.sign.counts_until_ms().max(process.missed_since_ms() + LOST_AFTER_MS);
    if now_ms < lost_from_ms.max(judges_from_ms) {
        return None;
    }
    let has_no_sign =
        process.sign.asked_ms.is_some_and(|asked_ms| asked_ms + ASKED_WITHIN_MS >= lost_from_ms);
    // Of one that only others have named there is no sign to be asked for.
    (has_no_sign || process.replica.is_none()).then_some(now_ms)
}

/// One that we hear says that it hears this one. What it has heard from others itself does not count: two that believe
/// each other would keep a dead one alive.
fn is_heard_by_others(known: &Processes, epoch: &Arc<str>) -> bool {
    known.values().any(|other| matches!(&other.line, Line::Up { hears, .. } if hears.contains(epoch)))
}

/// What it hears reaches us: by itself, or through one that hears it. Once it did not, only who has told all that he knows
/// since brings that to an end. Who said goodbye has sent his sessions away, and has nothing more to tell.
fn is_told(known: &Processes, epoch: &Arc<str>, process: &Process) -> bool {
    let was_unheard = process.unheard_ms.is_some();
    let tells = |held: &Process| held.is_up() && (held.is_synced() || !was_unheard);
    let hears = |other: &Process| {
        matches!(&other.line, Line::Up { hears, .. } if hears.contains(epoch)) && tells(other)
    };
    tells(process) || process.leaves && process.is_broken() || known.values().any(hears)
}

/// Those that are missed, and under the name of whose replica another process answers that was met later.
pub(super) fn succeeded(known: &Processes) -> Vec<Arc<str>> {
    let newest_of = |replica: &Arc<str>| {
        let up = known.values().filter(|held| held.is_up() && held.replica.as_ref() == Some(replica));
        up.filter_map(|held| held.met_ms).max()
    };
    let is_succeeded = |process: &Process| {
        let newest_ms = process.replica.as_ref().and_then(newest_of);
        !process.is_up() && !process.is_over && newest_ms.is_some() && newest_ms >= process.met_ms
    };
    known.iter().filter(|(_, process)| is_succeeded(process)).map(|(epoch, _)| epoch.clone()).collect()
}

/// Kubernetes had its pod, and has it no more.
fn pod_is_gone(process: &Process, replicas: Option<&[Replica]>) -> bool {
    let is_its = |replica: &Replica| Some(&replica.name) == process.replica.as_ref();
    process.has_pod && replicas.is_some_and(|replicas| !replicas.iter().any(is_its))
}

/// Who is to be looked after: whom we had a link with, and have none any more. Who is lost is given up after a while, unless
/// Kubernetes still has its pod: it may be cut off, and find its way back.
pub(super) fn lookout(known: &Processes, replicas: Option<&[Replica]>, now_ms: u64) -> Lookout {
    let mut lookout = Lookout::default();
    for (epoch, process) in known {
        let Some(replica) = &process.replica else { continue };
        let ends = process.is_over || pod_is_gone(process, replicas);
        if !process.is_broken() || ends {
            continue;
        }
        let is_sought = process.lost_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) < SOUGHT_FOR_MS);
        let has_pod = || replicas.unwrap_or_default().iter().any(|held| held.name == *replica);
        if is_sought || has_pod() {
            lookout.reads.push(Missed { replica: replica.clone(), epoch: epoch.clone() });
        }
        lookout.gives |= is_sought;
    }
    lookout
}

/// Whether we are the one that is cut off: we had links, all are broken, and the API server, which is asked about each of
/// them, does not answer either. Who said goodbye is no proof of it, nor who is known to be lost.
pub(super) fn is_cut(known: &Processes, answered_ms: Option<u64>, now_ms: u64, judges_from_ms: u64) -> bool {
    if now_ms < judges_from_ms || known.values().any(Process::is_up) {
        return false;
    }
    let missed = known.values().filter(|process| process.is_broken() && !process.leaves);
    let missed = missed.filter(|process| process.lost_ms.is_none());
    let Some(broke_ms) = missed.map(Process::missed_since_ms).max() else { return false };
    now_ms.saturating_sub(answered_ms.map_or(broke_ms, |answered_ms| answered_ms.max(broke_ms)))
        >= CUT_AFTER_MS
}

/// Whether all others that Kubernetes calls ready, and these addresses' processes, have told us all that they know.
pub(super) fn is_met(known: &Processes, replicas: &[Replica], own: &str, addresses_met: bool) -> bool {
    let mut others =
        replicas.iter().filter(|replica| *replica.name != *own && replica.is_ready && !replica.is_ending);
    addresses_met
        && others.all(|replica| {
            known
                .values()
                .any(|process| process.is_synced() && process.replica.as_ref() == Some(&replica.name))
        })
}

// === impl Sign ===

impl Sign {
    /// Before that, no answer says that there is no sign: one that has moved may be about to move again; a first look does not
    /// show whether it moves; and the time in which the API server was away is none in which a sign was missed.
    fn counts_until_ms(&self) -> u64 {
        let moved_ms = self.moved_ms.map(|moved_ms| moved_ms + SIGN_COUNTS_FOR_MS);
        let first_asked_ms = self.first_asked_ms.map(|asked_ms| asked_ms + LOST_AFTER_MS);
        let back_ms = self.back_ms.map(|back_ms| back_ms + BACK_FOR_MS);
        moved_ms.max(first_asked_ms).max(back_ms).unwrap_or_default()
    }
}

// === impl Process ===

impl Process {
    pub(super) fn is_up(&self) -> bool {
        matches!(self.line, Line::Up { .. })
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.line, Line::Broken { .. })
    }

    /// Whether it was missed then, and has been since.
    pub(super) fn is_missed_at(&self, at_ms: u64) -> bool {
        matches!(self.line, Line::Broken { since_ms } if at_ms >= since_ms)
    }

    pub(super) fn is_synced(&self) -> bool {
        matches!(self.line, Line::Up { is_synced: true, .. })
    }

    fn unheard_since_ms(&self) -> u64 {
        self.unheard_ms.unwrap_or_else(|| self.missed_since_ms())
    }

    /// Since when nothing is heard of it, by us or by others.
    pub(super) fn missed_since_ms(&self) -> u64 {
        let (Line::Never { since_ms } | Line::Up { since_ms, .. } | Line::Broken { since_ms }) = self.line;
        self.named_ms.map_or(since_ms, |named_ms| named_ms.max(since_ms))
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
