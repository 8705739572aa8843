//! What is said to who gets no session, and when he is to come back.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use rollcall_net::Jitter;
use rollcall_wire::SERVING;
use thiserror::Error;

use super::server::Body;
use crate::auth::AuthError;

/// When whoever is refused for the moment comes back: as soon as a list takes to be complete.
const RETRY_SOON: Duration = Duration::from_secs(1);
/// The same where there are too many: what they wait for takes as long as their bad tokens are remembered.
const RETRY_LATE: Duration = Duration::from_secs(10);

/// Says why a request opens no session.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("no such path; use POST /v1/session, or, between replicas, POST /v1/peer")]
    NotFound,
    #[error("method not allowed; use POST")]
    Method,
    #[error("{0}; dial {1}")]
    Elsewhere(Closed, SocketAddr),
    #[error("{0}; try again shortly")]
    Nowhere(Closed),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error("all sessions of this replica are taken; dial {0}")]
    FullHere(SocketAddr),
    #[error("all sessions of this replica are taken; try another one, or later")]
    Full,
    #[error("all links of this replica are taken; run fewer replicas, or try later")]
    Linked,
}

/// Says why a replica lets nobody in.
#[derive(Debug, Clone, Copy, Error)]
pub(super) enum Closed {
    #[error("the catalogue is not complete yet")]
    Incomplete,
    #[error("this replica has just begun, and does not know yet what the others know")]
    NotMet,
    #[error("this replica is about to end")]
    Leaving,
    #[error("other replicas know more of Kubernetes than this one")]
    Behind,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Auth(error) => error.status(),
            Self::Elsewhere(..) | Self::Nowhere(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::FullHere(_) | Self::Full | Self::Linked => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Full::from(format!("{self}\n")).boxed_unsync());
        let status = self.status();
        *response.status_mut() = status;
        let after = match status {
            StatusCode::SERVICE_UNAVAILABLE => Some(RETRY_SOON),
            StatusCode::TOO_MANY_REQUESTS => Some(RETRY_LATE),
            _ => None,
        };
        if let Some(after) = after {
            // Spread over as long again, so that those who are refused together do not come back together.
            let seconds = (after + Jitter::from_entropy().up_to(after)).as_secs();
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if let Self::Elsewhere(_, serving) | Self::FullHere(serving) = self
            && let Ok(serving) = HeaderValue::from_str(&serving.to_string())
        {
            response.headers_mut().insert(SERVING, serving);
        }
        response
    }
}
