//! What may be said of a registration in its status, and how it is kept over time.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The longest message that is written: a table with it must stay a table.
const MESSAGE_CHARS_MAX: usize = 1_024;

/// Names a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The summary: lookups find an instance of the registration.
    Ready,
    /// The spec is sound, and agrees with the service's other registrations.
    Accepted,
    /// What the target means is there.
    Resolved,
}

/// Says whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holds {
    True,
    False,
}

/// Says why a registration is ready, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ready {
    /// At least one instance is handed out.
    Serving,
    /// It has no instances at all.
    NoInstances,
    /// It has instances, and none of them is handed out.
    NoneServing,
    /// It is not accepted, so that it has no part in any service.
    NotAccepted,
}

/// Says whether a registration counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accepted {
    /// It counts as it is written.
    Accepted,
    /// It counts, but a narrower registration of the same service hides the service from some who it would
    /// show it to.
    VisibilityNarrowed,
    /// Its spec is refused, or its service has too many registrations; the message names each field and the remedy.
    Invalid,
    /// An older registration gives a port of this name another number, for the same instance.
    PortConflict,
}

/// Says whether what a target means is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolved {
    /// It is there.
    Resolved,
    /// No pod carries these labels.
    NoMatch,
    /// There is no Service of this name.
    ServiceNotFound,
    /// There is no pod of this name and UID.
    PodNotFound,
    /// Addresses are refused here, as those of pods, of Services and of nodes; the message names them.
    AddressRefused,
}

/// Holds one reason with the condition that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConditionReason {
    Ready(Ready),
    Accepted(Accepted),
    Resolved(Resolved),
}

/// Holds what was found of a registration just now, for one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub reason: ConditionReason,
    /// For people: the field and the remedy where something is wrong; else empty, or what is worth knowing.
    pub message: String,
}

/// The conditions to write after this was found. A condition keeps its time until its status changes, so that
/// the same findings give the same conditions and nothing is written. What was not found is not carried on:
/// whoever writes speaks of all that is his, and must not take over a condition of somebody else.
pub fn conditions(
    held: &[Condition],
    found: &[Finding],
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    let mut conditions: Vec<_> = found
        .iter()
        .map(|finding| {
            let kind = finding.reason.kind().as_str();
            let status = finding.reason.holds().as_str();
            let since = held
                .iter()
                .find(|condition| condition.type_ == kind && condition.status == status)
                .map_or(now, |condition| &condition.last_transition_time);
            Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: finding.reason.as_str().to_owned(),
                message: finding.message.chars().take(MESSAGE_CHARS_MAX).collect(),
                last_transition_time: since.clone(),
                observed_generation: generation,
            }
        })
        .collect();
    // A list that is a map by type takes each type once.
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions.dedup_by(|a, b| a.type_ == b.type_);
    conditions
}

// === impl ConditionType ===

impl ConditionType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Accepted => "Accepted",
            Self::Resolved => "Resolved",
        }
    }
}

// === impl Holds ===

impl Holds {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
        }
    }
}

// === impl ConditionReason ===

impl ConditionReason {
    /// All of them, in the order in which docs/resource.md explains them.
    pub const ALL: [Self; 13] = [
        Self::Ready(Ready::Serving),
        Self::Ready(Ready::NoInstances),
        Self::Ready(Ready::NoneServing),
        Self::Ready(Ready::NotAccepted),
        Self::Accepted(Accepted::Accepted),
        Self::Accepted(Accepted::VisibilityNarrowed),
        Self::Accepted(Accepted::Invalid),
        Self::Accepted(Accepted::PortConflict),
        Self::Resolved(Resolved::Resolved),
        Self::Resolved(Resolved::NoMatch),
        Self::Resolved(Resolved::ServiceNotFound),
        Self::Resolved(Resolved::PodNotFound),
        Self::Resolved(Resolved::AddressRefused),
    ];

    /// The condition that has this reason.
    pub fn kind(self) -> ConditionType {
        match self {
            Self::Ready(_) => ConditionType::Ready,
            Self::Accepted(_) => ConditionType::Accepted,
            Self::Resolved(_) => ConditionType::Resolved,
        }
    }

