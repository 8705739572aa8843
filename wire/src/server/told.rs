//! What the peer holds of a service, by what it was told.

use std::sync::Arc;

use rollcall_catalogue::{ContentHash, InstanceId, Service};

/// Says what the peer holds of one service.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Nothing,
    /// It said so itself.
    Hash(ContentHash),
    Sent(Arc<Service>),
    /// It holds something else than it should: whatever is true is told again.
    Unsure,
}

// === impl Told ===

impl Told {
    pub(super) fn is(&self, current: Option<&Arc<Service>>) -> bool {
        match (self, current) {
            (Self::Nothing, None) => true,
            (Self::Nothing | Self::Unsure, _) => false,
            (_, current) => current.is_some_and(|service| self.held() == Some(service.hash)),
        }
    }

    /// The content from which a delta may start.
    pub(super) fn held(&self) -> Option<ContentHash> {
        match self {
            Self::Nothing | Self::Unsure => None,
            Self::Hash(hash) => Some(*hash),
            Self::Sent(service) => Some(service.hash),
        }
    }

    /// The instances that go with the service; of what it holds from elsewhere, the peer knows them better than we do.
    pub(super) fn ids(&self) -> impl Iterator<Item = &InstanceId> {
        let service = match self {
            Self::Sent(service) => Some(service),
            _ => None,
        };
        service.into_iter().flat_map(|service| service.instances.iter()).map(|instance| &instance.id)
    }
}
