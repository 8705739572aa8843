//! What comes of a frame: for whoever runs the machine, or against the peer.

use std::{net::SocketAddr, sync::Arc};

use rollcall_catalogue::{Service, ServiceKey, changes::Mismatch};
use thiserror::Error;

use crate::{frame::PodIdentity, question::Told, registration::RegistrationKey};

/// Says what a frame changes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session is open, as this pod.
    Welcomed {
        replica: String,
        pod: PodIdentity,
    },
    /// Whom to believe and where to call from now on, as far as it is told: whether that can be is for others to judge.
    Way {
        /// In PEM.
        ca: Option<Arc<str>>,
        controller: Option<SocketAddr>,
    },
    /// What is shown is another content than before, under a higher revision than any that was shown of this name.
    Changed {
        key: ServiceKey,
        service: Arc<Service>,
    },
    /// The service has no room here: it is not held, and not wanted any more.
    TooLarge {
        key: ServiceKey,
    },
    /// There is no such service (any more), and nothing is shown of it.
    Gone {
        key: ServiceKey,
    },
    /// All that the controller had to say is said, and [`super::Client::in_step`] may have turned.
    Synced,
    /// The list of services is another one.
    SummaryChanged,
    Registered {
        key: RegistrationKey,
    },
    /// What the app registered last under this key is refused, and forgotten here.
    Rejected {
        key: RegistrationKey,
        reason: String,
        field: Option<String>,
    },
    /// The pod is other instances than before, or they are to be looked after otherwise.
    DutiesChanged,
    /// The answer to the question of this number.
    Told {
        ask: u64,
        told: Told,
    },
    Drained {
        ask: u64,
        drained: Drained,
    },
    /// The controller ends the session.
    Dismissed {
        reason: String,
        /// Where the next one is to be opened, at once.
        dial: Option<SocketAddr>,
    },
}

/// Holds the answer to a `drain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Nobody is late.
    pub complete: bool,
    /// Whether the pod is going at all.
    pub terminating: bool,
    pub acked: u32,
    pub subscribers: u32,
    /// Pods that have not acknowledged, as `namespace/name`; not all where they are many.
    pub late: Vec<String>,
    pub elapsed_ms: u64,
}

/// Says what the controller did that it may not do. The session is over; the next one does not offer what is in doubt.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    #[error("welcome must be the first frame, and come once")]
    Welcome,
    #[error("the controller speaks another major version of the protocol; use images of one release")]
    Protocol,
    #[error("welcome: the name of the epoch is too long")]
    Epoch,
    #[error("{0}: the parts of a service do not fit together")]
    Parts(ServiceKey),
    #[error("{0}: a change of content that is not held here")]
    OutOfStep(ServiceKey),
    #[error("{key}: {mismatch}")]
    Content { key: ServiceKey, mismatch: Mismatch },
    #[error("{0}: an older revision after a newer one, or one that no clock comes to")]
    Revision(ServiceKey),
    #[error("an older cursor after a newer one")]
    Cursor,
    #[error("the list of services is larger than any may be")]
    Summary,
    #[error("more instances of one pod than there may be")]
    Duties,
    #[error("an answer to nothing that was asked, or one that does not end")]
    Answer,
    #[error("a position of more kinds than anybody watches")]
    Position,
    #[error("the controller was silent for too long")]
    Silent,
}

/// Says that there is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what}: no more than {max}; take one back first")]
pub struct Full {
    pub what: &'static str,
    pub max: usize,
}

/// Says what the next session must not offer as held.
pub(super) enum Doubt<'a> {
    Nothing,
    Service(&'a ServiceKey),
    All,
}

// === impl Violation ===

impl Violation {
    pub(super) fn doubt(&self) -> Doubt<'_> {
        match self {
            Self::Parts(key) | Self::OutOfStep(key) | Self::Content { key, .. } | Self::Revision(key) => {
                Doubt::Service(key)
            }
            // Of services nothing wrong was said.
            Self::Silent | Self::Duties | Self::Answer | Self::Position => Doubt::Nothing,
            Self::Welcome | Self::Protocol | Self::Epoch | Self::Cursor | Self::Summary => Doubt::All,
        }
    }
}
