//! What the consolidation has to say to those who registered something.

use thiserror::Error;

use crate::registration::{Source, Visibility};

/// Says what a registration did not get, and why. It stays in force in all else.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Finding {
    /// `Accepted=False`, reason `PortConflict`, for the newer one.
    #[error("ports: `{port}` is {winning} by an older registration{}, and not {losing}; rename the port, or give both the same number", of(.winner))]
    PortConflict { loser: Source, winner: Source, port: Box<str>, winning: u16, losing: u16 },
    /// Reason `VisibilityNarrowed`, for each wider one.
    #[error(
        "visibility: the service is seen in `{to}` only, because another registration of it asks for that; make them the same, or rename the service"
    )]
    VisibilityNarrowed { loser: Source, to: Visibility },
}

/// The name of the object, where it is one: a person looks for it.
fn of(source: &Source) -> String {
    match source {
        Source::Object { name, .. } => format!(" `{name}`"),
        Source::Annotation => " (the pod's annotation)".to_owned(),
        Source::Runtime(_) => " (the app's own)".to_owned(),
    }
}

// === impl Finding ===

impl Finding {
    /// Whom it is said to.
    pub fn loser(&self) -> &Source {
        match self {
            Self::PortConflict { loser, .. } | Self::VisibilityNarrowed { loser, .. } => loser,
        }
    }
}
