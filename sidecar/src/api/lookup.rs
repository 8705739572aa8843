//! A lookup: from memory where the name is known, else after a short wait for its first answer; and, for who asks for it,
//! after a long wait for the next one.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use rollcall_catalogue::{Query, ServiceKey, ServiceRef};
use rollcall_wire::{
    Problem, Slug,
    api::service_body,
    limits::SUBSCRIPTIONS_MAX,
    query::{Parameter, filter_text, filters, number, parameters, time},
};
use tokio::time::{Duration, timeout};

use super::{
    Api,
    answer::{Answer, Standing, dated, of, problem, service},
    follow::{Follow, taken},
};
use crate::{
    interest::UNKNOWN_MAX,
    store::{Dialect, Held, Known, Slot},
};

/// How long the first lookup of a name waits to be in step.
pub(crate) const FIRST_ANSWER_MAX: Duration = Duration::from_secs(1);
/// The oldest word out of step that a service does not exist. A held address is worth trying however old it is; that
/// nothing was there a minute ago helps nobody, and a service deployed since must not be denied.
const UNKNOWN_AGE_MAX: u64 = 60;
/// How long who waits for a change waits, where he does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(60);
/// Longer than any proxy or client library keeps a request open by default.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(600);
/// Bytes of filters whose answer is kept: a version, a port, and some tags. Who asks for more has it written each time.
const KEPT_TEXT_MAX: usize = 256;

/// Holds what a lookup asks for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(super) query: Query,
    /// The filters as one text, which tells them apart.
    pub(super) text: String,
    index: Option<u64>,
    wait: Option<Duration>,
    age_max: Option<u64>,
}

// === impl Asked ===

impl Asked {
    pub(super) fn of(query: Option<&str>) -> Result<Self, Problem> {
        let parameters = parameters(query)?;
        Ok(Self {
            index: number(&parameters, "index")?,
            wait: time(&parameters, "wait", WAIT_MAX)?,
            age_max: number(&parameters, "max-age")?,
            ..Self::instances(&parameters, &["index", "wait", "max-age"])?
        })
    }

    /// What asks for instances alone, now; parameters named in `others` are the caller's own to read.
    pub(super) fn instances(parameters: &[Parameter], others: &[&str]) -> Result<Self, Problem> {
        let (query, text) = (filters(parameters, others)?, filter_text(parameters));
        Ok(Self { query, text, ..Self::default() })
    }

    /// The revision that the caller has, where he is to be told when it is another: there is nothing newer yet.
    fn blocks_on(&self, known: &Known) -> bool {
        match (self.index, known) {
            (Some(index), Known::Service(held)) => index >= held.service.revision,
            // Nothing has no revision that he could have seen.
            (Some(_), Known::Unknown) => true,
            _ => false,
        }
    }

    /// The answer's bytes; to be kept where it will be asked for again.
    pub(super) fn body(&self, held: &Held, keep: bool) -> Bytes {
        if self.query == Query::default() {
            held.plain(keep)
        } else if keep && self.text.len() <= KEPT_TEXT_MAX {
            held.filtered(&self.text, &self.query)
        } else {
            service_body(&held.key, &held.service, &self.query).into()
        }
    }
}

// === impl Api ===

impl Api {
    pub(crate) async fn lookup(
        &self,
        name: &str,
        asked: &Asked,
        request: HeaderMap,
    ) -> Result<Answer, Problem> {
        let (slot, mut known) = self.first_answer(name, Dialect::Native).await?;
        if asked.blocks_on(&known) {
            known = self.changed(slot.clone(), known, asked.wait.unwrap_or(WAIT_DEFAULT)).await?;
        }
        self.store.looked_up(&slot, Dialect::Native);
        match self.service(&slot.key, &known) {
            Ok(held) => {
                let standing = self.standing(Some(held));
                if asked.age_max.is_some_and(|max| standing.age > max) {
                    return Ok(of(held, problem(&too_old(standing.age)), standing));
                }
                Ok(service(held, asked.body(held, slot.is_asked_again()), standing, request))
            }
            Err(refusal) => self.refused(refusal),
        }
    }