    /// Whether the condition holds for this reason.
    pub fn holds(self) -> Holds {
        match self {
            Self::Ready(Ready::Serving)
            | Self::Accepted(Accepted::Accepted | Accepted::VisibilityNarrowed)
            | Self::Resolved(Resolved::Resolved) => Holds::True,
            Self::Ready(Ready::NoInstances | Ready::NoneServing | Ready::NotAccepted)
            | Self::Accepted(Accepted::Invalid | Accepted::PortConflict)
            | Self::Resolved(
                Resolved::NoMatch
                | Resolved::ServiceNotFound
                | Resolved::PodNotFound
                | Resolved::AddressRefused,
            ) => Holds::False,
        }
    }

    /// The word in the status; alerts and scripts hold on to it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready(Ready::Serving) => "Serving",
            Self::Ready(Ready::NoInstances) => "NoInstances",
            Self::Ready(Ready::NoneServing) => "NoneServing",
            Self::Ready(Ready::NotAccepted) => "NotAccepted",
            Self::Accepted(Accepted::Accepted) => "Accepted",
            Self::Accepted(Accepted::VisibilityNarrowed) => "VisibilityNarrowed",
            Self::Accepted(Accepted::Invalid) => "Invalid",
            Self::Accepted(Accepted::PortConflict) => "PortConflict",
            Self::Resolved(Resolved::Resolved) => "Resolved",
            Self::Resolved(Resolved::NoMatch) => "NoMatch",
            Self::Resolved(Resolved::ServiceNotFound) => "ServiceNotFound",
            Self::Resolved(Resolved::PodNotFound) => "PodNotFound",
            Self::Resolved(Resolved::AddressRefused) => "AddressRefused",
        }
    }
}

impl fmt::Display for ConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Ready> for ConditionReason {
    fn from(reason: Ready) -> Self {
        Self::Ready(reason)
    }
}

impl From<Accepted> for ConditionReason {
    fn from(reason: Accepted) -> Self {
        Self::Accepted(reason)
    }
}

impl From<Resolved> for ConditionReason {
    fn from(reason: Resolved) -> Self {
        Self::Resolved(reason)
    }
}

// === impl Finding ===

impl Finding {
    pub fn new(reason: impl Into<ConditionReason>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let none = [Finding::new(Ready::NoInstances, "no pod matches")];
        let first = conditions(&[], &none, Some(1), &at(1));
        assert_eq!((first[0].type_.as_str(), first[0].status.as_str()), ("Ready", "False"));
        assert_eq!(first[0].last_transition_time, at(1));

        let same = conditions(&first, &none, Some(1), &at(2));
        assert_eq!(same, first, "nothing changed, so nothing is to be written");

        let other_reason =
            conditions(&first, &[Finding::new(Ready::NoneServing, "3 are Failing")], Some(2), &at(3));
        assert_eq!(other_reason[0].last_transition_time, at(1), "still False");
        assert_eq!(
            (other_reason[0].reason.as_str(), other_reason[0].observed_generation),
            ("NoneServing", Some(2))
        );

        let ready = conditions(&other_reason, &[Finding::new(Ready::Serving, "")], Some(2), &at(4));
        assert_eq!((ready[0].status.as_str(), &ready[0].last_transition_time), ("True", &at(4)));
        let back = conditions(&ready, &none, Some(2), &at(5));
        assert_eq!(back[0].last_transition_time, at(5), "not the time of the False before");
    }

    #[test]
    fn conditions_are_those_found_each_once_and_in_order() {
        let foreign = Condition {
            type_: "Green".to_owned(),
            status: "True".to_owned(),
            reason: "Painted".to_owned(),
            message: String::new(),
            last_transition_time: at(0),
            observed_generation: None,
        };
        let found = [
            Finding::new(Resolved::NoMatch, "x".repeat(5_000)),
            Finding::new(Ready::NoInstances, ""),
            Finding::new(Accepted::VisibilityNarrowed, "billing shows it to fewer"),
            Finding::new(Ready::Serving, "a second word on the same"),
        ];
        let written = conditions(&[foreign], &found, None, &at(9));
        let said: Vec<_> = written.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
        assert_eq!(said, [("Accepted", "True"), ("Ready", "False"), ("Resolved", "False")]);
        assert_eq!(written[2].message.len(), MESSAGE_CHARS_MAX);
    }
}
