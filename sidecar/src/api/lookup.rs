//! A lookup: from memory where the name is known, else after a short wait for its first answer.

use std::sync::Arc;

use http::HeaderMap;
use rollcall_catalogue::{ServiceKey, ServiceRef};
use rollcall_wire::{Problem, Slug, limits::SUBSCRIPTIONS_MAX};
use tokio::{
    sync::SemaphorePermit,
    time::{Duration, timeout},
};

use super::{
    Api,
    answer::{Answer, service, unknown},
};
use crate::store::{Dialect, Known, Slot};

/// How long the first lookup of a name waits to be in step.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(1);
/// The oldest word out of step that a service does not exist. A held address is worth trying however old it is; that
/// nothing was there a minute ago helps nobody, and a service deployed since must not be denied.
const UNKNOWN_AGE_MAX: u64 = 60;

// === impl Api ===

impl Api {
    pub(super) async fn lookup(&self, name: &str, request: &HeaderMap) -> Result<Answer, Problem> {
        let slot = match self.store.names().find(name) {
            Some(slot) => slot.clone(),
            None => self.subscribed(&parsed(name)?).await?,
        };
        let known = self.answered(&slot).await?;
        let age = self.store.age();
        self.store.looked_up(Dialect::Native);
        match &*known {
            Known::Service(held) => Ok(service(held, age, self.store.is_from_disk(held), request)),
            Known::Unknown => {
                self.ask(&slot.key);
                no_such_service(&slot.key, age)
            }
            Known::TooLarge => {
                self.ask(&slot.key);
                Err(too_large(&slot.key))
            }
            Known::Awaited | Known::Left => Err(not_synced(format!("nothing is known of `{name}` yet"))),
        }
    }

    /// The place of this name, subscribed to if it is not yet.
    async fn subscribed(&self, name: &ServiceRef) -> Result<Arc<Slot>, Problem> {
        let _place = self.place()?;
        let mut changes = self.store.changes();
        let wait = async {
            let mut asked = false;
            loop {
                if let Some(key) = self.store.home().map(|home| name.resolve(&home)) {
                    if let Some(slot) = self.store.names().get(&key) {
                        return Some(slot.clone());
                    }
                    // A wish that finds no room is made again by the next lookup.
                    asked = asked || self.ask(&key);
                }
                // An error means that the agent is gone, which ends the process.
                changes.changed().await.ok()?;
            }
        };
        if let Ok(Some(slot)) = timeout(FIRST_ANSWER_MAX, wait).await {
            return Ok(slot);
        }
        if self.store.names().len() >= SUBSCRIPTIONS_MAX {
            return Err(Problem::new(Slug::LimitReached, "all subscriptions of this sidecar are taken")
                .hint("look up fewer services in one pod"));
        }
        Err(not_synced(format!("nothing is known of `{name}` yet")))
    }

    /// What is known of the name, once anything is, or after the time that a first answer may take.
    async fn answered(&self, slot: &Slot) -> Result<Arc<Known>, Problem> {
        let known = slot.known();
        if !matches!(**known, Known::Awaited) {
            return Ok(Arc::clone(&known));
        }
        let _place = self.place()?;
        let wait = async {
            loop {
                let changed = slot.changed();
                let known = slot.known();
                if !matches!(**known, Known::Awaited) {
                    return Arc::clone(&known);
                }
                drop(known);
                changed.await;
            }
        };
        Ok(timeout(FIRST_ANSWER_MAX, wait).await.unwrap_or_else(|_| Arc::clone(&slot.known())))
    }

    fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.waiting.try_acquire().map_err(|_| {
            Problem::new(Slug::LimitReached, "too many lookups wait already").hint("try again in a second")
        })
    }

    /// Wishes for the name; false where there is no room for one more wish.
    fn ask(&self, key: &ServiceKey) -> bool {
        self.errands.wish(key)
    }
}

fn parsed(name: &str) -> Result<ServiceRef, Problem> {
    name.parse().map_err(|error: rollcall_catalogue::NameError| {
        Problem::new(Slug::InvalidQuery, error.to_string())
            .field("name")
            .hint("use `service` or `service.namespace`, both DNS-1123 labels")
    })
}

fn too_large(name: &ServiceKey) -> Problem {
    Problem::new(Slug::LimitReached, format!("`{name}` does not fit beside what this sidecar holds already"))
        .hint("look up fewer services in one pod, or give the sidecar more memory")
}

fn no_such_service(name: &ServiceKey, age: u64) -> Result<Answer, Problem> {
    if age > UNKNOWN_AGE_MAX {
        return Err(not_synced(format!(
            "`{name}` was unknown {age} s ago, and the controller was not heard since"
        )));
    }
    let problem = Problem::new(Slug::UnknownService, format!("no registration names `{name}`"))
        .field("name")
        .hint("check the name and its namespace; a pod registers by its annotation rollcall.dev/service");
    Ok(unknown(&problem, age))
}

fn not_synced(detail: String) -> Problem {
    Problem::new(Slug::NotSynced, detail)
        .hint("try again in a second; GET /readyz says whether the controller is reached")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn an_old_denial_is_no_answer() {
        let name: ServiceKey = "orders.shop".parse().unwrap();
        let fresh = no_such_service(&name, UNKNOWN_AGE_MAX).unwrap();
        assert_eq!(fresh.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            (&fresh.headers()["age"], &fresh.headers()["x-rollcall-source"]),
            (&"60".parse().unwrap(), &"live".parse().unwrap())
        );
        let refused = no_such_service(&name, UNKNOWN_AGE_MAX + 1).err();
        assert_eq!(refused.map(|problem| problem.slug), Some(Slug::NotSynced));
    }
}
