//! The names of the policies, as a `ServiceRegistration` and as a query spell them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{names::shortened, registration::ValueError};

/// Says how an instance is chosen. JSON spells it as the resource does (`RoundRobin`), text as the query does
/// (`round-robin`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Policy {
    /// Any, all equally likely.
    Random,
    /// One after the other.
    #[default]
    RoundRobin,
    /// One after the other, each as often as its weight says.
    Weighted,
    /// The one with the fewest picks in flight for its weight; who has just come or returned gets no more than its
    /// share at first.
    LeastLoaded,
    /// The faster and less loaded of two that chance proposes.
    PowerOfTwo,
    /// The one that the key belongs to. Where a caller prefers its own zone, keys also move with the part of the
    /// traffic that the zone keeps: somewhat more than those of the instance that failed.
    ConsistentHash,
}

// === impl Policy ===

impl Policy {
    pub const ALL: [Self; 6] = [
        Self::Random,
        Self::RoundRobin,
        Self::Weighted,
        Self::LeastLoaded,
        Self::PowerOfTwo,
        Self::ConsistentHash,
    ];

    /// As a query spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::Weighted => "weighted",
            Self::LeastLoaded => "least-loaded",
            Self::PowerOfTwo => "p2c",
            Self::ConsistentHash => "hash",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or_else(|| ValueError {
            field: "policy",
            problem: format!("`{}` is no policy", shortened(text)),
            remedy: "use random, round-robin, weighted, least-loaded, p2c or hash",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings() {
        let table = [
            (Policy::Random, "random", "Random"),
            (Policy::RoundRobin, "round-robin", "RoundRobin"),
            (Policy::Weighted, "weighted", "Weighted"),
            (Policy::LeastLoaded, "least-loaded", "LeastLoaded"),
            (Policy::PowerOfTwo, "p2c", "PowerOfTwo"),
            (Policy::ConsistentHash, "hash", "ConsistentHash"),
        ];
        assert_eq!(table.map(|(policy, ..)| policy), Policy::ALL);
        for (policy, query, resource) in table {
            assert_eq!((query.parse(), policy.to_string().as_str()), (Ok(policy), query));
            let json = format!("\"{resource}\"");
            assert_eq!(serde_json::to_string(&policy).unwrap(), json);
            assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        }
        assert_eq!(Policy::default(), Policy::RoundRobin);
    }

    #[test]
    fn an_error_names_the_field_and_every_spelling_and_stays_short() {
        for wrong in ["", "RoundRobin", "Random", "p2c ", &"x".repeat(100_000)] {
            let error = wrong.parse::<Policy>().unwrap_err().to_string();
            assert!(error.starts_with("policy: ") && error.len() < 300, "{error}");
            assert!(Policy::ALL.iter().all(|policy| error.contains(policy.as_str())), "{error}");
        }
    }
}
