//! What came of the queries.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rollcall_dns::Answer;

/// Says what came of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Records, or that there are none of the kind.
    NoError,
    /// It was no query as queries are.
    FormErr,
    /// The answer is not known, or another server did not answer.
    ServFail,
    NxDomain,
    /// It asked for something else than records.
    NotImp,
    Refused,
    /// It is of a version of EDNS that is yet to come.
    BadVers,
    /// Another server answered.
    Forwarded,
    /// Nothing was said.
    Dropped,
}

/// Holds how many queries came to what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Arc<[AtomicU64; Outcome::ALL.len()]>);

// === impl Outcome ===

impl Outcome {
    /// Each at its own place.
    pub(crate) const ALL: [Self; 9] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::BadVers,
        Self::Forwarded,
        Self::Dropped,
    ];

    /// Of what is said to a query.
    pub(super) const fn of(answer: &Answer<'_>) -> Self {
        match answer {
            Answer::Records(_) | Answer::Host(_) | Answer::Pointers(..) | Answer::Apex | Answer::Empty => {
                Self::NoError
            }
            Answer::NoSuchName => Self::NxDomain,
            Answer::NotKnown => Self::ServFail,
            Answer::NotOurs => Self::Refused,
        }
    }

    /// Of the code with which a query is refused.
    pub(super) fn of_code(code: &str) -> Self {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == code).unwrap_or(Self::Refused)
    }

    /// In the words of DNS where there is one.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::BadVers => "BADVERS",
            Self::Forwarded => "forwarded",
            Self::Dropped => "dropped",
        }
    }
}

// === impl Counts ===

impl Counts {
    /// Takes no lock.
    pub(crate) fn count(&self, outcome: Outcome) {
        if let Some(count) = self.0.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn total(&self, outcome: Outcome) -> u64 {
        self.0.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
