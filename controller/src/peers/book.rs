//! What is known of the other replicas' processes, and what time makes of it. A value without IO.

use std::{collections::BTreeMap, sync::Arc};

use rollcall_catalogue::changes::Position;
use rollcall_wire::{
    limits::LATENESS_MAX,
    peer::{Beat, Introduction, Standing},
};

use super::{
    behind::{Lag, Words, lacks},
    standing::{
        AWAY_AFTER_MS, BACKS_MAX, Line, Lookout, Process, Processes, SOUGHT_FOR_MS, Sign, is_cut, lookout,
        standings, succeeded,
    },
};
use crate::index::{PeerStanding, Replica};

/// The book is looked at as often, or sooner.
pub const TICK_MS: u64 = 250;

/// Who stood still judges nobody for so long: as long as a link may be silent, so that whoever lives has been heard.
const JUDGES_AGAIN_AFTER_MS: u64 = 3_000;

/// Processes that are remembered: replicas are few, and each restart of one makes another process. Of more, those that
/// were lost first are forgotten.
const PROCESSES_MAX: usize = 256;

/// Holds the others' processes, and when we last looked at them.
#[derive(Debug, Clone)]
pub struct Book {
    /// Of our own process: it is never missed.
    own: Arc<str>,
    known: Processes,
    looked_ms: u64,
    judges_from_ms: u64,
    /// When the API server last answered a question about a sign.
    answered_ms: Option<u64>,
    lag: Lag,
}

/// Says what is so at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    pub standings: BTreeMap<Arc<str>, PeerStanding>,
    pub lookout: Lookout,
    pub is_cut: bool,
    /// Others read on in Kubernetes while we do not.
    pub is_behind: bool,
    /// What people may want to know, of replicas by their names.
    pub turns: Vec<(Arc<str>, Turn)>,
    pub counts: Counts,
}

/// Says what became of a replica's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Lost,
    /// It was lost, and is heard again.
    Back,
}

/// Counts the others' processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub linked: usize,
    /// Without a link, and heard otherwise, or not yet known to be lost.
    pub missed: usize,
    /// Lost, and looked for.
    pub lost: usize,
}

/// Says what the API server answered about the sign of one that is missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Its sign, as it is now.
    Sign { version: Arc<str> },
    /// There is none, or none of this process.
    NoSign,
}

// === impl Book ===

impl Book {
    pub fn new(own: Arc<str>, now_ms: u64) -> Self {
        Self {
            own,
            known: Processes::new(),
            looked_ms: now_ms,
            judges_from_ms: now_ms,
            answered_ms: None,
            lag: Lag::default(),
        }
    }

    pub(super) fn known(&self) -> &Processes {
        &self.known
    }

    /// The processes that we have a link with.
    pub fn heard(&self) -> impl Iterator<Item = &Arc<str>> {
        self.known.iter().filter(|(_, process)| process.is_up()).map(|(epoch, _)| epoch)
    }

    /// Those of them that have told all that they know.
    pub fn told(&self) -> impl Iterator<Item = &Arc<str>> {
        self.known.iter().filter(|(_, process)| process.is_synced()).map(|(epoch, _)| epoch)
    }

    /// A link with this process is open.
    pub fn linked(&mut self, who: &Introduction, beat: &Beat, now_ms: u64) {
        let line = Line::Up { since_ms: now_ms, is_synced: false, hears: beat.hears.clone() };
        let process = self.known.entry(who.epoch.clone()).or_insert_with(|| Process::new(now_ms));
        process.replica = Some(who.replica.as_str().into());
        process.words.hear(&beat.changed, now_ms);
        process.met_ms.get_or_insert(now_ms);
        process.is_over = false;
        process.leaves = beat.standing == Standing::Leaving;
        // What another link has told stays told.
        if !process.is_up() {
            process.line = line;
        }
    }

