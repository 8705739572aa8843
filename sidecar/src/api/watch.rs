//! A service as server-sent events: all of it, then what changes. Only the newest state is ever told: who reads slowly is
//! told of less, later, and no queue grows for him.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderName, Method, Request};
use hyper::body::Incoming;
use rollcall_catalogue::{Instance, InstanceId, Match, Service};
use rollcall_wire::{Problem, Slug, api::instance_body, query::parameters};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Duration, timeout},
};

use super::{
    Api,
    answer::{Answer, events},
    follow::Follow,
    lookup::Asked,
};
use crate::store::{Dialect, Held, Known};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// So often something is said, so that both ends see when the other is gone.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Where more has changed than this, all is told anew: those bytes are shared by all who watch.
const CHANGES_MAX: usize = 64;

/// Holds one watch, and what its reader was told last.
struct Watch {
    follow: Follow,
    asked: Asked,
    told: Told,
    due: VecDeque<Bytes>,
    /// Nothing more is said.
    over: bool,
    _place: OwnedSemaphorePermit,
}

/// Says what the reader holds.
enum Told {
    /// Nothing, or that there is no such service.
    Nothing,
    /// This.
    Service(Arc<Service>),
}

// === impl Api ===

impl Api {
    pub(super) async fn watch(
        &self,
        name: &str,
        query: Option<&str>,
        request: &Request<Incoming>,
    ) -> Result<Answer, Problem> {
        let asked = Asked::instances(&parameters(query)?, &[])?;
        let (slot, known) = self.first_answer(name, Dialect::Native).await?;
        let held = match self.service(&slot.key, &known) {
            Ok(held) => held,
            Err(refusal) => return self.refused(refusal),
        };
        let place = self.watches.clone().try_acquire_owned().map_err(|_| {
            Problem::new(Slug::LimitReached, "too many watches are open already")
                .hint("watch fewer services in one pod, or each of them once")
        })?;
        if *request.method() == Method::HEAD {
            return Ok(events(held, stream::empty().boxed(), self.standing(Some(held))));
        }
        let last = request.headers().get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
        let mut watch = Watch {
            follow: Follow::new(&self.store, &self.errands, slot.clone()),
            asked,
            told: Told::Nothing,
            due: VecDeque::new(),
            over: false,
            _place: place,
        };
        if last == Some(held.service.revision) {
            watch.told = Told::Service(held.service.clone());
            watch.due.push_back(comment());
        } else {
            watch.tell(&known);
        }
        let pieces = stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) });
        Ok(events(held, pieces.boxed(), self.standing(Some(held))))
    }
}

// === impl Watch ===

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.due.pop_front() {
                return Some(piece);
            }
            if self.over {
                return None;
            }
            let told = match &self.told {
                Told::Nothing => None,
                Told::Service(service) => Some(service.revision),
            };
            let news = self.follow.until(|known| match known {
                Known::Service(held) => Some(held.service.revision) != told,
                Known::Unknown => told.is_some(),
                Known::TooLarge => true,
                Known::Awaited | Known::Left => false,
            });
            match timeout(COMMENT_EVERY, news).await {
                Ok(known) => self.tell(&known),
                Err(_) => return Some(comment()),
            }
        }
    }

    /// Says what is so now, as far as the reader does not know it.
    fn tell(&mut self, known: &Known) {
        match known {
            Known::Service(held) => {
                let before = std::mem::replace(&mut self.told, Told::Service(held.service.clone()));
                let changes = match &before {
                    Told::Nothing => None,
                    Told::Service(before) => self.changes(before, &held.service),
                };
                match changes {
                    Some(changes) => self.due.extend(changes),
                    None => self.due.extend(snapshot(held, &self.asked)),
                }
            }
            Known::Unknown => {
                self.told = Told::Nothing;
                self.due.push_back(Bytes::from_static(b"event: gone\ndata: {}\n\n"));
            }
            // It cannot be told, and the next request says why.
            Known::TooLarge => self.over = true,
            Known::Awaited | Known::Left => {}
        }
    }

    /// What leads from one to the other; none where that is more than all of it. Only the last event has the new revision
    /// for its id: who lost the others is not taken for one who has them.
    fn changes(&self, before: &Service, after: &Service) -> Option<Vec<Bytes>> {
        let changes = changes(&self.asked.query.select(before), &self.asked.query.select(after));
        if changes.len() > CHANGES_MAX {
            return None;
        }
        let last = changes.len().saturating_sub(1);
        let id = |number: usize| if number == last { after.revision } else { before.revision };
        let written = changes.iter().enumerate().map(|(number, change)| change.event(id(number)));
        Some(match changes.is_empty() {
            // Nothing of what is watched: the reader need not ask for it when it comes back.
            true => vec![Bytes::from(format!("id: {}\n: nothing of this has changed\n\n", after.revision))],
            false => written.collect(),
        })
    }
}

/// Says what changes for a reader.
enum Change<'a> {
    Upsert(Match<'a>),
    Remove(&'a InstanceId),
}

/// What leads from these to those: what goes first.
fn changes<'a>(before: &[Match<'a>], after: &[Match<'a>]) -> Vec<Change<'a>> {
    let ids = |matches: &[Match<'a>]| -> std::collections::HashMap<&'a InstanceId, (&'a Instance, u16)> {
        matches.iter().map(|one| (&one.instance.id, (&**one.instance, one.port))).collect()
    };
    let (held, wanted) = (ids(before), ids(after));
    let gone = before.iter().map(|one| &one.instance.id).filter(|id| !wanted.contains_key(*id));
    let other = |one: &&Match<'a>| held.get(&one.instance.id) != Some(&(&**one.instance, one.port));
    let new = after.iter().filter(other).map(|one| Change::Upsert(*one));
    gone.map(Change::Remove).chain(new).collect()
}

// === impl Change ===

impl Change<'_> {
    fn event(&self, id: u64) -> Bytes {
        let (name, data) = match self {
            Self::Upsert(instance) => ("upsert", instance_body(instance)),
            // Text, which serde_json cannot fail to write.
            Self::Remove(id) => ("remove", serde_json::to_vec(&Removed { id }).unwrap_or_default()),
        };
        let mut event = format!("event: {name}\nid: {id}\ndata: ").into_bytes();
        event.extend_from_slice(&data);
        event.extend_from_slice(b"\n\n");
        event.into()
    }
}

#[derive(serde::Serialize)]
struct Removed<'a> {
    id: &'a InstanceId,
}

/// All of it; the bytes of a lookup's answer are not made twice.
fn snapshot(held: &Held, asked: &Asked) -> [Bytes; 3] {
    let begin = format!("event: snapshot\nid: {}\ndata: ", held.service.revision);
    [begin.into(), asked.body(held, true), Bytes::from_static(b"\n\n")]
}

fn comment() -> Bytes {
    Bytes::from_static(b": still here\n\n")
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
