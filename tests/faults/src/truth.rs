//! What was really so, by those who did it.

use std::collections::BTreeSet;

/// Holds the pods that there are, and when which of them was not to be called.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    pub pods: Vec<Pod>,
    pub absences: Vec<Absence>,
    /// When what is tried begins to fail.
    pub fault_ms: Option<u64>,
    /// When it was whole again; none where that is not ours to do.
    pub healed_ms: Option<u64>,
    /// Clients that no replica can reach until it is whole again, by name.
    pub cut_off: BTreeSet<String>,
}

/// Holds a pod that serves, and is well unless an absence says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub service: String,
    pub address: String,
    pub node: String,
}

/// Holds a time in which a pod must not be called.
#[derive(Debug, Clone)]
pub struct Absence {
    pub pod: String,
    pub why: String,
    pub from_ms: u64,
    /// None: to the end of the run.
    pub until_ms: Option<u64>,
    /// The clients that can be told; of the others nothing is asked for this pod meanwhile.
    pub told: BTreeSet<String>,
    /// Later than this nobody who can be told names it.
    pub out_within_ms: u64,
    /// Later than this all name it again.
    pub back_within_ms: u64,
}

/// Says what an answer owes to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// To leave it out is a false eviction.
    Named,
    /// To name it is wrong.
    LeftOut,
    /// Either is right: word of it may be on its way.
    Either,
}

// === impl Truth ===

impl Truth {
    /// What an answer to this client owes to a pod of the service.
    pub(crate) fn duty(&self, client: &str, pod: &str, asked_ms: u64, answered_ms: u64) -> Duty {
        let all = self.absences.iter().filter(|absence| absence.pod == pod);
        let duties = all.map(|absence| absence.duty(client, asked_ms, answered_ms));
        duties
            .max_by_key(|duty| match duty {
                Duty::Named => 0,
                Duty::Either => 1,
                Duty::LeftOut => 2,
            })
            .unwrap_or(Duty::Named)
    }
}

// === impl Absence ===

impl Absence {
    /// Between the question and the answer either state may have been looked at.
    fn duty(&self, client: &str, asked_ms: u64, answered_ms: u64) -> Duty {
        if answered_ms < self.from_ms
            || self.until_ms.is_some_and(|until_ms| asked_ms > until_ms + self.back_within_ms)
        {
            return Duty::Named;
        }
        let over = self.until_ms.is_some_and(|until_ms| answered_ms >= until_ms);
        let known = asked_ms > self.from_ms + self.out_within_ms;
        if known && !over && self.told.contains(client) { Duty::LeftOut } else { Duty::Either }
    }
}