    /// The service of this name, once anything is known of it.
    pub(crate) async fn known_service(&self, name: &str, dialect: Dialect) -> Result<Arc<Held>, Problem> {
        let (slot, known) = self.first_answer(name, dialect).await?;
        self.store.looked_up(&slot, dialect);
        self.service(&slot.key, &known).cloned()
    }

    /// The service that is known, or why there is none to tell of.
    pub(super) fn service<'a>(&self, key: &ServiceKey, known: &'a Known) -> Result<&'a Arc<Held>, Problem> {
        match known {
            Known::Service(held) => Ok(held),
            Known::Unknown => {
                // Asked for once more, so that its appearance is pushed.
                self.errands.wish(key);
                Err(no_such_service(key, self.store.age()))
            }
            Known::TooLarge => {
                self.errands.wish(key);
                Err(too_large(key))
            }
            Known::Awaited | Known::Left => Err(not_synced(format!("nothing is known of `{key}` yet"))),
        }
    }

    /// That there is no such service is the catalogue's word too, and as old as the rest of it.
    pub(super) fn refused(&self, refusal: Problem) -> Result<Answer, Problem> {
        match refusal.slug {
            Slug::UnknownService => Ok(dated(problem(&refusal), self.standing(None))),
            _ => Err(refusal),
        }
    }

    /// No, of a service that there is.
    pub(super) fn denied(&self, held: &Held, refusal: &Problem) -> Answer {
        of(held, problem(refusal), self.standing(Some(held)))
    }

    /// How current what is said of this service is; or of no single service.
    pub(crate) fn standing(&self, held: Option<&Held>) -> Standing {
        let from_disk = match held {
            Some(held) => self.store.is_from_disk(held),
            None => self.store.rests_on_disk(),
        };
        Standing { age: self.store.age(), from_disk }
    }

    /// The place of the name that the caller writes so, subscribed to if it is not yet; and what is known of it, once
    /// anything is, or after the time that a first answer may take.
    pub(super) async fn first_answer(
        &self,
        name: &str,
        dialect: Dialect,
    ) -> Result<(Arc<Slot>, Arc<Known>), Problem> {
        let slot = self.store.names().find(name).cloned();
        let slot = match slot {
            Some(slot) => slot,
            None => self.subscribed(&parsed(name)?, dialect).await?,
        };
        let known = self.answered(&slot, dialect).await?;
        Ok((slot, known))
    }

    /// The name as a key, once it is known where we are.
    pub(super) async fn key(&self, name: &str) -> Result<ServiceKey, Problem> {
        let name = parsed(name)?;
        let _place = self.place()?;
        match timeout(FIRST_ANSWER_MAX, self.resolved(&name)).await {
            Ok(key) => Ok(key),
            Err(_) => Err(not_synced(format!("the namespace that `{name}` is of is not known yet"))),
        }
    }

    pub(super) async fn resolved(&self, name: &ServiceRef) -> ServiceKey {
        if let (Some(namespace), service) = (name.namespace.clone(), name.service.clone()) {
            return ServiceKey { namespace, service };
        }
        let mut changes = self.store.changes();
        loop {
            if let Some(home) = self.store.home() {
                return name.resolve(&home);
            }
            if changes.changed().await.is_err() {
                // The agent is gone, which ends the process.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn subscribed(&self, name: &ServiceRef, dialect: Dialect) -> Result<Arc<Slot>, Problem> {
        let _place = self.place_of(dialect)?;
        let wait = async {
            let key = self.resolved(name).await;
            taken(&self.store, &self.errands, &key).await
        };
        if let Ok(slot) = timeout(FIRST_ANSWER_MAX, wait).await {
            return Ok(slot);
        }
        let names = self.store.names();
        if names.len() >= SUBSCRIPTIONS_MAX {
            return Err(Problem::new(Slug::LimitReached, "all subscriptions of this sidecar are taken")
                .hint("look up fewer services in one pod"));
        }
        let is_known = |slot: &&Arc<Slot>| matches!(**slot.known(), Known::Service(_));
        if names.iter().filter(|slot| !is_known(slot)).count() >= UNKNOWN_MAX {
            let detail = format!("{UNKNOWN_MAX} names that nobody registers are waited for already");
            return Err(Problem::new(Slug::LimitReached, detail).hint("wait for fewer names at a time"));
        }
        Err(not_synced(format!("nothing is known of `{name}` yet")))
    }

    async fn answered(&self, slot: &Arc<Slot>, dialect: Dialect) -> Result<Arc<Known>, Problem> {
        let known = Arc::clone(&slot.known());
        if !matches!(*known, Known::Awaited | Known::Left) {
            return Ok(known);
        }
        let _place = self.place_of(dialect)?;
        let mut follow = Follow::new(&self.store, &self.errands, slot.clone());
        let first = follow.until(|known| !matches!(known, Known::Awaited));
        match timeout(FIRST_ANSWER_MAX, first).await {
            Ok(known) => Ok(known),
            Err(_) => Ok(Arc::clone(&slot.known())),
        }
    }

    /// What is known of the name once it is something else, or after this time.
    async fn changed(
        &self,
        slot: Arc<Slot>,
        before: Arc<Known>,
        wait: Duration,
    ) -> Result<Arc<Known>, Problem> {
        let _place = self.place()?;
        let revision = revision(&before);
        let mut follow = Follow::new(&self.store, &self.errands, slot);
        let other = follow.until(|known| match known {
            Known::Awaited | Known::Left => false,
            known => self::revision(known) != revision || matches!(known, Known::TooLarge),
        });
        if let Ok(known) = timeout(wait, other).await {
            return Ok(known);
        }
        match follow.known() {
            // Its place was given up and taken again, and nobody has said anything else since.
            known if matches!(*known, Known::Awaited | Known::Left) => Ok(before),
            known => Ok(known),
        }
    }
}

/// The revision that is known; none of what does not exist.
pub(super) fn revision(known: &Known) -> Option<u64> {
    match known {
        Known::Service(held) => Some(held.service.revision),
        _ => None,
    }
}

pub(super) fn parsed(name: &str) -> Result<ServiceRef, Problem> {
    name.parse().map_err(|error: rollcall_catalogue::NameError| {
        Problem::new(Slug::InvalidQuery, error.to_string())
            .field("name")
            .hint("use `service` or `service.namespace`, both DNS-1123 labels")
    })
}

fn too_old(age: u64) -> Problem {
    Problem::new(Slug::TooOld, format!("all was last known to be current {age} s ago"))
        .field("max-age")
        .hint("take an older answer, or try again when the controller is back")
}

fn too_large(name: &ServiceKey) -> Problem {
    Problem::new(Slug::LimitReached, format!("`{name}` does not fit beside what this sidecar holds already"))
        .hint("look up fewer services in one pod, or give the sidecar more memory")
}

pub(super) fn no_such_service(name: &ServiceKey, age: u64) -> Problem {
    if age > UNKNOWN_AGE_MAX {
        return not_synced(format!(
            "`{name}` was unknown {age} s ago, and the controller was not heard since"
        ));
    }
    Problem::new(Slug::UnknownService, format!("no registration names `{name}`"))
        .field("name")
        .hint("check the name and its namespace; a pod registers by its annotation rollcall.dev/service")
}

pub(super) fn not_synced(detail: String) -> Problem {
    Problem::new(Slug::NotSynced, detail)
        .hint("try again in a second; GET /readyz says whether the controller is reached")
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