    pub fn beat(&mut self, epoch: &str, beat: &Beat, now_ms: u64) {
        let Some(process) = self.known.get_mut(epoch) else { return };
        process.words.hear(&beat.changed, now_ms);
        process.leaves = beat.standing == Standing::Leaving;
        if let Line::Up { hears, .. } = &mut process.line {
            hears.clone_from(&beat.hears);
        }
    }

    /// It has told all that it knew.
    pub fn synced(&mut self, epoch: &str) {
        if let Some(Process { line: Line::Up { is_synced, .. }, .. }) = self.known.get_mut(epoch) {
            *is_synced = true;
        }
    }

    /// There is no link with this process any more.
    pub fn broken(&mut self, epoch: &str, now_ms: u64) {
        if let Some(process) = self.known.get_mut(epoch).filter(|process| process.is_up()) {
            process.line = Line::Broken { since_ms: now_ms };
            process.sign = Sign::default();
        }
    }

    /// The API server has answered, whatever it was that we asked of it.
    pub fn answered(&mut self, now_ms: u64) {
        self.answered_ms = self.answered_ms.max(Some(now_ms));
    }

    /// The API server has answered about the sign of a process; it was asked then. Of what was asked before it was missed this
    /// time only that there was an answer counts: it would make a long silence of the time in which nobody asked.
    pub fn sign(&mut self, epoch: &str, answer: Answer, asked_ms: u64, now_ms: u64) {
        self.answered(now_ms);
        let Some(process) = self.known.get_mut(epoch).filter(|process| process.is_missed_at(asked_ms)) else {
            return;
        };
        let missed_ms = process.missed_since_ms();
        let sign = &mut process.sign;
        let had_asked = sign.asked_ms.is_some();
        let was_away = asked_ms.saturating_sub(sign.asked_ms.unwrap_or(missed_ms)) > AWAY_AFTER_MS;
        if was_away && sign.backs < BACKS_MAX {
            (sign.back_ms, sign.backs) = (Some(asked_ms), sign.backs + 1);
        }
        if let Answer::Sign { version } = answer {
            // The first look shows what was there, which may be of an earlier need; unless there was none before.
            let moves = sign.version.as_ref().map_or(had_asked, |seen| *seen != version);
            if moves {
                (sign.moved_ms, sign.backs) = (Some(now_ms), 0);
            }
            sign.version = Some(version);
        }
        sign.first_asked_ms.get_or_insert(asked_ms);
        sign.asked_ms = sign.asked_ms.max(Some(asked_ms));
    }

    /// What is so now. `replicas` is what Kubernetes has, where that is known; `reach`, how far we have read it.
    pub fn look(&mut self, replicas: Option<&[Replica]>, reach: &Position, now_ms: u64) -> Look {
        let late_ms = u64::try_from(LATENESS_MAX.as_millis()).unwrap_or(u64::MAX);
        if now_ms.saturating_sub(self.looked_ms) > TICK_MS + late_ms {
            self.judges_from_ms = now_ms + JUDGES_AGAIN_AFTER_MS;
        }
        self.looked_ms = now_ms;
        self.note_pods(replicas);
        self.note_named(now_ms);
        for epoch in succeeded(&self.known) {
            self.known.entry(epoch).and_modify(|process| process.is_over = true);
        }
        let standings = standings(&self.known, replicas, now_ms, self.judges_from_ms);
        let turns = self.keep(&standings);
        self.forget(now_ms);
        let lookout = lookout(&self.known, replicas, now_ms);
        let is_cut = is_cut(&self.known, self.answered_ms, now_ms, self.judges_from_ms);
        // Who stood still reads what it has missed, as soon as it hears what others know.
        let lacks = now_ms >= self.judges_from_ms && lacks(&self.known, reach, now_ms);
        let is_behind = self.lag.look(lacks, now_ms);
        let counts = self.counts(&lookout);
        Look { standings, lookout, is_cut, is_behind, turns, counts }
    }

