//! A lookup: from memory where the name is known, else after a short wait for its first answer.

use http::HeaderMap;
use rollcall_catalogue::{ServiceKey, ServiceRef};
use rollcall_wire::{Problem, Slug, limits::SUBSCRIPTIONS_MAX};
use tokio::time::{Duration, timeout};

use super::{
    Api,
    answer::{Answer, service, unknown},
};
use crate::store::Known;

/// How long the first lookup of a name waits to be in step.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(1);
/// The oldest word out of step that a service does not exist. A held address is worth trying however old it is; that
/// nothing was there a minute ago helps nobody, and a service deployed since must not be denied.
const UNKNOWN_AGE_MAX: u64 = 60;

// === impl Api ===

impl Api {
    pub(super) async fn lookup(&self, name: &str, request: &HeaderMap) -> Result<Answer, Problem> {
        let name: ServiceRef = name.parse().map_err(|error: rollcall_catalogue::NameError| {
            Problem::new(Slug::InvalidQuery, error.to_string())
                .field("name")
                .hint("use `service` or `service.namespace`, both DNS-1123 labels")
        })?;
        let known = match self.known(&name) {
            Some(known) => known,
            None => self.first(&name).await?,
        };
        let age = self.store.age();
        match known {
            Known::Service(held) => Ok(service(&held, age, request)),
            Known::Unknown => {
                self.ask(&name);
                no_such_service(&name, age)
            }
        }
    }

    fn known(&self, name: &ServiceRef) -> Option<Known> {
        let local = self.store.local();
        let key = name.resolve(local.home.as_ref()?);
        local.names.get(&key).cloned()
    }

    /// Subscribes to the name and waits for what the controller says of it.
    async fn first(&self, name: &ServiceRef) -> Result<Known, Problem> {
        let _place = self.waiting.try_acquire().map_err(|_| {
            Problem::new(Slug::LimitReached, "too many lookups wait already").hint("try again in a second")
        })?;
        let mut changes = self.store.changes();
        let wait = async {
            let mut asked = false;
            loop {
                if let Some(known) = self.known(name) {
                    return Some(known);
                }
                asked = asked || self.ask(name);
                // An error means that the agent is gone, which ends the process.
                changes.changed().await.ok()?;
            }
        };
        if let Ok(Some(known)) = timeout(FIRST_ANSWER_MAX, wait).await {
            return Ok(known);
        }
        if self.store.local().names.len() >= SUBSCRIPTIONS_MAX {
            return Err(Problem::new(Slug::LimitReached, "all subscriptions of this sidecar are taken")
                .hint("look up fewer services in one pod"));
        }
        Err(not_synced(format!("nothing is known of `{name}` yet")))
    }

    /// Wishes for the name; a wish that finds no room is made again by the next lookup. False while it is not known
    /// which namespace the caller is in.
    fn ask(&self, name: &ServiceRef) -> bool {
        let key: Option<ServiceKey> = self.store.local().home.as_ref().map(|home| name.resolve(home));
        key.is_some_and(|key| self.wishes.try_send(key).is_ok())
    }
}

fn no_such_service(name: &ServiceRef, age: u64) -> Result<Answer, Problem> {
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
        let name: ServiceRef = "orders".parse().unwrap();
        let fresh = no_such_service(&name, UNKNOWN_AGE_MAX).unwrap();
        assert_eq!(fresh.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            (&fresh.headers()["age"], &fresh.headers()["x-rollcall-source"]),
            (&"60".parse().unwrap(), &"live".parse().unwrap())
        );
        assert_eq!(no_such_service(&name, UNKNOWN_AGE_MAX + 1).unwrap_err().slug, Slug::NotSynced);
    }
}
