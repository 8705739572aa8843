//! Who opens a session: the API server says which pod a token is bound to, the index says everything else.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use rollcall_catalogue::{PodFacts, PodUid};
use rollcall_wire::limits::TOKEN_BYTES_MAX;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use crate::{
    operate::{WriteCounts, WriteKind},
    owner::{IndexHandle, OwnerGone},
};

/// What a token must be made for: one for the API server or for another service opens nothing here.
pub const AUDIENCE: &str = "rollcall";
/// The API server's word on the pod that a token is bound to.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// An API server that takes longer counts as unreachable; the sidecar comes back.
const REVIEW_MAX: Duration = Duration::from_secs(5);
/// Reviews at a time: each is a connection to the API server, and a whole fleet may come at once.
const REVIEWS_MAX: usize = 16;
/// Tokens remembered: twice the sessions of one replica, since a token is renewed while its session lives.
const TOKENS_MAX: usize = 8_192;
/// How long a token whose end cannot be read is remembered.
const UNDATED_FOR: Duration = Duration::from_secs(60);
/// How long the pod watch may lag behind the API server's reviews.
const LAG_MAX: Duration = Duration::from_secs(2);
/// How often the index is asked meanwhile.
const LAG_POLL: Duration = Duration::from_millis(50);

/// Says why a session is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthError {
    #[error(
        "authorization: no bearer token; send `Authorization: Bearer` with a token of audience `rollcall`"
    )]
    NoToken,
    #[error("authorization: refused by the API server; send a current token of audience `rollcall`")]
    Unauthenticated,
    #[error("authorization: the token is bound to no pod; mount a projected service-account token")]
    NotBound,
    #[error("authorization: the token's pod is not known; it is gone, or of another cluster")]
    UnknownPod,
    #[error("the API server cannot be asked now; try again shortly")]
    Unavailable,
}

/// Holds what a review found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The pod that the token is bound to.
    pub pod: PodUid,
}

/// Asks whether a token is good; the API server in life, a table in tests.
pub trait Reviewer: Send + Sync + 'static {
    fn review(&self, token: &str) -> impl Future<Output = Result<Review, AuthError>> + Send;
}

/// Asks the API server.
#[derive(Clone)]
pub struct KubeReviewer {
    pub client: Client,
    pub writes: Arc<WriteCounts>,
}

/// Holds which tokens were found good, by their SHA-256, until they end: a token is reviewed once, and a sidecar
/// that comes back is known even while the API server is away.
#[derive(Debug)]
pub struct Authenticator<R> {
    reviewer: R,
    index: IndexHandle,
    places: Semaphore,
    known: Mutex<HashMap<[u8; 32], Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    pod: PodUid,
    until: SystemTime,
}

// === impl AuthError ===

impl AuthError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotBound | Self::UnknownPod => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<OwnerGone> for AuthError {
    fn from(_: OwnerGone) -> Self {
        Self::Unavailable
    }
}

// === impl KubeReviewer ===

impl Reviewer for KubeReviewer {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        let spec =
            TokenReviewSpec { audiences: Some(vec![AUDIENCE.to_owned()]), token: Some(token.to_owned()) };
        let request = TokenReview { spec, ..TokenReview::default() };
        let api = Api::<TokenReview>::all(self.client.clone());
        self.writes.count(WriteKind::TokenReview);
        let answer = api.create(&PostParams::default(), &request).await.map_err(|error| {
            warn!(%error, "no answer to a token review");
            AuthError::Unavailable
        })?;
        let status = answer.status.unwrap_or_default();
        // An authenticator that knows no audiences leaves them out: then nobody checked ours.
        let ours = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
        if status.authenticated != Some(true) || !ours {
            return Err(AuthError::Unauthenticated);
        }
        let extra = status.user.and_then(|user| user.extra).unwrap_or_default();
        match extra.get(POD_UID).map(Vec::as_slice) {
            Some([uid]) => Ok(Review { pod: uid.as_str().into() }),
            _ => Err(AuthError::NotBound),
        }
    }
}

// === impl Authenticator ===

impl<R: Reviewer> Authenticator<R> {
    pub fn new(reviewer: R, index: IndexHandle) -> Self {
        Self { reviewer, index, places: Semaphore::new(REVIEWS_MAX), known: Mutex::default() }
    }

    /// The pod that these headers speak for, as the index knows it.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<PodFacts, AuthError> {
        let token = bearer(headers).ok_or(AuthError::NoToken)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let uid = match self.recall(&digest) {
            Some(uid) => uid,
            None => {
                let review = timeout(REVIEW_MAX, async {
                    let _place = self.places.acquire().await.map_err(|_| AuthError::Unavailable)?;
                    self.reviewer.review(token).await
                });
                let Review { pod } = review.await.map_err(|_| AuthError::Unavailable)??;
                self.remember(digest, &pod, token);
                pod
            }
        };
        let facts = self.find(&uid).await?;
        if facts.is_none() {
            self.known().remove(&digest);
        }
        facts.ok_or(AuthError::UnknownPod)
    }

    async fn find(&self, uid: &PodUid) -> Result<Option<PodFacts>, OwnerGone> {
        let deadline = Instant::now() + LAG_MAX;
        loop {
            let facts = self.index.pod(uid.clone()).await?;
            if facts.is_some() || Instant::now() >= deadline {
                return Ok(facts);
            }
            sleep(LAG_POLL).await;
        }
    }

    fn recall(&self, digest: &[u8; 32]) -> Option<PodUid> {
        let known = self.known();
        known.get(digest).filter(|known| known.until > SystemTime::now()).map(|known| known.pod.clone())
    }

    fn remember(&self, digest: [u8; 32], pod: &PodUid, token: &str) {
        let now = SystemTime::now();
        let until = expiry(token).unwrap_or(now + UNDATED_FOR);
        let mut known = self.known();
        if known.len() >= TOKENS_MAX {
            known.retain(|_, known| known.until > now);
        }
        if known.len() >= TOKENS_MAX
            && let Some(soonest) =
                known.iter().min_by_key(|(_, known)| known.until).map(|(digest, _)| *digest)
        {
            known.remove(&soonest);
        }
        known.insert(digest, Known { pod: pod.clone(), until });
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Known>> {
        // A map stays whole whoever panicked while holding it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= TOKEN_BYTES_MAX;
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
}

/// When a token ends, by its own claim; only asked of tokens that the API server has just found good.
fn expiry(token: &str) -> Option<SystemTime> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: u64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Claims { exp } = serde_json::from_slice(&payload).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(exp))
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
