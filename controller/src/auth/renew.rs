//! Tokens that are renewed while a session or a link is open: they are reviewed when they come, so that whoever loses it
//! comes back without a review.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use rollcall_catalogue::PodUid;
use rollcall_net::Jitter;
use rollcall_wire::Token;
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::{AUDIENCE, AuthError, Authenticator, Review, Reviewer, end, known::Shown};

/// Between two reviews of a token that nobody could judge: nobody waits for it, and a whole fleet may have such ones when
/// the API server is back. Up to as much again is added.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Reviews the tokens of who has come in already. Each answer takes as long as the API server does: it is asked again until
/// it says something, or the answer is dropped.
pub(crate) trait Renews: Send + Sync {
    /// A token of this very pod.
    fn renew(
        self: Arc<Self>,
        token: Token,
        pod: PodUid,
        peer: IpAddr,
    ) -> BoxFuture<'static, Result<Shown, AuthError>>;

    /// A token of another replica.
    fn renew_replica(
        self: Arc<Self>,
        token: Token,
        peer: IpAddr,
    ) -> BoxFuture<'static, Result<(), AuthError>>;
}

// === impl Authenticator ===

impl<R: Reviewer> Renews for Authenticator<R> {
    fn renew(
        self: Arc<Self>,
        token: Token,
        pod: PodUid,
        peer: IpAddr,
    ) -> BoxFuture<'static, Result<Shown, AuthError>> {
        async move {
            loop {
                match self.renewed(&token, &pod, peer).await {
                    Err(error) if error.is_for_now() => again().await,
                    judged => return judged,
                }
            }
        }
        .boxed()
    }

    fn renew_replica(
        self: Arc<Self>,
        token: Token,
        peer: IpAddr,
    ) -> BoxFuture<'static, Result<(), AuthError>> {
        async move {
            loop {
                match self.let_in_replica(token.secret(), peer).await {
                    Err(error) if error.is_for_now() => again().await,
                    judged => return judged,
                }
            }
        }
        .boxed()
    }
}

impl<R: Reviewer> Authenticator<R> {
    /// What is found out is remembered only where it is this pod's.
    async fn renewed(&self, token: &Token, pod: &PodUid, peer: IpAddr) -> Result<Shown, AuthError> {
        let token = token.secret();
        let digest = Sha256::digest(token.as_bytes()).into();
        let shown = Shown { digest, pod: pod.clone() };
        let is_ours = |of: &PodUid| if of == pod { Ok(()) } else { Err(AuthError::AnotherPod) };
        if let Some(known) = self.tokens.recall(&digest) {
            return is_ours(&known).map(|()| shown);
        }
        let asked = self.review(token, AUDIENCE, digest, peer, self.reviewer.review(token));
        let Review { pod: found } = asked.await?;
        is_ours(&found)?;
        self.tokens.reviewed(digest, pod, end(token));
        Ok(shown)
    }
}

async fn again() {
    sleep(AGAIN_AFTER + Jitter::from_entropy().up_to(AGAIN_AFTER)).await;
}
