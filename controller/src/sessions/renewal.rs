//! Whether a session's pod could come back at once: by the token that it has now, which the kubelet renews, and by what is
//! known of the API server that would have to review another one.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use rollcall_catalogue::PodUid;
use rollcall_wire::Token;
use tracing::{debug, info};

use crate::{
    auth::{AuthError, KnownTokens, Renews, Shown},
    index::Kind,
    operate::Metrics,
    owner::WATCH_STALE_AFTER,
};

/// A session whose pod might not be let in again lives so much longer, and then is looked at again.
pub(super) const PUT_OFF_BY: Duration = Duration::from_secs(600);
/// While reviews are answered, it is put off so often at most: within this hour a sidecar has shown its newest token, and one
/// that does not speak of it is reviewed when it comes back.
const PUT_OFF_MAX: u32 = 6;

/// Holds which token a session's peer has shown last, and the review of a newer one: one at a time.
pub(crate) struct Renewal {
    pod: PodUid,
    address: IpAddr,
    /// The last that was found good.
    shown: Option<Shown>,
    under_way: Option<BoxFuture<'static, Result<Shown, AuthError>>>,
    put_off: u32,
    reviewer: Arc<dyn Renews>,
    tokens: Arc<KnownTokens>,
    metrics: Metrics,
}

/// Whether the API server is not known to answer: reviews have failed, or Kubernetes is not heard.
pub(super) fn api_is_away(tokens: &KnownTokens, metrics: &Metrics) -> bool {
    let ages = metrics.watch_ages();
    tokens.reviews_fail() || Kind::ALL.iter().any(|kind| ages.age(*kind) > WATCH_STALE_AFTER)
}

/// Whether a session may end whose time is over: only where its pod is let in again whatever happens meanwhile.
fn expires(is_known: bool, is_away: bool, put_off: u32) -> bool {
    !is_away && (is_known || put_off >= PUT_OFF_MAX)
}

// === impl Renewal ===

impl Renewal {
    /// Of a peer that has just been let in, by this token.
    pub(super) fn new(
        pod: PodUid,
        address: IpAddr,
        shown: Option<Shown>,
        reviewer: Arc<dyn Renews>,
        tokens: Arc<KnownTokens>,
        metrics: Metrics,
    ) -> Self {
        Self { pod, address, shown, under_way: None, put_off: 0, reviewer, tokens, metrics }
    }

    /// The peer has this token now; a review that is under way is of an older one.
    pub(super) fn begin(&mut self, token: Token) {
        let reviewer = self.reviewer.clone();
        self.under_way = Some(reviewer.renew(token, self.pod.clone(), self.address));
    }

    /// Returns when the newest token is judged, which is nothing to the session. Safe to drop and call again.
    pub(super) async fn judged(&mut self) {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let judged = under_way.await;
        self.under_way = None;
        match judged {
            Ok(shown) => {
                debug!(pod = %self.pod, "a renewed token is known");
                self.shown = Some(shown);
            }
            Err(error) => info!(pod = %self.pod, %error, "a renewed token is not taken"),
        }
    }

    /// What the peer would come back with, where it was found good.
    pub(super) fn shown(&self) -> Option<Shown> {
        self.shown.clone().filter(|_| self.under_way.is_none())
    }

    /// Whether the session may end now that its time is over; if not, it is put off once more.
    pub(super) fn may_expire(&mut self) -> bool {
        let is_known = self.shown().is_some_and(|shown| self.tokens.knows(&shown));
        let may = expires(is_known, api_is_away(&self.tokens, &self.metrics), self.put_off);
        self.put_off += u32::from(!may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_where_its_pod_is_let_in_again() {
        let table = [
            (true, false, 0, true),
            (true, true, 0, false),
            (false, false, 0, false),
            (false, false, PUT_OFF_MAX - 1, false),
            (false, false, PUT_OFF_MAX, true),
            (false, true, PUT_OFF_MAX, false),
            (true, true, u32::MAX, false),
        ];
        for (is_known, is_away, put_off, expected) in table {
            assert_eq!(expires(is_known, is_away, put_off), expected, "{is_known} {is_away} {put_off}");
        }
    }
}
