//! The gate of a start: whether what an app needs is there, or when it is.

use futures::future::join_all;
use http::StatusCode;
use rollcall_catalogue::{Query, ServiceRef, shortened};
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

/// Services that one app needs to start: more than anybody could name who knows his app.
const NEEDS_MAX: usize = 64;

/// Holds what is needed of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Need {
    service: ServiceRef,
    count: usize,
}

// === impl Api ===

impl Api {
    pub(super) async fn gate(&self, query: Option<&str>) -> Result<Answer, Problem> {
        let parameters = parameters(query)?;
        only(&parameters, &["deps", "wait"])?;
        let needs = one(&parameters, "deps")?.ok_or_else(|| {
            invalid("deps: missing".to_owned()).hint("name what is needed, as deps=orders>=2,billing")
        })?;
        let needs = needs.split(',').map(need).collect::<Result<Vec<_>, _>>()?;
        if needs.len() > NEEDS_MAX {
            let detail = format!("deps: {} services are too many", needs.len());
            return Err(invalid(detail).hint(format!("name at most {NEEDS_MAX}")));
        }
        let wait = time(&parameters, "wait", WAIT_MAX)?.unwrap_or_default();
        let _place = self.place()?;
        let now = Instant::now();
        // A first answer is waited for as by any lookup.
        let (first, until) = (now + wait.max(FIRST_ANSWER_MAX), now + wait);
        let mut follows = join_all(needs.iter().map(|need| self.begun(need, first))).await;
        loop {
            let deps: Vec<_> = needs.iter().zip(&follows).map(|(need, follow)| need.met_by(follow)).collect();
            let ready = deps.iter().all(|dep| dep.have >= dep.need);
            if ready || Instant::now() >= until {
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                return Ok(dated(json(status, ready_body(ready, &deps)), self.standing(None)));
            }
            // One may go while another comes: all of them count at the same time.
            let met = needs.iter().zip(&mut follows).map(|(need, follow)| need.met(follow.as_mut()));
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

// === impl Need ===

impl Need {
    fn met_by(&self, follow: &Option<Follow>) -> Needed {
        let have = follow.as_ref().map_or(0, |follow| callable(&follow.known()));
        Needed { service: self.service.to_string(), need: self.count, have }
    }

    async fn met(&self, follow: Option<&mut Follow>) {
        match follow {
            Some(follow) => drop(follow.until(|known| callable(known) >= self.count).await),
            // Nobody knows of it by now; the time is over.
            None => std::future::pending().await,
        }
    }
}

/// How many instances a lookup would tell of.
fn callable(known: &Known) -> usize {
    match known {
        Known::Service(held) => Query::default().select(&held.service).len(),
        _ => 0,
    }
}

/// As the annotation `rollcall.dev/requires` has it: `orders`, or `orders>=2`.
fn need(text: &str) -> Result<Need, Problem> {
    let (service, count) = match text.split_once(">=") {
        Some((service, count)) => (service.trim(), count.trim()),
        None => (text.trim(), "1"),
    };
    let digits = count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse().ok().filter(|count| digits && *count > 0).ok_or_else(|| {
        invalid(format!("deps: `{}` is no number of instances", shortened(count)))
            .hint("use a number from 1 on, as in orders>=2")
    })?;
    let service = service.parse().map_err(|error: rollcall_catalogue::NameError| {
        invalid(format!("deps: {error}"))
            .hint("use `service` or `service.namespace`, with commas between them")
    })?;
    Ok(Need { service, count })
}

fn invalid(detail: String) -> Problem {
    Problem::new(Slug::InvalidQuery, detail).field("deps")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_written_as_in_the_annotation() {
        for (text, service, count) in [
            ("orders", "orders", 1),
            ("orders.shop", "orders.shop", 1),
            ("orders>=2", "orders", 2),
            (" orders.shop >= 10 ", "orders.shop", 10),
        ] {
            assert_eq!(need(text).unwrap(), Need { service: service.parse().unwrap(), count }, "{text}");
        }
        for bad in [
            "",
            "orders>=",
            "orders>=0",
            "orders>=-1",
            "orders>=+1",
            "orders>=x",
            "orders>2",
            ">=2",
            "Orders",
            "a.b.c",
            "orders=2",
        ] {
            let problem = need(bad).unwrap_err();
            assert!(problem.slug == Slug::InvalidQuery && problem.hint.is_some(), "{bad}");
        }
    }
}
