//! One registration of the pod: what each source says under its key, and what the controller made of it.

use std::collections::BTreeMap;

use rollcall_wire::SelfRegistration;

/// Says who registered something. Of two that name the same, the later one here counts: what is said at run time is newer
/// than what was mounted, and a file is a more deliberate word than the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    Environment,
    File,
    /// `PUT /v1/self`.
    App,
    Classic,
}

/// Says what became of a registration at the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// It has not been answered yet.
    Pending,
    Registered,
    Rejected(Refusal),
}

/// Holds why a registration was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) field: Option<String>,
}

/// Holds one registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    layers: BTreeMap<Source, SelfRegistration>,
    pub(super) status: Status,
    /// It is to be said (again).
    pub(super) dirty: bool,
    /// Of this session: how often it was said and not answered yet.
    unanswered: u32,
    /// What the controller took last.
    accepted: Option<SelfRegistration>,
    /// Counts what is put here, so that who waits knows whose answer it is.
    pub(super) turn: u64,
    /// Whose content was refused last, and why.
    refused: Option<(u64, Refusal)>,
}

// === impl Source ===

impl Source {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::File => "file",
            Self::App => "app",
            Self::Classic => "classic",
        }
    }

    /// Whether it is gone with the process unless it is kept.
    pub(super) const fn is_said_at_run_time(self) -> bool {
        matches!(self, Self::App | Self::Classic)
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(source: Source, said: SelfRegistration, turn: u64) -> Self {
        Self {
            layers: [(source, said)].into(),
            status: Status::Pending,
            dirty: true,
            unanswered: 0,
            accepted: None,
            turn,
            refused: None,
        }
    }

    /// What counts, and who says it; none only where nobody says anything any more.
    pub(super) fn said(&self) -> Option<(Source, &SelfRegistration)> {
        self.layers.last_key_value().map(|(source, said)| (*source, said))
    }

    pub(super) fn by(&self, source: Source) -> Option<&SelfRegistration> {
        self.layers.get(&source)
    }

    pub(super) fn layers(&self) -> impl Iterator<Item = (Source, &SelfRegistration)> {
        self.layers.iter().map(|(source, said)| (*source, said))
    }

    pub(super) fn put(&mut self, source: Source, said: SelfRegistration, turn: u64) {
        let before = self.said().map(|(_, said)| said.clone());
        self.layers.insert(source, said);
        self.turn = turn;
        self.settle(before.as_ref());
    }

    /// Whether anybody still says something.
    pub(super) fn remove(&mut self, source: Source) -> bool {
        let before = self.said().map(|(_, said)| said.clone());
        self.layers.remove(&source);
        self.settle(before.as_ref());
        !self.layers.is_empty()
    }

    /// It goes out now; `open`: it will be answered.
    pub(super) fn sent(&mut self, open: bool) {
        self.dirty = false;
        self.unanswered = self.unanswered.saturating_add(u32::from(open));
    }

    /// A new session: what was asked before has no answer any more, and what has none is asked anew. So is what was refused,
    /// once: it may be another controller, or what was in the way is gone.
    pub(super) fn begin(&mut self) {
        self.unanswered = 0;
        if self.is_rejected() {
            (self.status, self.refused) = (Status::Pending, None);
        }
        self.dirty = self.dirty || self.status == Status::Pending;
    }

    pub(super) fn registered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.is_answered() {
            self.status = Status::Registered;
            self.accepted = self.said().map(|(_, said)| said.clone());
        }
    }

    /// What was accepted before is said again: a change that is refused must not take the instance out. Gives what had to make
    /// way for that, and whose it was.
    pub(super) fn rejected(&mut self, refusal: Refusal) -> Option<(Source, SelfRegistration)> {
        self.unanswered = self.unanswered.saturating_sub(1);
        if !self.is_answered() {
            return None;
        }
        self.refused = Some((self.turn, refusal.clone()));
        match (self.accepted.take(), self.layers.pop_last()) {
            (Some(accepted), Some((source, said))) if accepted != said => {
                // It may be another one's word that counts again.
                if self.layers.last_key_value().is_none_or(|(_, next)| *next != accepted) {
                    self.layers.insert(source, accepted);
                }
                (self.status, self.dirty) = (Status::Pending, true);
                Some((source, said))
            }
            (_, last) => {
                self.layers.extend(last);
                self.status = Status::Rejected(refusal);
                None
            }
        }
    }

    /// Why what was put in this turn was refused, if it was.
    pub(super) fn refusal_of(&self, turn: u64) -> Option<&Refusal> {
        self.refused.as_ref().filter(|(of, _)| *of == turn).map(|(_, refusal)| refusal)
    }

    pub(super) fn is_rejected(&self) -> bool {
        matches!(self.status, Status::Rejected(_))
    }

    fn is_answered(&self) -> bool {
        self.unanswered == 0 && !self.dirty
    }

    /// What counts is to be said, if it is another one, or if the last word on it was not that it is registered.
    fn settle(&mut self, before: Option<&SelfRegistration>) {
        let same = self.said().map(|(_, said)| said) == before;
        if !(same && self.status == Status::Registered) {
            (self.status, self.dirty) = (Status::Pending, true);
        }
    }
}
