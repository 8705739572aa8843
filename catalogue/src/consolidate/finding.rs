//! What the consolidation has to say to those who registered something.

use std::fmt;

use thiserror::Error;

use crate::{
    limits::{METADATA_JSON_BYTES_MAX, METADATA_KEYS_MAX, PORTS_MAX, TAGS_MAX},
    registration::{Port, Source, Transport, Visibility},
};

/// Says what a registration did not get, and why. It stays in force in all else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub enum Finding {
    /// `Accepted=False`, reason `PortConflict`, for the newer one. The winner is the name of the older object.
    /// Of several ports of one registration, the one whose name comes first.
    #[error(
        "ports: `{port}` is {winning} by an older registration `{winner}`, and not {losing}; rename the port, or give both the same number and protocol"
    )]
    PortConflict { loser: Source, winner: Box<str>, port: Box<str>, winning: Numbered, losing: Numbered },
    /// Reason `VisibilityNarrowed`, for each wider one.
    #[error(
        "visibility: the service is seen in `{to}` only, because another registration of it asks for that; make them the same, or rename the service"
    )]
    VisibilityNarrowed { loser: Source, to: Visibility },
    /// What several registrations say of one instance is more than an instance may have.
    #[error("{field}: {left_out} of these are left out, because an instance has room for {room}; {remedy}", room = field.room(), remedy = field.remedy())]
    LeftOut { loser: Source, field: Crowded, left_out: usize },
}

/// Holds a port's number and transport; written `53/UDP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Numbered {
    pub port: u16,
    pub transport: Transport,
}

/// Names what an instance has limited room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Crowded {
    Ports,
    Tags,
    Metadata,
}

// === impl Finding ===

impl Finding {
    /// Whom it is said to.
    pub fn loser(&self) -> &Source {
        match self {
            Self::PortConflict { loser, .. }
            | Self::VisibilityNarrowed { loser, .. }
            | Self::LeftOut { loser, .. } => loser,
        }
    }
}

// === impl Numbered ===

impl From<&Port> for Numbered {
    fn from(port: &Port) -> Self {
        Self { port: port.port, transport: port.transport }
    }
}

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
            Transport::Sctp => "SCTP",
        };
        write!(f, "{}/{transport}", self.port)
    }
}

// === impl Crowded ===

impl Crowded {
    fn room(self) -> String {
        match self {
            Self::Ports => PORTS_MAX.to_string(),
            Self::Tags => TAGS_MAX.to_string(),
            Self::Metadata => {
                format!("{METADATA_KEYS_MAX} keys and {} KiB", METADATA_JSON_BYTES_MAX / 1_024)
            }
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Ports => "name fewer ports in the registrations of the service together",
            Self::Tags => "use fewer tags in the registrations of the service together",
            Self::Metadata => "use fewer or shorter entries in the registrations of the service together",
        }
    }
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ports => "ports",
            Self::Tags => "tags",
            Self::Metadata => "metadata",
        })
    }
}