    fn note_pods(&mut self, replicas: Option<&[Replica]>) {
        for process in self.known.values_mut() {
            let is_its = |replica: &Replica| Some(&replica.name) == process.replica.as_ref();
            process.has_pod |= replicas.is_some_and(|replicas| replicas.iter().any(is_its));
        }
    }

    /// Who is named by one that we hear is known, be it to nobody else.
    fn note_named(&mut self, now_ms: u64) {
        let heard = self.known.values().filter_map(|process| match &process.line {
            Line::Up { hears, .. } => Some(hears.iter().cloned()),
            _ => None,
        });
        let named: Vec<Arc<str>> = heard.flatten().filter(|epoch| *epoch != self.own).collect();
        for epoch in named {
            let is_known = self.known.contains_key(&epoch);
            if is_known || self.known.len() < PROCESSES_MAX {
                let process = self.known.entry(epoch).or_insert_with(|| Process::new(now_ms));
                process.named_ms = Some(now_ms);
            }
        }
    }

    /// Those whose link is gone and who are not lost, by the names of their replicas: somebody may be in session there.
    pub(super) fn missed(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let missed =
            self.known.iter().filter(|(_, process)| process.is_broken() && process.lost_ms.is_none());
        missed.filter_map(|(epoch, process)| Some((epoch.clone(), process.replica.clone()?))).collect()
    }

    /// Remembers who is lost and who is unheard, and says of whom the former is news.
    fn keep(&mut self, standings: &BTreeMap<Arc<str>, PeerStanding>) -> Vec<(Arc<str>, Turn)> {
        let mut turns = Vec::new();
        for (epoch, process) in &mut self.known {
            let lost_ms = match standings.get(epoch) {
                Some(PeerStanding::Lost { at_ms }) => Some(*at_ms),
                _ => None,
            };
            process.unheard_ms = match standings.get(epoch) {
                Some(PeerStanding::Unheard { since_ms }) => Some(*since_ms),
                _ => None,
            };
            let before = std::mem::replace(&mut process.lost_ms, lost_ms);
            let Some(replica) = &process.replica else { continue };
            match (before, lost_ms) {
                (None, Some(_)) => turns.push((replica.clone(), Turn::Lost)),
                (Some(_), None) => turns.push((replica.clone(), Turn::Back)),
                _ => {}
            }
        }
        turns
    }

    /// Whom nobody met, and nobody names any more, is forgotten; and of too many, who was lost first.
    fn forget(&mut self, now_ms: u64) {
        self.known.retain(|_, process| {
            let is_over = process.lost_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) >= SOUGHT_FOR_MS);
            process.replica.is_some() || !is_over
        });
        while self.known.len() > PROCESSES_MAX {
            let lost = self.known.iter().filter_map(|(epoch, process)| Some((process.lost_ms?, epoch)));
            let Some(first) = lost.min().map(|(_, epoch)| epoch.clone()) else { return };
            self.known.remove(&first);
        }
    }

    fn counts(&self, lookout: &Lookout) -> Counts {
        let met = || self.known.iter().filter(|(_, process)| process.replica.is_some());
        let is_sought = |epoch: &Arc<str>| lookout.reads.iter().any(|missed| missed.epoch == *epoch);
        Counts {
            linked: met().filter(|(_, process)| process.is_up()).count(),
            missed: met().filter(|(_, process)| process.is_broken() && process.lost_ms.is_none()).count(),
            lost: met().filter(|(epoch, process)| process.lost_ms.is_some() && is_sought(epoch)).count(),
        }
    }
}

// === impl Process ===

impl Process {
    fn new(now_ms: u64) -> Self {
        Self {
            replica: None,
            line: Line::Never { since_ms: now_ms },
            named_ms: None,
            sign: Sign::default(),
            has_pod: false,
            words: Words::default(),
            leaves: false,
            met_ms: None,
            is_over: false,
            unheard_ms: None,
            lost_ms: None,
        }
    }
}
