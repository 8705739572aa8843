//! Who opens a session: the API server says which pod a token is bound to, the index says everything else. And who is
//! another replica: whoever has our own service account, by a token that is for this alone.

mod doubts;
mod known;
mod renew;

use std::{
    future::Future,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
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

pub use self::known::KnownTokens;
use self::{doubts::Doubts, known::TokenDigest};
pub(crate) use self::{
    known::{Shown, TOLD_MAX},
    renew::Renews,
};
use crate::{
    operate::{WriteCounts, WriteKind},
    owner::{IndexHandle, OwnerGone},
};

/// What a token must be made for: one for the API server or for another service opens nothing here.
pub const AUDIENCE: &str = "rollcall";
/// What the token of another replica must be made for: a sidecar's is not, and this one opens no session.
pub const REPLICA_AUDIENCE: &str = "rollcall-replica";
/// The API server's word on the pod that a token is bound to.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// An API server that takes longer counts as unreachable; the sidecar comes back.
const REVIEW_MAX: Duration = Duration::from_secs(5);
/// Reviews at a time: each is a connection to the API server, and a whole fleet may come at once.
const REVIEWS_MAX: usize = 16;
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
    #[error("authorization: the token is for another audience; mount one of audience `{wanted}`")]
    Audience { wanted: &'static str },
    #[error("authorization: the token is of another service account than the controller's own")]
    NoReplica,
    #[error("authorization: the token's pod is not known; it is gone, or of another cluster")]
    UnknownPod,
    #[error("authorization: the renewed token is bound to another pod than the session")]
    AnotherPod,
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
    /// Of a sidecar, which is bound to its pod.
    fn review(&self, token: &str) -> impl Future<Output = Result<Review, AuthError>> + Send;

    /// Of another replica. Nobody is one where replicas are not known.
    fn review_replica(&self, _token: &str) -> impl Future<Output = Result<(), AuthError>> + Send {
        std::future::ready(Err(AuthError::NoReplica))
    }
}

/// Asks the API server.
#[derive(Clone)]
pub struct KubeReviewer {
    pub client: Client,
    pub writes: Arc<WriteCounts>,
    /// Who all replicas are, by the API server's word.
    pub replica_user: String,
}

/// Holds who was found good, until his token ends, and who was not.
#[derive(Debug)]
pub struct Authenticator<R> {
    reviewer: R,
    index: IndexHandle,
    places: Semaphore,
    /// Of sidecars: those that were reviewed here, and at other replicas.
    tokens: Arc<KnownTokens>,
    /// Of replicas, which tell nobody.
    replicas: KnownTokens,
    doubts: Doubts,
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
            Self::NotBound
            | Self::Audience { .. }
            | Self::NoReplica
            | Self::UnknownPod
            | Self::AnotherPod => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether it says nothing of the token.
    fn is_for_now(&self) -> bool {
        matches!(self, Self::TooMany | Self::Unavailable)
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
        let extra = self.user(token, AUDIENCE).await?.extra.unwrap_or_default();
        match extra.get(POD_UID).map(Vec::as_slice) {
            Some([uid]) => Ok(Review { pod: uid.as_str().into() }),
            _ => Err(AuthError::NotBound),
        }
    }

    async fn review_replica(&self, token: &str) -> Result<(), AuthError> {
        let user = self.user(token, REPLICA_AUDIENCE).await?;
        if user.username.as_deref() == Some(&*self.replica_user) { Ok(()) } else { Err(AuthError::NoReplica) }
    }
}

impl KubeReviewer {
    /// Whose token it is, if it is good for this audience.
    async fn user(&self, token: &str, audience: &str) -> Result<UserInfo, AuthError> {
        let spec =
            TokenReviewSpec { audiences: Some(vec![audience.to_owned()]), token: Some(token.to_owned()) };
        let request = TokenReview { spec, ..TokenReview::default() };
        let api = Api::<TokenReview>::all(self.client.clone());
        self.writes.count(WriteKind::TokenReview);
        let answer = api.create(&PostParams::default(), &request).await.map_err(|error| {
            warn!(%error, "no answer to a token review");
            AuthError::Unavailable
        })?;
        let status = answer.status.unwrap_or_default();
        // An authenticator that knows no audiences leaves them out: then nobody checked ours.
        let ours = status.audiences.iter().flatten().any(|known| known == audience);
        if status.authenticated != Some(true) || !ours {
            return Err(AuthError::Unauthenticated);
        }
        Ok(status.user.unwrap_or_default())
    }
}

/// Who a service account is, by the API server's word.
pub fn user_of(namespace: &str, service_account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{service_account}")
}

// === impl Authenticator ===

impl<R: Reviewer> Authenticator<R> {
    pub fn new(reviewer: R, index: IndexHandle, tokens: Arc<KnownTokens>) -> Self {
        let places = Semaphore::new(REVIEWS_MAX);
        Self { reviewer, index, places, tokens, replicas: KnownTokens::default(), doubts: Doubts::default() }
    }

    /// The pod that these headers speak for, as the index knows it; they came from this address.
    pub async fn authenticate(&self, headers: &HeaderMap, peer: IpAddr) -> Result<PodFacts, AuthError> {
        let token = bearer(headers).ok_or(AuthError::NoToken)?;
        let digest: TokenDigest = Sha256::digest(token.as_bytes()).into();
        let uid = match self.tokens.recall(&digest) {
            Some(uid) => uid,
            None => {
                let asked = self.review(token, AUDIENCE, digest, peer, self.reviewer.review(token));
                let Review { pod } = asked.await?;
                self.tokens.reviewed(digest, &pod, end(token));
                pod
            }
        };
        let facts = self.find(&uid).await?;
        if facts.is_none() {
            // The index is asked again for a moment, and then the API server: it knows which of them is late.
            self.tokens.doubt(&digest, time_of_day() + REFUSED_FOR);
        }
        facts.ok_or(AuthError::UnknownPod)
    }

    /// Whether these headers are another replica's; they came from this address.
    pub async fn authenticate_replica(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(), AuthError> {
        self.let_in_replica(bearer(headers).ok_or(AuthError::NoToken)?, peer).await
    }

    async fn let_in_replica(&self, token: &str, peer: IpAddr) -> Result<(), AuthError> {
        // Another digest than that of the same token at the other door: what is refused there may be good here.
        let digest: TokenDigest =
            Sha256::new().chain_update(REPLICA_AUDIENCE).chain_update(token).finalize().into();
        if self.replicas.recall(&digest).is_none() {
            let asked = self.reviewer.review_replica(token);
            self.review(token, REPLICA_AUDIENCE, digest, peer, asked).await?;
            self.replicas.reviewed(digest, &PodUid::from(""), end(token));
        }
        Ok(())
    }

    /// Asks the API server, unless the answer is known to be no.
    async fn review<T>(
        &self,
        token: &str,
        audience: &'static str,
        digest: TokenDigest,
        peer: IpAddr,
        asked: impl Future<Output = Result<T, AuthError>>,
    ) -> Result<T, AuthError> {
        // By the token's own word, which is believed as long as it speaks against itself. What the API server says of
        // such a token is the same as what it says of a forged one.
        if claims(token).is_some_and(|claims| !claims.are_for(audience)) {
            return Err(AuthError::Audience { wanted: audience });
        }
        let _peer_place = self.doubts.enter(&digest, peer)?;
        let review = timeout(REVIEW_MAX, async {
            let _place = self.places.acquire().await.map_err(|_| AuthError::Unavailable)?;
            asked.await
        });
        let reviewed = review.await.unwrap_or(Err(AuthError::Unavailable));
        self.tokens.asked(!matches!(reviewed, Err(AuthError::Unavailable)));
        if let Err(error @ (AuthError::Unauthenticated | AuthError::NotBound | AuthError::NoReplica)) =
            &reviewed
        {
            self.doubts.refused(digest, peer, error);
        }
        reviewed
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
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= TOKEN_BYTES_MAX;
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
}

/// Until when a token that is good is remembered.
fn end(token: &str) -> SystemTime {
    expiry(token).unwrap_or_else(|| time_of_day() + UNDATED_FOR)
}

/// When a token ends, by its own claim; only asked of tokens that the API server has just found good.
fn expiry(token: &str) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims(token)?.exp?))
}

/// What these headers have shown, of whom they were found to speak for.
pub(crate) fn shown(headers: &HeaderMap, pod: &PodUid) -> Option<Shown> {
    let digest = Sha256::digest(bearer(headers)?.as_bytes()).into();
    Some(Shown { digest, pod: pod.clone() })
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
