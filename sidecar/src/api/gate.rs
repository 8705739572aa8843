//! The gate of a start: whether what an app needs is there, or when it is.

use futures::future::join_all;
use http::StatusCode;
use rollcall_catalogue::{Need, NeedError, Query};
use rollcall_wire::{
    Problem, Slug,
    api::{Needed, ready_body},
    query::{one, only, parameters, time},
};
use tokio::time::{Instant, timeout_at};

use super::{
    Api,
    answer::{Answer, dated, json},
    follow::{Follow, taken},
    lookup::{FIRST_ANSWER_MAX, WAIT_MAX},
};
use crate::store::Known;

// === impl Api ===

impl Api {
    pub(super) async fn gate(&self, query: Option<&str>) -> Result<Answer, Problem> {
        let parameters = parameters(query)?;
        only(&parameters, &["deps", "wait"])?;
        let needs = one(&parameters, "deps")?.ok_or_else(|| {
            invalid("deps: missing".to_owned()).hint("name what is needed, as deps=orders>=2,billing")
        })?;
        let refused = |error: NeedError| invalid(format!("deps: {error}")).hint(error.remedy());
        let needs = Need::list(needs).map_err(refused)?;
        let wait = time(&parameters, "wait", WAIT_MAX)?.unwrap_or_default();
        let _place = self.place()?;
        let now = Instant::now();
        // A first answer is waited for as by any lookup.
        let (first, until) = (now + wait.max(FIRST_ANSWER_MAX), now + wait);
        let mut follows = join_all(needs.iter().map(|need| self.begun(need, first))).await;
        loop {
            let deps: Vec<_> = needs.iter().zip(&follows).map(|(need, follow)| have(need, follow)).collect();
            let ready = deps.iter().all(|dep| dep.have >= dep.need);
            if ready || Instant::now() >= until {
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                return Ok(dated(json(status, ready_body(ready, &deps)), self.standing(None)));
            }
            // One may go while another comes: all of them count at the same time.
            let met = needs.iter().zip(&mut follows).map(|(need, follow)| met(need, follow.as_mut()));
            let _ = timeout_at(until, join_all(met)).await;
        }
    }

    /// The place of what is needed, and something known of it; none by this time.
    async fn begun(&self, need: &Need, first: Instant) -> Option<Follow> {
        let begin = async {
            let key = self.resolved(&need.service).await;
            let slot = taken(&self.store, &self.errands, &key).await;
            let mut follow = Follow::new(&self.store, &self.errands, slot);
            follow.until(|known| !matches!(known, Known::Awaited)).await;
            follow
        };
        timeout_at(first, begin).await.ok()
    }
}

fn have(need: &Need, follow: &Option<Follow>) -> Needed {
    let have = follow.as_ref().map_or(0, |follow| callable(&follow.known()));
    Needed { service: need.service.to_string(), need: need.count, have }
}

async fn met(need: &Need, follow: Option<&mut Follow>) {
    match follow {
        Some(follow) => drop(follow.until(|known| callable(known) >= need.count).await),
        // Nobody knows of it by now; the time is over.
        None => std::future::pending().await,
    }
}

/// How many instances a lookup would tell of.
fn callable(known: &Known) -> usize {
    match known {
        Known::Service(held) => Query::default().select(&held.service).len(),
        _ => 0,
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(Slug::InvalidQuery, detail).field("deps")
}
