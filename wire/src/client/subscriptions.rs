//! What the app wants to be told of, and what the controller was asked for in this session.

use std::collections::BTreeMap;

use rollcall_catalogue::ServiceKey;

use crate::limits::SUBSCRIPTIONS_MAX;

/// Holds the names that are wanted, and how far each is in this session. A name is left only once it was answered: the
/// next answer for it is then one to the next question.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    names: BTreeMap<ServiceKey, Name>,
    /// There may be names to be asked for, or to be left.
    due: bool,
}

#[derive(Debug)]
struct Name {
    wanted: bool,
    asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    /// `skipped`: a change came of content that is not held. It was under way when the name was left and asked for
    /// again, or else the controller is wrong about us; the answer shows which.
    Yes {
        skipped: bool,
    },
    Answered,
    /// Not wanted any more before the answer came, which counts for nothing.
    Moot,
    /// To be left, and asked for again where it is wanted again.
    Leaving,
}

/// Holds what is to be said to the controller.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) leave: Vec<ServiceKey>,
    pub(super) ask: Vec<ServiceKey>,
}

/// Says how the answer for a name is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nobody waits for it.
    Moot,
    Counts {
        skipped: bool,
    },
}

// === impl Subscriptions ===

impl Subscriptions {
    /// Whether what is told of the name counts.
    pub(super) fn takes(&self, key: &ServiceKey) -> bool {
        let listens = |name: &Name| matches!(name.asked, Asked::Yes { .. } | Asked::Answered);
        self.names.get(key).is_some_and(|name| name.wanted && listens(name))
    }

    /// Whether all that is wanted was answered in this session.
    pub(super) fn all_answered(&self) -> bool {
        self.names.values().all(|name| !name.wanted || name.asked == Asked::Answered)
    }

    /// Whether all was said of the name in this session that there was.
    pub(super) fn is_answered(&self, key: &ServiceKey) -> bool {
        self.names.get(key).is_some_and(|name| name.wanted && name.asked == Asked::Answered)
    }

    pub(super) fn any_wanted(&self) -> bool {
        self.names.values().any(|name| name.wanted)
    }

    /// One name that was answered, to be asked for again: who is asked has to say where it stands. None while an answer
    /// is under way anyhow.
    pub(super) fn ask_again(&mut self) -> Option<ServiceKey> {
        let answered = |name: &Name| name.wanted && name.asked == Asked::Answered;
        let (key, name) = self.names.iter_mut().find(|(_, name)| answered(name))?;
        name.asked = Asked::Yes { skipped: false };
        Some(key.clone())
    }

    /// The name is wanted; beyond the limit it is not taken. Whether it is.
    pub(super) fn want(&mut self, key: ServiceKey) -> bool {
        if !self.names.contains_key(&key) && self.wanted() >= SUBSCRIPTIONS_MAX {
            return false;
        }
        self.names.entry(key).or_insert(Name { wanted: true, asked: Asked::No }).wanted = true;
        self.due = true;
        true
    }

    pub(super) fn unwant(&mut self, key: &ServiceKey) {
        let Some(name) = self.names.get_mut(key) else { return };
        name.wanted = false;
        name.asked = match name.asked {
            Asked::No => {
                self.names.remove(key);
                return;
            }
            Asked::Yes { .. } | Asked::Moot => Asked::Moot,
            Asked::Answered | Asked::Leaving => Asked::Leaving,
        };
        self.due = true;
    }

    /// A new session: nobody was asked for anything.
    pub(super) fn begin(&mut self) {
        self.names.retain(|_, name| name.wanted);
        self.names.values_mut().for_each(|name| name.asked = Asked::No);
        self.due = true;
    }

    /// A change of the service cannot be followed. Whether its answer is still to come, and will show why.
    pub(super) fn skip(&mut self, key: &ServiceKey) -> bool {
        match self.names.get_mut(key).map(|name| &mut name.asked) {
            Some(Asked::Yes { skipped }) => {
                *skipped = true;
                true
            }
            _ => false,
        }
    }

    /// The controller has said all it has of this name.
    pub(super) fn answer(&mut self, key: &ServiceKey) -> Answer {
        let Some(name) = self.names.get_mut(key) else { return Answer::Moot };
        match name.asked {
            Asked::Yes { skipped } => {
                name.asked = Asked::Answered;
                Answer::Counts { skipped }
            }
            Asked::Answered => Answer::Counts { skipped: false },
            Asked::Moot => {
                name.asked = Asked::Leaving;
                self.due = true;
                Answer::Moot
            }
            Asked::No | Asked::Leaving => Answer::Moot,
        }
    }

    /// What is to be said now: it counts as said from here on.
    pub(super) fn take_due(&mut self) -> Due {
        let mut due = Due::default();
        if !std::mem::take(&mut self.due) {
            return due;
        }
        self.names.retain(|key, name| {
            if name.asked == Asked::Leaving {
                due.leave.push(key.clone());
                name.asked = Asked::No;
            }
            name.wanted || name.asked != Asked::No
        });
        let asked = self.names.values().filter(|name| name.asked != Asked::No).count();
        let open = self.names.iter_mut().filter(|(_, name)| name.asked == Asked::No);
        for (key, name) in open.take(SUBSCRIPTIONS_MAX.saturating_sub(asked)) {
            name.asked = Asked::Yes { skipped: false };
            due.ask.push(key.clone());
        }
        due
    }

    fn wanted(&self) -> usize {
        self.names.values().filter(|name| name.wanted).count()
    }
}
