//! Who opens a session: the API server says which pod a token is bound to, the index says everything else.

mod doubts;

use std::{
    collections::HashMap,
    future::Future,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use rollcall_catalogue::{PodFacts, PodUid};
use rollcall_net::time_of_day;
use rollcall_wire::limits::TOKEN_BYTES_MAX;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use self::doubts::Doubts;
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
/// How long a token that is no good is known to be none: long enough that a sidecar which shows it again and again
/// costs nothing, and short enough for an API server that was wrong.
const REFUSED_FOR: Duration = Duration::from_secs(10);
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
    #[error("authorization: the token is for another audience; mount one of audience `rollcall`")]
    Audience,
    #[error("authorization: the token's pod is not known; it is gone, or of another cluster")]
    UnknownPod,
    #[error("authorization: too many tokens from this address are no good, or under review; try again later")]
    TooMany,
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
    doubts: Doubts,
}

#[derive(Debug, Clone)]
struct Known {
    pod: PodUid,
    until: SystemTime,
}

/// Holds what a token says of itself, which nobody has checked.
#[derive(Debug, serde::Deserialize)]
struct Claims {
    #[serde(default)]
    exp: Option<u64>,
    #[serde(default)]
    aud: Option<Audience>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

// === impl AuthError ===

impl AuthError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotBound | Self::Audience | Self::UnknownPod => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
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
        let places = Semaphore::new(REVIEWS_MAX);
        Self { reviewer, index, places, known: Mutex::default(), doubts: Doubts::default() }
    }

    /// The pod that these headers speak for, as the index knows it; they came from this address.
    pub async fn authenticate(&self, headers: &HeaderMap, peer: IpAddr) -> Result<PodFacts, AuthError> {
        let token = bearer(headers).ok_or(AuthError::NoToken)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let uid = match self.recall(&digest) {
            Some(uid) => uid,
            None => self.review(token, digest, peer).await?,
        };
        let facts = self.find(&uid).await?;
        if facts.is_none() {
            // The index is asked again for a moment, and then the API server: it knows which of them is late.
            let soon = time_of_day() + REFUSED_FOR;
            if let Some(known) = self.known().get_mut(&digest) {
                known.until = known.until.min(soon);
            }
        }
        facts.ok_or(AuthError::UnknownPod)
    }

    /// Asks the API server, unless the answer is known to be no.
    async fn review(&self, token: &str, digest: [u8; 32], peer: IpAddr) -> Result<PodUid, AuthError> {
        // By the token's own word, which is believed as long as it speaks against itself. What the API server says of
        // such a token is the same as what it says of a forged one.
        if claims(token).is_some_and(|claims| !claims.are_for(AUDIENCE)) {
            return Err(AuthError::Audience);
        }
        let _peer_place = self.doubts.enter(&digest, peer)?;
        let review = timeout(REVIEW_MAX, async {
            let _place = self.places.acquire().await.map_err(|_| AuthError::Unavailable)?;
            self.reviewer.review(token).await
        });
        match review.await.unwrap_or(Err(AuthError::Unavailable)) {
            Ok(Review { pod }) => {
                self.remember(digest, &pod, token);
                Ok(pod)
            }
            Err(error) => {
                if matches!(error, AuthError::Unauthenticated | AuthError::NotBound) {
                    self.doubts.refused(digest, peer, &error);
                }
                Err(error)
            }
        }
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
        known.get(digest).filter(|known| known.until > time_of_day()).map(|known| known.pod.clone())
    }

    fn remember(&self, digest: [u8; 32], pod: &PodUid, token: &str) {
        let now = time_of_day();
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
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims(token)?.exp?))
}

/// What a token says of itself; none where it is no JWT.
fn claims(token: &str) -> Option<Claims> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

// === impl Claims ===

impl Claims {
    /// Whether it says nothing against this audience.
    fn are_for(&self, audience: &str) -> bool {
        match &self.aud {
            None => true,
            Some(Audience::One(one)) => one == audience,
            Some(Audience::Many(all)) => all.iter().any(|one| one == audience),
        }
    }
}

#[cfg(test)]
mod tests;
