//! What goes wrong between one client and its API server: plain data, so that a seed can draw it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::request::{Call, Verb};

/// Says which calls a fault can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    All,
    Writes,
    Gets,
    Lists,
    Watches,
}

/// Says what becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The client's process dies before the call has left it: from then on nobody is answered.
    CrashBefore,
    /// The process dies after the call was done, and before its answer came.
    CrashAfter,
    /// Done, and the connection breaks before the answer.
    Lost,
    /// Done, and something between says that it took too long.
    LostBehindGateway,
    /// Nobody listens there.
    Refused,
    /// Not done: somebody else was there first, it says.
    Conflict,
    TooManyRequests {
        retry_after_seconds: u32,
    },
    /// Done, after so long.
    Late {
        milliseconds: u64,
    },
    /// A list that has nothing in it, and says so as if that was right.
    Empty,
    /// The answer is no JSON.
    Garbage,
}

/// Says which call is harmed, counted from when the fault is placed: those from `first` on (1: the next), `many` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub calls: Calls,
    /// Only of this kind, by its plural name.
    pub kind: Option<&'static str>,
    pub first: u64,
    pub many: u64,
    pub harm: Harm,
}

/// Holds what goes wrong for one client; its copies are the same. Dropping it mends nothing.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Mutex<Placed>>, watch::Sender<u64>);

#[derive(Debug, Default)]
struct Placed {
    /// Each with the calls that it could have met so far.
    faults: Vec<(Fault, u64)>,
    writes: u64,
    harmed: u64,
    is_dead: bool,
    is_away: bool,
    every_call_takes: Duration,
    /// Every watch call ends after so long.
    watches_last: Option<Duration>,
    /// What was written then is not told, to the first watch that comes to it.
    hidden: BTreeSet<u64>,
    /// Of all events that would be told, every so many-th is not, beginning with that one.
    hidden_each: Option<(u64, u64)>,
    events: u64,
    /// What was written then is told as something that cannot be read, always.
    garbled: BTreeSet<u64>,
    /// Watches of an earlier age are cut.
    age: u64,
}

// === impl Calls ===

impl Calls {
    fn have(self, verb: Verb) -> bool {
        match self {
            Self::All => true,
            Self::Writes => verb.writes(),
            Self::Gets => verb == Verb::Get,
            Self::Lists => verb == Verb::List,
            Self::Watches => verb == Verb::Watch,
        }
    }
}

// === impl Fault ===

impl Fault {
    /// Harms one write: the one of this number from now.
    pub fn of_write(number: u64, harm: Harm) -> Self {
        Self { calls: Calls::Writes, kind: None, first: number, many: 1, harm }
    }

    pub fn of(self, plural: &'static str) -> Self {
        Self { kind: Some(plural), ..self }
    }
}

// === impl Faults ===

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::default(), watch::Sender::new(0))
    }
}

impl Faults {
    pub fn place(&self, fault: Fault) {
        self.placed().faults.push((fault, 0));
    }

    /// Takes all back that was placed; who is dead stays so.
    pub fn mend(&self) {
        self.change(|placed| {
            let Placed { is_dead, age, writes, harmed, .. } = *placed;
            *placed = Placed { is_dead, age, writes, harmed, ..Placed::default() };
        });
    }

    /// Nobody answers any more; calls that are under way are left to hang.
    pub fn crash(&self) {
        self.change(|placed| placed.is_dead = true);
    }

    pub fn is_dead(&self) -> bool {
        self.placed().is_dead
    }

    /// Returns when a fault has killed the client's process, so that a test can drop what is left of it.
    pub async fn dead(&self) {
        let mut changes = self.1.subscribe();
        while !self.is_dead() {
            // It lives as long as this does.
            let _ = changes.changed().await;
        }
    }

    /// Whether connections are refused, and those that there are cut.
    pub fn away(&self, is_away: bool) {
        self.change(|placed| placed.is_away = is_away);
    }

    pub fn every_call_takes(&self, time: Duration) {
        self.placed().every_call_takes = time;
    }

    pub fn watches_last(&self, time: Option<Duration>) {
        self.change(|placed| placed.watches_last = time);
    }

    /// Cuts the watches that there are.
    pub fn cut_watches(&self) {
        self.change(|placed| placed.age += 1);
    }

    pub fn hide(&self, revision: u64) {
        self.placed().hidden.insert(revision);
    }

    /// Of all events, by their number from now, hides every `each`-th, `first` being the first of them.
    pub fn hide_each(&self, each: u64, first: u64) {
        let mut placed = self.placed();
        placed.hidden_each = Some((each.max(1), first));
        placed.events = 0;
    }

    pub fn garble(&self, revision: u64) {
        self.placed().garbled.insert(revision);
    }

    /// How many writes this client has tried.
    pub fn writes(&self) -> u64 {
        self.placed().writes
    }

    /// How many calls and events met a fault.
    pub fn harmed(&self) -> u64 {
        self.placed().harmed
    }

    /// What becomes of this call.
    pub(crate) fn harm(&self, call: &Call) -> Option<Harm> {
        let mut placed = self.placed();
        placed.writes += u64::from(call.verb.writes());
        let mut harm = None;
        for (fault, met) in &mut placed.faults {
            if fault.calls.have(call.verb) && fault.kind.is_none_or(|kind| kind == call.kind.plural) {
                *met += 1;
                if (fault.first..fault.first.saturating_add(fault.many)).contains(met) {
                    harm = harm.or(Some(fault.harm));
                }
            }
        }
        placed.harmed += u64::from(harm.is_some());
        harm
    }

    pub(crate) fn is_away(&self) -> bool {
        self.placed().is_away
    }

    pub(crate) fn time_of_a_call(&self) -> Duration {
        self.placed().every_call_takes
    }

    pub(crate) fn time_of_a_watch(&self) -> Option<Duration> {
        self.placed().watches_last
    }

    pub(crate) fn age(&self) -> u64 {
        self.placed().age
    }

    /// Whether nobody is told of this revision now; he may be the next time.
    pub(crate) fn hides(&self, revision: u64) -> bool {
        let mut placed = self.placed();
        placed.events += 1;
        let number = placed.events;
        let is_one = |(each, first): (u64, u64)| number >= first && (number - first).is_multiple_of(each);
        let hides = placed.hidden_each.is_some_and(is_one) | placed.hidden.remove(&revision);
        placed.harmed += u64::from(hides);
        hides
    }

    pub(crate) fn garbles(&self, revision: u64) -> bool {
        self.placed().garbled.contains(&revision)
    }

    /// Hears of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.1.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Placed)) {
        change(&mut self.placed());
        self.1.send_modify(|changes| *changes += 1);
    }

    fn placed(&self) -> MutexGuard<'_, Placed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
